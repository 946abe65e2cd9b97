"""What the service refuses although its schema allows it: rules between fields, and limits, from its documents.

`malformed` are those whose violation leaves nothing that a job could mean; a document with them cannot be read.
Symbols are passed over: nobody knows yet what they stand for. No most of trials, parameters or metrics is published.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from tuneport.backends.vertex.study import CONDITIONS, LEAST_GAP, VALUE_SPECS, number, parameter_specs, seconds, whole
from tuneport.backends.vertex.trial import VARIABLE, task
from tuneport.errors import Problem
from tuneport.model.parameters import MAX_CHOICES
from tuneport.model.word import pointer, short
from tuneport.translation.shape import is_symbolic

Json: TypeAlias = dict[str, Any]
Found: TypeAlias = Iterator[Problem]

LONGEST_NAME = 128
LONGEST_LABEL = 64
LONGEST_ARGS = 100_000
MOST_VARIABLES = 100
MOST_PACKAGES = 100
MOST_POOLS = 4
MOST_VALUES = 1000
MOST_PARAMETERS = 1000
"""Of a job; the service publishes no limit."""
DISK_SIZES = (100, 64_000)
FLEX_SECONDS = 7 * 86400
FLEX_GPUS = {
    "NVIDIA_L4",
    "NVIDIA_TESLA_A100",
    "NVIDIA_A100_80GB",
    "NVIDIA_H100_80GB",
    "NVIDIA_H100_MEGA_80GB",
    "NVIDIA_H200_141GB",
    "NVIDIA_B200",
}

_RESERVED = {"ANY_RESERVATION", "SPECIFIC_RESERVATION"}
_SPACE = re.compile(r"\s")
_MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_LOG_SCALES = {"UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE"}


def malformed(request: Json) -> Found:
    """What makes a request mean nothing, or two things."""
    if "studySpec" in request:
        yield from _metrics(request["studySpec"]["metrics"])
        yield from _space(request)
        yield from _counts(request)
    yield from _first_pool(request["trialJobSpec"]["workerPoolSpecs"])
    yield from _machines_and_experiments(request["trialJobSpec"])


def refused(request: Json) -> Found:
    """What the service refuses besides."""
    yield from _heading(request)
    yield from _pipeline(request)
    if "studySpec" in request:
        yield from _failures(request)
        yield from _values(request)
        yield from _safety(request)
    for rule in _TRIAL_RULES:
        yield from rule(request.get("trialJobSpec", {}))


# ---- the study ------------------------------------------------------------------------------------------------------


def _metrics(metrics: Sequence[Json]) -> Found:
    here = "/studySpec/metrics"
    if all("safetyConfig" in metric for metric in metrics):
        hint = "one without safetyConfig is what is optimised" if metrics else None
        yield Problem(here, "there must be a metric to optimise", hint)
    seen = set()
    for index, metric in enumerate(metrics):
        name = metric["metricId"]
        yield from _identifier(f"{here}/{index}/metricId", name)
        if name in seen:
            yield Problem(f"{here}/{index}/metricId", f"{short(name)} is there already")
        seen.add(name)


def _identifier(place: str, name: str) -> Found:
    if not name or _SPACE.search(name):
        yield Problem(place, f"must be a name without white space, not {short(name)}")


def _space(request: Json) -> Found:
    if not request["studySpec"]["parameters"]:
        yield Problem("/studySpec/parameters", "there must be a parameter to tune")
    grid = request["studySpec"].get("algorithm") == "GRID_SEARCH"
    for place, spec in parameter_specs(request):
        yield from _identifier(f"{place}/parameterId", spec["parameterId"])
        members = [member for member in VALUE_SPECS if member in spec]
        if not members:
            yield Problem(place, f"{short(spec['parameterId'])} needs one of {', '.join(VALUE_SPECS)}")
        for member in members:
            yield from _VALUE_RULES[member](f"{place}/{member}", spec[member], spec.get("scaleType"))
            if grid and member == "doubleValueSpec":
                hint = "list values in a discreteValueSpec, or leave algorithm out"
                yield Problem(f"{place}/{member}", "GRID_SEARCH takes no ranges of real numbers", hint)
        yield from _children(place, spec)
    yield from _unique_names(request)


def _range(place: str, values: Json, scale: str | None, read: Callable[[Any], float | None]) -> Found:
    bounds = {member: read(values[member]) for member in ("minValue", "maxValue")}
    for member, bound in bounds.items():
        if bound is None and not is_symbolic(values[member]):
            yield Problem(f"{place}/{member}", f"must be a finite number, not {short(values[member])}")
    low, high = bounds["minValue"], bounds["maxValue"]
    if low is not None and high is not None and low > high:
        yield Problem(f"{place}/minValue", f"must not be above maxValue: {low!r} > {high!r}")
    if low is not None:
        yield from _positive(f"{place}/minValue", low, scale)


def _positive(place: str, low: float, scale: str | None) -> Found:
    if scale in _LOG_SCALES and low <= 0:
        yield Problem(place, f"{scale} needs values above 0, not {low!r}", "use UNIT_LINEAR_SCALE or a small bound")


def _doubles(place: str, values: Json, scale: str | None) -> Found:
    yield from _range(place, values, scale, number)


def _integers(place: str, values: Json, scale: str | None) -> Found:
    yield from _range(place, values, scale, whole)


def _discrete(place: str, values: Json, scale: str | None) -> Found:
    listed = [number(value) for value in values["values"]]
    for index, value in enumerate(values["values"]):
        if listed[index] is None and not is_symbolic(value):
            yield Problem(f"{place}/values/{index}", f"must be a finite number, not {short(value)}")
    known = [value for value in listed if value is not None]
    if not listed:
        yield Problem(f"{place}/values", "there must be a value")
    if any(b <= a for a, b in pairwise(known)):
        yield Problem(f"{place}/values", f"must be ascending; sorted they are {short(sorted(set(known)))}")
    if known:
        yield from _positive(f"{place}/values/0", known[0], scale)


def _categorical(place: str, values: Json, _: str | None) -> Found:
    if not values["values"]:
        yield Problem(f"{place}/values", "there must be a value")
    seen = set()
    for index, value in enumerate(values["values"]):
        if value in seen:
            yield Problem(f"{place}/values/{index}", f"{short(value)} is listed twice")
        seen.add(value)


_VALUE_RULES: dict[str, Callable[[str, Json, str | None], Found]] = {
    "doubleValueSpec": _doubles,
    "integerValueSpec": _integers,
    "discreteValueSpec": _discrete,
    "categoricalValueSpec": _categorical,
}


def _children(place: str, parent: Json) -> Found:
    """Conditions must be of the parent's kind and about values that it can have."""
    kinds = [kind for member, kind in VALUE_SPECS.items() if member in parent]
    for index, conditional in enumerate(parent.get("conditionalParameterSpecs", ())):
        here = f"{place}/conditionalParameterSpecs/{index}"
        members = [member for member in CONDITIONS if member in conditional]
        if not members:
            yield Problem(here, f"needs one of {', '.join(CONDITIONS)}")
        for member in members:
            if "float" in kinds:
                hint = "make the parent discrete or an integer"
                yield Problem(f"{here}/{member}", "a parameter of real numbers has no conditions on it", hint)
            elif [CONDITIONS[member]] != kinds:
                yield Problem(f"{here}/{member}", f"does not fit its parent, which is {_listed(kinds)}")
            else:
                yield from _parents_values(f"{here}/{member}/values", conditional[member]["values"], parent)


