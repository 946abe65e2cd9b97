"""Tuning a plain Python function in this process."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tuneport import here
from tuneport.engine.executors.function import FunctionExecutor
from tuneport.errors import JobError, Problem, TrialsFailedError
from tuneport.handle import LOCAL, Progress, parts
from tuneport.model.job import Budget, TuningJob
from tuneport.model.parameters import Categorical, Discrete, Float, Int
from tuneport.model.results import Trial
from tuneport.model.study import Algorithm, EarlyStopping, Objective, StudySpec
from tuneport.model.trial_spec import TrialSpec
from tuneport.search.study import Study

Parameters: TypeAlias = Sequence[Float | Int | Discrete | Categorical]


def tune(
    function: Callable[..., Any],
    parameters: Parameters,
    *,
    goal: Literal["minimize", "maximize"] = "minimize",
    metric: str = "objective",
    max_trials: int | None = 50,
    parallel_trials: int = 1,
    algorithm: Algorithm | None = None,
    early_stopping: EarlyStopping | None = None,
    seed: int | None = None,
    name: str | None = None,
    workspace: str | Path | None = None,
    resume: str | None = None,
    progress: Progress | None = None,
    **budget: Any,
) -> Trial:
    """Tune a plain Python function in this process.

    Args:
        function: gets the parameters as keyword arguments (or as one dict, if it takes a single argument that is not
            the name of a parameter) and returns the metric, or a mapping of metrics. If it yields, every value is a
            report, and early stopping may end it.
        parameters: the search space.
        goal: which way is better.
        metric: what the returned number is called.
        max_trials: calls in all.
        parallel_trials: calls at the same time, on threads.
        algorithm: how points are proposed; None: the default of StudySpec.
        early_stopping: how hopeless trials are ended; for functions that yield.
        seed: makes the suggestions repeatable; for the default algorithm, others carry their own.
        name: of the run; None: the function's.
        workspace: where the run is recorded; None: the configured one.
        resume: reference of an earlier call's run that was interrupted, to go on with it. What is searched, and for
            what, must be what that run was made with. The algorithm with its seed, and limits, go on as recorded; those
            that are given must be the same.
        progress: as in `run`.
        **budget: other fields of Budget, such as max_seconds.

    Returns:
        The best trial: its `parameters`, and its `metrics`.

    Raises:
        JobError: the arguments make no valid job, or not that of the run to resume; nothing has been started.
        SearchError: the algorithm cannot search this, or is not there; if that is known at once, nothing is recorded.
        MissingExtraError: a package that the algorithm needs is not installed; likewise.
        TrialsFailedError: no call gave a result.
        KeyboardInterrupt: interrupted; it says how to go on.
    """
    if not callable(function):
        raise JobError(f"what is tuned must be a function, not {type(function).__name__}")
    chosen = {} if algorithm is None else {"algorithm": algorithm}
    if seed is not None:
        chosen["algorithm"] = (algorithm or StudySpec.model_fields["algorithm"].default).changed(seed=seed)
    label = getattr(function, "__qualname__", type(function).__qualname__)
    job = TuningJob(
        name=name or label.strip("<>"),
        study=StudySpec(
            parameters=tuple(parameters),
            objectives=(Objective(metric=metric, goal=goal),),
            early_stopping=early_stopping,
            **chosen,
        ),
        trial=TrialSpec(function=_function_label(function, label)),
        budget=Budget(max_trials=max_trials, parallel_trials=parallel_trials, **budget),
    )
    return _tune(function, job, workspace, resume, progress)


def _function_label(function: Callable[..., Any], label: str) -> str:
    """What the record calls a function that lives in this process only."""
    parts = f"{getattr(function, '__module__', None) or 'builtins'}:{label}"
    return re.sub(r"[^\w.:]", "", parts)


def _tune(
    function: Callable[..., Any],
    job: TuningJob,
    workspace: str | Path | None,
    resume: str | None,
    progress: Progress | None,
) -> Trial:
    if resume is None:
        Study(job.study, seed=0, budget=job.budget)  # what stands in the way of its search is told before it is made
    client = here.opened(here.settings(LOCAL, workspace=workspace), create=resume is None)
    if resume is None:
        name = client.create(job, Path.cwd(), FunctionExecutor.name, here.version())
    else:
        name = client.find(parts(resume)[1])
        _check_same(name, job, client.job(name))
    try:
        client.drive(name, progress, function)
    except KeyboardInterrupt:
        message = f"interrupted; go on with tuneport.tune(..., resume={client.ref(name)!r})"
        raise KeyboardInterrupt(message) from None
    result = client.result(name)
    if result.best is None:
        failures = [trial.failure.message for trial in result.trials if trial.failure]
        said = f"; the first: {failures[0]}" if failures else ""
        raise TrialsFailedError(f"run {result.ref} has no result: {result.message}{said}")
    return result.best


def _check_same(name: str, given: TuningJob, recorded: TuningJob) -> None:
    """The arguments of a call that resumes a run must be those that the run was made with, as far as they are given."""
    left_out = set() if "algorithm" in given.study.model_fields_set else {"algorithm"}
    defaults = Budget()
    left_out |= {field for field, value in given.budget if value == getattr(defaults, field)}
    words = [("study", given.study, recorded.study), ("budget", given.budget, recorded.budget)]
    problems = [
        Problem(f"/{part}/{field}", f"is not what run {name} was made with")
        for part, now, before in words
        for field, value in now
        if field not in left_out and value != getattr(before, field)
    ]
    if problems:
        hint = "give the same arguments, or leave resume out"
        raise JobError(f"run {name} cannot be resumed with other arguments", problems=problems, hint=hint)
