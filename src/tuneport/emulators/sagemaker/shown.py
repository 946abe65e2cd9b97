"""What the service shows of tuning jobs and their training jobs, made of a document and the record of its run."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from tuneport.backends.protocols import Json
from tuneport.backends.sagemaker.forms import CONFIG, NAME, ONE, SEVERAL
from tuneport.backends.sagemaker.hyperparameters import OBJECTIVE, value_of
from tuneport.backends.sagemaker.launch import FAILURE
from tuneport.backends.sagemaker.space import chooser, combinations
from tuneport.backends.sagemaker.status import STATUS, SUMMARIES
from tuneport.emulators.documents import Document
from tuneport.emulators.host import Host
from tuneport.model.results import Failure, FailureKind, Measurement, RunReason, StudyResult, Trial, TrialState

JOB = "sagemaker/tuning-job"
DELETED = "sagemaker/deleted-tuning-job"
"""Kind of tuning jobs that were deleted: their training jobs stay."""
ACCOUNT = "000000000000"
_RANGES = ("IntegerParameterRanges", "ContinuousParameterRanges", "CategoricalParameterRanges")
_FLAGS = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining")
_MOST_REASON = 1024
"""Characters of a file in which a training job says why it failed that are read, and of a reason that is shown."""
_LARGEST = 3.4028234663852886e38
"""Of a float of 32 bits."""


@dataclass(frozen=True)
class HyperParameterTuningJob:
    """A tuning job as the service sees it at one moment.

    Args:
        host: runs it.
        document: what is kept of it.
    """

    host: Host
    document: Document

    @property
    def request(self) -> Json:
        """The request that it was created by."""
        request: Json = self.document.body["request"]
        return request

    @property
    def region(self) -> str:
        """Where it is."""
        return str(self.document.body["region"])

    @property
    def name(self) -> str:
        """Its name, in the capitals in which it was given."""
        return str(self.request[NAME])

    @property
    def run(self) -> str:
        """The run behind it."""
        return str(self.document.run)

    @cached_property
    def result(self) -> StudyResult:
        """The record of its run, with names, numbers and times as the service has them."""
        result = self.host.result(self.run)
        return result.model_copy(
            update={
                "ref": f"{self.region}/{self.name}",
                "name": self.name,
                "trials": self.shown_trials(result.trials),
                "created": _floored(result.created, 1000),
                "ended": _floored(result.ended, 1000),
            }
        )

    @cached_property
    def rendered(self) -> Json:
        """What the service says beside the request, and summaries of the training jobs."""
        rendered = STATUS.render(self.result)
        trials = dict(zip((one["TrainingJobName"] for one in rendered[SUMMARIES]), self.result.trials, strict=True))
        best = [rendered["BestTrainingJob"]] if "BestTrainingJob" in rendered else []
        for summary in (*rendered[SUMMARIES], *best):
            summary.update(self._tuned(trials[summary["TrainingJobName"]], summary["TunedHyperParameters"]))
        rendered["LastModifiedTime"] = max(self._moments())
        counters = rendered["TrainingJobStatusCounters"]
        ours = sum(one.failure is not None and one.failure.kind in _FAULTS_OF_SERVICE for one in self.result.trials)
        counters |= {"RetryableError": ours, "NonRetryableError": counters["NonRetryableError"] - ours}
        return rendered

    @property
    def status(self) -> str:
        """InProgress, Completed, …"""
        return str(self.rendered["HyperParameterTuningJobStatus"])

    def described(self, parents: Sequence[HyperParameterTuningJob] = ()) -> Json:
        """What DescribeHyperParameterTuningJob answers.

        Args:
            parents: those of its warm start, as far as they are still there.
        """
        asked = {name: value for name, value in echoed(self.request).items() if name != "Tags"}
        rendered = {name: value for name, value in self.rendered.items() if name != SUMMARIES}
        seconds = int((self.result.ended or self.host.clock.now()) - (self.result.created or 0))
        return {
            **asked,
            **rendered,
            **self._overall(parents),
            "TuningJobCompletionDetails": self._completion(),
            "ConsumedResources": {"RuntimeInSeconds": seconds},
        }

    def summary(self) -> Json:
        """Its item in ListHyperParameterTuningJobs."""
        config = self.request[CONFIG]
        members = (
            NAME, "HyperParameterTuningJobArn", "HyperParameterTuningJobStatus", "CreationTime",
            "HyperParameterTuningEndTime", "LastModifiedTime", "TrainingJobStatusCounters", "ObjectiveStatusCounters",
        )  # fmt: skip
        said = {NAME: self.name, **self.rendered}
        return {
            **{name: said[name] for name in members if name in said},
            "Strategy": config["Strategy"],
            "ResourceLimits": config["ResourceLimits"],
        }

    def trainings(self) -> Iterator[TrainingJob]:
        """Its training jobs, the oldest first."""
        for trial, summary in zip(self.result.trials, self.rendered[SUMMARIES], strict=True):
            yield TrainingJob(self, trial, summary)

    def _overall(self, parents: Sequence[HyperParameterTuningJob]) -> Json:
        """The best training job of this and its parents, where all do the same."""
        if self.request.get("WarmStartConfig", {}).get("WarmStartType") != "IdenticalDataAndAlgorithm":
            return {}
        objective, found = self.result.objectives[0], None
        for job in (*parents, self):
            best = job.rendered.get("BestTrainingJob")
            if best and (found is None or objective.better(_final(best), _final(found))):
                found = {**best, "TuningJobName": job.name}
        return {"OverallBestTrainingJob": found} if found else {}

    def _completion(self) -> Json:
        """How far it is from what would complete it."""
        best = self.result.best
        later = sum(one.state.ended and one.id > best.id for one in self.result.trials) if best else 0
        criteria = self.request[CONFIG].get("TuningJobCompletionCriteria", {})
        converged = self.result.reason is RunReason.NO_IMPROVEMENT and "ConvergenceDetected" in criteria
        moment = {"ConvergenceDetectedTime": self.result.ended} if converged else {}
        return {"NumberOfTrainingJobsObjectiveNotImproving": later, **moment}

    def _moments(self) -> Iterator[float]:
        yield self.result.created or 0.0
        for moment in (self.result.ended, *(time for one in self.result.trials for time in (one.started, one.ended))):
            if moment is not None:
                yield moment

    def shown_trials(self, trials: tuple[Trial, ...]) -> tuple[Trial, ...]:
        """The trials of its run as the service shows them."""
        ended = _ended(self.run)
        for one in trials:
            if one.state.ended and one.id not in ended:
                ended[one.id] = self._trial(one)
        return tuple(ended.get(one.id) or self._trial(one) for one in trials)

    def _trial(self, trial: Trial) -> Trial:
        mark = zlib.crc32(f"{self.run}/{trial.id}".encode())
        failure, final = trial.failure, trial.final_measurement
        state = _STATES.get(failure.kind, trial.state) if failure else trial.state
        return trial.model_copy(
            update={
                "state": state,
                "failure": failure and failure.model_copy(update={"message": self._reason(trial.id, failure)}),
                "started": _floored(trial.started),
                "ended": _floored(trial.ended),
                "final_measurement": None if final is None else _single(final),
                "links": {"trial": f"{self.name}-{trial.id:03}-{mark:08x}"},
            }
        )

    def _reason(self, trial: int, failure: Failure) -> str:
        """Why a training job failed, beginning with whose fault it was: in its own words, if it left any."""
        code = "" if failure.exit_code is None else f", exit code: {failure.exit_code}"
        if fault := _FAULTS_OF_SERVICE.get(failure.kind):
            return f"{fault}: {failure.message}{code}"
        said = self.host.written(self.run, trial, FAILURE, _MOST_REASON).strip() or failure.message
        start = "AlgorithmError: "
        return start + said[: _MOST_REASON - len(start) - len(code)] + code

    def _tuned(self, trial: Trial, texts: dict[str, str]) -> Json:
        """What a summary says of its definition: the name, and the tuned ones in the spelling of their ranges."""
        definition = self.definition(trial)
        ranges = definition.get("HyperParameterRanges") or self.request[CONFIG].get("ParameterRanges", {})
        names = {one["Name"] for kind in _RANGES for one in ranges.get(kind, ())} or texts.keys()
        spelt = {one["Name"]: one["Values"] for one in ranges.get("CategoricalParameterRanges", ())}
        tuned = {name: _spelt(text, spelt.get(name, ())) for name, text in texts.items() if name in names}
        named = {"TrainingJobDefinitionName": definition["DefinitionName"]} if "DefinitionName" in definition else {}
        return {"TunedHyperParameters": tuned, **named}

    def definition(self, trial: Trial) -> Json:
        """What a training job was made by."""
        if ONE in self.request:
            one: Json = self.request[ONE]
            return one
        definitions: list[Json] = self.request[SEVERAL]
        parent = chooser(self.host.job(self.run))
        choice = trial.parameters.get(parent.name) if parent else None
        return definitions[parent.choices.index(choice)] if parent and choice in parent.choices else definitions[0]


@lru_cache(maxsize=64)
def _ended(run: str) -> dict[int, Trial]:
    """Trials of a run that have ended, as they are shown: nothing changes them, and long lists are asked for often."""
    del run
    return {}


def _final(summary: Json) -> float:
    return float(summary["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


_STATES = {FailureKind.TIMED_OUT: TrialState.STOPPED, FailureKind.METRIC_MISSING: TrialState.SUCCEEDED}
"""What the service does not count as failed."""
_FAULTS_OF_SERVICE = {FailureKind.INFRASTRUCTURE: "CapacityError", FailureKind.PREEMPTED: "InternalServerError"}


@dataclass(frozen=True)
class TrainingJob:
    """A training job that a tuning job launched.

    Attributes:
        parent: the tuning job.
        trial: what became of it.
        summary: its item in ListTrainingJobsForHyperParameterTuningJob.
    """

    parent: HyperParameterTuningJob
    trial: Trial
    summary: Json

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.summary["TrainingJobName"])

    @property
    def status(self) -> str:
        """InProgress, Completed, …"""
        return str(self.summary["TrainingJobStatus"])

    @property
    def secondary(self) -> str:
        """What it does just now, or how it ended."""
        if self.trial.failure is not None and self.trial.failure.kind is FailureKind.TIMED_OUT:
            return "MaxRuntimeExceeded"
        if self.status != "InProgress":
            return self.status
        return "Starting" if self.trial.started is None else "Training"

    def listed(self) -> Json:
        """Its item in ListTrainingJobs."""
        members = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingEndTime", "TrainingJobStatus")
        return {
            **{name: self.summary[name] for name in members if name in self.summary},
            "LastModifiedTime": self._modified,
            "SecondaryStatus": self.secondary,
        }

    def described(self) -> Json:
        """What DescribeTrainingJob answers."""
        asked = echoed_definition(self.parent.definition(self.trial), self._metric)
        output, compute = asked["OutputDataConfig"], asked.get("ResourceConfig")
        copied = (
            "AlgorithmSpecification", "RoleArn", "InputDataConfig", "OutputDataConfig", "VpcConfig",
            "StoppingCondition", "CheckpointConfig", "RetryStrategy", "Environment", *_FLAGS,
        )  # fmt: skip
        times = ("CreationTime", "TrainingStartTime", "TrainingEndTime", "FailureReason")
        prefix = output["S3OutputPath"].rstrip("/")
        return {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.summary["TrainingJobArn"],
            "TuningJobArn": self.parent.rendered["HyperParameterTuningJobArn"],
            "ModelArtifacts": {"S3ModelArtifacts": f"{prefix}/{self.name}/output/model.tar.gz"},
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
            "HyperParameters": asked["StaticHyperParameters"] | self.summary["TunedHyperParameters"],
            **{name: asked[name] for name in copied if name in asked},
            "ResourceConfig": compute or _first_instances(asked.get("HyperParameterTuningResourceConfig", {})),
            **{name: self.summary[name] for name in times if name in self.summary},
            "LastModifiedTime": self._modified,
            "SecondaryStatusTransitions": list(self._transitions()),
            "FinalMetricDataList": list(self._metrics()),
            **self._durations(),
        }

    @property
    def _metric(self) -> str:
        definition = self.parent.definition(self.trial)
        objective = definition.get(
            "TuningObjective", self.parent.request[CONFIG].get("HyperParameterTuningJobObjective")
        )
        return str(objective["MetricName"] if objective else self.parent.result.objectives[0].metric)

    @property
    def _modified(self) -> float:
        return self.trial.ended or self.trial.started or float(self.summary["CreationTime"])

    def _transitions(self) -> Iterator[Json]:
        start, end = self.trial.started, self.trial.ended
        if start is None:
            yield _transition("Starting", self.summary["CreationTime"], end, "Starting the training job")
            return
        yield _transition("Starting", start, start, "Preparing the instances for training")
        yield _transition("Training", start, end, "Training image download completed. Training in progress.")
        if end is not None:
            yield _transition(self.secondary, end, end, f"Training job {self.secondary}")

    def _metrics(self) -> Iterator[Json]:
        moment = self.trial.ended or self.trial.started
        for name, value in self.trial.metrics.items():
            if math.isfinite(value):
                yield {"MetricName": name, "Value": value, "Timestamp": moment}

    def _durations(self) -> Json:
        if self.trial.duration is None:
            return {}
        seconds = max(1, int(self.trial.duration))
        return {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}


def _transition(status: str, start: float, end: float | None, message: str) -> Json:
    ended = {} if end is None else {"EndTime": end}
    return {"Status": status, "StartTime": start, **ended, "StatusMessage": message}


def _first_instances(config: Json) -> Json:
    """The machines that a list of them in order of priority begins with."""
    first = config.get("InstanceConfigs", [{}])[0]
    kept = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")
    return {name: value for name, value in (config | first).items() if name in kept}


def _floored(moment: float | None, per_second: int = 1) -> float | None:
    """A moment as exact as the service says it: milliseconds for tuning jobs, seconds for training jobs."""
    return None if moment is None else math.floor(moment * per_second) / per_second


def _single(measurement: Measurement) -> Measurement:
    """With numbers of 32 bits, as the service keeps them."""
    return measurement.model_copy(update={"metrics": {name: single(x) for name, x in measurement.metrics.items()}})


def single(value: float) -> float:
    """The nearest number of 32 bits."""
    bounded = max(-_LARGEST, min(_LARGEST, value)) if math.isfinite(value) else value
    (narrow,) = struct.unpack("f", struct.pack("f", bounded))
    return float(narrow)


def _spelt(text: str, choices: Sequence[str]) -> str:
    """A category as its range spells it."""
    return next((choice for choice in choices if value_of(choice) == value_of(text)), text)


# ---- requests as they are read back ---------------------------------------------------------------------------------


def echoed(request: Json) -> Json:
    """A request with what the service adds when it is asked about it."""
    config = {"TrainingJobEarlyStoppingType": "Off", **request[CONFIG]}
    metric = config.get("HyperParameterTuningJobObjective", {}).get("MetricName")
    if "ParameterRanges" in config:
        config["ParameterRanges"] = _ranges(config["ParameterRanges"])
    config["ResourceLimits"] = _limits(request) | config["ResourceLimits"]
    return {
        **request,
        CONFIG: config,
        **({ONE: echoed_definition(request[ONE], metric)} if ONE in request else {}),
        **({SEVERAL: [echoed_definition(one, metric) for one in request[SEVERAL]]} if SEVERAL in request else {}),
    }


def echoed_definition(definition: Json, metric: str | None) -> Json:
    """A definition likewise."""
    metric = definition.get("TuningObjective", {}).get("MetricName", metric)
    own = {} if metric is None else {OBJECTIVE: metric}
    ranges = definition.get("HyperParameterRanges")
    return {
        **dict.fromkeys(_FLAGS, False),
        **definition,
        "StaticHyperParameters": definition.get("StaticHyperParameters", {}) | own,
        **({} if ranges is None else {"HyperParameterRanges": _ranges(ranges)}),
    }


def _ranges(ranges: Json) -> Json:
    scaled = {
        kind: [one if kind == _RANGES[2] else {"ScalingType": "Auto", **one} for one in ranges.get(kind, ())]
        for kind in _RANGES
    }
    return {**ranges, **scaled}


def _limits(request: Json) -> dict[str, Any]:
    """The number of training jobs that a grid comes to."""
    config = request[CONFIG]
    several = [one.get("HyperParameterRanges", {}) for one in request.get(SEVERAL, ())]
    spaces = several or [config.get("ParameterRanges", {})]
    counts = [combinations(one) for one in spaces]
    if config["Strategy"] != "Grid" or None in counts:
        return {}
    return {"MaxNumberOfTrainingJobs": sum(count or 0 for count in counts)}