def _parents_values(place: str, values: Sequence[Any], parent: Json) -> Found:
    if not 0 < len(values) <= MAX_CHOICES:
        yield Problem(place, f"must be 1 to {MAX_CHOICES} values, not {len(values)}")
        return
    possible = _possible(parent)
    for index, value in enumerate(values):
        if not is_symbolic(value) and not possible(value):
            yield Problem(f"{place}/{index}", f"{short(parent['parameterId'])} is never {short(value)}")


def _possible(parent: Json) -> Callable[[Any], bool]:
    """Whether a parent can have a value; a parent with symbols can have any."""
    if spec := parent.get("integerValueSpec"):
        low, high = whole(spec["minValue"]), whole(spec["maxValue"])
        return lambda value: (low is None or low <= int(value)) and (high is None or int(value) <= high)
    known = (parent.get("discreteValueSpec") or parent.get("categoricalValueSpec") or {"values": ()})["values"]
    if any(is_symbolic(one) for one in known):
        return lambda _: True
    exact = set(known)
    ordered = sorted(one for one in known if number(one) is not None)

    def near(value: Any) -> bool:
        at = bisect_left(ordered, value - LEAST_GAP)
        return at < len(ordered) and ordered[at] <= value + LEAST_GAP

    return lambda value: value in exact or (number(value) is not None and near(value))


def _listed(kinds: Sequence[str]) -> str:
    return " and ".join(kinds) or "nothing"


