"""What is searched, for what, and how: objectives, algorithms, early stopping, and the study that holds them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from tuneport.errors import JobError
from tuneport.model.parameters import Categorical, Discrete, Float, Int, Name, Parameter, When, allowed
from tuneport.model.word import Flaw, Integer, Json, Number, Str, Word, did_you_mean, short

AnyParameter: TypeAlias = Float | Int | Discrete | Categorical


class Objective(Word):
    """One metric to be made as large or as small as possible."""

    positional: ClassVar = ("metric", "goal")

    metric: Name
    """Name under which the trainer reports it, or a key of `trial.metrics`."""
    goal: Literal["maximize", "minimize"]
    """Which way is better."""
    target: Number | None = None
    """The run ends as soon as a trial is at least this good."""

    def better(self, a: float, b: float) -> bool:
        """Whether `a` is strictly better than `b`; NaN is better than nothing."""
        return a > b if self.goal == "maximize" else a < b

    def reached(self, value: float) -> bool:
        """Whether `value` is as good as the target; False without one."""
        return self.target is not None and (value == self.target or self.better(value, self.target))


def maximize(metric: str, *, target: float | None = None) -> Objective:
    """An objective to be made large."""
    return Objective(metric=metric, goal="maximize", target=target)


def minimize(metric: str, *, target: float | None = None) -> Objective:
    """An objective to be made small."""
    return Objective(metric=metric, goal="minimize", target=target)


class Constraint(Word):
    """A bound that a metric of a trial must keep, also called a safety metric; a trial that breaks it is never best."""

    positional: ClassVar = ("metric",)

    metric: Name
    """Name under which the trainer reports it; a trial that does not report it breaks the bound."""
    at_least: Number | None = None
    """The smallest value that is allowed."""
    at_most: Number | None = None
    """The largest value that is allowed."""

    @classmethod
    def _flaws(cls, fields: Mapping[str, Any]) -> Iterator[Flaw]:
        low, high = fields.get("at_least"), fields.get("at_most")
        if "at_least" in fields and "at_most" in fields and low is None and high is None:
            yield Flaw("a constraint needs at_least or at_most", "at_most")
        if low is not None and high is not None and low > high:
            yield Flaw(f"must not be below at_least: {high} < {low}", "at_most")

    def excess(self, value: float | None) -> float:
        """By how much a value breaks the bound: at most 0 if it keeps it, infinite if there is no number."""
        if value is None or math.isnan(value):
            return math.inf
        below = -math.inf if self.at_least is None else self.at_least - value
        above = -math.inf if self.at_most is None else value - self.at_most
        return max(below, above)


class _Seeded(Word):
    seed: Annotated[Integer, Field(ge=0)] | None = None
    """Makes the suggestions repeatable; None: drawn once per run and recorded with it."""


class Random(_Seeded):
    """Independent draws from the space."""

    kind: Literal["random"] = "random"


class Grid(_Seeded):
    """Every combination once, in the order written, the last parameter fastest; continuous ranges need a step."""

    kind: Literal["grid"] = "grid"


class Sobol(_Seeded):
    """A scrambled Sobol sequence: even coverage of the whole space (Owen 1998)."""

    kind: Literal["sobol"] = "sobol"


class Bayesian(_Seeded):
    """A Gaussian process over what was seen, and the next point where improvement is most to be expected."""

    kind: Literal["bayesian"] = "bayesian"
    initial_trials: Annotated[Integer, Field(ge=1)] | None = None
    """Trials that only explore before the model is asked; None: five."""


class Tpe(_Seeded):
    """Tree-structured Parzen estimator (Bergstra et al. 2011): densities of good and of other trials."""

    kind: Literal["tpe"] = "tpe"
    initial_trials: Annotated[Integer, Field(ge=1)] = 10
    """Random trials before the densities are used."""
    gamma: Annotated[Number, Field(gt=0, lt=1)] = 0.25
    """Share of the trials that count as good."""
    candidates: Annotated[Integer, Field(ge=1)] = 24
    """Points drawn from the good density per suggestion; the most promising is taken."""


class Anneal(_Seeded):
    """Simulated annealing: random steps around good trials that get smaller as trials accumulate."""

    kind: Literal["anneal"] = "anneal"
    average_best: Annotated[Number, Field(ge=1)] = 2.0
    """Mean rank, from 1 for the best, of the trial that a step starts from (a geometric draw)."""
    shrink: Annotated[Number, Field(ge=0)] = 0.1
    """How fast steps get smaller: after n trials a step spans 1 / (1 + n * shrink) of the range."""


class CmaEs(_Seeded):
    """Covariance matrix adaptation, an evolution strategy (Hansen 2016), by the package `cmaes`."""

    kind: Literal["cmaes"] = "cmaes"
    sigma: Annotated[Number, Field(gt=0, le=1)] = 0.25
    """Spread of the first population, as a share of each range."""
    population_size: Annotated[Integer, Field(ge=4)] | None = None
    """Trials per generation; None: chosen from the number of parameters."""


class Plugin(_Seeded):
    """A searcher that an installed package offers under the entry points `tuneport.searchers`."""

    kind: Literal["plugin"] = "plugin"
    name: Annotated[Str, Field(min_length=1)]
    """Name of the entry point, such as optuna."""
    options: dict[Str, Json] = {}
    """What the searcher wants to be told."""


class Auto(_Seeded):
    """Whatever suits the space and the budget; the run says what was taken, and why."""

    kind: Literal["auto"] = "auto"


HalvingForm: TypeAlias = Literal["stopping", "promotion"]
"""The two forms of successive halving: trials are stopped at rungs, or pause there and may be promoted later."""


class Hyperband(_Seeded):
    """Random draws, each given as many steps as it earns (Li et al. 2018), without waiting for slow trials."""

    kind: Literal["hyperband"] = "hyperband"
    min_resource: Annotated[Integer, Field(ge=1)] = 1
    """Steps that every trial gets. A step is one report of the primary metric."""
    max_resource: Annotated[Integer, Field(ge=1)] | None = None
    """Steps after which a trial is complete and stopped; None: learned from the trials that ran to their end."""
    reduction_factor: Annotated[Integer, Field(ge=2)] = 3
    """One in this many goes on from each rung to the next."""
    form: HalvingForm = "stopping"
    """What becomes of a trial at a rung; see `Asha`."""

    @classmethod
    def _flaws(cls, fields: Mapping[str, Any]) -> Iterator[Flaw]:
        yield from _resource_flaws(fields)


class Pbt(_Seeded):
    """Population-based training (Jaderberg et al. 2017): trials train side by side, and the worst give way.

    After every interval all members of the population pause. For each of the worst, a new trial goes on from a copy of
    the checkpoint of one of the best, its parent, with parameters near the parent's. The first objective decides.
    """

    kind: Literal["pbt"] = "pbt"
    population: Annotated[Integer, Field(ge=2)] = 8
    """Trials that train side by side; those that take the place of others count among `budget.max_trials` as well."""
    interval: Annotated[Integer, Field(ge=1)] = 1
    """Steps between two comparisons. A step is one report of the primary metric."""
    quantile: Annotated[Number, Field(gt=0, le=0.5)] = 0.25
    """Share of the population that gives way, and share of it that has heirs; at least one trial."""
    resample: Annotated[Number, Field(ge=0, le=1)] = 0.25
    """Chance of each parameter to be drawn anew rather than changed a little."""
    max_resource: Annotated[Integer, Field(ge=1)] | None = None
    """Steps after which a trial is complete and stopped; None: trials end by themselves."""


Algorithm: TypeAlias = Annotated[
    Random | Grid | Sobol | Bayesian | Tpe | Anneal | CmaEs | Hyperband | Pbt | Plugin | Auto,
    Field(discriminator="kind"),
]
"""Any search algorithm, told apart by `kind`."""


class MedianStopping(Word):
    """Stop a trial that is worse than the median of the others at the same step."""

    kind: Literal["median"] = "median"
    rule: Literal["vizier", "sagemaker"] = "vizier"
    """`vizier`: the trial's best so far against the median of completed trials' running averages up to this step.
    `sagemaker`: the trial's newest value against the median of earlier trials' running averages up to this step."""
    min_trials: Annotated[Integer, Field(ge=1)] = 3
    """Other trials needed at a step before anything is stopped there."""
    min_steps: Annotated[Integer, Field(ge=0)] = 1
    """Steps that every trial gets."""


class Asha(Word):
    """Asynchronous successive halving (Li et al. 2020): at each rung only the best share of the trials goes on."""

    kind: Literal["asha"] = "asha"
    min_resource: Annotated[Integer, Field(ge=1)] = 1
    """Steps of the first rung."""
    max_resource: Annotated[Integer, Field(ge=1)] | None = None
    """Steps after which a trial is complete and stopped; None: trials end by themselves."""
    reduction_factor: Annotated[Integer, Field(ge=2)] = 3
    """One in this many goes on from each rung to the next; rungs lie this factor apart."""
    form: HalvingForm = "stopping"
    """`stopping`: a trial that is not among the best at a rung is stopped for good. `promotion`: it pauses, and goes on
    from its checkpoint once it is among them; the trainer has to be able to (`trial.resumable`)."""

    @classmethod
    def _flaws(cls, fields: Mapping[str, Any]) -> Iterator[Flaw]:
        yield from _resource_flaws(fields)


class CurveStopping(Word):
    """Stop a trial whose extrapolated learning curve is unlikely to beat the best (Vertex decay or convex curve)."""

    kind: Literal["curve"] = "curve"
    model: Literal["decay", "convex"] = "decay"
    """`decay`: a Gaussian process over the curve. `convex`: a regression over all curves."""
    max_steps: Annotated[Integer, Field(ge=1)] | None = None
    """Steps of a full trial, if known (convex)."""
    min_steps: Annotated[Integer, Field(ge=0)] | None = None
    """Steps that every trial gets (convex)."""
    use_elapsed: bool = False
    """Curves over elapsed seconds instead of steps."""


class AutoStopping(Word):
    """Whatever stopping rule the backend thinks best; our own engine takes the median rule."""

    kind: Literal["auto"] = "auto"


EarlyStopping: TypeAlias = Annotated[MedianStopping | Asha | CurveStopping | AutoStopping, Field(discriminator="kind")]
"""Any early-stopping rule, told apart by `kind`."""


def _resource_flaws(fields: Mapping[str, Any]) -> Iterator[Flaw]:
    low, high = fields.get("min_resource"), fields.get("max_resource")
    if low is not None and high is not None and low > high:
        yield Flaw(f"must not be below min_resource: {high} < {low}", "max_resource")


class StudySpec(Word):
    """What is searched, for what, and how."""

    parameters: Annotated[tuple[Parameter, ...], Field(min_length=1, max_length=1000)]
    """The search space. A name may occur twice only in branches that cannot be active together."""
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1)]
    """What is optimised; the first is the primary one."""
    constraints: tuple[Constraint, ...] = ()
    """Bounds that other metrics must keep."""
    algorithm: Algorithm = Bayesian()
    """How points are proposed."""
    early_stopping: EarlyStopping | None = None
    """How hopeless trials are ended; None: they are not."""
    measurement: Literal["last", "best"] = "last"
    """Which of a trial's measurements counts as its result."""

    @property
    def objective(self) -> Objective:
        """The primary objective."""
        return self.objectives[0]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that trials are to report, once: the primary objective's first, those that are bounded last."""
        bounded = (one.metric for one in self.constraints)
        return tuple(dict.fromkeys((*(one.metric for one in self.objectives), *bounded)))

    @property
    def pauses(self) -> bool:
        """Whether trials pause, to go on from their checkpoints later."""
        return isinstance(self.algorithm, Pbt) or any(
            isinstance(rule, (Asha, Hyperband)) and rule.form == "promotion"
            for rule in (self.algorithm, self.early_stopping)
        )

    @classmethod
    def _flaws(cls, fields: Mapping[str, Any]) -> Iterator[Flaw]:
        nodes = [_Node.of(index, item) for index, item in enumerate(fields.get("parameters") or ())]
        yield from _condition_flaws(nodes)
        yield from _duplicate_flaws(nodes)
        yield from _metric_flaws(fields.get("objectives") or (), Objective, "objectives")
        yield from _metric_flaws(fields.get("constraints") or (), Constraint, "constraints")
        algorithm = fields.get("algorithm")
        if isinstance(algorithm, Grid):
            yield from _grid_flaws(nodes)
        if isinstance(algorithm, (Hyperband, Pbt)) and fields.get("early_stopping") is not None:
            yield Flaw(f"{algorithm.kind} stops trials itself: leave early_stopping out", "early_stopping")


