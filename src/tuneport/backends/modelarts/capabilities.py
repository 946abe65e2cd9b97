"""What ModelArts can do, as data. Evidence names fields of its API, or sections of the facts that are known of it."""

from __future__ import annotations

from tuneport.model.features import Feature
from tuneport.model.parameters import MAX_CHOICES
from tuneport.translation.capabilities import (
    Capabilities,
    Home,
    Limits,
    approximated,
    dropped,
    emulated,
    exact,
    unsupported,
)
from tuneport.translation.lowering import Vocabulary

F = Feature
VOCABULARY = Vocabulary(
    ints=False,
    listed_numbers=64,  # not the service's limit: what is longer is rather searched as a range and rounded
    float_scales=frozenset({"linear"}),
    list_scales=frozenset({"linear"}),
    names=r"[A-Za-z0-9_-]{1,64}",
)
FILE_VOCABULARY = Vocabulary(
    ints=False,
    listed_numbers=MAX_CHOICES,  # nothing that rounds reads a file's hints
    typed_choices=True,
    float_scales=frozenset({"linear", "log"}),
    list_scales=frozenset({"linear", "log"}),
    names=VOCABULARY.names,
)
"""What AutoSearch files have words for."""
_TRIAL = "tuneport_trial"

_NOT_THERE = unsupported(
    "the service does not search so", instead="use {kind: bayesian} or {kind: tpe}", evidence="algo_configs[].name"
)
_NO_STOPPING = unsupported(
    "no trial is stopped by itself there; a person can stop one",
    instead="leave early_stopping out",
    evidence="policies.auto_search has no field for it; POST autosearch-trial-earlystop is by hand",
)
_NO_BOUNDS = unsupported(
    "only the objective is looked at", instead="leave constraints out", evidence="auto_search has no field"
)
_NO_CONDITIONS = emulated(
    _TRIAL,
    "every parameter is always searched; those that are not active are kept from the trainer",
    evidence="search_params has no field for it",
)
_ONE_SCALE = approximated("ranges are measured evenly there", evidence="search_params has no field for scales")
_LISTED = "listed if there are few values, else searched as a range and rounded"
_NO_LOG = "searched as the exponent of 10, under another name"
_NO_WORD = "a job says nothing of it"
_NO_WARM_START = unsupported(
    "a search there starts from nothing", instead="leave warm_start out", evidence="auto_search has no field for it"
)
_POOLS_NETWORK = unsupported(
    "a dedicated pool has its network", instead="leave it out, and choose a pool", evidence="spec.resource.pool_id"
)
_FLAVOR = "by the machine type that has it"
_SHARED = "the job's machines are shared by its trials"

_MACHINES = (F.RESOURCES_GPU_TYPE, F.RESOURCES_GPU_MEMORY, F.RESOURCES_MEMORY, F.RESOURCES_DISK)
_PLACES = (F.RESOURCES_MACHINE, F.RESOURCES_POOL)
_JOBS_SAY = dropped("a job that is made of it says on what it runs", evidence="resource_requirements")
_ALGORITHM = {
    **dict.fromkeys((*_MACHINES, *_PLACES, F.RESOURCES_GPU_SHARE, F.RESOURCES_CPUS), _JOBS_SAY),
    F.RESOURCES_GPUS: exact("one or several", evidence="resource_requirements device_distributed_mode"),
    F.RESOURCES_REPLICAS: approximated("one or several", evidence="resource_requirements host_distributed_mode"),
}
"""What stored algorithms do otherwise."""

