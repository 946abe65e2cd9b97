"""Hypothesis strategies for valid jobs over the whole model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

from tuneport.model.job import Budget, Experiment, TuningJob, WarmStart
from tuneport.model.parameters import Categorical, Discrete, Float, Int, When
from tuneport.model.study import (
    Anneal,
    Asha,
    Auto,
    AutoStopping,
    Bayesian,
    CmaEs,
    Constraint,
    CurveStopping,
    Grid,
    Hyperband,
    MedianStopping,
    Objective,
    Pbt,
    Plugin,
    Random,
    Sobol,
    StudySpec,
    Tpe,
)
from tuneport.model.trial_spec import Encryption, Input, Network, Output, Resources, TrialSpec, Variant

Draw = Callable[[st.SearchStrategy[Any]], Any]

_TRAPS = [
    "",
    " ",
    "no",
    "1e-5",
    "007",
    "null",
    "~",
    ".inf",
    "2020-01-01",
    "a: b",
    "# c",
    "<<",
    "0o17",
    "é",
    "😀",
    "\t\n",
]
"""Texts that careless readers and writers take for something else."""
_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")

texts = st.sampled_from(_TRAPS) | st.text(_CHARACTERS, max_size=12)
lines = st.text(_CHARACTERS, min_size=1, max_size=12)
names = st.from_regex(r"[A-Za-z_.é/~][^\s=\x00-\x1f\x7f\ud800-\udfff]{0,6}", fullmatch=True)
numbers = (st.floats(-1e6, 1e6) | st.integers(-(10**6), 10**6)).map(lambda number: number + 0.0)  # -0.0 is 0.0
scalars = texts | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
sizes = st.sampled_from(["1GiB", "64GiB", "1.5 GB", 1, 123456789])
json_values = st.recursive(
    st.none() | scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Sometimes None."""
    return st.none() | strategy


told_by = maybe(st.sampled_from(["flag", "variable"]))
descriptions = maybe(st.sampled_from(["How fast it learns.", "é: # no"]))


@st.composite
def floats(draw: Draw, name: str, when: When | None = None) -> Float:
    """A real parameter on any scale, with or without steps and default."""
    low, high = sorted([draw(numbers), draw(numbers)])
    scale = draw(st.sampled_from(_scales(low, high)))
    step = (high - low) / draw(st.integers(1, 1000))
    return Float(
        name,
        low,
        high,
        scale=scale,
        step=draw(st.none() | st.just(step)) if step > 0 else None,
        default=draw(maybe(st.floats(low, high))),
        when=when,
        description=draw(descriptions),
    )


@st.composite
def ints(draw: Draw, name: str, when: When | None = None) -> Int:
    """A whole parameter on any scale, with or without steps and default."""
    low, high = sorted([draw(st.integers(-1000, 1000)), draw(st.integers(-1000, 1000))])
    return Int(
        name,
        low,
        high,
        scale=draw(st.sampled_from(_scales(low, high))),
        step=draw(maybe(st.integers(1, 50))),
        default=draw(maybe(st.integers(low, high))),
        when=when,
        description=draw(descriptions),
    )


@st.composite
def discretes(draw: Draw, name: str, when: When | None = None) -> Discrete:
    """Ordered numbers, whole and not."""
    values = sorted(draw(st.lists(numbers | st.integers(-1000, 1000), min_size=1, max_size=5, unique=True)))
    scale = draw(st.sampled_from(_scales(values[0], values[-1])))
    default = draw(maybe(st.sampled_from(values)))
    return Discrete(name, values, scale=scale, default=default, when=when, description=draw(descriptions))


@st.composite
def categoricals(draw: Draw, name: str, when: When | None = None) -> Categorical:
    """Choices of all types."""
    unique = st.lists(scalars, min_size=1, max_size=5, unique_by=lambda value: (type(value), value))
    choices = draw(unique)
    default = draw(maybe(st.sampled_from(choices)))
    return Categorical(name, choices, default=default, when=when, description=draw(descriptions))


def _scales(low: float, high: float) -> list[str]:
    scales = ["linear", "auto"]
    if low > 0:
        scales.append("log")
    if low > 0 or (low == 0 and high < 1):
        scales.append("reverse_log")
    return scales


