"""The whole job: a study, what a trial runs, how much may be spent, and what only one cloud understands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from tuneport.model.parameters import allowed
from tuneport.model.study import Grid, Pbt, StudySpec
from tuneport.model.trial_spec import Seconds, TrialSpec
from tuneport.model.word import Flaw, Integer, Json, Number, Str, Text, Word, did_you_mean, short

_PRINTABLE = r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"


class Budget(Word):
    """How much a run may spend. Whatever is reached first ends it."""

    max_trials: Annotated[Integer, Field(ge=1)] | None = 50
    """Trials in all; None: as many as the other limits, or a grid, allow."""
    parallel_trials: Annotated[Integer, Field(ge=1)] = 1
    """Trials at the same time."""
    max_failed_trials: Annotated[Integer, Field(ge=0)] | None = None
    """The run fails with this many failed trials. 0 is Vertex AI's documented rule: it fails when the very first trial
    fails, later when too many do (here: at least 5, and more than have succeeded). None: when the first 5 trials to
    end have all failed, as on SageMaker."""
    max_seconds: Seconds | None = None
    """Wall-clock time of the whole run in seconds, pauses left out; running trials are stopped at its end."""
    max_trials_without_improvement: Annotated[Integer, Field(ge=1)] | None = None
    """The run ends after this many trials in a row that did not beat the best."""
    max_cost: Annotated[Number, Field(gt=0)] | None = None
    """Money, in the currency of the price table."""


class WarmStart(Word):
    """An earlier run to learn from."""

    run: Annotated[Str, Field(min_length=1)]
    """Its reference, such as sagemaker:eu-west-1/older-job, or a file of trials."""
    kind: Literal["transfer", "identical"] = "transfer"
    """`identical`: same job, more of it. `transfer`: ranges, data or code may differ."""


class Experiment(Word):
    """Where a cloud's experiment tracking files the job, in that cloud's own words."""

    name: Str | None = None
    """The experiment."""
    run: Str | None = None
    """The run within it."""
    tensorboard: Str | None = None
    """The TensorBoard instance that gets its curves."""


class TuningJob(Word):
    """One tuning job, written once, for every backend."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    name: Annotated[str, StringConstraints(pattern=_PRINTABLE, max_length=128)]
    """What people call it; 1 to 128 printable characters."""
    description: Str | None = None
    """What it is for, in a sentence."""
    labels: dict[Annotated[str, Field(min_length=1, max_length=128)], Annotated[Text, Field(max_length=256)]] = {}
    """Labels or tags, for searching and for the bill."""
    study: StudySpec
    """What is searched, for what, and how."""
    trial: TrialSpec
    """What one trial runs."""
    budget: Budget = Budget()
    """How much may be spent."""
    warm_start: tuple[WarmStart, ...] = ()
    """Earlier runs to learn from."""
    experiment: Experiment = Experiment()
    """Where it is filed."""
    native: dict[Str, dict[Str, Json]] = {}
    """Per backend, what its own jobs say that this model has no word for; used again on that backend only."""

    def under(self, parameters: Mapping[str, Any]) -> TuningJob:
        """The job as a trial with these parameters knows it: the variants whose conditions hold are applied.

        The primary objective has the name that the trainer knows it by there.
        """
        if not self.trial.variants:
            return self
        names = [one.metric for one in self.trial.variants if one.metric is not None and one.when.holds(parameters)]
        changes: dict[str, Any] = {"trial": self.trial.under(parameters)}
        if names:
            primary, *others = self.study.objectives
            objectives = (primary.changed(metric=names[-1]), *others)
            changes["study"] = self.study.model_copy(update={"objectives": objectives})
        return self.model_copy(update=changes)  # every part was checked, and so were the variants

    @classmethod
    def _flaws(cls, fields: Mapping[str, Any]) -> Iterator[Flaw]:
        study: StudySpec | None = fields.get("study")
        trial: TrialSpec | None = fields.get("trial")
        budget: Budget | None = fields.get("budget")
        if study is not None and trial is not None:
            searched = {parameter.name for parameter in study.parameters}
            for name in sorted(searched & trial.parameters.keys()):
                yield Flaw(
                    f"'{name}' is searched as well; a fixed value belongs in one place", "trial", "parameters", name
                )
        if study is not None and trial is not None:
            yield from _variant_flaws(study, trial)
            if study.pauses and not trial.resumable:
                how = "must be true, since trials pause and go on later: the trainer has to go on from its checkpoint"
                yield Flaw(f"{how} in tuneport_trial.checkpoint_dir()", "trial", "resumable")
        if study is not None and budget is not None:
            yield from _population_flaws(study, budget)
        if study is not None and budget is not None and _endless(study, budget):
            yield Flaw("null needs another limit: max_seconds, max_cost, a target or a grid", "budget", "max_trials")


def _variant_flaws(study: StudySpec, trial: TrialSpec) -> Iterator[Flaw]:
    """Conditions of variants must be about parameters and values that there are, and metrics must not be mixed up."""
    named = {parameter.name: parameter for parameter in study.parameters}
    others = {objective.metric for objective in study.objectives[1:]}
    for index, variant in enumerate(trial.variants):
        if variant.metric in others:
            yield Flaw(f"'{variant.metric}' is another objective already", "trial", "variants", index, "metric")
        here = ("trial", "variants", index, "when")
        parent = named.get(variant.when.parameter)
        if parent is None:
            hint = did_you_mean(variant.when.parameter, sorted(named))
            yield Flaw(f"there is no parameter '{variant.when.parameter}'; {hint}", *here, "parameter")
            continue
        for at, value in enumerate(variant.when.values):
            if not allowed(parent, value):
                yield Flaw(f"'{parent.name}' is never {short(value)}", *here, "values", at)


def _population_flaws(study: StudySpec, budget: Budget) -> Iterator[Flaw]:
    population = study.algorithm.population if isinstance(study.algorithm, Pbt) else 0
    if budget.max_trials is not None and budget.max_trials < population:
        yield Flaw(f"must not be below the population: {budget.max_trials} < {population}", "budget", "max_trials")


def _endless(study: StudySpec, budget: Budget) -> bool:
    limits = (budget.max_trials, budget.max_seconds, budget.max_cost, study.objective.target)
    return all(limit is None for limit in limits) and not isinstance(study.algorithm, (Grid, Pbt))