_FILE_LISTS = approximated("listed one by one", evidence="discrete_param values")
_FILE_CONDITIONS = unsupported(
    "every parameter is always searched, and nothing there brings hints to the trainer",
    instead="leave conditions out, or write a job",
    evidence="search_space",
)
_FILE = {
    **dict.fromkeys(
        (*_MACHINES, *_PLACES), dropped("the job that names the file says on what it runs", evidence="general")
    ),
    F.RESOURCES_GPUS: exact("for each trial", evidence="general.gpu_per_instance"),
    F.RESOURCES_GPU_SHARE: approximated("whole ones", evidence="general.gpu_per_instance"),
    F.RESOURCES_CPUS: exact("for each trial, rounded up", evidence="general.cpu_per_instance"),
    F.RESOURCES_REPLICAS: exact("for each trial", evidence="general.instance_per_trial"),
    F.PARAMETER_FLOAT_LOG: exact("as exponents", evidence="continuous_param base"),
    F.PARAMETER_FLOAT_STEP: exact("where a number of points says the step", evidence="continuous_param num"),
    F.PARAMETER_INT: _FILE_LISTS,
    F.PARAMETER_INT_LOG: _FILE_LISTS,
    F.PARAMETER_INT_STEP: _FILE_LISTS,
    F.PARAMETER_CATEGORICAL_NUMBER: approximated("numbers alone are taken to have an order", evidence="values"),
    F.PARAMETER_CONDITION: _FILE_CONDITIONS,
    F.PARAMETER_CONDITION_NESTED: _FILE_CONDITIONS,
    F.PARAMETER_SAME_NAME: _FILE_CONDITIONS,
    F.ALGORITHM_GRID: exact(evidence="search_algorithm.type grid_search"),
    F.BUDGET_ANY_TRIALS: exact("for a grid; else it is 20", evidence="search_algorithm.num_samples"),
    F.BUDGET_PARALLEL_TRIALS: exact(evidence="search_algorithm.max_concurrent"),
}
"""What AutoSearch files do otherwise."""

