"""The pipeline from jobs to documents and back: settings, boxes, spelling, forms, and an honest report."""

import copy
import datetime as dt
import json
import math

import pytest

from tuneport import exchange
from tuneport.backends import registry
from tuneport.backends.vertex.settings import VertexSettings
from tuneport.errors import PayloadError
from tuneport.model.job import TuningJob
from tuneport.translation.capabilities import Fidelity

PLAIN = {
    "name": "digits",
    "study": {
        "parameters": [{"name": "lr", "kind": "float", "low": 0.001, "high": 0.1, "scale": "log"}],
        "objectives": [{"metric": "accuracy", "goal": "maximize"}],
        "algorithm": {"kind": "random"},
    },
    "trial": {"image": "nimbus/train:3", "output": {"uri": "nim://runs/"}},
}


def job(**trial):
    return TuningJob.model_validate(PLAIN | {"trial": PLAIN["trial"] | trial})


def said(report):
    return {field.pointer: (field.fidelity.value, field.by) for field in report.fields}


def translate(backend, job, **settings):
    return exchange.translate(job, backend, backend.settings_type(**settings))


# ---- settings -------------------------------------------------------------------------------------------------------


def test_settings_say_what_the_job_leaves_open(nimbus):
    open_job = TuningJob.model_validate(PLAIN | {"trial": {"command": ["train"]}})
    made = translate(nimbus, open_job, image="nimbus/default:1", results="nim://all/", account="me")
    assert (made.payload["image"], made.payload["results"], made.payload["account"]) == (
        "nimbus/default:1", "nim://all/", "me",
    )  # fmt: skip
    assert said(made.report)["/trial/image"] == ("exact", "settings: image")
    assert made.job.trial.image == "nimbus/default:1"
    assert open_job.trial.image is None


def test_a_job_wins_over_settings(nimbus):
    made = translate(nimbus, job(), image="nimbus/default:1")
    assert made.payload["image"] == "nimbus/train:3"
    assert "/trial/image" not in said(made.report)


def test_settings_resolve_what_no_map_does(nimbus):
    made = translate(nimbus, job(output={"uri": "s3://elsewhere/"}), results="nim://all/")
    assert made.payload["results"] == "nim://all/"
    (field,) = [one for one in made.report.fields if one.pointer == "/trial/output/uri"]
    assert (field.fidelity, field.before, field.after) == (Fidelity.EXACT, "s3://elsewhere/", "nim://all/")


def test_settings_that_do_not_go_with_a_job_leave_it_alone(nimbus):
    stored = TuningJob.model_validate(PLAIN | {"trial": {"algorithm": "kmeans"}})
    made = translate(nimbus, stored, image="nimbus/default:1", results="nim://all/")
    assert made.job.trial.image is None
    assert said(made.report)["/trial/image"][0] == "unsupported"  # a container is what trials are there


def test_what_every_job_must_say_there_is_told(nimbus):
    made = translate(nimbus, TuningJob.model_validate(PLAIN | {"trial": {"command": ["train"]}}))
    told = {one.pointer: one.note for one in made.report.fields if one.fidelity is Fidelity.UNSUPPORTED}
    assert told["/trial/output/uri"] == "results go to a bucket; give trial.output.uri, or set nimbus.results"


# ---- boxes ----------------------------------------------------------------------------------------------------------


def test_what_our_words_cannot_say_is_kept_and_put_back(nimbus, document):
    imported = exchange.read(document, nimbus)
    box = imported.job.native["nimbus"]
    assert {name: value for name, value in box.items() if not name.startswith("$")} == {
        "firewall": "closed", "color": "blue",
    }  # fmt: skip
    assert imported.boxed == ["/firewall", "/color"]
    assert imported.leaves == 18
    assert imported.settings.account == "research"
    assert [one.by for one in imported.report.fields] == ["box", "box"]
    assert exchange.translate(imported.job, nimbus, imported.settings).payload == document


