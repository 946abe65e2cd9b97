"""What tuning jobs of Vertex AI can do, by its documents and protos of August 2026."""

from __future__ import annotations

from collections.abc import Mapping

from tuneport.model.features import Feature
from tuneport.translation.capabilities import (
    Capabilities,
    Home,
    Limits,
    Need,
    Support,
    approximated,
    dropped,
    emulated,
    exact,
    unsupported,
)
from tuneport.translation.lowering import Vocabulary

F = Feature

VOCABULARY = Vocabulary(ints=True, listed_numbers=1000, typed_choices=False, conditions=True)

_HUB = r"(docker\.io/)?[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9._-]*)?([:@].+)?"
HOME = Home(
    cloud="vertex",
    uri=r"gs://.+|nfs://[^/]+/.*|lustre://[^/]+/[^/?]+\?volume=.+",
    image=rf"([a-z0-9-]+\.)*(gcr\.io|pkg\.dev)/.+|{_HUB}",
    machine=r"(?!ml\.|modelarts\.)[\s\S]*",
    identity=r"[^@\s]+@[^@\s]+\.gserviceaccount\.com",
    network=r"projects/[^/]+/global/networks/.+",
    key=r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/.+",
    pool=r"[a-z][a-z0-9-]*",
    algorithm="",
    experiment=r"projects/.+",
    code="distribution",
)
"""Images are taken from Artifact Registry and from Docker Hub, whose names have no host. A machine is
Google's unless it is plainly another cloud's: there are new ones every year."""

NEEDS = (
    Need("/trial/image", "trials run in containers", "give trial.image, in Artifact Registry, or the setting image"),
    Need(
        "/trial/resources/machine",
        "every worker pool has a machine type",
        "give trial.resources.machine, or gpus, cpus and memory from which one is chosen, or the setting machine",
    ),
)

MATERIAL = (
    "/maxTrialCount",
    "/parallelTrialCount",
    "/maxFailedTrialCount",
    "/studySpec/metrics",
    "/studySpec/parameters",
    "/studySpec/algorithm",
    "/trialJobSpec/workerPoolSpecs/[1]",
    "/trialJobSpec/workerPoolSpecs/[2]",
    "/trialJobSpec/workerPoolSpecs/[3]",
    "/trialJobSpec/workerPoolSpecs/*/machineSpec",
    "/trialJobSpec/workerPoolSpecs/*/pythonPackageSpec/packageUris",
    "/trialJobSpec/workerPoolSpecs/*/nfsMounts",
    "/trialJobSpec/workerPoolSpecs/*/lustreMounts",
    "/trialJobSpec/scheduling/strategy",
    "/trialJobSpec/scheduling/timeout",
    "/trialJobSpec/pscInterfaceConfig",
    "/trialJobSpec/reservedIpRanges",
    "/trialJobSpec/models",
    "/inputDataConfig",
    "/modelToUpload",
    "/parentModel",
)
"""Symbols for what is searched and for limits, thresholds of metrics, further pools, odd machines and packages, queued
capacity, networks, data sets, and models."""

_INERT = "the API takes it, but Google does not say that tuning jobs follow it"
_STAND_IN = f"sent as the median rule: {_INERT}"
_AS_COMMAND = "without a package, sent as the command env python3 -m MODULE"
_UPLOAD = "upload it and give its gs:// uri"
_NO_OPTIONS = "the service chooses them itself"
_NOT_THERE = unsupported(
    "the service does not search so", instead="use {kind: bayesian} or {kind: random}", evidence="StudySpec.Algorithm"
)
_DEFAULT_SEARCH = "sent as the service's own Bayesian optimisation"
_OWN_NETWORK = "a job joins one peered network as a whole"
_BY_MACHINE = "the machine type"
_MACHINE = "machines come by their type, and jobs cannot say what they need of one"
_TRIAL = "tuneport_trial"
_STEPS = "sent as a list of numbers, which means the same, or as a range if they are more than 1000"

