"""What every backend promises, as tests: one class per claim, for pytest. The rules are those of docs/contract.md.

A backend's author adopts all of it by subclassing::

    class TestNimbus(Conformance):
        backend = BACKEND
        settings = {"image": "nimbus/train:1", "results": "nim://bucket/results/"}
        at_home = {"s3://bucket/train/": "nim://bucket/train/"}
        goldens = Path(__file__).parent / "golden"
"""

# ruff: noqa: S101, PT017 - suites are tests

from __future__ import annotations

import contextlib
import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as pace
from hypothesis import strategies as st

from tuneport import exchange, translating
from tuneport.backends.protocols import Cloud
from tuneport.errors import JobError, PayloadError, Problem
from tuneport.exchange import Translated
from tuneport.files import read_document, read_job
from tuneport.model.feature_catalogue import CATALOGUE
from tuneport.model.feature_usage import used
from tuneport.model.features import Feature
from tuneport.model.job import TuningJob
from tuneport.model.results import RunState, StudyResult
from tuneport.model.word import Word
from tuneport.testing import strategies
from tuneport.testing.mutations import mutated
from tuneport.testing.specimens import at_home, combinations, overlaid, results
from tuneport.translation.capabilities import Capabilities, Fidelity, exact, screen
from tuneport.translation.measure import compare
from tuneport.translation.report import FieldReport

Json = dict[str, Any]