def _unique_names(request: Json) -> Found:
    """A name may stand twice only below values of one parent that cannot be there at once."""
    if sum(1 for _ in parameter_specs(request)) > MOST_PARAMETERS:
        return  # no job has so many, which is told elsewhere
    taken: dict[str, str] = {}
    for index, spec in enumerate(request["studySpec"]["parameters"]):
        names, found = _subtree(f"/studySpec/parameters/{index}", spec)
        yield from found
        yield from _clashes(names, taken)
        taken |= names


def _subtree(place: str, spec: Json) -> tuple[dict[str, str], list[Problem]]:
    """All names in a spec and below with the last place of each, and the problems among them."""
    own = {spec["parameterId"]: f"{place}/parameterId"}
    below: dict[str, str] = {}
    together: dict[Any, dict[str, str]] = defaultdict(lambda: dict(own))
    found: list[Problem] = []
    for index, conditional in enumerate(spec.get("conditionalParameterSpecs", ())):
        here = f"{place}/conditionalParameterSpecs/{index}/parameterSpec"
        names, inner = _subtree(here, conditional["parameterSpec"])
        values = [value for member in CONDITIONS for value in conditional.get(member, {"values": ()})["values"]]
        clashes = {
            problem.pointer: problem for value in values[:MAX_CHOICES] for problem in _clashes(names, together[value])
        }
        found += [*inner, *clashes.values()]
        for value in values[:MAX_CHOICES]:
            together[value] |= names
        below |= names
    return own | below, found


def _clashes(names: dict[str, str], taken: dict[str, str]) -> Found:
    for name in names.keys() & taken.keys():
        hint = "rename one, or give them conditions that cannot hold together"
        yield Problem(names[name], f"{short(name)} is also at {taken[name]}, and both can be there at once", hint)


def _counts(request: Json) -> Found:
    for member in ("maxTrialCount", "parallelTrialCount"):
        count = whole(request.get(member))
        if count is not None and count < 1:
            yield Problem(f"/{member}", f"must be at least 1, not {count}")
    failed = whole(request.get("maxFailedTrialCount"))
    if failed is not None and failed < 0:
        yield Problem("/maxFailedTrialCount", f"must not be negative, not {failed}", "0 leaves it to the service")


def _first_pool(pools: Sequence[Json]) -> Found:
    here = "/trialJobSpec/workerPoolSpecs"
    if not pools or not pools[0]:
        yield Problem(here, "the first pool must say what runs")
        return
    container, package = pools[0].get("containerSpec"), pools[0].get("pythonPackageSpec")
    if container is None and package is None:
        yield Problem(f"{here}/0", "needs a containerSpec or a pythonPackageSpec")
    if container is not None and not container["imageUri"]:
        yield Problem(f"{here}/0/containerSpec/imageUri", "names no image")
    if package is not None:
        for member in ("executorImageUri", "packageUris", "pythonModule"):
            if not package[member]:
                yield Problem(f"{here}/0/pythonPackageSpec/{member}", "says nothing")


def _machines_and_experiments(trial: Json) -> Found:
    """Every pool has a machine; experiments have full names."""
    for place, pool in _pools(trial):
        if not pool.get("machineSpec", {}).get("machineType"):
            yield Problem(f"{place}/machineSpec", "every pool that is not empty needs a machineType")
    for member in ("tensorboard", "experiment", "experimentRun"):
        name = trial.get(member, "projects/")
        if not name.startswith("projects/") and not is_symbolic(name):
            hint = "such as projects/P/locations/R/…"
            yield Problem(f"/trialJobSpec/{member}", f"must be a resource's full name, not {short(name)}", hint)


# ---- names, labels, numbers of trials -------------------------------------------------------------------------------

_LABEL = re.compile(r"[\w-]*")


def _heading(request: Json) -> Found:
    name = request.get("displayName", "")
    if not 0 < len(name) <= LONGEST_NAME:
        yield Problem("/displayName", f"must have 1 to {LONGEST_NAME} characters, not {len(name)}")
    if request.get("encryptionSpec", {}).get("kmsKeyName") == "":
        yield Problem("/encryptionSpec/kmsKeyName", "names no key")
    for key, value in request.get("labels", {}).items():
        place = pointer(("labels", key))
        if not key or not _is_label(key):
            yield Problem(place, f"the key {_LABELS}, unlike {short(key)}", key=True)
        if not is_symbolic(value) and not _is_label(value):
            yield Problem(place, f"the value {_LABELS}, unlike {short(value)}")