@dataclass(frozen=True, slots=True)
class _Node:
    """A parameter as its neighbours see it; `parameter` is None if something in it is wrong."""

    index: int
    name: str | None
    when: When | None
    parameter: AnyParameter | None
    stepless: bool = False
    """Whether it is a range of real numbers without steps."""

    @classmethod
    def of(cls, index: int, item: Any) -> _Node:
        if isinstance(item, (Float, Int, Discrete, Categorical)):
            stepless = isinstance(item, Float) and item.step is None and item.low != item.high
            return cls(index, item.name, item.when, item, stepless)
        raw = item if isinstance(item, Mapping) else {}
        name = raw.get("name")
        try:
            condition = When.model_validate(raw["when"])
        except (KeyError, JobError):
            condition = None
        stepless = raw.get("kind") == "float" and raw.get("step") is None
        return cls(index, name if isinstance(name, str) else None, condition, None, stepless)


def _metric_flaws(items: Sequence[Any], kind: type[Objective | Constraint], field: str) -> Iterator[Flaw]:
    """Each metric may be named once per list."""
    seen: set[str] = set()
    for index, item in enumerate(items):
        if not isinstance(item, kind):
            continue
        if item.metric in seen:
            yield Flaw(f"metric '{item.metric}' is already among the {field}", field, index, "metric")
        seen.add(item.metric)


