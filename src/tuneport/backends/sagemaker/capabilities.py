"""What tuning jobs of SageMaker can do, by the service's model and the developer guide of August 2026."""

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

VOCABULARY = Vocabulary(typed_choices=True, int_scales=frozenset({"linear", "log", "auto"}))

HOME = Home(
    cloud="sagemaker",
    uri=r"s3://.+|https://[^/]*s3[^/]*amazonaws\.com.*|(efs|fsx)://.+|arn:[^:]+:sagemaker:.+",
    image=r"[0-9]{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.[a-z0-9.-]+/.+",
    machine=r"ml\.[a-z0-9-]+\.[a-z0-9]+",
    identity=r"arn:aws[a-z-]*:iam::[0-9]{12}:role/.+",
    network=r"(subnet|sg)-[-0-9a-zA-Z]+",
    key=r"arn:aws[a-z-]*:kms:.+|alias/.+|(mrk-)?[0-9a-fA-F-]{32,36}",
    code="archive",
)

NEEDS = (
    Need("/trial/identity", "training jobs run as a role", "give trial.identity, a role's ARN, or the setting role"),
    Need("/trial/output/uri", "results go to S3", "give trial.output.uri, s3://bucket/prefix, or the setting output"),
    Need(
        "/trial/resources/machine",
        "training jobs run on an instance type",
        "give trial.resources.machine, or gpus, cpus and memory from which one is chosen, or the setting machine",
    ),
)

_OF_DEFINITIONS = (
    "/AlgorithmSpecification",
    "/CheckpointConfig",
    "/HyperParameterRanges",
    "/StaticHyperParameters",
    "/TuningObjective",
    "/InputDataConfig/*/DataSource",
    "/InputDataConfig/*/CompressionType",
    "/InputDataConfig/*/RecordWrapperType",
    "/InputDataConfig/*/ShuffleConfig",
    *(f"/ResourceConfig/InstanceGroups/{other}" for other in range(1, 5)),
)
MATERIAL = (
    "/Autotune",
    "/HyperParameterTuningJobConfig/HyperParameterTuningJobObjective",
    "/HyperParameterTuningJobConfig/ParameterRanges",
    "/HyperParameterTuningJobConfig/TuningJobCompletionCriteria",
    *(f"/TrainingJobDefinition{part}" for part in _OF_DEFINITIONS),
    *(f"/TrainingJobDefinitions/*{part}" for part in _OF_DEFINITIONS),
)
"""What searches, trains or reads something else, or keeps work that was done, if it stays behind."""

_RANGE = "ContinuousParameterRange.ScalingType"
_CHOICES = "CategoricalParameterRange.Values: text, read as JSON by the training toolkit"
_STRATEGY = "HyperParameterTuningJobConfig.Strategy: Bayesian, Random, Hyperband, Grid"
_STOPPING = "TrainingJobEarlyStoppingType: Off, Auto"
_NOT_THERE = unsupported(
    "the service does not search so", instead="use {kind: bayesian} or {kind: random}", evidence=_STRATEGY
)
_NO_BOUNDS = unsupported(
    "only the objective is looked at", instead="leave constraints out", evidence="HyperParameterTuningJobObjective"
)
_NO_OPTIONS = "the service's own settings are used"
_MEDIAN = "there is one rule, the median of running averages, whose safeguards are not published"
_MACHINE = "as the machine type has it"
_ENTRY = "HyperParameterAlgorithmSpecification has neither entry point nor arguments"
_SCRIPT = "in script mode: image: and command: [python, train.py], with package: s3://…tar.gz"
_BRANCHES = (
    "a definition for each choice where all conditions hang on one parameter of at most ten choices; else the space is "
    "flattened, inactive parameters are searched too, and tuneport_trial leaves them out"
)

