"""How a study searches and when it ends, in the words of HyperParameterTuningJobConfig."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from tuneport.backends.sagemaker.forms import ONE, SEVERAL
from tuneport.backends.sagemaker.space import Space
from tuneport.backends.sagemaker.trial import legal_metric
from tuneport.model.job import Budget, TuningJob, WarmStart
from tuneport.model.study import Hyperband, Objective

Json: TypeAlias = dict[str, Any]

EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
"""Fixed parameters in which Hyperband looks for the resource that it is not told."""
_MOST_RESOURCE = 81
"""The most resource in the examples of the paper on Hyperband (Li et al. 2018)."""
_STRATEGIES = {
    "bayesian": "Bayesian",
    "random": "Random",
    "hyperband": "Hyperband",
    "grid": "Grid",
    "tpe": "Bayesian",
    "anneal": "Bayesian",
    "sobol": "Random",
    "cmaes": "Bayesian",
    "pbt": "Bayesian",
    "plugin": "Bayesian",
    "auto": "Bayesian",
}
"""Each algorithm and the nearest that the service has."""
_STRATEGIES_BACK = {"Bayesian": "bayesian", "Random": "random", "Hyperband": "hyperband", "Grid": "grid"}
_GOALS = {"maximize": "Maximize", "minimize": "Minimize"}
_GOALS_BACK = {word: goal for goal, word in _GOALS.items()}
_WARM = {"transfer": "TransferLearning", "identical": "IdenticalDataAndAlgorithm"}
_WARM_BACK = {word: kind for kind, word in _WARM.items()}
_NAME = r"[a-zA-Z0-9](?:-*[a-zA-Z0-9])*"
_REFERENCE = re.compile(f"sagemaker:(?:[a-z0-9-]+/)?({_NAME})")


def write_config(job: TuningJob, space: Space, ranges: Json | None) -> Json:
    """The configuration of a job.

    Args:
        job: the job.
        space: what is searched.
        ranges: the same in short; None: each of several definitions says that, and the objective, for itself.
    """
    config = {
        "Strategy": _write_strategy(job, space),
        "StrategyConfig": _write_hyperband(job, space),
        "HyperParameterTuningJobObjective": None if ranges is None else write_objective(job.study.objective),
        "ResourceLimits": _write_limits(job.budget, space),
        "ParameterRanges": ranges,
        "TrainingJobEarlyStoppingType": None if job.study.early_stopping is None else "Auto",
        "TuningJobCompletionCriteria": _write_criteria(job),
        "RandomSeed": job.study.algorithm.seed,
    }
    return {member: value for member, value in config.items() if value not in (None, {})}


def read_config(config: Json, objective: Json) -> tuple[Json, Json]:
    """The study but for its parameters, and the budget, as data."""
    criteria = config.get("TuningJobCompletionCriteria", {})
    stopping = config.get("TrainingJobEarlyStoppingType")
    study = {
        "objectives": [read_objective(objective) | number(criteria, "TargetObjectiveMetricValue", "target")],
        "algorithm": _read_algorithm(config),
        **({"early_stopping": {"kind": "median", "rule": "sagemaker"}} if stopping == "Auto" else {}),
    }
    return study, _read_budget(config)


def number(structure: Json, member: str, word: str) -> Json:
    """A member that is a number, under our word for it; nothing if it is none yet."""
    value = structure.get(member)
    return {word: value} if isinstance(value, (int, float)) else {}


# ---- the search -----------------------------------------------------------------------------------------------------


def write_objective(objective: Objective) -> Json:
    """The objective."""
    return {"Type": _GOALS[objective.goal], "MetricName": objective.metric}


def read_objective(objective: Json) -> Json:
    """The objective, as data."""
    return {
        "metric": legal_metric(objective["MetricName"]),
        "goal": _GOALS_BACK.get(objective["Type"], "maximize"),
    }


def _write_strategy(job: TuningJob, space: Space) -> str:
    """A grid that cannot be tried as a whole is searched at random."""
    kind = job.study.algorithm.kind
    return _STRATEGIES["random" if kind == "grid" and not space.grid else kind]


def _write_hyperband(job: TuningJob, space: Space) -> Json:
    """Where the most resource is not said, the service takes the epochs; a definition without them needs it said."""
    algorithm = job.study.algorithm
    if not isinstance(algorithm, Hyperband):
        return {}
    most = algorithm.max_resource
    fixed = [job.under(part.values).trial.parameters.keys() | part.static.keys() for part in space.branches]
    if most is None and any(names.isdisjoint(EPOCHS) for names in fixed):
        most = max(_MOST_RESOURCE, algorithm.min_resource)
    said = {} if most is None else {"MaxResource": most}
    return {"HyperbandStrategyConfig": {"MinResource": algorithm.min_resource, **said}}


def _read_algorithm(config: Json) -> Json:
    kind = _STRATEGIES_BACK.get(config["Strategy"], "bayesian")
    algorithm = {"kind": kind, **number(config, "RandomSeed", "seed")}
    if kind == "hyperband":
        resources = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
        algorithm |= number(resources, "MinResource", "min_resource") | number(resources, "MaxResource", "max_resource")
    return algorithm


def _write_criteria(job: TuningJob) -> Json:
    target, stalled = job.study.objective.target, job.budget.max_trials_without_improvement
    return {
        **({} if target is None else {"TargetObjectiveMetricValue": target}),
        **({} if stalled is None else {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": stalled}}),
    }


# ---- the budget -----------------------------------------------------------------------------------------------------


def _write_limits(budget: Budget, space: Space) -> Json:
    """The service refuses to try more points than there are."""
    trials, points = budget.max_trials, space.points
    if trials is not None and points is not None:
        trials = min(trials, points)
    return {
        **({} if trials is None else {"MaxNumberOfTrainingJobs": trials}),
        "MaxParallelTrainingJobs": budget.parallel_trials,
        **({} if budget.max_seconds is None else {"MaxRuntimeInSeconds": math.ceil(budget.max_seconds)}),
    }


def _read_budget(config: Json) -> Json:
    limits, criteria = config["ResourceLimits"], config.get("TuningJobCompletionCriteria", {})
    budget = (
        number(limits, "MaxNumberOfTrainingJobs", "max_trials")
        | number(limits, "MaxParallelTrainingJobs", "parallel_trials")
        | number(limits, "MaxRuntimeInSeconds", "max_seconds")
        | number(
            criteria.get("BestObjectiveNotImproving", {}),
            "MaxNumberOfTrainingJobsNotImproving",
            "max_trials_without_improvement",
        )
    )
    limited = "max_seconds" in budget or number(criteria, "TargetObjectiveMetricValue", "target")
    if "MaxNumberOfTrainingJobs" not in limits and (limited or config["Strategy"] == "Grid"):
        budget["max_trials"] = None
    return budget


# ---- earlier jobs, tags ---------------------------------------------------------------------------------------------


def write_warm_start(earlier: Sequence[WarmStart]) -> Json:
    """Where knowledge comes from: identical only if all of it is."""
    if not earlier:
        return {}
    kind = "identical" if all(one.kind == "identical" for one in earlier) else "transfer"
    parents = [{"HyperParameterTuningJobName": _parent(one.run)} for one in earlier]
    return {"ParentHyperParameterTuningJobs": parents, "WarmStartType": _WARM[kind]}


def _parent(run: str) -> str:
    """The job's name in a reference such as sagemaker:eu-west-1/older-job; anything else stays whole."""
    reference = _REFERENCE.fullmatch(run)
    return reference[1] if reference else run


def read_warm_start(config: Json) -> list[Json]:
    """Earlier runs, as data."""
    kind = _WARM_BACK.get(config.get("WarmStartType", ""), "transfer")
    names = [one.get("HyperParameterTuningJobName") for one in config.get("ParentHyperParameterTuningJobs", ())]
    runs = [f"sagemaker:{name}" if re.fullmatch(_NAME, name) else name for name in names if name]
    return [{"run": run, "kind": kind} for run in runs]


def write_tags(labels: Mapping[str, str]) -> list[Json]:
    """Labels as tags."""
    return [{"Key": key, "Value": value} for key, value in labels.items()]


def read_tags(tags: Sequence[Json]) -> dict[str, str]:
    """Tags as labels; the first of a name counts."""
    labels: dict[str, str] = {}
    for tag in tags:
        labels.setdefault(tag["Key"], tag["Value"])
    return labels


def objective_of(request: Json, config: Json) -> Json | None:
    """What a request is to optimise; in several definitions, the first one's."""
    found: Json | None = config.get("HyperParameterTuningJobObjective")
    definition = request[SEVERAL][0] if SEVERAL in request else request[ONE]
    return found or definition.get("TuningObjective")