def _grid_flaws(nodes: Sequence[_Node]) -> Iterator[Flaw]:
    for node in nodes:
        if node.stepless:
            yield Flaw(
                f"a grid needs a step for the continuous parameter '{node.name}'; "
                "give it a step, make it discrete, or choose another algorithm",
                "parameters",
                node.index,
                "step",
            )


def _by_name(nodes: Sequence[_Node]) -> dict[str, list[_Node]]:
    named: dict[str, list[_Node]] = defaultdict(list)
    for node in nodes:
        if node.name is not None:
            named[node.name].append(node)
    return named


def _condition_flaws(nodes: Sequence[_Node]) -> Iterator[Flaw]:
    """Unknown or unfit parents, impossible values, circles."""
    named = _by_name(nodes)
    for node in nodes:
        condition = node.when
        if condition is None:
            continue
        here = ("parameters", node.index, "when")
        parents = named.get(condition.parameter, [])
        if not parents:
            hint = did_you_mean(condition.parameter, sorted(named))
            yield Flaw(f"there is no parameter '{condition.parameter}'; {hint}", *here, "parameter")
        elif all(isinstance(parent.parameter, Float) for parent in parents):
            yield Flaw(
                f"'{condition.parameter}' is a float; conditions need an int, discrete or categorical parent",
                *here,
                "parameter",
            )
        else:
            whole = [parent.parameter for parent in parents if parent.parameter is not None]
            for at, value in enumerate(condition.values):
                if len(whole) == len(parents) and not any(allowed(parent, value) for parent in whole):
                    yield Flaw(f"'{condition.parameter}' is never {short(value)}", *here, "values", at)
    for index, names in _circles(named):
        yield Flaw(f"conditions run in a circle: {' -> '.join(names)}", "parameters", index, "when", "parameter")


