"""Jobs made of the catalogue's specimens, in places of the backend that is tested."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from tuneport.errors import JobError
from tuneport.model.feature_catalogue import CATALOGUE
from tuneport.model.features import Feature, laid_over
from tuneport.model.job import TuningJob
from tuneport.model.results import Measurement, RunReason, RunState, StudyResult, Trial, TrialState
from tuneport.model.study import Objective

Draw = Callable[[st.SearchStrategy[Any]], Any]


def at_home(job: TuningJob, places: Mapping[str, str]) -> TuningJob:
    """The job with texts of its own put in place of others: buckets, images, machines, roles.

    Args:
        job: any job.
        places: what a text of the job is to be; only whole texts count.
    """
    return TuningJob.model_validate(_replaced(job.brief(), places))


def _replaced(data: Any, places: Mapping[str, str]) -> Any:
    if isinstance(data, dict):
        return {key: _replaced(value, places) for key, value in data.items()}
    if isinstance(data, list):
        return [_replaced(value, places) for value in data]
    return places.get(data, data) if isinstance(data, str) else data


def overlaid(job: TuningJob, changes: Mapping[str, Any]) -> TuningJob:
    """The job with values laid over it, by JSON pointer.

    Raises:
        JobError: the result is no job.
    """
    # Defaults are written out: where an algorithm were left out, its seed alone would be no algorithm.
    return TuningJob.model_validate(laid_over(job.model_dump(mode="json", exclude_none=True), changes))


def combined(features: Iterable[Feature], plain: Feature = Feature.TRIAL_IMAGE_COMMAND) -> TuningJob | None:
    """A job that asks for several features at once; None if they do not go together."""
    job = CATALOGUE[plain].specimen()
    try:
        for feature in features:
            job = overlaid(job, CATALOGUE[feature].changes)
    except (JobError, AttributeError, TypeError):  # what one of them sets is no mapping for the other
        return None
    return job


def combinations() -> st.SearchStrategy[TuningJob]:
    """Jobs that ask for any few features, in otherwise plain words."""
    portable = [feature for feature in CATALOGUE if feature is not Feature.NATIVE]
    features = st.lists(st.sampled_from(portable), max_size=6, unique=True)
    return features.map(combined).filter(lambda job: job is not None)  # type: ignore[return-value] # just filtered


_SCORES = st.floats(-1e6, 1e6)
_TIMES = st.integers(1_600_000_000, 1_900_000_000).map(float)


@st.composite
def trials(draw: Draw, number: int, metric: str, states: Sequence[TrialState] = tuple(TrialState)) -> Trial:
    """One trial in any of some states; those that ended well have a result."""
    state = draw(st.sampled_from(states))
    scored = state is TrialState.SUCCEEDED or (state is TrialState.STOPPED and draw(st.booleans()))
    final = Measurement(metrics={metric: draw(_SCORES)}) if scored else None
    started = None if state is TrialState.REQUESTED else draw(_TIMES)
    ended = started + draw(st.integers(0, 9999)) if started is not None and state.ended else None
    return Trial(
        id=number,
        parameters={"x": draw(st.floats(0.5, 2)), "n": draw(st.integers(1, 8)), "o": draw(st.sampled_from("ab"))},
        state=state,
        measurements=() if final is None else (final,),
        final_measurement=final,
        started=started,
        ended=ended,
    )


@st.composite
def results(draw: Draw, backend: str) -> StudyResult:
    """Records of runs in any state, with some trials; when a run has ended, its trials have."""
    state = draw(st.sampled_from([state for state in RunState if state is not RunState.INTERRUPTED]))
    states = [one for one in TrialState if one.ended or not state.ended]
    goal = draw(st.sampled_from(["maximize", "minimize"]))
    created = draw(_TIMES)
    return StudyResult(
        ref=f"{backend}:run-1",
        name="specimen",
        backend=backend,
        state=state,
        objectives=(Objective(metric="score", goal=goal),),
        trials=tuple(draw(trials(number, "score", states)) for number in range(1, draw(st.integers(0, 4)) + 1)),
        reason=RunReason.COMPLETED if state is RunState.SUCCEEDED else None,
        created=created,
        ended=created + 60 if state.ended else None,
    )