_SPACE: Mapping[Feature, Support] = {
    F.PARAMETER_FLOAT: exact(evidence="StudySpec.ParameterSpec.DoubleValueSpec"),
    F.PARAMETER_FLOAT_LOG: exact(evidence="ScaleType UNIT_LOG_SCALE"),
    F.PARAMETER_FLOAT_REVERSE_LOG: exact("bounds must be above 0", evidence="ScaleType UNIT_REVERSE_LOG_SCALE"),
    F.PARAMETER_FLOAT_STEP: emulated(_TRIAL, _STEPS, evidence="DiscreteValueSpec.values: at most 1000"),
    F.PARAMETER_INT: exact(evidence="StudySpec.ParameterSpec.IntegerValueSpec"),
    F.PARAMETER_INT_LOG: exact(evidence="ScaleType UNIT_LOG_SCALE"),
    F.PARAMETER_INT_REVERSE_LOG: exact(evidence="ScaleType UNIT_REVERSE_LOG_SCALE"),
    F.PARAMETER_INT_STEP: emulated(_TRIAL, _STEPS, evidence="DiscreteValueSpec.values: at most 1000"),
    F.PARAMETER_SCALE_AUTO: exact("no scaling", evidence="ScaleType SCALE_TYPE_UNSPECIFIED"),
    F.PARAMETER_DISCRETE: exact(evidence="StudySpec.ParameterSpec.DiscreteValueSpec, at most 1000 values"),
    F.PARAMETER_DISCRETE_SCALE: exact(evidence="ScaleType; docs recommend it for ranges"),
    F.PARAMETER_CATEGORICAL_TEXT: exact(evidence="StudySpec.ParameterSpec.CategoricalValueSpec"),
    F.PARAMETER_CATEGORICAL_NUMBER: emulated(_TRIAL, "sent as text", evidence="CategoricalValueSpec.values: string[]"),
    F.PARAMETER_CATEGORICAL_BOOL: emulated(_TRIAL, "sent as text", evidence="CategoricalValueSpec.values: string[]"),
    F.PARAMETER_DEFAULT: approximated(
        "sent, but tuning jobs do not try it first", evidence="DoubleValueSpec.defaultValue"
    ),
    F.PARAMETER_CONDITION: exact(evidence="ConditionalParameterSpec"),
    F.PARAMETER_CONDITION_NESTED: exact(evidence="ConditionalParameterSpec is recursive"),
    F.PARAMETER_SAME_NAME: exact(evidence="ConditionalParameterSpec: disjoint conditions"),
}

