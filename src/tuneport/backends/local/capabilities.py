"""What the engine on this machine can do."""

from __future__ import annotations

from tuneport.model.features import Feature
from tuneport.translation.capabilities import Capabilities, approximated, dropped, exact, unsupported

F = Feature
_NO_CURVES = unsupported(
    "learning curves are not extrapolated on this machine yet", instead="use {kind: median} or {kind: asha}"
)

CAPABILITIES = Capabilities(
    supports={
        F.PARAMETER_FLOAT: exact(),
        F.PARAMETER_FLOAT_LOG: exact(),
        F.PARAMETER_FLOAT_REVERSE_LOG: exact(),
        F.PARAMETER_FLOAT_STEP: exact(),
        F.PARAMETER_INT: exact(),
        F.PARAMETER_INT_LOG: exact(),
        F.PARAMETER_INT_REVERSE_LOG: exact(),
        F.PARAMETER_INT_STEP: exact(),
        F.PARAMETER_SCALE_AUTO: exact("taken as linear"),
        F.PARAMETER_DISCRETE: exact(),
        F.PARAMETER_DISCRETE_SCALE: exact(),
        F.PARAMETER_CATEGORICAL_TEXT: exact(),
        F.PARAMETER_CATEGORICAL_NUMBER: exact(),
        F.PARAMETER_CATEGORICAL_BOOL: exact(),
        F.PARAMETER_DEFAULT: exact(),
        F.PARAMETER_CONDITION: exact(),
        F.PARAMETER_CONDITION_NESTED: exact(),
        F.PARAMETER_SAME_NAME: exact(),
        F.OBJECTIVE_SEVERAL: exact("all of them steer; the best trial goes by the first"),
        F.OBJECTIVE_TARGET: exact(),
        F.OBJECTIVE_CONSTRAINT: exact(),
        F.ALGORITHM_RANDOM: exact(),
        F.ALGORITHM_GRID: exact(),
        F.ALGORITHM_SOBOL: exact(),
        F.ALGORITHM_BAYESIAN: exact(),
        F.ALGORITHM_BAYESIAN_OPTIONS: exact(),
        F.ALGORITHM_TPE: exact(),
        F.ALGORITHM_TPE_OPTIONS: exact(),
        F.ALGORITHM_ANNEAL: exact(),
        F.ALGORITHM_ANNEAL_OPTIONS: exact(),
        F.ALGORITHM_HYPERBAND: exact(),
        F.ALGORITHM_HYPERBAND_OPTIONS: exact(),
        F.ALGORITHM_CMAES: exact(),
        F.ALGORITHM_CMAES_OPTIONS: exact(),
        F.ALGORITHM_PLUGIN: exact(),
        F.ALGORITHM_AUTO: exact(),
        F.ALGORITHM_SEED: exact(),
        F.EARLY_STOPPING_MEDIAN: exact(),
        F.EARLY_STOPPING_MEDIAN_OPTIONS: exact(),
        F.EARLY_STOPPING_ASHA: exact(),
        F.EARLY_STOPPING_ASHA_OPTIONS: exact(),
        F.EARLY_STOPPING_CURVE: _NO_CURVES,
        F.EARLY_STOPPING_CURVE_OPTIONS: _NO_CURVES,
        F.EARLY_STOPPING_AUTO: exact("the median rule"),
        F.MEASUREMENT_BEST: exact(),
        F.BUDGET_MAX_TRIALS: exact(),
        F.BUDGET_ANY_TRIALS: exact(),
        F.BUDGET_PARALLEL_TRIALS: exact(),
        F.BUDGET_MAX_FAILED_TRIALS: exact(),
        F.BUDGET_MAX_SECONDS: exact(),
        F.BUDGET_NO_IMPROVEMENT: exact(),
        F.BUDGET_MAX_COST: unsupported("no price of this machine is known", instead="limit max_seconds or max_trials"),
        F.TRIAL_COMMAND: exact(),
        F.TRIAL_IMAGE: unsupported(
            "containers are not started on this machine", instead="give a command as well; it runs without the image"
        ),
        F.TRIAL_IMAGE_COMMAND: approximated("the command runs without the image, with what this machine has installed"),
        F.TRIAL_IMAGE_MODULE: approximated("the module runs without the image, with what this machine has installed"),
        F.TRIAL_MODULE: exact(),
        F.TRIAL_PACKAGE_LOCAL: exact("put on the module path, not installed; a command runs in its directory"),
        F.TRIAL_PACKAGE_REMOTE: unsupported(
            "nothing is fetched from elsewhere", instead="copy it here and give the local path"
        ),
        F.TRIAL_FUNCTION: exact(),
        F.TRIAL_ALGORITHM: unsupported(
            "an algorithm that a cloud keeps cannot run on this machine", instead="say what to run: command or module"
        ),
        F.TRIAL_VARIANTS: exact(),
        F.TRIAL_VARIANT_METRIC: exact(),
        F.TRIAL_ARGS: exact(),
        F.TRIAL_FIXED_PARAMETERS: exact(),
        F.TRIAL_ENV: exact(),
        F.TRIAL_INPUTS_LOCAL: exact(),
        F.TRIAL_INPUTS_REMOTE: unsupported(
            "data is not fetched from elsewhere", instead="copy it here and give the local path"
        ),
        F.TRIAL_INPUTS_FORMAT: dropped("trainers here are not told of formats"),
        F.TRIAL_INPUTS_MODE: dropped("data of this machine is read where it is"),
        F.TRIAL_INPUTS_SHARDED: dropped("there is one replica, whose share is everything"),
        F.TRIAL_INPUTS_WRITABLE: dropped("trials have the rights of whoever runs them"),
        F.TRIAL_INPUTS_PATH: dropped("trials find data through tuneport_trial.data_dir, where it is"),
        F.TRIAL_TOLD_BY: dropped("trials find data through tuneport_trial.data_dir, where it is"),
        F.TRIAL_OUTPUT_LOCAL: exact(),
        F.TRIAL_OUTPUT_REMOTE: unsupported(
            "results are not sent elsewhere", instead="give a local folder, and copy it when the run has ended"
        ),
        F.TRIAL_TIMEOUT: exact(),
        F.TRIAL_RETRIES: exact(),
        F.TRIAL_SPOT: exact("nothing is taken away here"),
        F.TRIAL_MAX_WAIT: dropped("this machine is there"),
        F.TRIAL_IDENTITY: dropped("trials run as whoever runs tuneport"),
        F.TRIAL_NETWORK_NAME: dropped("trials use the network of this machine"),
        F.TRIAL_NETWORK_SUBNETS: dropped("trials use the network of this machine"),
        F.TRIAL_NETWORK_ISOLATED: approximated("trials can reach what this machine can reach"),
        F.TRIAL_NETWORK_ENCRYPTED: dropped("there is one replica, and no traffic between several"),
        F.TRIAL_ENCRYPTION_KEY: approximated("results are kept as this machine keeps files"),
        F.TRIAL_ENCRYPTION_DISK_KEY: approximated("results are kept as this machine keeps files"),
        F.TRIAL_METRIC_REPORTS: exact(),
        F.TRIAL_METRIC_PATTERNS: exact(),
        F.RESOURCES_GPUS: exact(),
        F.RESOURCES_GPU_SHARE: exact(),
        F.RESOURCES_GPU_TYPE: approximated("trials get the GPUs that this machine has"),
        F.RESOURCES_GPU_MEMORY: exact(),
        F.RESOURCES_CPUS: approximated("trials are told how many cores to use; nothing holds them to it"),
        F.TRIAL_WARM_WORKERS: exact("on Linux, for Python scripts and modules; others are started as ever"),
        F.TRIAL_PRELOAD: exact(),
        F.RESOURCES_MEMORY: approximated("trials share the memory of this machine"),
        F.RESOURCES_DISK: approximated("trials share the disk of this machine"),
        F.RESOURCES_REPLICAS: unsupported("there is only this one machine", instead="set replicas to 1"),
        F.RESOURCES_MACHINE: dropped("a machine type of a cloud means nothing here"),
        F.RESOURCES_POOL: dropped("reserved machines of a cloud mean nothing here"),
        F.WARM_START_TRANSFER: unsupported(
            "earlier runs are not learnt from on this machine yet", instead="leave warm_start out"
        ),
        F.WARM_START_IDENTICAL: unsupported(
            "earlier runs are not gone on with in a new one yet", instead="resume the earlier run itself"
        ),
        F.DESCRIPTION: exact(),
        F.EXPERIMENT: dropped("experiments of a cloud mean nothing here"),
        F.EXPERIMENT_TENSORBOARD: dropped("a TensorBoard of a cloud means nothing here"),
        F.LABELS: exact(),
        F.NATIVE: dropped("boxes of clouds mean nothing here"),
    },
)
