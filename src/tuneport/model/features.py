"""The words for what a job can ask for: features, where a job uses one, and what the catalogue says of each.

Capabilities of backends, reports of translations and the conformance tests all speak of features. `feature_catalogue`
says what each of them is, and `feature_usage` finds those that a job uses.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any, Literal, TypeAlias

from tuneport.model.job import TuningJob
from tuneport.model.word import Word


class Feature(StrEnum):
    """Something that a job can ask for and that a backend may or may not be able to do."""

    PARAMETER_FLOAT = auto()
    PARAMETER_FLOAT_LOG = auto()
    PARAMETER_FLOAT_REVERSE_LOG = auto()
    PARAMETER_FLOAT_STEP = auto()
    PARAMETER_INT = auto()
    PARAMETER_INT_LOG = auto()
    PARAMETER_INT_REVERSE_LOG = auto()
    PARAMETER_INT_STEP = auto()
    PARAMETER_SCALE_AUTO = auto()
    PARAMETER_DISCRETE = auto()
    PARAMETER_DISCRETE_SCALE = auto()
    PARAMETER_CATEGORICAL_TEXT = auto()
    PARAMETER_CATEGORICAL_NUMBER = auto()
    PARAMETER_CATEGORICAL_BOOL = auto()
    PARAMETER_DEFAULT = auto()
    PARAMETER_CONDITION = auto()
    PARAMETER_CONDITION_NESTED = auto()
    PARAMETER_SAME_NAME = auto()

    OBJECTIVE_SEVERAL = auto()
    OBJECTIVE_TARGET = auto()
    OBJECTIVE_CONSTRAINT = auto()
    OBJECTIVE_CONSTRAINT_RANGE = auto()
    OBJECTIVE_CONSTRAINT_OPTIMISED = auto()

    ALGORITHM_RANDOM = auto()
    ALGORITHM_GRID = auto()
    ALGORITHM_SOBOL = auto()
    ALGORITHM_BAYESIAN = auto()
    ALGORITHM_BAYESIAN_OPTIONS = auto()
    ALGORITHM_TPE = auto()
    ALGORITHM_TPE_OPTIONS = auto()
    ALGORITHM_ANNEAL = auto()
    ALGORITHM_ANNEAL_OPTIONS = auto()
    ALGORITHM_HYPERBAND = auto()
    ALGORITHM_HYPERBAND_OPTIONS = auto()
    ALGORITHM_CMAES = auto()
    ALGORITHM_CMAES_OPTIONS = auto()
    ALGORITHM_PBT = auto()
    ALGORITHM_PBT_OPTIONS = auto()
    ALGORITHM_PLUGIN = auto()
    ALGORITHM_AUTO = auto()
    ALGORITHM_SEED = auto()

    EARLY_STOPPING_MEDIAN = auto()
    EARLY_STOPPING_MEDIAN_OPTIONS = auto()
    EARLY_STOPPING_ASHA = auto()
    EARLY_STOPPING_ASHA_OPTIONS = auto()
    EARLY_STOPPING_PROMOTION = auto()
    EARLY_STOPPING_CURVE = auto()
    EARLY_STOPPING_CURVE_OPTIONS = auto()
    EARLY_STOPPING_AUTO = auto()

    MEASUREMENT_BEST = auto()

    BUDGET_MAX_TRIALS = auto()
    BUDGET_ANY_TRIALS = auto()
    BUDGET_PARALLEL_TRIALS = auto()
    BUDGET_MAX_FAILED_TRIALS = auto()
    BUDGET_MAX_SECONDS = auto()
    BUDGET_NO_IMPROVEMENT = auto()
    BUDGET_MAX_COST = auto()

    TRIAL_COMMAND = auto()
    TRIAL_IMAGE = auto()
    TRIAL_IMAGE_COMMAND = auto()
    TRIAL_IMAGE_MODULE = auto()
    TRIAL_MODULE = auto()
    TRIAL_PACKAGE_LOCAL = auto()
    TRIAL_PACKAGE_REMOTE = auto()
    TRIAL_FUNCTION = auto()
    TRIAL_ALGORITHM = auto()
    TRIAL_VARIANTS = auto()
    TRIAL_VARIANT_METRIC = auto()
    TRIAL_ARGS = auto()
    TRIAL_FIXED_PARAMETERS = auto()
    TRIAL_ENV = auto()
    TRIAL_INPUTS_LOCAL = auto()
    TRIAL_INPUTS_REMOTE = auto()
    TRIAL_INPUTS_FORMAT = auto()
    TRIAL_INPUTS_MODE = auto()
    TRIAL_INPUTS_SHARDED = auto()
    TRIAL_INPUTS_WRITABLE = auto()
    TRIAL_INPUTS_PATH = auto()
    TRIAL_TOLD_BY = auto()
    TRIAL_OUTPUT_LOCAL = auto()
    TRIAL_OUTPUT_REMOTE = auto()
    TRIAL_TIMEOUT = auto()
    TRIAL_RETRIES = auto()
    TRIAL_SPOT = auto()
    TRIAL_MAX_WAIT = auto()
    TRIAL_IDENTITY = auto()
    TRIAL_NETWORK_NAME = auto()
    TRIAL_NETWORK_SUBNETS = auto()
    TRIAL_NETWORK_ISOLATED = auto()
    TRIAL_NETWORK_ENCRYPTED = auto()
    TRIAL_ENCRYPTION_KEY = auto()
    TRIAL_ENCRYPTION_DISK_KEY = auto()
    TRIAL_METRIC_REPORTS = auto()
    TRIAL_METRIC_PATTERNS = auto()
    TRIAL_WARM_WORKERS = auto()
    TRIAL_PRELOAD = auto()
    TRIAL_RESUMABLE = auto()

    RESOURCES_GPUS = auto()
    RESOURCES_GPU_SHARE = auto()
    RESOURCES_GPU_TYPE = auto()
    RESOURCES_GPU_MEMORY = auto()
    RESOURCES_CPUS = auto()
    RESOURCES_MEMORY = auto()
    RESOURCES_DISK = auto()
    RESOURCES_REPLICAS = auto()
    RESOURCES_MACHINE = auto()
    RESOURCES_POOL = auto()

    WARM_START_TRANSFER = auto()
    WARM_START_IDENTICAL = auto()

    DESCRIPTION = auto()
    EXPERIMENT = auto()
    EXPERIMENT_TENSORBOARD = auto()
    LABELS = auto()
    NATIVE = auto()


Weight: TypeAlias = Literal["material", "cosmetic"]
"""`material`: results or costs depend on it. `cosmetic`: they do not."""
Test: TypeAlias = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the words at some place of a job, or such a word itself.

    Attributes:
        owner: JSON pointer of the word, or of several as in "/study/parameters/*".
        name: the field; None: the word itself counts.
        test: what its value must pass to count; None: it counts when it differs from its default.
        kinds: words of these types only; empty: of any that have the field.
    """

    owner: str
    name: str | None = None
    test: Test | None = None
    kinds: tuple[type[Word], ...] = ()