_STUDY: Mapping[Feature, Support] = {
    F.OBJECTIVE_SEVERAL: exact("no order among them: all are equal", evidence="StudySpec.metrics"),
    F.OBJECTIVE_TARGET: unsupported(
        "no metric ends a job",
        instead="leave target out, and stop the run when it is reached",
        evidence="StudySpec.MetricSpec",
    ),
    F.OBJECTIVE_CONSTRAINT: approximated(
        "sent as a safety metric, of which Google does not say that tuning jobs follow it; what is best is judged here",
        evidence="StudySpec.MetricSpec.safety_config",
    ),
    F.OBJECTIVE_CONSTRAINT_RANGE: unsupported(
        "a safety metric has one threshold",
        instead="keep one bound, or report the metric under two names and bound each",
        evidence="SafetyMetricConfig.safety_threshold",
    ),
    F.OBJECTIVE_CONSTRAINT_OPTIMISED: unsupported(
        "a safety metric is another than those that are optimised, and each is named once",
        instead="report the metric under a second name and bound that",
        evidence="StudySpec.MetricSpec.safety_config, metric_id",
    ),
    F.ALGORITHM_RANDOM: exact(evidence="Algorithm RANDOM_SEARCH"),
    F.ALGORITHM_GRID: exact("in an order of its own", evidence="Algorithm GRID_SEARCH"),
    F.ALGORITHM_SOBOL: approximated("sent as random search", evidence="StudySpec.Algorithm"),
    F.ALGORITHM_BAYESIAN: exact(evidence="Overview of hyperparameter tuning: the default algorithm"),
    F.ALGORITHM_BAYESIAN_OPTIONS: dropped(_NO_OPTIONS, evidence="StudySpec.Algorithm"),
    F.ALGORITHM_TPE: approximated(_DEFAULT_SEARCH, evidence="StudySpec.Algorithm"),
    F.ALGORITHM_TPE_OPTIONS: dropped(_NO_OPTIONS, evidence="StudySpec.Algorithm"),
    F.ALGORITHM_ANNEAL: approximated(_DEFAULT_SEARCH, evidence="StudySpec.Algorithm"),
    F.ALGORITHM_ANNEAL_OPTIONS: dropped(_NO_OPTIONS, evidence="StudySpec.Algorithm"),
    F.ALGORITHM_HYPERBAND: approximated("sent as random search; every trial runs to its end", evidence="Algorithm"),
    F.ALGORITHM_HYPERBAND_OPTIONS: dropped("trials are not cut short", evidence="StudySpec.Algorithm"),
    F.ALGORITHM_CMAES: _NOT_THERE,
    F.ALGORITHM_CMAES_OPTIONS: _NOT_THERE,
    F.ALGORITHM_PBT: _NOT_THERE,
    F.ALGORITHM_PBT_OPTIONS: _NOT_THERE,
    F.ALGORITHM_PLUGIN: _NOT_THERE,
    F.ALGORITHM_AUTO: _NOT_THERE,
    F.ALGORITHM_SEED: approximated("no seed can be given; suggestions are not repeatable", evidence="StudySpec"),
    F.EARLY_STOPPING_MEDIAN: approximated(_INERT, evidence="StudySpec.medianAutomatedStoppingSpec"),
    F.EARLY_STOPPING_MEDIAN_OPTIONS: approximated(
        "the rule of Vizier, with its own options", evidence="MedianAutomatedStoppingSpec"
    ),
    F.EARLY_STOPPING_ASHA: approximated(_STAND_IN, evidence="StudySpec.automated_stopping_spec"),
    F.EARLY_STOPPING_ASHA_OPTIONS: approximated(_STAND_IN, evidence="StudySpec.automated_stopping_spec"),
    F.EARLY_STOPPING_PROMOTION: approximated("nothing is paused there", evidence="Trial.State"),
    F.EARLY_STOPPING_CURVE: approximated(_INERT, evidence="StudySpec.decayCurveStoppingSpec"),
    F.EARLY_STOPPING_CURVE_OPTIONS: approximated(_INERT, evidence="StudySpec.convexAutomatedStoppingSpec"),
    F.EARLY_STOPPING_AUTO: approximated(_STAND_IN, evidence="StudySpec.automated_stopping_spec"),
    F.MEASUREMENT_BEST: exact(evidence="MeasurementSelectionType BEST_MEASUREMENT"),
}

_BUDGET: Mapping[Feature, Support] = {
    F.BUDGET_MAX_TRIALS: exact(evidence="maxTrialCount"),
    F.BUDGET_ANY_TRIALS: unsupported(
        "every tuning job says how many trials it has",
        instead="give budget.max_trials",
        evidence="maxTrialCount is required",
    ),
    F.BUDGET_PARALLEL_TRIALS: exact(evidence="parallelTrialCount"),
    F.BUDGET_MAX_FAILED_TRIALS: exact(evidence="maxFailedTrialCount; 0 is the service's own rule"),
    F.BUDGET_MAX_SECONDS: approximated(
        "sent as maximumRuntimeConstraint, of which Google does not say that tuning jobs follow it",
        evidence="StudySpec.StudyStoppingConfig",
    ),
    F.BUDGET_NO_IMPROVEMENT: approximated(
        "sent as maxNumTrialsNoProgress, of which Google does not say that tuning jobs follow it",
        evidence="StudySpec.StudyStoppingConfig",
    ),
    F.BUDGET_MAX_COST: unsupported(
        "jobs know no prices", instead="limit max_trials", evidence="HyperparameterTuningJob"
    ),
}