CAPABILITIES = Capabilities(
    supports={
        F.PARAMETER_FLOAT: exact(evidence="search_params[].lower_bound, upper_bound"),
        F.PARAMETER_FLOAT_LOG: emulated(_TRIAL, _NO_LOG, evidence="search_params has no field for scales"),
        F.PARAMETER_FLOAT_REVERSE_LOG: _ONE_SCALE,
        F.PARAMETER_FLOAT_STEP: exact("where a number of points says the step", evidence="discrete_points_num"),
        F.PARAMETER_INT: emulated(_TRIAL, _LISTED, evidence="search_params[].param_type: continuous, discrete"),
        F.PARAMETER_INT_LOG: emulated(_TRIAL, f"{_NO_LOG}, and rounded", evidence="search_params: no scales"),
        F.PARAMETER_INT_REVERSE_LOG: _ONE_SCALE,
        F.PARAMETER_INT_STEP: emulated(_TRIAL, _LISTED, evidence="search_params[].param_type"),
        F.PARAMETER_SCALE_AUTO: _ONE_SCALE,
        F.PARAMETER_DISCRETE: exact(
            "whether the search knows their order is not documented", evidence="discrete_values; trials over 16, 32, 64"
        ),
        F.PARAMETER_DISCRETE_SCALE: approximated("values are listed without a measure", evidence="discrete_values"),
        F.PARAMETER_CATEGORICAL_TEXT: exact(
            "the guide speaks of real numbers alone, the interface of values", evidence="discrete_values"
        ),
        F.PARAMETER_CATEGORICAL_NUMBER: emulated(_TRIAL, "listed as text", evidence="discrete_values"),
        F.PARAMETER_CATEGORICAL_BOOL: exact(evidence="constraint.type Boolean; discrete_values True, False"),
        F.PARAMETER_DEFAULT: approximated(
            "it is the parameter's default, which need not be tried first", evidence="parameters[].value"
        ),
        F.PARAMETER_CONDITION: _NO_CONDITIONS,
        F.PARAMETER_CONDITION_NESTED: _NO_CONDITIONS,
        F.PARAMETER_SAME_NAME: _NO_CONDITIONS,
        F.OBJECTIVE_SEVERAL: approximated(
            "the first one steers the search; the others become columns",
            evidence="reward_attrs[]; the console takes one",
        ),
        F.OBJECTIVE_TARGET: unsupported(
            "a job there does not end at a value", instead="leave the target out", evidence="auto_search has no field"
        ),
        F.OBJECTIVE_CONSTRAINT: _NO_BOUNDS,
        F.OBJECTIVE_CONSTRAINT_RANGE: _NO_BOUNDS,
        F.OBJECTIVE_CONSTRAINT_OPTIMISED: _NO_BOUNDS,
        F.ALGORITHM_RANDOM: exact(
            "Parzen estimation that has as many random trials as there are trials",
            evidence="tpe_search n_initial_points",
        ),
        F.ALGORITHM_GRID: approximated(
            "only AutoSearch files have a grid; a job draws from it at random",
            evidence="search_algorithm.type grid_search",
        ),
        F.ALGORITHM_SOBOL: approximated("drawn at random", evidence="GET search-algorithms lists three"),
        F.ALGORITHM_BAYESIAN: exact(evidence="bayes_opt_search: a Gaussian process"),
        F.ALGORITHM_BAYESIAN_OPTIONS: approximated(
            "it decides itself when to use its model", evidence="bayes_opt_search: kind, kappa, xi, num_samples, seed"
        ),
        F.ALGORITHM_TPE: exact(evidence="tpe_search"),
        F.ALGORITHM_TPE_OPTIONS: exact(
            "all but the number of candidates", evidence="tpe_search: gamma, n_initial_points, num_samples, seed"
        ),
        F.ALGORITHM_ANNEAL: exact(evidence="anneal_search"),
        F.ALGORITHM_ANNEAL_OPTIONS: exact(evidence="anneal_search: avg_best_idx, shrink_coef"),
        F.ALGORITHM_HYPERBAND: unsupported(
            "no trial is stopped by itself there",
            instead="use {kind: random} or {kind: tpe}",
            evidence="algo_configs[].name",
        ),
        F.ALGORITHM_HYPERBAND_OPTIONS: unsupported(
            "no trial is stopped by itself there",
            instead="use {kind: random} or {kind: tpe}",
            evidence="algo_configs[].name",
        ),
        F.ALGORITHM_CMAES: _NOT_THERE,
        F.ALGORITHM_CMAES_OPTIONS: _NOT_THERE,
        F.ALGORITHM_PBT: _NOT_THERE,
        F.ALGORITHM_PBT_OPTIONS: _NOT_THERE,
        F.ALGORITHM_PLUGIN: _NOT_THERE,
        F.ALGORITHM_AUTO: _NOT_THERE,
        F.ALGORITHM_SEED: exact(evidence="algo_configs[].params seed"),
        F.EARLY_STOPPING_MEDIAN: _NO_STOPPING,
        F.EARLY_STOPPING_MEDIAN_OPTIONS: _NO_STOPPING,
        F.EARLY_STOPPING_ASHA: _NO_STOPPING,
        F.EARLY_STOPPING_ASHA_OPTIONS: _NO_STOPPING,
        F.EARLY_STOPPING_PROMOTION: _NO_STOPPING,
        F.EARLY_STOPPING_CURVE: _NO_STOPPING,
        F.EARLY_STOPPING_CURVE_OPTIONS: _NO_STOPPING,
        F.EARLY_STOPPING_AUTO: approximated("every trial runs to its end", evidence="auto_search has no field for it"),
        F.MEASUREMENT_BEST: approximated(
            "the last and the best report are both in the table; which one steers is not documented",
            evidence="autosearch-trials: reward_attr, best_reward",
        ),
        F.BUDGET_MAX_TRIALS: exact(evidence="algo_configs[].params num_samples"),
        F.BUDGET_ANY_TRIALS: unsupported(
            "without a number it is 20 trials", instead="say max_trials", evidence="num_samples, default 20"
        ),
        F.BUDGET_PARALLEL_TRIALS: approximated(
            "only AutoSearch files say how many run at once; for a job the service decides",
            evidence="search_algorithm.max_concurrent",
        ),
        F.BUDGET_MAX_FAILED_TRIALS: approximated("failed trials do not end a job", evidence="auto_search has no field"),
        F.BUDGET_MAX_SECONDS: exact("in whole hours, rounded up", evidence="spec.auto_stop"),
        F.BUDGET_NO_IMPROVEMENT: approximated("all trials are run", evidence="auto_search has no field for it"),
        F.BUDGET_MAX_COST: unsupported(
            "no limit on money can be said",
            instead="limit max_trials or max_seconds",
            evidence="spec has no field for it",
        ),
        F.TRIAL_COMMAND: exact(
            "with an image; a Python file of the package is the boot file", evidence="boot_file, command"
        ),
        F.TRIAL_IMAGE: unsupported(
            "an own image is started by a command", instead="say trial.command as well", evidence="error 2806"
        ),
        F.TRIAL_IMAGE_COMMAND: exact(evidence="engine.image_url, command"),
        F.TRIAL_IMAGE_MODULE: exact("as python -m", evidence="engine.image_url, command"),
        F.TRIAL_MODULE: exact("as python -m", evidence="command"),
        F.TRIAL_PACKAGE_LOCAL: unsupported(
            "code is taken from OBS", instead="put it there, and say obs://bucket/folder/", evidence="code_dir"
        ),
        F.TRIAL_PACKAGE_REMOTE: approximated(
            "a folder, no archive; under a preset engine a module is run as a file", evidence="code_dir, boot_file"
        ),
        F.TRIAL_FUNCTION: unsupported(
            "a function of this machine is not there",
            instead="put it into a package, and run python -m tuneport_trial module:function",
            evidence="boot_file, command",
        ),
        F.TRIAL_ALGORITHM: exact(evidence="algorithm.id; subscription_id, item_version_id"),
        F.TRIAL_VARIANTS: unsupported(
            "all trials of a job run the same", instead="write a job for each variant", evidence="one algorithm per job"
        ),
        F.TRIAL_VARIANT_METRIC: unsupported(
            "all trials of a job have the same metric",
            instead="write a job for each variant",
            evidence="reward_attrs[]",
        ),
        F.TRIAL_ARGS: exact(
            "with an image; beside a boot file only parameters can be given", evidence="command; parameters[]"
        ),
        F.TRIAL_FIXED_PARAMETERS: exact(evidence="parameters[] that are not in search_params"),
        F.TRIAL_ENV: exact(evidence="algorithm.environments"),
        F.TRIAL_INPUTS_LOCAL: unsupported(
            "data are taken from OBS",
            instead="put them there, and say obs://bucket/folder/",
            evidence="inputs[].remote",
        ),
        F.TRIAL_INPUTS_REMOTE: exact(evidence="inputs[].remote.obs, .dataset; spec.volumes[]"),
        F.TRIAL_INPUTS_FORMAT: dropped(
            "trainers there are not told of formats", evidence="inputs[] has no field for it"
        ),
        F.TRIAL_INPUTS_MODE: approximated("data are copied before the start", evidence="inputs[]; volumes are mounted"),
        F.TRIAL_INPUTS_SHARDED: approximated("every machine gets all data", evidence="inputs[] has no field for it"),
        F.TRIAL_INPUTS_WRITABLE: exact("for nfs://", evidence="spec.volumes[].nfs.read_only"),
        F.TRIAL_INPUTS_PATH: exact(evidence="inputs[].local_dir, spec.volumes[].nfs.local_path"),
        F.TRIAL_TOLD_BY: exact("but for volumes", evidence="inputs[], outputs[].name, .access_method: parameter, env"),
        F.TRIAL_OUTPUT_LOCAL: unsupported(
            "results go to OBS", instead="say a folder there: obs://bucket/folder/", evidence="outputs[].remote"
        ),
        F.TRIAL_OUTPUT_REMOTE: exact(evidence="outputs[].remote.obs, by the name train_url where none is said"),
        F.TRIAL_TIMEOUT: unsupported(
            "only the whole job has a limit",
            instead="leave it out, or set budget.max_seconds",
            evidence="spec.auto_stop",
        ),
        F.TRIAL_RETRIES: approximated(
            "the whole job is started anew, not a trial", evidence="annotations fault-tolerance/job-retry-num"
        ),
        F.TRIAL_SPOT: approximated(
            "ordinary capacity is used, at its price", evidence="spec.resource has no field for it"
        ),
        F.TRIAL_MAX_WAIT: dropped("jobs wait until there is room", evidence="spec has no field for it"),
        F.TRIAL_IDENTITY: approximated("jobs run with what the account has authorised", evidence="no field for it"),
        F.TRIAL_NETWORK_NAME: _POOLS_NETWORK,
        F.TRIAL_NETWORK_SUBNETS: _POOLS_NETWORK,
        F.TRIAL_NETWORK_ISOLATED: unsupported(_NO_WORD, instead="use a pool whose network is closed", evidence="spec"),
        F.TRIAL_NETWORK_ENCRYPTED: unsupported(_NO_WORD, instead="leave it out", evidence="spec has no field for it"),
        F.TRIAL_ENCRYPTION_KEY: unsupported(_NO_WORD, instead="encrypt the bucket on OBS", evidence="outputs[].remote"),
        F.TRIAL_ENCRYPTION_DISK_KEY: unsupported(_NO_WORD, instead="leave it out", evidence="spec has no field for it"),
        F.TRIAL_METRIC_REPORTS: exact("found as tuneport_trial prints them", evidence="reward_attrs[].regex"),
        F.TRIAL_METRIC_PATTERNS: exact("of objectives", evidence="reward_attrs[].regex"),
        F.TRIAL_WARM_WORKERS: dropped(
            "the service starts each trial on a machine of its own", evidence="training jobs have no field for it"
        ),
        F.TRIAL_RESUMABLE: dropped("nothing is paused there", evidence="spec has no field for it"),
        F.TRIAL_PRELOAD: dropped(
            "each trial imports its modules itself", evidence="training jobs have no field for it"
        ),
        F.RESOURCES_GPUS: exact(f"{_FLAVOR}; {_SHARED}", evidence="spec.resource.flavor_id"),
        F.RESOURCES_GPU_SHARE: approximated(_SHARED, evidence="spec.resource.flavor_id"),
        F.RESOURCES_GPU_TYPE: exact(_FLAVOR, evidence="spec.resource.flavor_id"),
        F.RESOURCES_GPU_MEMORY: approximated(_SHARED, evidence="spec.resource.flavor_id"),
        F.RESOURCES_CPUS: exact(f"{_FLAVOR}; {_SHARED}", evidence="flavor_id, main_container_customized_flavor"),
        F.RESOURCES_MEMORY: exact(f"{_FLAVOR}; {_SHARED}", evidence="flavor_id, main_container_customized_flavor"),
        F.RESOURCES_DISK: approximated(
            "disks come with the machine type", evidence="spec.resource has no field for it"
        ),
        F.RESOURCES_REPLICAS: approximated(_SHARED, evidence="spec.resource.node_count"),
        F.RESOURCES_MACHINE: exact(_SHARED, evidence="spec.resource.flavor_id"),
        F.RESOURCES_POOL: exact(evidence="spec.resource.pool_id"),
        F.WARM_START_TRANSFER: _NO_WARM_START,
        F.WARM_START_IDENTICAL: _NO_WARM_START,
        F.DESCRIPTION: exact("of the job, its parameters and its channels", evidence="description"),
        F.EXPERIMENT: exact("by its name", evidence="metadata.training_experiment_reference"),
        F.EXPERIMENT_TENSORBOARD: dropped("curves are found in the job's logs", evidence="algorithm.summary"),
        F.LABELS: exact("by a call of their own", evidence="POST modelarts-training-job/{id}/tags/create"),
        F.NATIVE: exact(evidence="boxes of ModelArts are put back"),
    },
    vocabulary=VOCABULARY,
    submits=("job", "algorithm"),
    without_machines=frozenset({"algorithm", "yaml"}),
    by_form={"algorithm": _ALGORITHM, "yaml": _FILE},
    limits=Limits(),
    home=Home(
        cloud="modelarts",
        uri=r"(obs|dataset|nfs|pfs)://.*",
        image=r"[^/:]+|[^/:]+:[^/]*py[^/]*|(swr[.-][^/]+/)?[^/.:]+/[^/]+",
        machine=r"modelarts\..*",
        network="",
        key="",
        pool=r"[^/]+",
        algorithm=r"[\w.-]+(/[\w.-]+)?",
        experiment=r"[^/:]+",
        code="folder",
    ),
    material=(
        "/algorithm/policies/auto_search/skip_search_params",
        "/algorithm/policies/auto_search/algo_configs",
        "/advanced_config/auto_search/skip_search_params",
        "/advanced_config/auto_search/algo_configs",
        "/job_config/outputs",
        "/algorithm/inputs/*/remote/obs",
        "/algorithm/inputs/*/remote/dataset/id",
        "/algorithm/outputs/*/remote",
        "/algorithm/parameters/*/value",
        "/algorithm/parameters/*/constraint/type",
        "/job_config/parameters/*/constraint/type",
        "/algorithm/autosearch_config_path",
        "/algorithm/autosearch_framework_path",
        "/spec/volumes",
        "/spec/resource/main_container_customized_flavor",
        "/tasks",
        "/search_algorithm/kind",
        "/search_algorithm/save_model_count",
        "/scheduler",
    ),
)
