"""What was submitted elsewhere: noted before it is sent, taken up again after a crash, forgotten when it is gone."""

import pytest

from tuneport.errors import StoreError
from tuneport.remote.ledger import Ledger

SENT = ("sagemaker", {"Name": "x"}, {"region": "eu-west-1"}, "x", "{}")


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "workspace")


def test_a_submission_that_was_cut_off_is_taken_up_again(ledger):
    first = ledger.begin(*SENT)
    second = ledger.begin(*SENT)
    assert (first.token, first.again, second.again) == (second.token, False, True)
    assert ledger.submissions() == []


def test_a_submission_that_came_through_is_not(ledger):
    first = ledger.begin(*SENT)
    ledger.finish(first.token, "sagemaker:eu-west-1/x-1")
    assert ledger.begin(*SENT).token != first.token
    assert [one.ref for one in ledger.submissions()] == ["sagemaker:eu-west-1/x-1"]


def test_the_same_job_elsewhere_is_another_submission(ledger):
    tokens = {ledger.begin(*SENT).token, ledger.begin(*SENT[:2], {"region": "us-east-1"}, *SENT[3:]).token}
    assert len(tokens) == 2


def test_what_was_refused_or_deleted_is_forgotten(ledger):
    refused = ledger.begin(*SENT)
    ledger.give_up(refused.token)
    assert not ledger.begin(*SENT).again
    kept = ledger.begin(*SENT)
    ledger.finish(kept.token, "sagemaker:eu-west-1/x-1")
    ledger.give_up(kept.token)
    assert len(ledger.submissions()) == 1
    ledger.forget("sagemaker:eu-west-1/x-1")
    assert ledger.submissions() == []


def test_looking_makes_no_workspace(ledger, tmp_path):
    assert ledger.submissions() == []
    assert not (tmp_path / "workspace").exists()


def test_a_workspace_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "workspace").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        Ledger(tmp_path / "workspace").begin(*SENT)