_PROGRAM: Mapping[Feature, Support] = {
    F.TRIAL_COMMAND: exact("in the image", evidence="ContainerSpec.command"),
    F.TRIAL_IMAGE: exact(evidence="ContainerSpec.imageUri"),
    F.TRIAL_IMAGE_COMMAND: exact(evidence="ContainerSpec.command"),
    F.TRIAL_IMAGE_MODULE: exact(_AS_COMMAND, evidence="ContainerSpec.command"),
    F.TRIAL_MODULE: exact(_AS_COMMAND, evidence="ContainerSpec.command"),
    F.TRIAL_PACKAGE_LOCAL: unsupported(
        "packages are fetched from Cloud Storage",
        instead=_UPLOAD,
        evidence="PythonPackageSpec.packageUris",
    ),
    F.TRIAL_PACKAGE_REMOTE: exact(evidence="PythonPackageSpec.packageUris"),
    F.TRIAL_FUNCTION: unsupported(
        "a function needs an image that has it",
        instead="give image, and command: [python3, -m, tuneport_trial, MODULE:FUNCTION]",
        evidence="WorkerPoolSpec.task",
    ),
    F.TRIAL_ALGORITHM: unsupported(
        "no stored algorithms, only images",
        instead="give the image of one that does the same",
        evidence="WorkerPoolSpec.task",
    ),
    F.TRIAL_VARIANTS: unsupported(
        "all trials of a job run the same", instead="make a job of each variant", evidence="trialJobSpec: one for all"
    ),
    F.TRIAL_VARIANT_METRIC: unsupported(
        "all trials of a job report the same metric",
        instead="make a job of each variant",
        evidence="MetricSpec.metricId",
    ),
    F.TRIAL_ARGS: exact(evidence="ContainerSpec.args"),
    F.TRIAL_FIXED_PARAMETERS: exact("as arguments, before those of searched ones", evidence="ContainerSpec.args"),
    F.TRIAL_ENV: exact(evidence="ContainerSpec.env, at most 100"),
    F.TRIAL_INPUTS_LOCAL: unsupported(
        "trials read from Cloud Storage",
        instead=_UPLOAD,
        evidence="Cloud Storage as a mounted file system",
    ),
    F.TRIAL_INPUTS_REMOTE: emulated(
        _TRIAL, "file systems and buckets are mounted, and data_dir finds them", evidence="CustomJobSpec has no inputs"
    ),
    F.TRIAL_INPUTS_FORMAT: dropped("trials are not told of formats", evidence="CustomJobSpec"),
    F.TRIAL_INPUTS_MODE: approximated("all data is mounted", evidence="Cloud Storage as a mounted file system"),
    F.TRIAL_INPUTS_SHARDED: approximated(
        "every replica sees everything, and must take its share", evidence="CustomJobSpec"
    ),
    F.TRIAL_INPUTS_WRITABLE: approximated(
        "the file server and the service account decide who may write", evidence="WorkerPoolSpec.nfsMounts"
    ),
    F.TRIAL_INPUTS_PATH: approximated(
        "file systems are mounted below /mnt/nfs and /mnt/lustre, buckets below /gcs", evidence="NfsMount.mountPoint"
    ),
    F.TRIAL_TOLD_BY: dropped("tuneport_trial.data_dir finds them", evidence="CustomJobSpec has no inputs"),
    F.TRIAL_OUTPUT_LOCAL: unsupported(
        "results go to Cloud Storage", instead="give output.uri as gs://…", evidence="baseOutputDirectory"
    ),
    F.TRIAL_OUTPUT_REMOTE: exact(evidence="CustomJobSpec.baseOutputDirectory"),
    F.TRIAL_TIMEOUT: exact("seven days without one", evidence="Scheduling.timeout"),
    F.TRIAL_RETRIES: approximated("the service decides how often it tries again", evidence="Scheduling.disableRetries"),
    F.TRIAL_SPOT: exact(evidence="Scheduling.Strategy SPOT"),
    F.TRIAL_MAX_WAIT: approximated("heeded with the strategy FLEX_START only", evidence="Scheduling.maxWaitDuration"),
    F.TRIAL_IDENTITY: exact(evidence="CustomJobSpec.serviceAccount"),
    F.TRIAL_NETWORK_NAME: exact(evidence="CustomJobSpec.network"),
    F.TRIAL_NETWORK_SUBNETS: unsupported(_OWN_NETWORK, instead="leave them out", evidence="CustomJobSpec.network"),
    F.TRIAL_NETWORK_ISOLATED: unsupported(
        "no job can be cut off by itself", instead="leave it out; VPC Service Controls do it", evidence="CustomJobSpec"
    ),
    F.TRIAL_NETWORK_ENCRYPTED: unsupported(
        "no job can ask for it", instead="leave it out if Google's own encryption will do", evidence="CustomJobSpec"
    ),
    F.TRIAL_ENCRYPTION_KEY: exact(evidence="encryptionSpec.kmsKeyName"),
    F.TRIAL_ENCRYPTION_DISK_KEY: unsupported(
        "one key is for all that a job keeps", instead="give encryption.key alone", evidence="encryptionSpec"
    ),
    F.TRIAL_METRIC_REPORTS: exact(evidence="the file of cloudml-hypertune"),
    F.TRIAL_METRIC_PATTERNS: unsupported(
        "output is not searched",
        instead="report in the trainer: tuneport_trial.report(...)",
        evidence="cloudml-hypertune",
    ),
}