ALL_EXACT = Capabilities(dict.fromkeys(Feature, exact()))
"""The table of a backend that claims everything: what is measured with it, no table has made worse."""
SDKS = ("boto3", "botocore", "sagemaker", "google.cloud", "google.auth", "huaweicloudsdkcore", "ray")
BATCH = 500
"""Malformed documents in one test."""
SOME = pace(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
"""How many jobs a property is tried with."""


class Suite:
    """What all suites know of the backend under test."""

    backend: ClassVar[Cloud[Any]]
    """The backend."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """Settings with which the plainest container can be sent."""
    at_home: ClassVar[Mapping[str, str]] = {}
    """Texts of the catalogue's specimens to what is said there instead: buckets, images, machines, roles, keys."""
    goldens: ClassVar[Path | None] = None
    """Folder of documents: NAME.json or NAME.yaml beside NAME.job.yaml, the job that it means."""
    mutants: ClassVar[int] = 1000
    """How many malformed documents are tried."""
    sdks: ClassVar[tuple[str, ...]] = SDKS
    """Modules that nothing but the client may import."""
    gaps: ClassVar[Mapping[str, str]] = {}
    """Names of tests, as pytest prints them, that are known to fail, with the reason. They must fail."""

    @pytest.fixture(autouse=True)
    def _known_gaps(self, request: pytest.FixtureRequest) -> None:
        reason = self.gaps.get(request.node.name)
        if reason is not None:
            request.applymarker(pytest.mark.xfail(strict=True, reason=reason))

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test once for everything that it is about."""
        cases: dict[str, Callable[[], list[Any]]] = {
            "feature": lambda: list(Feature),
            "batch": lambda: list(range(max(1, self.mutants // BATCH))),
            "limit": lambda: [one.name for one in fields(self.backend.capabilities.limits)],
            "form": lambda: list(self.backend.translator.forms),
            "golden": lambda: golden_documents(self.goldens),
            "other": lambda: [name for name in translating.clouds() if name != self.backend.name],
        }
        for name in (name for name in cases if name in metafunc.fixturenames):
            found = cases[name]()
            metafunc.parametrize(name, found, ids=[getattr(one, "stem", str(one)) for one in found])

    @property
    def chosen(self) -> Word:
        """The settings as the backend's own words."""
        made: Word = self.backend.settings_type.model_validate(dict(self.settings))
        return made

    def specimen(self, feature: Feature) -> TuningJob:
        """The job that uses the feature and little else, in the backend's own places, without other clouds' boxes."""
        return at_home(CATALOGUE[feature].specimen(), self.at_home).model_copy(update={"native": {}})

    def translate(self, job: TuningJob, form: str | None = None) -> Translated:
        """The job in the backend's words."""
        return exchange.translate(job, self.backend, self.chosen, form=form)

    def measured(self, job: TuningJob) -> list[FieldReport]:
        """What saying it and reading it back does to a job, whatever the backend declares."""
        translator = self.backend.translator
        there, form = self.translate(job).job, translator.forms[0]
        request = translator.to_native(there, self.chosen, form)
        return exchange.measured(there, request, form, translator, ALL_EXACT)

    def refusals(self, made: Translated) -> list[Problem]:
        """Why the service would not take it: all that a translation owns up to and, if that is nothing, its rules."""
        worst = [one for one in made.report.fields if one.fidelity is Fidelity.UNSUPPORTED]
        limits = screen(made.job, self.backend.capabilities)
        return [Problem(one.pointer, one.note) for one in worst] + limits


def golden_documents(folder: Path | None) -> list[Path]:
    """The documents of a folder of goldens."""
    if folder is None:
        return []
    return sorted(one for one in folder.iterdir() if one.with_name(f"{one.stem}.job.yaml") in set(folder.iterdir()))


def expected_job(golden: Path) -> TuningJob:
    """What a golden document means, as somebody worked it out by hand."""
    return read_job(golden.with_name(f"{golden.stem}.job.yaml"))


class CapabilitySuite(Suite):
    """C. The table of capabilities is true, in both directions."""

    def test_every_feature_is_listed(self, feature: Feature) -> None:
        """C1: there is a line for every feature; C2: a line that is not plainly exact says why."""
        support = self.backend.capabilities.supports.get(feature)
        assert support is not None, "not listed"
        assert support.fidelity is Fidelity.EXACT or support.note, "not exact, and no note says what differs"
        assert (support.fidelity is Fidelity.EMULATED) == (support.by is not None), "emulated is by somebody"

    def test_nothing_is_overclaimed(self, feature: Feature) -> None:
        """C3: what is declared exact or emulated comes back as it was."""
        if self.backend.capabilities.support(feature).fidelity <= Fidelity.EMULATED:
            assert self.changes_of(feature) == []

    def test_nothing_is_underclaimed(self, feature: Feature) -> None:
        """C4: what comes back as it was is not declared dropped and, if it is declared worse, a note says why."""
        support = self.backend.capabilities.support(feature)
        if support.fidelity > Fidelity.EMULATED and not self.changes_of(feature):
            assert support.fidelity is not Fidelity.DROPPED or feature is Feature.NATIVE, "it comes back"
            assert support.note, "it comes back as it was: promote it, or say what differs"

    def test_what_it_can_do_it_takes(self, feature: Feature) -> None:
        """C5: a job that asks for nothing that is declared unsupported is not refused."""
        job = self.specimen(feature)
        asked = [self.backend.capabilities.support(one).fidelity for one in used(job)]
        if Fidelity.UNSUPPORTED not in asked:
            made = self.translate(job)
            assert self.refusals(made) == []
            assert self.backend.translator.problems(made.request, made.form) == []

    def test_what_it_cannot_do_is_said(self, feature: Feature) -> None:
        """C6: a job that asks for something unsupported has a report that says so, if settings have not resolved it."""
        made = self.translate(self.specimen(feature))
        if self.backend.capabilities.support(feature).fidelity is Fidelity.UNSUPPORTED and feature in used(made.job):
            assert made.report.worst is Fidelity.UNSUPPORTED

    def changes_of(self, feature: Feature) -> list[FieldReport]:
        """What was measured at the places where the specimen uses the feature."""
        job = self.specimen(feature)
        places = used(job).get(feature, [])
        return [one for one in self.measured(job) if any(_touch(one.pointer, place) for place in places)]


class RoundTripSuite(Suite):
    """R. What is said is understood, and nothing is made up."""

    @given(job=strategies.jobs())
    @SOME
    def test_any_job_can_be_said(self, job: TuningJob) -> None:
        """R1: translating never fails; R2: it is JSON; R3: its input stays as it is; R4: it is always the same."""
        before = job.model_dump_json()
        for form in self.backend.translator.forms:
            made = self.translate(job, form)
            text = json.dumps(made.payload, allow_nan=False)
            assert json.loads(text) == made.payload
            assert json.dumps(self.translate(job, form).payload) == text
        assert job.model_dump_json() == before

    @given(job=st.one_of(strategies.jobs(), combinations()))
    @SOME
    def test_reading_what_was_said_settles(self, job: TuningJob) -> None:
        """R5: what was read back is said in the same words; only what the service would refuse may be misread."""
        translator = self.backend.translator
        there = self.translate(at_home(job, self.at_home)).job
        for form in translator.forms:
            request = translator.to_native(there, self.chosen, form)
            saved = copy.deepcopy(request)
            try:
                again, settings = translator.from_native(request, form)
            except (JobError, PayloadError):
                assert self.refusals(self.translate(there)) or translator.problems(request, form)
                continue
            assert request == saved
            assert translator.to_native(again, settings, form) == request or translator.problems(request, form)

    @given(job=st.one_of(strategies.jobs(), combinations()))
    @SOME
    def test_a_document_comes_back(self, job: TuningJob) -> None:
        """R6: importing a translation and translating it back gives the very document, and nothing of it is boxed."""
        job = at_home(job, self.at_home)
        for form in self.backend.translator.forms:
            made = self.translate(job, form)
            try:
                imported = exchange.read(made.payload, self.backend)
            except PayloadError:
                assert self.refusals(made) or self.backend.translator.problems(made.request, form)
                continue
            again = exchange.translate(imported.job, self.backend, imported.settings, form=imported.form)
            assert again.payload == made.payload
            assert not imported.boxed or self.backend.name in job.native

    @given(job=st.one_of(strategies.jobs(), combinations()))
    @SOME
    def test_the_report_is_never_better_than_the_truth(self, job: TuningJob) -> None:
        """R7: every field that is lost or changed is in the report, and the report says no less."""
        job = at_home(job, self.at_home)
        made = self.translate(job)
        for change in self.measured(job):
            told = [one for one in made.report.fields if _touch(one.pointer, change.pointer)]
            worst = max((one.fidelity for one in told), default=Fidelity.EXACT)
            assert worst >= min(change.fidelity, Fidelity.DROPPED), f"{change.pointer}: {worst}"


class PayloadSuite(Suite):
    """P. What is sent is what the vendor's own schema and rules accept."""

    @given(job=combinations())
    @SOME
    def test_what_is_not_refused_is_valid(self, form: str, job: TuningJob) -> None:
        """P1: where the report holds nothing unsupported and limits hold, the service would take every form."""
        made = self.translate(at_home(job, self.at_home), form)
        assert self.refusals(made) or self.backend.translator.problems(made.request, made.form) == []

    def test_every_form_is_read_back(self, form: str) -> None:
        """P2: a document of any form is recognised as what it is."""
        made = self.translate(self.specimen(Feature.TRIAL_IMAGE_COMMAND), form)
        assert self.backend.translator.read(made.payload).form == form

    def test_an_unknown_form_is_refused(self) -> None:
        """P3: so that nobody gets another document than asked for."""
        with pytest.raises(PayloadError, match="has no form 'origami'"):
            self.translate(self.specimen(Feature.TRIAL_IMAGE_COMMAND), "origami")


_SIZES: Mapping[str, Callable[[int], Json]] = {
    "max_parameters": lambda count: {"/study/parameters": [_float(index) for index in range(count)]},
    "max_objectives": lambda count: {"/study/objectives": [_metric(index) for index in range(count)]},
    "max_trials": lambda count: {"/budget/max_trials": count},
    "max_parallel_trials": lambda count: {"/budget": {"max_trials": count, "parallel_trials": count}},
}


def _float(index: int) -> Json:
    return {"name": f"x{index}", "kind": "float", "low": 0.5, "high": 2}


def _metric(index: int) -> Json:
    return {"metric": f"m{index}", "goal": "maximize"}


class LimitSuite(Suite):
    """L. Limits hold on the line and one over it."""

    def test_on_the_line(self, limit: str) -> None:
        """L1: exactly as much as is allowed is taken."""
        if (job := self.sized(limit, 0)) is not None:
            made = self.translate(job)
            assert not [one for one in screen(job, self.backend.capabilities) if limit in one.message]
            assert self.backend.translator.problems(made.request, made.form) == []

    def test_one_over_it(self, limit: str) -> None:
        """L2: one more is refused, at its place."""
        if (job := self.sized(limit, 1)) is not None:
            assert [one for one in screen(job, self.backend.capabilities) if limit in one.message]

    def sized(self, limit: str, more: int) -> TuningJob | None:
        """A job of just that size; None if there is no such limit."""
        most = getattr(self.backend.capabilities.limits, limit)
        plain = self.specimen(Feature.TRIAL_IMAGE_COMMAND)
        return None if most is None else overlaid(plain, _SIZES[limit](most + more))


class PuritySuite(Suite):
    """U. Nothing but the client needs an SDK."""

    def test_no_sdk_is_needed(self) -> None:
        """U1: a backend is imported, says what it can do, and translates where no SDK is installed."""
        module = type(self.backend).__module__
        job = self.specimen(Feature.TRIAL_IMAGE_COMMAND).model_dump_json()
        code = f"""
import importlib, sys
for name in {self.sdks!r}:
    sys.modules[name] = None  # whoever imports it now gets an ImportError
from tuneport import exchange
from tuneport.model.job import TuningJob
from tuneport.model.results import RunState, StudyResult
backend = importlib.import_module({module!r}).BACKEND
made = exchange.translate(TuningJob.model_validate_json({job!r}), backend, backend.settings_type())
try:
    exchange.read(made.payload, backend)
except exchange.PayloadError:
    pass  # nothing is set up here, and it may need that
"""
        path = os.pathsep.join(filter(None, sys.path))
        environ = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


class ImportSuite(Suite):
    """I. Documents mean what people who know the service say that they mean."""

    def test_it_means_what_was_worked_out_by_hand(self, golden: Path) -> None:
        """I1: a golden document makes the job beside it, box and all."""
        imported, expected = self.imported(golden).job, expected_job(golden)
        assert compare(expected, imported) == []
        assert not expected.native or exchange.compare_boxes(expected, imported) == []

    def test_it_goes_back_as_it_came(self, golden: Path) -> None:
        """I2: translating it back to the same service gives the very document."""
        imported = self.imported(golden)
        made = exchange.translate(imported.job, self.backend, imported.settings, form=imported.form)
        assert made.payload == _document(golden)

    def test_a_job_file_keeps_the_document(self, golden: Path) -> None:
        """I3: the same through a job file, in which the box is read and written by people."""
        imported = self.imported(golden)
        job = TuningJob.model_validate(json.loads(json.dumps(imported.job.brief())))
        made = exchange.translate(job, self.backend, imported.settings, form=imported.form)
        assert made.payload == _document(golden)

    def test_what_is_understood_is_said_in_full(self, golden: Path) -> None:
        """I6: without the spelling that a job keeps, the document still asks for all that was read."""
        translator = self.backend.translator
        reading = translator.read(_document(golden))
        assert translator.read(translator.write(reading)) == reading

    def test_mistakes_are_told_with_their_place(self, batch: int) -> None:
        """I4: a malformed document is a PayloadError with pointers, whatever is wrong; I5: within a second."""
        documents = [*self.documents()]
        assert_read_or_refused(documents[0], self.backend)  # the first one has schemas to load
        for seed in range(batch * BATCH, (batch + 1) * BATCH):
            document = mutated(documents[seed % len(documents)], seed)
            began = time.process_time()
            assert_read_or_refused(document, self.backend)
            assert time.process_time() - began < 1, f"seed {seed} takes too long"

    def documents(self) -> Iterator[Json]:
        """Documents to begin mutations with: the goldens, and specimens in every form."""
        yield from (_document(golden) for golden in golden_documents(self.goldens))
        for form in self.backend.translator.forms:
            for feature in (Feature.PARAMETER_CATEGORICAL_TEXT, Feature.TRIAL_ENV, Feature.TRIAL_INPUTS_REMOTE):
                yield self.translate(self.specimen(feature), form).payload

    def imported(self, golden: Path) -> exchange.Imported:
        """The golden document, understood."""
        return exchange.read(_document(golden), self.backend)


def assert_read_or_refused(document: Any, backend: Cloud[Any]) -> None:
    """I4 for one document, and I2 if it is understood after all."""
    try:
        imported = exchange.read(document, backend)
    except PayloadError as error:
        assert error.problems, f"a refusal without a reason: {error}"
        assert all(one.message and one.pointer[:1] in {"", "/"} for one in error.problems), f"{error}"
        return
    made = exchange.translate(imported.job, backend, imported.settings, form=imported.form)
    with contextlib.suppress(ValueError):  # NaN, which is no JSON, comes back as text
        assert made.payload == json.loads(json.dumps(document, allow_nan=False)), (
            "understood, but it does not come back"
        )


class StatusSuite(Suite):
    """S. What a service says of a run is understood, and can be said."""

    @given(data=st.data())
    @SOME
    def test_a_record_can_be_said_and_read(self, data: Any) -> None:
        """S1: what a run is and what its trials found survives; S2: reading again settles.

        What is rendered is laid over the request, as services answer.
        """
        result = data.draw(results(self.backend.name))
        read = self.answered(result)
        settled = self.answered(read)
        assert self.answered(settled) == settled
        assert read.state.ended == result.state.ended
        assert (read.state is RunState.SUCCEEDED) == (result.state is RunState.SUCCEEDED)
        assert read.objectives == result.objectives
        assert [one.id for one in read.trials] == [one.id for one in result.trials]
        for ours, theirs in zip(result.trials, read.trials, strict=True):
            assert theirs.state.ended == ours.state.ended
            assert theirs.metrics == ours.metrics
            assert theirs.parameters == ours.parameters

    def answered(self, result: StudyResult) -> StudyResult:
        """What is understood of the service's answer about a run."""
        goal = result.objectives[0]
        job = overlaid(self.specimen(Feature.TRIAL_IMAGE_COMMAND), {**_SEARCHED, "/study/objectives": [goal.brief()]})
        described = self.translate(job).payload | self.backend.status.render(result)
        assert json.loads(json.dumps(described, allow_nan=False)) == described
        return self.backend.status.parse(described, ())


_SEARCHED = {
    "/study/parameters": [
        {"name": "x", "kind": "float", "low": 0.5, "high": 2},
        {"name": "n", "kind": "int", "low": 1, "high": 8},
        {"name": "o", "kind": "categorical", "choices": ["a", "b"]},
    ]
}


class MigrationSuite(Suite):
    """M. Jobs move to every other backend and back."""

    @given(job=combinations())
    @SOME
    def test_jobs_move_there_and_back(self, other: str, job: TuningJob) -> None:
        """M1: moving fails with documented errors only."""
        there = translating.cloud(other)
        made = self.translate(at_home(job, self.at_home))
        try:
            moved = exchange.migrate(exchange.read(made.payload, self.backend), there, there.settings_type())
            back = exchange.read(moved.payload, there)
        except PayloadError as error:
            assert error.problems
            return
        exchange.migrate(back, self.backend, self.chosen)

    def test_everything_that_stays_behind_is_told(self, golden: Path, other: str) -> None:
        """M2: each item of the box is in the report of a migration; what matters is unsupported."""
        imported = exchange.read(_document(golden), self.backend)
        there = translating.cloud(other)
        material = self.backend.capabilities.material
        moved = exchange.migrate(imported, there, there.settings_type(), material=lambda _: material)
        told = {one.pointer for one in moved.report.fields}
        assert {f"/native/{self.backend.name}{place}" for place in imported.boxed} <= told


class Conformance(
    CapabilitySuite, RoundTripSuite, PayloadSuite, LimitSuite, PuritySuite, ImportSuite, StatusSuite, MigrationSuite
):
    """All claims at once."""


def _touch(one: str, other: str) -> bool:
    """Whether two JSON pointers are the same place, or one is within the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _document(golden: Path) -> Any:
    return read_document(golden).data
