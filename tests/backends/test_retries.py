"""How often a service is asked again, and that a submission of unknown outcome is looked for before the next one."""

import pytest

from tuneport.backends import retries
from tuneport.errors import AuthError, UnavailableError


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(retries, "SLOWEST", 0.001)


class Service:
    """Fails a few times, before or after it has done its work."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.jobs = []
        self.looks = 0

    def create(self):
        outcome = self.outcomes.pop(0) if self.outcomes else "ok"
        if outcome != "refused" and outcome != "throttled":
            self.jobs.append("job")
        if outcome == "refused":
            raise AuthError("no")
        if outcome != "ok":
            raise UnavailableError(outcome)
        return "job"

    def find(self):
        self.looks += 1
        return self.jobs[0] if self.jobs else None


@pytest.mark.parametrize("outcomes", [(), ("throttled",), ("lost",), ("throttled", "throttled", "lost")])
@pytest.mark.parametrize("again", [False, True])
def test_a_job_is_created_exactly_once(outcomes, again):
    service = Service(*outcomes)
    assert retries.submit(service.create, service.find, again=again) == "job"
    assert len(service.jobs) == 1
    assert service.looks == len(outcomes) + again


def test_what_an_earlier_process_sent_is_found():
    service = Service()
    service.jobs.append("earlier")
    assert retries.submit(service.create, service.find, again=True) == "earlier"


def test_a_refusal_is_final():
    service = Service("refused")
    with pytest.raises(AuthError):
        retries.submit(service.create, service.find, again=False)
    assert service.jobs == []


def test_reads_are_repeated_but_not_without_end():
    calls = []

    def down():
        calls.append(1)
        raise UnavailableError("down")

    with pytest.raises(UnavailableError):
        retries.read(down)
    assert len(calls) == retries.ATTEMPTS