@st.composite
def spaces(draw: Draw) -> tuple[Any, ...]:
    """Parameters with conditions between them; children may stand before their parents."""
    found: list[Any] = []
    for name in draw(st.lists(names, min_size=1, max_size=5, unique=True)):
        conditions = list(_conditions(found))
        when = draw(maybe(st.sampled_from(conditions))) if conditions else None
        kind = draw(st.sampled_from([floats, ints, discretes, categoricals]))
        found.append(draw(kind(name, when)))
    return tuple(draw(st.permutations(found)))


def _conditions(parents: list[Any]) -> Iterator[When]:
    for parent in parents:
        match parent:
            case Categorical():
                yield When(parent.name, parent.choices[:2])
            case Discrete():
                yield When(parent.name, parent.values[-1:])
            case Int():
                yield When(parent.name, [parent.low])


seeds = maybe(st.integers(0, 2**32))
forms = st.sampled_from(["stopping", "promotion"])
hyperbands = st.builds(Hyperband, seed=seeds, max_resource=maybe(st.integers(1, 100)), form=forms)
algorithms = st.one_of(
    st.builds(Random, seed=seeds),
    st.builds(Sobol, seed=seeds),
    st.builds(Bayesian, seed=seeds, initial_trials=maybe(st.integers(1, 20))),
    st.builds(Tpe, seed=seeds, gamma=st.floats(0.01, 0.99), candidates=st.integers(1, 100)),
    st.builds(Anneal, seed=seeds, average_best=st.floats(1, 10), shrink=st.floats(0, 1)),
    st.builds(CmaEs, seed=seeds, population_size=maybe(st.integers(4, 50))),
    st.builds(Plugin, seed=seeds, name=names, options=st.dictionaries(names, numbers, max_size=2)),
    st.builds(Auto, seed=seeds),
    st.builds(Pbt, seed=seeds, population=st.integers(2, 9), quantile=st.floats(0.1, 0.5), interval=st.integers(1, 9)),
    hyperbands,
)
stoppings = st.one_of(
    st.builds(MedianStopping, rule=st.sampled_from(["vizier", "sagemaker"]), min_steps=st.integers(0, 9)),
    st.builds(Asha, min_resource=st.integers(1, 3), max_resource=maybe(st.integers(3, 100)), form=forms),
    st.builds(CurveStopping, model=st.sampled_from(["decay", "convex"]), use_elapsed=st.booleans()),
    st.just(AutoStopping()),
)


@st.composite
def studies(draw: Draw) -> StudySpec:
    """Whole studies."""
    parameters = draw(spaces())
    finite = all(not isinstance(one, Float) or one.step is not None or one.low == one.high for one in parameters)
    algorithm = draw(algorithms | st.builds(Grid, seed=seeds) if finite else algorithms)
    metrics = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    bounded = draw(st.lists(names, max_size=1))
    goals = st.sampled_from(["maximize", "minimize"])
    return StudySpec(
        parameters=parameters,
        objectives=tuple(Objective(metric=m, goal=draw(goals), target=draw(maybe(numbers))) for m in metrics),
        constraints=tuple(Constraint(metric=m, at_most=draw(numbers)) for m in bounded),
        algorithm=algorithm,
        early_stopping=None if isinstance(algorithm, (Hyperband, Pbt)) else draw(maybe(stoppings)),
        measurement=draw(st.sampled_from(["last", "best"])),
    )


programs = st.one_of(
    st.fixed_dictionaries(
        {"command": st.lists(lines, min_size=1, max_size=4)}, optional={"image": lines, "package": lines}
    ),
    st.fixed_dictionaries({"image": lines}),
    st.fixed_dictionaries({"module": st.just("pack.train")}, optional={"image": lines, "package": lines}),
    st.just({"function": "pack.train:objective"}),
    st.fixed_dictionaries({"algorithm": lines}),
)
resources = st.builds(
    Resources,
    gpus=st.sampled_from([0, 0.25, 1]),
    gpu_type=maybe(lines),
    gpu_memory=maybe(sizes | st.just("auto")),
    cpus=maybe(st.sampled_from([0.5, 1, 8])),
    memory=maybe(sizes),
    disk=maybe(sizes),
    replicas=st.integers(1, 4),
    machine=maybe(lines),
    pool=maybe(lines),
)
networks = st.builds(
    Network,
    name=maybe(lines),
    subnets=st.lists(lines, max_size=2),
    security_groups=st.lists(lines, max_size=2),
    isolated=st.booleans(),
    encrypted=st.booleans(),
)
keys = st.builds(Encryption, key=maybe(lines), disk_key=maybe(lines))
experiments = st.builds(Experiment, name=maybe(lines), run=maybe(lines), tensorboard=maybe(lines))
seconds = st.sampled_from([0.5, 90, "2h", "1h30m"]) | st.floats(0.001, 1e9)
budgets = st.builds(
    Budget,
    max_trials=st.integers(1, 10**6),
    parallel_trials=st.integers(1, 1000),
    max_failed_trials=maybe(st.integers(0, 100)),
    max_seconds=maybe(seconds),
    max_trials_without_improvement=maybe(st.integers(1, 100)),
    max_cost=maybe(st.floats(0.01, 1e6)),
) | st.builds(Budget, max_trials=st.none(), max_seconds=seconds)