SUPPORTS: Mapping[Feature, Support] = {
    F.PARAMETER_FLOAT: exact(evidence="ContinuousParameterRange"),
    F.PARAMETER_FLOAT_LOG: exact(evidence=_RANGE),
    F.PARAMETER_FLOAT_REVERSE_LOG: approximated(
        "the same within 0 and 1; a range that goes further is searched linearly", evidence=_RANGE
    ),
    F.PARAMETER_FLOAT_STEP: emulated(
        "tuneport_trial", "the range is searched, and its values are rounded to the step", evidence=_RANGE
    ),
    F.PARAMETER_INT: exact(evidence="IntegerParameterRange"),
    F.PARAMETER_INT_LOG: exact(evidence="IntegerParameterRange.ScalingType"),
    F.PARAMETER_INT_REVERSE_LOG: approximated(
        "searched linearly: ReverseLogarithmic is for continuous ranges", evidence="IntegerParameterRange.ScalingType"
    ),
    F.PARAMETER_INT_STEP: emulated(
        "tuneport_trial", "the range is searched, and its values are rounded to the step", evidence=_RANGE
    ),
    F.PARAMETER_SCALE_AUTO: exact(evidence="ScalingType: Auto"),
    F.PARAMETER_DISCRETE: approximated(
        "a choice of at most 30 numbers, whose order is not known there", evidence="CategoricalParameterRange.Values"
    ),
    F.PARAMETER_DISCRETE_SCALE: approximated(
        "choices are not measured at all", evidence="CategoricalParameterRange has no ScalingType"
    ),
    F.PARAMETER_CATEGORICAL_TEXT: exact("at most 30 choices", evidence=_CHOICES),
    F.PARAMETER_CATEGORICAL_NUMBER: exact("at most 30 choices", evidence=_CHOICES),
    F.PARAMETER_CATEGORICAL_BOOL: exact(evidence=_CHOICES),
    F.PARAMETER_DEFAULT: approximated(
        "the first trial is drawn like any other", evidence="ParameterRanges; points come from parent jobs only"
    ),
    F.PARAMETER_CONDITION: emulated("tuneport_trial", _BRANCHES, evidence="TrainingJobDefinitions"),
    F.PARAMETER_CONDITION_NESTED: emulated("tuneport_trial", _BRANCHES, evidence="TrainingJobDefinitions"),
    F.PARAMETER_SAME_NAME: emulated("tuneport_trial", _BRANCHES, evidence="TrainingJobDefinitions"),
    F.OBJECTIVE_SEVERAL: approximated(
        "the first one steers the search; the others are defined as metrics and recorded",
        evidence="HyperParameterTuningJobObjective",
    ),
    F.OBJECTIVE_TARGET: exact(evidence="TuningJobCompletionCriteria.TargetObjectiveMetricValue"),
    F.OBJECTIVE_CONSTRAINT: _NO_BOUNDS,
    F.OBJECTIVE_CONSTRAINT_RANGE: _NO_BOUNDS,
    F.OBJECTIVE_CONSTRAINT_OPTIMISED: _NO_BOUNDS,
    F.ALGORITHM_RANDOM: exact(evidence=_STRATEGY),
    F.ALGORITHM_GRID: exact(
        "ranges become choices; searched at random where these are more than 30, or points more than max_trials",
        evidence=_STRATEGY,
    ),
    F.ALGORITHM_SOBOL: approximated("independent draws", evidence=_STRATEGY),
    F.ALGORITHM_BAYESIAN: exact(evidence=_STRATEGY),
    F.ALGORITHM_BAYESIAN_OPTIONS: dropped(_NO_OPTIONS, evidence=_STRATEGY),
    F.ALGORITHM_TPE: approximated("the service's Bayesian search", evidence=_STRATEGY),
    F.ALGORITHM_TPE_OPTIONS: dropped(_NO_OPTIONS, evidence=_STRATEGY),
    F.ALGORITHM_ANNEAL: approximated("the service's Bayesian search", evidence=_STRATEGY),
    F.ALGORITHM_ANNEAL_OPTIONS: dropped(_NO_OPTIONS, evidence=_STRATEGY),
    F.ALGORITHM_HYPERBAND: approximated(
        "where max_resource is not said, nor a fixed parameter such as epochs, it is 81",
        evidence="HyperbandStrategyConfig",
    ),
    F.ALGORITHM_HYPERBAND_OPTIONS: approximated(
        "resources are said; the reduction factor is the service's own", evidence="HyperbandStrategyConfig"
    ),
    F.ALGORITHM_CMAES: _NOT_THERE,
    F.ALGORITHM_CMAES_OPTIONS: _NOT_THERE,
    F.ALGORITHM_PBT: _NOT_THERE,
    F.ALGORITHM_PBT_OPTIONS: _NOT_THERE,
    F.ALGORITHM_PLUGIN: _NOT_THERE,
    F.ALGORITHM_AUTO: _NOT_THERE,
    F.ALGORITHM_SEED: exact("a Bayesian search is only made more repeatable", evidence="RandomSeed"),
    F.EARLY_STOPPING_MEDIAN: approximated(_MEDIAN, evidence=_STOPPING),
    F.EARLY_STOPPING_MEDIAN_OPTIONS: approximated(_MEDIAN, evidence=_STOPPING),
    F.EARLY_STOPPING_ASHA: approximated(_MEDIAN, evidence=_STOPPING),
    F.EARLY_STOPPING_ASHA_OPTIONS: approximated(_MEDIAN, evidence=_STOPPING),
    F.EARLY_STOPPING_PROMOTION: approximated("nothing is paused there", evidence="TrainingJobStatus"),
    F.EARLY_STOPPING_CURVE: approximated(_MEDIAN, evidence=_STOPPING),
    F.EARLY_STOPPING_CURVE_OPTIONS: approximated(_MEDIAN, evidence=_STOPPING),
    F.EARLY_STOPPING_AUTO: approximated(_MEDIAN, evidence=_STOPPING),
    F.MEASUREMENT_BEST: approximated(
        "the last value counts; report the best one last", evidence="FinalHyperParameterTuningJobObjectiveMetric"
    ),
    F.BUDGET_MAX_TRIALS: exact(
        "at most as many as a finite space has points, and 750 unless the search is random",
        evidence="ResourceLimits.MaxNumberOfTrainingJobs",
    ),
    F.BUDGET_ANY_TRIALS: exact(evidence="ResourceLimits.MaxNumberOfTrainingJobs is optional"),
    F.BUDGET_PARALLEL_TRIALS: exact(
        "10, or up to 100 if the account's quota is raised", evidence="ResourceLimits.MaxParallelTrainingJobs"
    ),
    F.BUDGET_MAX_FAILED_TRIALS: unsupported(
        "a job fails when its first five training jobs have failed, and by no other rule",
        instead="leave max_failed_trials out",
        evidence="Monitor the Progress of a Hyperparameter Tuning Job",
    ),
    F.BUDGET_MAX_SECONDS: exact("whole seconds, from 120 to 30 days", evidence="ResourceLimits.MaxRuntimeInSeconds"),
    F.BUDGET_NO_IMPROVEMENT: exact("3 or more", evidence="BestObjectiveNotImproving"),
    F.BUDGET_MAX_COST: unsupported(
        "there is no limit on money", instead="limit max_trials and max_seconds", evidence="ResourceLimits"
    ),
    F.TRIAL_COMMAND: unsupported(
        "training jobs run in containers", instead="give trial.image as well", evidence="TrainingImage"
    ),
    F.TRIAL_IMAGE: exact(evidence="TrainingImage"),
    F.TRIAL_IMAGE_COMMAND: approximated(
        "a Python file or a program without arguments, run by the image's training toolkit; all else is the image's",
        evidence=_ENTRY,
    ),
    F.TRIAL_IMAGE_MODULE: unsupported("an image's program cannot be chosen", instead=_SCRIPT, evidence=_ENTRY),
    F.TRIAL_MODULE: unsupported("training jobs run in containers", instead=_SCRIPT, evidence=_ENTRY),
    F.TRIAL_PACKAGE_LOCAL: unsupported(
        "code comes from S3", instead="upload it: package: s3://…tar.gz", evidence="sagemaker_submit_directory"
    ),
    F.TRIAL_PACKAGE_REMOTE: approximated(
        "with a command, run by the image's training toolkit; not with a module", evidence="sagemaker_submit_directory"
    ),
    F.TRIAL_FUNCTION: unsupported("a function has to be in an image", instead=_SCRIPT, evidence=_ENTRY),
    F.TRIAL_ALGORITHM: exact(evidence="AlgorithmName"),
    F.TRIAL_VARIANTS: exact(
        "where all hang on one parameter of at most ten choices", evidence="TrainingJobDefinitions"
    ),
    F.TRIAL_VARIANT_METRIC: exact(evidence="TuningObjective of TrainingJobDefinitions"),
    F.TRIAL_ARGS: unsupported(
        "programs get no arguments but the parameters", instead="make them trial.parameters", evidence=_ENTRY
    ),
    F.TRIAL_FIXED_PARAMETERS: exact(evidence="StaticHyperParameters"),
    F.TRIAL_ENV: exact("at most 48 of at most 512 characters", evidence="Environment"),
    F.TRIAL_INPUTS_LOCAL: unsupported(
        "data comes from S3 or a file system there", instead="upload it: s3://…", evidence="DataSource"
    ),
    F.TRIAL_INPUTS_REMOTE: exact(evidence="DataSource"),
    F.TRIAL_INPUTS_FORMAT: exact(evidence="Channel.ContentType"),
    F.TRIAL_INPUTS_MODE: exact(evidence="Channel.InputMode"),
    F.TRIAL_INPUTS_SHARDED: exact(evidence="S3DataDistributionType"),
    F.TRIAL_INPUTS_WRITABLE: exact("efs:// and fsx:// only", evidence="FileSystemAccessMode"),
    F.TRIAL_INPUTS_PATH: dropped(
        "it is at /opt/ml/input/data/NAME, where tuneport_trial.data_dir finds it", evidence="Channel"
    ),
    F.TRIAL_TOLD_BY: dropped("inputs are in SM_CHANNEL_NAME and in /opt/ml/input/data/NAME", evidence="Channel"),
    F.TRIAL_OUTPUT_LOCAL: unsupported("results go to S3", instead="give s3://…", evidence="OutputDataConfig"),
    F.TRIAL_OUTPUT_REMOTE: exact(evidence="OutputDataConfig.S3OutputPath"),
    F.TRIAL_TIMEOUT: exact("whole seconds", evidence="StoppingCondition.MaxRuntimeInSeconds"),
    F.TRIAL_RETRIES: approximated(
        "only after internal errors of the service, never when the trainer fails", evidence="RetryStrategy"
    ),
    F.TRIAL_SPOT: exact(evidence="EnableManagedSpotTraining"),
    F.TRIAL_MAX_WAIT: exact(
        "with spot, waiting and running are limited together; without, 1800 s or more, on accelerated machines",
        evidence="MaxWaitTimeInSeconds, MaxPendingTimeInSeconds",
    ),
    F.TRIAL_IDENTITY: exact(evidence="RoleArn"),
    F.TRIAL_NETWORK_NAME: unsupported(
        "networks have no names there", instead="give subnets and security_groups", evidence="VpcConfig"
    ),
    F.TRIAL_NETWORK_SUBNETS: exact(evidence="VpcConfig"),
    F.TRIAL_NETWORK_ISOLATED: exact(evidence="EnableNetworkIsolation"),
    F.TRIAL_NETWORK_ENCRYPTED: exact(evidence="EnableInterContainerTrafficEncryption"),
    F.TRIAL_ENCRYPTION_KEY: exact(evidence="OutputDataConfig.KmsKeyId"),
    F.TRIAL_ENCRYPTION_DISK_KEY: exact(evidence="ResourceConfig.VolumeKmsKeyId"),
    F.TRIAL_METRIC_REPORTS: emulated(
        "tuneport_trial", "it prints lines that metric definitions find", evidence="MetricDefinitions"
    ),
    F.TRIAL_METRIC_PATTERNS: exact(evidence="MetricDefinitions"),
    F.TRIAL_WARM_WORKERS: dropped(
        "the service starts each trial on a machine of its own", evidence="CreateTrainingJob has no field for it"
    ),
    F.TRIAL_PRELOAD: dropped("each trial imports its modules itself", evidence="CreateTrainingJob has no field for it"),
    F.TRIAL_RESUMABLE: dropped("nothing is paused there", evidence="TrainingJobStatus"),
    F.RESOURCES_GPUS: exact(_MACHINE, evidence="InstanceType"),
    F.RESOURCES_GPU_SHARE: approximated("a training job has its machine for itself", evidence="InstanceType"),
    F.RESOURCES_GPU_TYPE: exact(_MACHINE, evidence="InstanceType"),
    F.RESOURCES_GPU_MEMORY: approximated(_MACHINE, evidence="InstanceType"),
    F.RESOURCES_CPUS: approximated(_MACHINE, evidence="InstanceType"),
    F.RESOURCES_MEMORY: approximated(_MACHINE, evidence="InstanceType"),
    F.RESOURCES_DISK: exact("whole GiB", evidence="VolumeSizeInGB"),
    F.RESOURCES_REPLICAS: exact(evidence="InstanceCount"),
    F.RESOURCES_MACHINE: exact(evidence="InstanceType"),
    F.RESOURCES_POOL: exact("the ARN of a training plan", evidence="TrainingPlanArn"),
    F.WARM_START_TRANSFER: exact("parents in the same region", evidence="WarmStartType: TransferLearning"),
    F.WARM_START_IDENTICAL: exact("parents in the same region", evidence="WarmStartType: IdenticalDataAndAlgorithm"),
    F.DESCRIPTION: dropped("jobs have none", evidence="CreateHyperParameterTuningJob"),
    F.EXPERIMENT: dropped("jobs make experiments of their own", evidence="ExperimentConfig is for training jobs"),
    F.EXPERIMENT_TENSORBOARD: dropped(
        "tuning jobs send no curves to one", evidence="TensorBoardOutputConfig is for training jobs"
    ),
    F.LABELS: exact(evidence="Tags"),
    F.NATIVE: exact("what was read from SageMaker; boxes of other clouds mean nothing here", evidence="the request"),
}

LIMITS = Limits(max_parameters=30, max_parallel_trials=100)
"""How many trials there may be depends on the strategy: see the rules."""

CAPABILITIES = Capabilities(
    supports=SUPPORTS, vocabulary=VOCABULARY, limits=LIMITS, home=HOME, needs=NEEDS, material=MATERIAL
)