_LABELS = f"must have lowercase letters, digits, '_' and '-' only, at most {LONGEST_LABEL} of them"


def _is_label(text: str) -> bool:
    return len(text) <= LONGEST_LABEL and text == text.lower() and _LABEL.fullmatch(text) is not None


def _pipeline(request: Json) -> Found:
    """What only a TrainingPipeline says: which data is split how, and what the model is called."""
    model, data = request.get("modelId", "${}"), request.get("inputDataConfig", {})
    if not is_symbolic(model) and not _MODEL_ID.fullmatch(model):
        yield Problem("/modelId", "must be 1 to 63 of a-z, 0-9, '_' and '-', and begin with a letter or '_'")
    if "savedQueryId" in data and "annotationSchemaUri" in data:
        yield Problem("/inputDataConfig/savedQueryId", "does not go with annotationSchemaUri")
    for split in ("fractionSplit", "timestampSplit", "stratifiedSplit"):
        shares = (number(data.get(split, {}).get(f"{part}Fraction")) for part in ("training", "validation", "test"))
        total = math.fsum(share for share in shares if share is not None)
        if total > 1:
            yield Problem(f"/inputDataConfig/{split}", f"fractions must add up to 1 at most, not {total}")


def _failures(request: Json) -> Found:
    most, failed = whole(request.get("maxTrialCount")), whole(request.get("maxFailedTrialCount"))
    if most is not None and failed is not None and failed > most:
        yield Problem("/maxFailedTrialCount", f"must not be above maxTrialCount: {failed} > {most}")


def _values(request: Json) -> Found:
    """Lists and scales that a job could mean, but that the service does not take."""
    for place, spec in parameter_specs(request):
        if "categoricalValueSpec" in spec and "scaleType" in spec:
            yield Problem(f"{place}/scaleType", "categories have no scale", "leave it out")
        listed = spec.get("discreteValueSpec", {"values": []})["values"]
        if len(listed) > MOST_VALUES:
            yield Problem(f"{place}/discreteValueSpec/values", f"{len(listed)} values; {MOST_VALUES} are taken")
        known = [value for value in listed if number(value) is not None]
        if any(0 < b - a < LEAST_GAP for a, b in pairwise(known)):
            yield Problem(f"{place}/discreteValueSpec/values", f"neighbours must be {LEAST_GAP} apart")


def _safety(request: Json) -> Found:
    for index, metric in enumerate(request["studySpec"]["metrics"]):
        fraction = number(metric.get("safetyConfig", {}).get("desiredMinSafeTrialsFraction"))
        if fraction is not None and not 0 <= fraction <= 1:
            place = f"/studySpec/metrics/{index}/safetyConfig/desiredMinSafeTrialsFraction"
            yield Problem(place, f"must be from 0 to 1, not {fraction}")


# ---- the trial ------------------------------------------------------------------------------------------------------


def _pools(trial: Json) -> Iterator[tuple[str, Json]]:
    """Pools that say something, with their places."""
    for index, pool in enumerate(trial.get("workerPoolSpecs", ())):
        if pool:
            yield f"/trialJobSpec/workerPoolSpecs/{index}", pool


def _number_of_pools(trial: Json) -> Found:
    pools = trial.get("workerPoolSpecs", ())
    if len(pools) > MOST_POOLS:
        yield Problem("/trialJobSpec/workerPoolSpecs", f"{len(pools)} pools; {MOST_POOLS} are taken")
    replicas = whole(pools[0].get("replicaCount")) if pools and pools[0] else None
    if replicas is not None and replicas != 1:
        place, hint = "/trialJobSpec/workerPoolSpecs/0/replicaCount", "a second pool takes the others"
        yield Problem(place, f"the first pool has 1 replica, not {replicas}", hint)


def _machines(trial: Json) -> Found:
    for place, pool in _pools(trial):
        machine = pool.get("machineSpec", {})
        if ("acceleratorType" in machine) != ("acceleratorCount" in machine):
            there = "acceleratorType" if "acceleratorType" in machine else "acceleratorCount"
            yield Problem(f"{place}/machineSpec/{there}", "acceleratorType and acceleratorCount go together")
        if machine.get("gpuPartitionSize") and whole(machine.get("acceleratorCount")) not in {1, None}:
            yield Problem(f"{place}/machineSpec/acceleratorCount", "must be 1 with gpuPartitionSize")
        affinity = machine.get("reservationAffinity", {})
        is_named = "key" in affinity and "values" in affinity
        if affinity.get("reservationAffinityType") == "SPECIFIC_RESERVATION" and not is_named:
            yield Problem(f"{place}/machineSpec/reservationAffinity", "SPECIFIC_RESERVATION needs key and values")
        size = whole(pool.get("diskSpec", {}).get("bootDiskSizeGb"))
        if size is not None and not DISK_SIZES[0] <= size <= DISK_SIZES[1]:
            least, most = DISK_SIZES
            yield Problem(f"{place}/diskSpec/bootDiskSizeGb", f"must be from {least} to {most} GB, not {size}")