def test_what_an_edited_job_says_wins_over_its_box(nimbus, document):
    imported = exchange.read(document, nimbus)
    edited = imported.job.changed(native={"nimbus": {"image": "nimbus/other:1", "color": "blue"}})
    made = exchange.translate(edited, nimbus, imported.settings)
    assert (made.payload["image"], made.payload["color"]) == ("nimbus/train:3", "blue")
    assert said(made.report)["/native/nimbus/image"] == ("dropped", None)


def test_spelling_is_kept_where_nothing_was_edited(nimbus, document):
    imported = exchange.read(document, nimbus)
    edited = imported.job.changed(budget={"max_trials": 30}, name="letters")
    made = exchange.translate(edited, nimbus, imported.settings)
    assert (made.payload["title"], made.payload["trials"]) == ("letters", 30)
    assert made.payload["space"] == document["space"]


def test_a_person_writes_boxes_by_hand(nimbus):
    boxed = TuningJob.model_validate(PLAIN | {"native": {"nimbus": {"firewall": "open"}}})
    made = translate(nimbus, boxed)
    assert made.payload["firewall"] == "open"
    assert made.report.worst is Fidelity.EXACT


def test_boxes_of_other_clouds_stay_behind_and_are_told(nimbus):
    boxed = TuningJob.model_validate(
        PLAIN | {"native": {"other": {"vpc": {"id": "v"}, "color": "red", "list": [1, 2]}}}
    )
    made = exchange.translate(boxed, nimbus, nimbus.settings_type(), material=lambda name: ("/vpc/*",))
    told = {one.pointer: one.fidelity for one in made.report.fields}
    assert told == {
        "/native/other/vpc/id": Fidelity.UNSUPPORTED,
        "/native/other/color": Fidelity.DROPPED,
        "/native/other/list/0": Fidelity.DROPPED,
        "/native/other/list/1": Fidelity.DROPPED,
    }


# ---- forms and answers ----------------------------------------------------------------------------------------------


def test_an_answer_makes_a_job_that_can_be_sent_again(nimbus, document):
    answer = {"id": "n-1", "state": "DONE", "job": document, "tries": []}
    imported = exchange.read(answer, nimbus)
    assert imported.form == "answer"
    assert exchange.translate(imported.job, nimbus, imported.settings, form="answer").payload == answer
    sent = exchange.translate(imported.job, nimbus, imported.settings)
    assert sent.form == "job"
    assert sent.payload["title"] == "digits"
    assert "state" not in sent.payload


def test_an_unknown_form_is_refused_with_those_that_there_are(nimbus):
    with pytest.raises(PayloadError, match="no form 'helm'") as caught:
        exchange.translate(job(), nimbus, nimbus.settings_type(), form="helm")
    assert caught.value.hint == "forms of nimbus: job"


