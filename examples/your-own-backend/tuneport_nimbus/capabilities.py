"""What Nimbus can do, as data. Every line is held against what a translation really does."""

from __future__ import annotations

from tuneport.model.feature_catalogue import CATALOGUE
from tuneport.model.features import Feature
from tuneport.translation.capabilities import (
    Capabilities,
    Home,
    Limits,
    Need,
    approximated,
    dropped,
    emulated,
    exact,
    unsupported,
)
from tuneport.translation.lowering import Vocabulary

F = Feature
VOCABULARY = Vocabulary(float_scales=frozenset({"linear", "log"}), int_scales=frozenset({"linear", "log"}))
"""Ranges, even or logarithmic, and choices of text. The rest is lowered to these, and restored by tuneport_trial."""

_SAID = [
    *(F.PARAMETER_FLOAT, F.PARAMETER_FLOAT_LOG, F.PARAMETER_INT, F.PARAMETER_INT_LOG, F.PARAMETER_CATEGORICAL_TEXT),
    *(F.ALGORITHM_RANDOM, F.ALGORITHM_GRID, F.ALGORITHM_BAYESIAN, F.ALGORITHM_SEED),
    *(F.BUDGET_MAX_TRIALS, F.BUDGET_PARALLEL_TRIALS, F.TRIAL_IMAGE, F.TRIAL_IMAGE_COMMAND, F.TRIAL_ARGS, F.TRIAL_ENV),
    *(F.TRIAL_OUTPUT_REMOTE, F.TRIAL_INPUTS_REMOTE, F.TRIAL_METRIC_REPORTS, F.RESOURCES_MACHINE, F.LABELS, F.NATIVE),
]
_RESTORED = [
    *(F.PARAMETER_FLOAT_STEP, F.PARAMETER_INT_STEP, F.PARAMETER_DISCRETE, F.PARAMETER_DISCRETE_SCALE),
    *(F.PARAMETER_CATEGORICAL_NUMBER, F.PARAMETER_CATEGORICAL_BOOL),
]
_NEAREST = [F.ALGORITHM_TPE, F.ALGORITHM_SOBOL]
_BRANCHES = [F.PARAMETER_CONDITION, F.PARAMETER_CONDITION_NESTED, F.PARAMETER_SAME_NAME]
_NO_WORD = unsupported("nimbus has no word for it", instead="leave it out")

CAPABILITIES = Capabilities(
    supports={
        **{
            feature: dropped("nimbus does not note it") if CATALOGUE[feature].weight == "cosmetic" else _NO_WORD
            for feature in F
        },
        **dict.fromkeys(_SAID, exact(evidence="API reference")),
        **dict.fromkeys(_RESTORED, emulated("tuneport_trial", "read back through TUNEPORT_SPACE")),
        **dict.fromkeys(_NEAREST, approximated("nimbus takes its nearest method")),
        **dict.fromkeys(_BRANCHES, approximated("all parameters are searched; trials get the active ones")),
        F.TRIAL_COMMAND: approximated("runs inside of the image of the settings"),
        F.BUDGET_ANY_TRIALS: approximated("as many trials as nimbus takes, which is 1000"),
    },
    limits=Limits(max_parameters=20, max_objectives=1, max_trials=1000, max_parallel_trials=10),
    home=Home(uri=r"nim://.*", image=r"nimbus/.*", machine=r"n\.\w+"),
    needs=(
        Need("/trial/image", "trials are containers", "give trial.image, or set nimbus.image"),
        Need("/trial/output/uri", "results go to a bucket", "give trial.output.uri, or set nimbus.results"),
    ),
    material=("/firewall",),
)