def _tpus(trial: Json) -> Found:
    pools = [pool for _, pool in _pools(trial)]
    with_tpus = [pool for pool in pools if str(pool.get("machineSpec", {}).get("acceleratorType")).startswith("TPU_")]
    if with_tpus and (len(pools) > 1 or whole(pools[0].get("replicaCount")) not in {1, None}):
        yield Problem("/trialJobSpec/workerPoolSpecs", "trials with TPUs have one pool with one replica")


def _programs(trial: Json) -> Found:
    for place, pool in _pools(trial):
        member = "containerSpec" if "containerSpec" in pool else "pythonPackageSpec"
        here = f"{place}/{member}"
        program = task(pool)
        args = sum(len(arg) for arg in program.get("args", ()))
        if args > LONGEST_ARGS:
            yield Problem(f"{here}/args", f"{args} characters; {LONGEST_ARGS:,} are taken")
        variables = program.get("env", ())
        if len(variables) > MOST_VARIABLES:
            yield Problem(f"{here}/env", f"{len(variables)} variables; {MOST_VARIABLES} are taken")
        for index, variable in enumerate(variables):
            if not is_symbolic(variable["name"]) and not VARIABLE.fullmatch(variable["name"]):
                yield Problem(f"{here}/env/{index}/name", f"must be a C identifier, not {short(variable['name'])}")
        packages = program.get("packageUris", ())
        if len(packages) > MOST_PACKAGES:
            yield Problem(f"{here}/packageUris", f"{len(packages)} packages; {MOST_PACKAGES} are taken")


def _tracking(trial: Json) -> Found:
    for member in ("serviceAccount", "baseOutputDirectory"):
        if "tensorboard" in trial and member not in trial:
            yield Problem("/trialJobSpec/tensorboard", f"needs a {member} as well")


def _networks(trial: Json) -> Found:
    for place, pool in _pools(trial):
        for index, mount in enumerate(pool.get("nfsMounts", ())):
            path = mount["path"]
            if not is_symbolic(path) and not path.startswith("/"):
                yield Problem(f"{place}/nfsMounts/{index}/path", f"must begin with '/', unlike {short(path)}")
    for index, peering in enumerate(trial.get("pscInterfaceConfig", {}).get("dnsPeeringConfigs", ())):
        domain = peering["domain"]
        if not is_symbolic(domain) and not domain.endswith("."):
            place = f"/trialJobSpec/pscInterfaceConfig/dnsPeeringConfigs/{index}/domain"
            yield Problem(place, f"must end with '.', unlike {short(domain)}")


def _flexible(trial: Json) -> Found:
    """Machines that are waited for: some GPUs only, for a week at most, and all alike."""
    scheduling = trial.get("scheduling", {})
    if scheduling.get("strategy") != "FLEX_START":
        return
    timeout = seconds(scheduling.get("timeout"))
    if timeout is not None and timeout > FLEX_SECONDS:
        yield Problem("/trialJobSpec/scheduling/timeout", f"must be at most {FLEX_SECONDS}s with FLEX_START")
    machines = [(place, pool.get("machineSpec", {})) for place, pool in _pools(trial)]
    for place, machine in machines:
        kind = machine.get("acceleratorType", "none")
        if kind not in FLEX_GPUS and not is_symbolic(kind):
            yield Problem(f"{place}/machineSpec/acceleratorType", f"FLEX_START is for {', '.join(sorted(FLEX_GPUS))}")
        if machine.get("reservationAffinity", {}).get("reservationAffinityType") in _RESERVED:
            yield Problem(f"{place}/machineSpec/reservationAffinity", "FLEX_START takes no reservations")
        if machine != machines[0][1]:
            yield Problem(f"{place}/machineSpec", "all pools must have the same machines with FLEX_START")


_TRIAL_RULES: Sequence[Callable[[Json], Found]] = (
    _number_of_pools,
    _machines,
    _tpus,
    _programs,
    _tracking,
    _networks,
    _flexible,
)