def details(searched: set[str]) -> dict[str, st.SearchStrategy[Any]]:
    """The fields that trials and their variants have in common, but for what is run; `searched` are not fixed."""
    return {
        "args": st.lists(texts | st.integers() | st.floats(allow_nan=False), max_size=3),
        "parameters": st.dictionaries(names.filter(lambda name: name not in searched), scalars, max_size=2),
        "env": st.dictionaries(st.sampled_from(["A", "B_1"]), texts, max_size=2),
        "inputs": st.lists(inputs(), max_size=2, unique_by=lambda one: one.name),
        "output": st.builds(
            Output,
            uri=lines,
            name=maybe(st.sampled_from(["model", "a-b.c"])),
            told_by=told_by,
            description=descriptions,
        ),
        "resources": resources,
        "timeout": seconds,
        "retries": st.integers(0, 9),
        "spot": st.booleans(),
        "max_wait": seconds,
        "identity": texts,
        "network": networks,
        "encryption": keys,
        "metrics": st.dictionaries(names, st.sampled_from([r"x=(\S+)", "é: (.*)"]), max_size=2),
    }


def inputs() -> st.SearchStrategy[Input]:
    """Data of any kind."""
    return st.builds(
        Input,
        name=st.sampled_from(["train", "test", "a-b.c"]),
        uri=lines,
        content_type=maybe(texts),
        mode=maybe(st.sampled_from(["copy", "stream", "mount"])),
        told_by=told_by,
        description=descriptions,
        sharded=st.booleans(),
        writable=st.booleans(),
        path=maybe(texts),
    )


@st.composite
def variants(draw: Draw, parents: list[Any], metrics: list[str]) -> Variant:
    """What some choices of one of the `parents` change of a trial; `metrics` are taken by other objectives."""
    parent = draw(st.sampled_from(parents))
    ways = programs.map(
        lambda ways: {
            name: ways[name]
            for name in ways.keys() & Variant.model_fields.keys()
            if name != "package" or "command" in ways  # what is run of it
        }
    )
    free = names.filter(lambda name: name not in metrics)
    return Variant.model_validate(
        {
            "when": When(parent.name, draw(st.lists(st.sampled_from(parent.choices), min_size=1, max_size=2))),
            **draw(ways),
            **draw(st.fixed_dictionaries({}, optional={"metric": free} | details({parent.name}))),
        }
    )


@st.composite
def trials(draw: Draw, study: StudySpec) -> TrialSpec:
    """What a trial of a study runs."""
    searched = {parameter.name for parameter in study.parameters}
    parents = [parameter for parameter in study.parameters if isinstance(parameter, Categorical)]
    others = [objective.metric for objective in study.objectives[1:]]
    varied = st.lists(variants(parents, others), max_size=2) if parents else st.just([])
    return TrialSpec.model_validate(
        {
            **draw(programs),
            **draw(st.fixed_dictionaries({}, optional=details(searched))),
            "variants": draw(varied),
            "resumable": study.pauses or draw(st.booleans()),
        }
    )


@st.composite
def jobs(draw: Draw) -> TuningJob:
    """Any valid job."""
    study = draw(studies())
    least = study.algorithm.population if isinstance(study.algorithm, Pbt) else 1
    return TuningJob(
        name=draw(st.sampled_from(["digits", "é 1e-5", "no", "007", "a: b # c"])),
        description=draw(maybe(texts)),
        labels=draw(st.dictionaries(lines, texts, max_size=2)),
        study=study,
        trial=draw(trials(study)),
        budget=draw(budgets.filter(lambda one: one.max_trials is None or one.max_trials >= least)),
        warm_start=draw(
            st.lists(st.builds(WarmStart, run=lines, kind=st.sampled_from(["transfer", "identical"])), max_size=2)
        ),
        experiment=draw(experiments),
        native=draw(st.dictionaries(texts, st.dictionaries(texts, json_values, max_size=2), max_size=1)),
    )
