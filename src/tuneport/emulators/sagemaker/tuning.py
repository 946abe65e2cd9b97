"""The six operations of tuning jobs, those of the training jobs that they launch, and tags of both."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from tuneport.backends.protocols import Json
from tuneport.backends.sagemaker import rules
from tuneport.backends.sagemaker.forms import CONFIG, NAME
from tuneport.backends.sagemaker.translate import TRANSLATOR
from tuneport.emulators.host import Host
from tuneport.emulators.sagemaker import alone, parents
from tuneport.emulators.sagemaker.shown import DELETED, JOB, HyperParameterTuningJob, TrainingJob
from tuneport.emulators.sagemaker.wire import VALIDATION, Call, RefusedError, checked, page, validation_errors, within
from tuneport.errors import ConflictError, RunNotFoundError, UnknownTrialError

_TRAINING = re.compile(r"(.+)-[0-9]{3,}-[0-9a-f]{8}")
_ARN = re.compile(r"arn:[^:]+:sagemaker:([^:]*):[0-9]*:(hyper-parameter-tuning-job|training-job)/(.+)")
MOST_TAGS = 50
_TUNING = "tuning-job"
"""Whose tags a tuning job's own are; those of its training jobs are under their numbers."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the service does is not known, or differs between accounts.

    Attributes:
        most_jobs: tuning jobs that may run at once in a region.
        reuse_names: whether the name of a deleted tuning job may be given again.
    """

    most_jobs: int = 100
    reuse_names: bool = True


class Tuning:
    """The operations, each a function from a call to the body of its answer.

    Args:
        host: runs the jobs.
        options: what it does where that is open.
    """

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._options = options
        self.operations: Mapping[str, Callable[[Call], Json]] = {
            "CreateHyperParameterTuningJob": self._create,
            "DescribeHyperParameterTuningJob": self._describe,
            "StopHyperParameterTuningJob": self._stop,
            "DeleteHyperParameterTuningJob": self._delete,
            "ListHyperParameterTuningJobs": self._list,
            "ListTrainingJobsForHyperParameterTuningJob": self._list_of_job,
            "CreateTrainingJob": lambda call: alone.create(self._host, call),
            "DescribeTrainingJob": self._describe_training,
            "StopTrainingJob": self._stop_training,
            "ListTrainingJobs": self._list_trainings,
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
            "DeleteTags": self._delete_tags,
        }

    def trainings(self, region: str) -> Iterator[TrainingJob]:
        """All training jobs of a region, also of tuning jobs that were deleted."""
        for kind in (JOB, DELETED):
            for job in self._jobs(region, kind):
                yield from job.trainings()
        yield from alone.trainings(self._host, region)

    # Tuning jobs ------------------------------------------------------------------------------------------------

    def _create(self, call: Call) -> Json:
        problems = TRANSLATOR.problems(call.body, "request")
        if problems:
            over = _over_quota(call.body)
            if over and {one.pointer for one in problems} <= over:
                raise RefusedError("ResourceLimitExceeded", "; ".join(map(str, problems)))
            raise RefusedError(VALIDATION, validation_errors(problems))
        name = call.body[NAME]
        self._check_name(call.region, name)
        lineage = self._parents(call)
        self._check_room(call.region)
        reading = TRANSLATOR.read(call.body)
        job, _ = TRANSLATOR.from_native(reading.request, reading.form)
        known = parents.known(job, lineage)
        tags = {one["Key"]: one["Value"] for one in call.body.get("Tags", ())}
        body = {"request": call.body, "region": call.region, "launched_with": tags, "tags": {}}
        try:
            document = self._host.submit(JOB, _key(call.region, name), body, job, "sagemaker", known)
        except ConflictError as error:
            raise _taken(name) from error
        created = HyperParameterTuningJob(self._host, document)
        return {"HyperParameterTuningJobArn": created.rendered["HyperParameterTuningJobArn"]}

    def _describe(self, call: Call) -> Json:
        checked(call, "DescribeHyperParameterTuningJobRequest")
        job = self._job(call)
        lineage = []
        for name in parents.named(job.request):
            with suppress(RefusedError):  # it may have been deleted since
                lineage.append(self._named(job.region, name))
        return job.described(lineage)

    def _stop(self, call: Call) -> Json:
        checked(call, "StopHyperParameterTuningJobRequest")
        job = self._job(call)
        if job.status != "InProgress":
            raise RefusedError(VALIDATION, f"The tuning job is already in status {job.status}.")
        with suppress(ConflictError):  # it has ended in the meantime
            self._host.stop(job.run)
        return {}

    def _delete(self, call: Call) -> Json:
        """Remove the record alone: training jobs stay."""
        checked(call, "DeleteHyperParameterTuningJobRequest")
        job = self._job(call)
        if not job.result.state.ended:
            raise RefusedError(VALIDATION, f"The tuning job is not in a terminal state: {job.status}.")
        document = job.document
        self._host.documents.add(replace(document, kind=DELETED, name=f"{document.name}/{document.run}"))
        self._host.documents.remove(JOB, document.name)
        return {}

    def _list(self, call: Call) -> Json:
        request = checked(call, "ListHyperParameterTuningJobsRequest")
        items = [
            one
            for one in (job.summary() for job in self._jobs(call.region))
            if request.get("NameContains", "").lower() in one[NAME].lower()
            and request.get("StatusEquals", one["HyperParameterTuningJobStatus"])
            == one["HyperParameterTuningJobStatus"]
            and within(one["CreationTime"], request, "CreationTime")
            and within(one["LastModifiedTime"], request, "LastModifiedTime")
        ]
        keys = {"Name": NAME, "Status": "HyperParameterTuningJobStatus", "CreationTime": "CreationTime"}
        items.sort(key=lambda one: one[keys[request.get("SortBy", "Name")]], reverse=_falling(request))
        shown, more = page(items, request)
        return {"HyperParameterTuningJobSummaries": shown, **more}

    def _list_of_job(self, call: Call) -> Json:
        request = checked(call, "ListTrainingJobsForHyperParameterTuningJobRequest")
        summaries = [
            one.summary for one in self._job(call).trainings() if request.get("StatusEquals", one.status) == one.status
        ]
        by = request.get("SortBy", "Name")
        if by == "FinalObjectiveMetricValue":
            final = "FinalHyperParameterTuningJobObjectiveMetric"
            summaries = [one for one in summaries if final in one]
            summaries.sort(key=lambda one: one[final]["Value"], reverse=_falling(request))
        else:
            keys = {"Name": "TrainingJobName", "Status": "TrainingJobStatus", "CreationTime": "CreationTime"}
            summaries.sort(key=lambda one: one[keys[by]], reverse=_falling(request))
        shown, more = page(summaries, request)
        return {"TrainingJobSummaries": shown, **more}

    # Training jobs ----------------------------------------------------------------------------------------------

    def _describe_training(self, call: Call) -> Json:
        request = checked(call, "DescribeTrainingJobRequest")
        return self._training(call.region, request["TrainingJobName"]).described()

    def _stop_training(self, call: Call) -> Json:
        request = checked(call, "StopTrainingJobRequest")
        training = self._training(call.region, request["TrainingJobName"])
        try:
            if training.status == "InProgress":
                single = training.parent.document.kind == alone.KIND
                self._host.stop(training.parent.run, None if single else training.trial.id)
                return {}
        except (ConflictError, UnknownTrialError):  # it has ended in the meantime
            training = self._training(call.region, request["TrainingJobName"])
        message = f"The request was rejected because the training job is in status {training.status}."
        raise RefusedError(VALIDATION, message)

    def _list_trainings(self, call: Call) -> Json:
        request = checked(call, "ListTrainingJobsRequest")
        items = [
            one.listed()
            for one in self.trainings(call.region)
            if request.get("NameContains", "").lower() in one.name.lower()
            and request.get("StatusEquals", one.status) == one.status
            and "WarmPoolStatusEquals" not in request
            and "TrainingPlanArnEquals" not in request
        ]
        items = [
            one
            for one in items
            if within(one["CreationTime"], request, "CreationTime")
            and within(one["LastModifiedTime"], request, "LastModifiedTime")
        ]
        keys = {"Name": "TrainingJobName", "Status": "TrainingJobStatus", "CreationTime": "CreationTime"}
        items.sort(key=lambda one: one[keys[request.get("SortBy", "CreationTime")]], reverse=_falling(request))
        shown, more = page(items, request)
        return {"TrainingJobSummaries": shown, **more}

    # Tags -------------------------------------------------------------------------------------------------------

    def knows(self, arn: object) -> bool:
        """Whether a resource is of a kind that is looked after here."""
        return _ARN.fullmatch(str(arn)) is not None

    def _add_tags(self, call: Call) -> Json:
        request = checked(call, "AddTagsInput")
        added = {one["Key"]: one["Value"] for one in request["Tags"]}

        def change(tags: dict[str, str]) -> dict[str, str]:
            if len(tags | added) > MOST_TAGS:
                raise RefusedError("ResourceLimitExceeded", f"A resource has at most {MOST_TAGS} tags.")
            return tags | added

        return {"Tags": _tags(self._change_tags(call, change))}

    def _delete_tags(self, call: Call) -> Json:
        gone = set(checked(call, "DeleteTagsInput")["TagKeys"])
        self._change_tags(call, lambda tags: {key: value for key, value in tags.items() if key not in gone})
        return {}

    def _list_tags(self, call: Call) -> Json:
        request = checked(call, "ListTagsInput")
        shown, more = page(_tags(self._change_tags(call, dict)), request, MOST_TAGS)
        return {"Tags": shown, **more}

    def _change_tags(self, call: Call, change: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, str]:
        """Change the tags of a resource; gives what they are now."""
        match = _ARN.fullmatch(call.body["ResourceArn"])
        if match is None:
            raise RefusedError(VALIDATION, f"{call.body['ResourceArn']} is no resource that is known here.")
        region, kind, name = match.groups()
        training = self._training(region, name) if kind == "training-job" else None
        document = training.parent.document if training else self._named(region, name).document
        whose = str(training.trial.id) if training else _TUNING

        def changed(body: Json) -> Json:
            tags = body["tags"]
            return body | {"tags": tags | {whose: change(tags.get(whose, body["launched_with"]))}}

        edited = self._host.documents.change(document.kind, document.name, changed)
        tags: dict[str, str] = edited.body["tags"][whose]
        return tags

    # What is there ----------------------------------------------------------------------------------------------

    def _jobs(self, region: str, kind: str = JOB) -> Iterator[HyperParameterTuningJob]:
        for document in self._host.documents.all(kind):
            if document.body["region"] == region:
                yield HyperParameterTuningJob(self._host, document)

    def _job(self, call: Call) -> HyperParameterTuningJob:
        return self._named(call.region, call.body[NAME])

    def _named(self, region: str, name: str) -> HyperParameterTuningJob:
        try:
            return HyperParameterTuningJob(self._host, self._host.documents.get(JOB, _key(region, name)))
        except RunNotFoundError:
            message = f"Amazon SageMaker can't find a tuning job with the name {name}."
            raise RefusedError("ResourceNotFound", message) from None

    def _training(self, region: str, name: str) -> TrainingJob:
        """The training job of that name; the service has no code of its own for one that is not there."""
        with suppress(RunNotFoundError):
            return alone.training(self._host, region, name)
        match = _TRAINING.fullmatch(name)
        for job in self._launching(region, match[1]) if match else ():
            for training in job.trainings():
                if training.name.lower() == name.lower():
                    return training
        raise RefusedError(VALIDATION, "Requested resource not found.")

    def _launching(self, region: str, name: str) -> Iterator[HyperParameterTuningJob]:
        with suppress(RefusedError):
            yield self._named(region, name)
        yield from (job for job in self._jobs(region, DELETED) if job.name.lower() == name.lower())

    def _check_name(self, region: str, name: str) -> None:
        kinds = (JOB,) if self._options.reuse_names else (JOB, DELETED)
        if any(job.name.lower() == name.lower() for kind in kinds for job in self._jobs(region, kind)):
            raise _taken(name)

    def _check_room(self, region: str) -> None:
        jobs, most = list(self._jobs(region)), self._options.most_jobs
        if len(jobs) >= most and sum(not job.result.state.ended for job in jobs) >= most:
            raise RefusedError("ResourceLimitExceeded", f"The account-level limit of {most} tuning jobs is reached.")

    def _parents(self, call: Call) -> list[HyperParameterTuningJob]:
        try:
            found = [self._named(call.region, name) for name in parents.named(call.body)]
        except RefusedError as error:
            raise RefusedError(VALIDATION, str(error)) from None
        parents.check(call.body, found)
        return found


def _key(region: str, name: str) -> str:
    """Names are unique in a region, whatever their capitals."""
    return f"{region}/{name.lower()}"


def _taken(name: str) -> RefusedError:
    return RefusedError("ResourceInUse", f"Hyper parameter tuning job {name} already exists.")


def _over_quota(request: Json) -> set[str]:
    """Places of the limits that are above what an account may have."""
    config = request.get(CONFIG)
    limits = config.get("ResourceLimits") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(limits, dict):
        return set()
    trials = rules.MOST_RANDOM_TRIALS if config.get("Strategy") == "Random" else rules.MOST_TRIALS
    quotas = {"MaxNumberOfTrainingJobs": trials, "MaxParallelTrainingJobs": rules.MOST_PARALLEL_TRIALS}
    over = {name for name, most in quotas.items() if isinstance(limits.get(name), int) and limits[name] > most}
    return {f"/{CONFIG}/ResourceLimits/{name}" for name in over}


def _falling(request: Json) -> bool:
    return bool(request.get("SortOrder") == "Descending")


def _tags(tags: Mapping[str, str]) -> list[Json]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