Search: TypeAlias = Callable[[TuningJob], Iterable[str]]
"""JSON pointers of the places where a job uses a feature, where that is more than a matter of single fields."""
Uses: TypeAlias = tuple[Field, ...] | Search


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue knows of one feature.

    Attributes:
        says: what a job that uses it asks for, in a few words.
        uses: the fields that use it, or what finds the places where a job does.
        changes: JSON pointer to value; laid over the plainest job, they make one that uses it.
        weight: whether results or costs depend on it.
    """

    says: str
    uses: Uses
    changes: Mapping[str, Any]
    weight: Weight = "material"

    def specimen(self) -> TuningJob:
        """A job that uses the feature and as little else as possible."""
        return TuningJob.model_validate(laid_over(_PLAINEST, self.changes))


def laid_over(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of JSON data in which other values stand at some JSON pointers."""
    copied = copy.deepcopy(dict(data))
    for pointer, value in changes.items():
        *parents, last = pointer.strip("/").split("/")
        here = copied
        for part in parents:
            here = here.setdefault(part, {})
        here[last] = copy.deepcopy(value)
    return copied


_PLAINEST = {
    "name": "specimen",
    "study": {
        "parameters": [{"name": "x", "kind": "float", "low": 0.5, "high": 2}],
        "objectives": [{"metric": "score", "goal": "maximize"}],
        "algorithm": {"kind": "bayesian"},
    },
    "trial": {"command": ["train"]},
}