# ---- odd documents --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a\x00b", "must be text without NUL characters and lone surrogates"),
        ("\ud800", "must be text without NUL characters and lone surrogates"),
        (2**63, "must fit into 64 bits"),
        (b"x", "is a bytes, which JSON cannot say"),
        ({1, 2}, "is a set, which JSON cannot say"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_place(nimbus, document, value, message):
    with pytest.raises(PayloadError) as caught:
        exchange.read(document | {"env": {"A": value}, "color": value}, nimbus)
    assert [(one.pointer, one.message) for one in caught.value.problems] == [("/env/A", message), ("/color", message)]


def test_depth_is_bounded(nimbus, document):
    deep = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(PayloadError, match="nested deeper than 100 levels"):
        exchange.read(document | {"color": deep}, nimbus)


@pytest.mark.parametrize("odd", [None, [], "job", 7, [{}]])
def test_only_mappings_are_documents(nimbus, odd):
    with pytest.raises(PayloadError, match="must be a mapping"):
        exchange.read(odd, nimbus)


def test_objects_of_sdks_are_understood(nimbus, document):
    time = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    answer = {"id": "n-1", "created": time, "best": math.nan, "tries": (), "job": document}
    imported = exchange.read(answer, nimbus)
    assert json.loads(json.dumps(imported.job.native, allow_nan=False))["nimbus"]["$response"] == {
        "id": "n-1", "created": "2026-01-02T00:00:00+00:00", "best": "NaN", "tries": [],
    }  # fmt: skip


def test_a_document_that_makes_no_job_is_refused_with_every_reason(nimbus, document):
    broken = document | {"Title": "\t", "env": {"1": "x"}}
    with pytest.raises(PayloadError, match="this makes no job of nimbus: 2 problems") as caught:
        exchange.read(broken, nimbus)
    assert [one.pointer for one in caught.value.problems] == ["/name", "/trial/env/1"]


def test_arguments_are_not_changed(nimbus, document):
    saved = copy.deepcopy(document)
    imported = exchange.read(document, nimbus)
    before = imported.job.model_dump_json()
    exchange.translate(imported.job, nimbus, imported.settings)
    assert document == saved
    assert imported.job.model_dump_json() == before


# ---- the report -----------------------------------------------------------------------------------------------------


def test_what_is_lost_is_in_the_report_item_by_item(nimbus):
    made = translate(nimbus, job(metrics={"a": "a=(.*)", "b": "b=(.*)"}, timeout=60))
    told = said(made.report)
    assert told["/trial/metrics/a"] == told["/trial/metrics/b"] == told["/trial/timeout"] == ("unsupported", None)


def test_what_is_emulated_is_told_though_it_comes_back(nimbus):
    stepped = TuningJob.model_validate(
        PLAIN
        | {"study": PLAIN["study"] | {"parameters": [{"name": "n", "kind": "int", "low": 8, "high": 64, "step": 8}]}}
    )
    made = translate(nimbus, stepped)
    assert said(made.report) == {"/study/parameters/0/step": ("emulated", "tuneport_trial")}
    assert made.payload["space"] == [{"name": "n", "low": 8, "high": 64, "whole": True}]


# ---- from one cloud to another, and comparing -----------------------------------------------------------------------


def test_settings_never_move(nimbus, document):
    imported = exchange.read(document, nimbus)
    moved = exchange.migrate(imported, registry.load("vertex"), VertexSettings(machine="n1-standard-4"))
    assert said(moved.report)["/native/nimbus/$settings/account"] == ("dropped", None)
    assert "research" not in json.dumps(moved.payload)


def test_settings_of_a_document_stay_with_its_job(nimbus, document):
    imported = exchange.read(document, nimbus)
    assert translate(nimbus, imported.job).payload == document
    assert translate(nimbus, imported.job, account="mine").payload["account"] == "mine"


@pytest.mark.parametrize("name", ["$settings", "$spelling", "$response", "$form"])
@pytest.mark.parametrize("odd", [7, "x", [1], {"account": {"a": 1}}, {"$was": 1, "$is": [2]}, None])
def test_what_people_write_into_boxes_does_no_harm(nimbus, name, odd):
    boxed = TuningJob.model_validate(PLAIN | {"native": {"nimbus": {name: odd}, "other": {name: odd}}})
    assert translate(nimbus, boxed).payload["title"] == "digits"


def test_boxes_are_compared_but_not_their_spelling(nimbus, document):
    spelt = {("title" if key == "Title" else key): value for key, value in document.items()} | {"trials": 20}
    a, b = exchange.read(document, nimbus).job, exchange.read(spelt, nimbus).job
    assert a.native != b.native
    assert exchange.compare_boxes(a, b) == []
    c = exchange.read(document | {"color": "red"}, nimbus).job
    assert [tuple(one) for one in exchange.compare_boxes(a, c)] == [("/native/nimbus/color", "blue", "red", False)]