def _circles(named: Mapping[str, Sequence[_Node]]) -> Iterator[tuple[int, list[str]]]:
    """Every circle of conditions once: the parameter that closes it, and the names along it."""
    done: set[str] = set()
    for start in named:
        path = [start]
        waiting = [iter(named[start])]
        while waiting:
            node = next(waiting[-1], None)
            if node is None:
                done.add(path.pop())
                waiting.pop()
            elif node.when is not None and node.when.parameter not in done:
                parent = node.when.parameter
                if parent in path:
                    yield node.index, [*path[path.index(parent) :], parent]
                elif parent in named:
                    path.append(parent)
                    waiting.append(iter(named[parent]))


def _duplicate_flaws(nodes: Sequence[_Node]) -> Iterator[Flaw]:
    named = _by_name(nodes)
    for name, group in named.items():
        conditions = [list(_ancestry(node, named)) for node in group] if len(group) > 1 else []
        for at in range(1, len(conditions)):
            if not all(_disjoint(earlier, conditions[at]) for earlier in conditions[:at]):
                yield Flaw(
                    f"'{name}' is defined twice, and both can be active at once; rename one, "
                    "or give both a `when` on one parent with different values",
                    "parameters",
                    group[at].index,
                    "name",
                )


def _disjoint(ours: Sequence[When], theirs: Sequence[When]) -> bool:
    """Whether two sets of conditions can never hold together: they ask one ancestor for different values."""
    return any(x.parameter == y.parameter and _values(x).isdisjoint(_values(y)) for x in ours for y in theirs)


@lru_cache(maxsize=2048)
def _values(condition: When) -> frozenset[tuple[bool, bool, Any]]:
    """The values of a condition as `same` tells them apart."""
    return frozenset((isinstance(value, bool), isinstance(value, str), value) for value in condition.values)


def _ancestry(node: _Node, named: Mapping[str, Sequence[_Node]]) -> Iterator[When]:
    """The conditions that must all hold for `node`: its own and, where the parent is one, its parents'."""
    seen: set[str] = set()
    condition = node.when
    while condition is not None and condition.parameter not in seen:
        yield condition
        seen.add(condition.parameter)
        parents = named.get(condition.parameter, ())
        condition = parents[0].when if len(parents) == 1 else None