_REST: Mapping[Feature, Support] = {
    F.TRIAL_WARM_WORKERS: dropped(
        "the service starts each trial on a machine of its own", evidence="CustomJobSpec has no field for it"
    ),
    F.TRIAL_PRELOAD: dropped("each trial imports its modules itself", evidence="CustomJobSpec has no field for it"),
    F.TRIAL_RESUMABLE: dropped("nothing is paused there", evidence="CustomJobSpec has no field for it"),
    F.RESOURCES_GPUS: exact(evidence="MachineSpec.acceleratorCount"),
    F.RESOURCES_GPU_SHARE: approximated("trials get whole GPUs", evidence="MachineSpec.acceleratorCount: int32"),
    F.RESOURCES_GPU_TYPE: exact(evidence="MachineSpec.acceleratorType"),
    F.RESOURCES_GPU_MEMORY: emulated(_BY_MACHINE, _MACHINE, evidence="MachineSpec"),
    F.RESOURCES_CPUS: emulated(_BY_MACHINE, _MACHINE, evidence="MachineSpec"),
    F.RESOURCES_MEMORY: emulated(_BY_MACHINE, _MACHINE, evidence="MachineSpec"),
    F.RESOURCES_DISK: exact("100 GB at least", evidence="DiskSpec.bootDiskSizeGb"),
    F.RESOURCES_REPLICAS: exact("the first pool has one, a second one the others", evidence="Distributed training"),
    F.RESOURCES_MACHINE: exact(evidence="MachineSpec.machineType"),
    F.RESOURCES_POOL: exact(evidence="CustomJobSpec.persistentResourceId"),
    F.WARM_START_TRANSFER: unsupported(
        "a job cannot be told of others",
        instead="leave warm_start out",
        evidence="StudySpec",
    ),
    F.WARM_START_IDENTICAL: unsupported(
        "a job cannot be told of others",
        instead="leave warm_start out",
        evidence="StudySpec",
    ),
    F.DESCRIPTION: dropped("jobs have none", evidence="HyperparameterTuningJob"),
    F.EXPERIMENT: exact(evidence="CustomJobSpec.experiment, experimentRun"),
    F.EXPERIMENT_TENSORBOARD: exact(evidence="CustomJobSpec.tensorboard"),
    F.LABELS: exact("lowercase, at most 64 characters", evidence="HyperparameterTuningJob.labels"),
    F.NATIVE: exact("what Vertex AI alone understands is put back", evidence="HyperparameterTuningJob"),
}

CAPABILITIES = Capabilities(
    supports={**_SPACE, **_STUDY, **_BUDGET, **_PROGRAM, **_REST},
    vocabulary=VOCABULARY,
    submits=("job", "pipeline", "custom"),
    limits=Limits(),
    home=HOME,
    needs=NEEDS,
    material=MATERIAL,
)
