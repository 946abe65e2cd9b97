"""Warm starts: which tuning jobs may be parents of another, and what its search learns of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuneport.backends.protocols import Json
from tuneport.backends.sagemaker.forms import CONFIG, NAME, ONE
from tuneport.backends.sagemaker.hyperparameters import OBJECTIVE
from tuneport.backends.sagemaker.study import objective_of
from tuneport.emulators.sagemaker.shown import HyperParameterTuningJob
from tuneport.emulators.sagemaker.wire import VALIDATION, RefusedError
from tuneport.model.history import fit, history_of
from tuneport.model.job import TuningJob
from tuneport.model.results import Trial

_KINDS = ("IntegerParameterRanges", "ContinuousParameterRanges", "CategoricalParameterRanges")


def named(request: Json) -> list[str]:
    """The names of a request's parents."""
    listed = request.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs", ())
    return [one[NAME] for one in listed]


def check(request: Json, parents: Sequence[HyperParameterTuningJob]) -> None:
    """See whether a job may learn from others.

    Raises:
        RefusedError: the service would not let it; says all that is in the way.
    """
    problems = [problem for parent in parents for problem in _problems(request, parent)]
    if problems:
        raise RefusedError(VALIDATION, " ".join(problems))


def known(job: TuningJob, parents: Sequence[HyperParameterTuningJob]) -> tuple[Trial, ...]:
    """What of the parents' trials means something to a job: points of its space with its metric."""
    histories = [history_of(one.host.job(one.run), one.host.result(one.run)) for one in parents]
    return fit(histories, job.study).trials


def _problems(request: Json, parent: HyperParameterTuningJob) -> Iterator[str]:
    who = f"The parent tuning job {parent.name}"
    if not parent.result.state.ended:
        yield f"{who} is in status {parent.status}."
    if ONE not in request or ONE not in parent.request:
        yield f"{who} and its child must each have a single training job definition."
        return
    ours, theirs = (objective_of(one, one[CONFIG]) for one in (request, parent.request))
    if ours != theirs:
        yield f"{who} has the objective {theirs}, not {ours}."
    mine, others = _parameters(request), _parameters(parent.request)
    if mine.keys() != others.keys():
        yield f"{who} has other hyperparameters: {', '.join(sorted(mine.keys() ^ others.keys()))}."
    for name in mine.keys() & others.keys():
        if None not in {mine[name], others[name]} and mine[name] != others[name]:
            yield f"{who} has {name} in its {others[name]}, not in {mine[name]}."


def _parameters(request: Json) -> dict[str, str | None]:
    """All hyperparameters, and of those that are searched the kind of range."""
    ranges = request[CONFIG].get("ParameterRanges", {})
    static = dict.fromkeys(request[ONE].get("StaticHyperParameters", {}))
    searched = {one["Name"]: kind for kind in _KINDS for one in ranges.get(kind, ())}
    return {name: kind for name, kind in {**static, **searched}.items() if name != OBJECTIVE}
