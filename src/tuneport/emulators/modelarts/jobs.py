"""Training jobs of the emulated ModelArts: made, shown, listed, stopped and deleted."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from tuneport.backends.modelarts.status import STATUS
from tuneport.backends.modelarts.translate.rules import at
from tuneport.emulators.documents import Document
from tuneport.emulators.host import Host
from tuneport.emulators.modelarts import requests, searches, tables
from tuneport.emulators.modelarts.algorithms import Algorithms
from tuneport.emulators.modelarts.pages import MOST, number, objects, page
from tuneport.emulators.modelarts.refusals import INVALID, RefusalError, invalid, not_found
from tuneport.errors import ConflictError, JobError, RunNotFoundError, UnknownTrialError, WaitTimeoutError
from tuneport.model.results import FailureKind, RunState, StudyResult

Json: TypeAlias = dict[str, Any]

NAME = "modelarts"
KIND = "modelarts/job"
_STOPPABLE = ("Creating", "Pending", "Running")
_PATIENCE = 30.0
"""Seconds that deleting waits for the end of a job."""
_MOST_LOG = 5 << 20
"""Most bytes of a log that are shown."""
_SYSTEM = "_sys_"
_ENDED_WELL = {FailureKind.METRIC_MISSING, FailureKind.INFEASIBLE}
"""What a trial can lack although its program ended well."""


def _pair(text: str) -> tuple[str, str]:
    access, secret = text.split(":")
    return access, secret


@dataclass(frozen=True, slots=True)
class Options:
    """What is not known of the service, and can be chosen.

    Attributes:
        parallel: how many trials of a job run at once.
        layout: columns of the list of trials: "documented", or fewer in another order as a past "console" has them.
        config: parameters in tables are an "object", or Python's "repr" of one.
        offsets: offsets of jobs and trials count "rows", or "pages".
        delete_running: a job may be deleted while it runs.
        job_quota: most training jobs.
        keys: access keys to secret keys, with which requests must be signed; None: nobody looks at signatures.
    """

    parallel: int = 1
    layout: tables.Layout = "documented"
    config: tables.Config = "object"
    offsets: Literal["rows", "pages"] = "rows"
    delete_running: bool = True
    job_quota: int = 10_000
    keys: Mapping[str, str] | None = field(
        default=None,
        metadata={"takes": "ACCESS:SECRET,…", "read": lambda text: dict(_pair(one) for one in text.split(","))},
    )


class Jobs:
    """All of them.

    Attributes:
        quota: how many there may be.

    Args:
        host: runs them.
        algorithms: of which some are made.
        options: what is not known.
    """

    def __init__(self, host: Host, algorithms: Algorithms, options: Options) -> None:
        self._host = host
        self._algorithms = algorithms
        self._options = options
        self.quota = options.job_quota
        self._making = threading.Lock()
        """Held while a name is free."""

    def create(self, body: Json) -> Json:
        """Make a job and run it.

        Raises:
            RefusalError: the service would not.
        """
        request, job = self._read(body)
        with self._making:
            if self.is_taken(request["metadata"]["name"]):
                raise RefusalError("2751", f"Training job name {request['metadata']['name']} already exists.")
            if self.count() >= self.quota:
                raise RefusalError("2816", f"There may be no more than {self.quota} training jobs.")
            try:
                kept = {"request": requests.filled(request), "tags": []}
                document = self._host.submit(KIND, str(uuid.uuid4()), kept, job, contract=NAME)
            except JobError as error:
                raise invalid(error.problems) from None
        return self._shown(document)

    def _read(self, body: Json) -> tuple[Json, Any]:
        """A request as it is meant, and the job that it asks for."""
        request = {key: value for key, value in requests.read(body).items() if key not in {"tags", "region"}}
        if not request.get("kind"):
            raise RefusalError(INVALID, "/kind: required, but missing")
        stored = None
        if ident := at(request, "/algorithm/id"):
            stored = self._algorithms.request(str(ident))
            request = requests.completed(request, stored)
        asked = requests.without_identity(request) if stored else request
        job = requests.job(asked if stored or requests.is_search(asked) else requests.searching(asked))
        if stored:
            job = requests.by_stored_name(job, stored, self._host.programs)
        return request, requests.runnable(job, self._options.parallel)

    def count(self) -> int:
        """How many there are."""
        return len(self._host.documents.all(KIND))

    def is_taken(self, name: str) -> bool:
        """Whether a job has that name."""
        return any(one.body["request"]["metadata"]["name"] == name for one in self._host.documents.all(KIND))

    def show(self, ident: str) -> Json:
        """A job as the service shows it."""
        return self._shown(self.find(ident))

    def find(self, ident: str) -> Document:
        """The document of a job.

        Raises:
            RefusalError: there is none.
        """
        try:
            return self._host.documents.get(KIND, ident)
        except RunNotFoundError:
            raise not_found(ident) from None

    def result(self, ident: str) -> StudyResult:
        """What became of a job so far."""
        return self._result(self.find(ident))

    def _result(self, document: Document) -> StudyResult:
        assert document.run is not None  # noqa: S101 - jobs have runs
        result = self._host.result(document.run)
        return result if requests.is_search(document.body["request"]) else _once(result)

    def listed(self, body: Json) -> Json:
        """A page of the jobs that are searched for."""
        every = self._host.documents.all(KIND)
        found = searches.matching(every, body, self._shown)
        items, paging = page(found, body, by_pages=self._options.offsets == "pages")
        said = {name: body.get(name) or default for name, default in searches.DEFAULTS.items()}
        shown = [self._shown(one) for one in items]
        return {"total": len(every), **paging, "count": len(found), **said, "ai_project": "default-ai-project",
                "items": shown}  # fmt: skip

    def describe_as(self, ident: str, body: Json) -> None:
        """Change a job's description."""
        description = body.get("description")
        if not isinstance(description, str) or len(description) > 256:
            raise RefusalError(INVALID, "description must be a text of at most 256 characters")
        self.find(ident)

        def change(kept: Json) -> None:
            kept["request"]["metadata"]["description"] = description

        self._host.documents.change(KIND, ident, change)

    def act(self, ident: str, body: Json) -> Json:
        """Do what is asked of a job: end it, which nothing else can be asked.

        Raises:
            RefusalError: the job has ended, or something else is asked.
        """
        action = body.get("action_type")
        document = self.find(ident)
        if action != "terminate":
            raise RefusalError("2812", f"Unsupported action_type {action!r}: must be terminate.")
        shown = self._shown(document)
        refusal = RefusalError("2796", f"Training job {ident} cannot be terminated.", 409)
        if shown["status"]["phase"] not in _STOPPABLE:
            raise refusal
        try:
            self._host.stop(str(document.run))
        except ConflictError:
            raise refusal from None
        ending = {"phase": "Terminating", "secondary_phase": "Terminating"}
        return shown | {"status": shown["status"] | ending}

    def delete(self, ident: str) -> None:
        """Forget a job; one that runs is ended before.

        Raises:
            RefusalError: it runs, and that is in the way.
        """
        document = self.find(ident)
        if not self._result(document).state.ended:
            if not self._options.delete_running:
                raise RefusalError("2878", f"Training job {ident} has not ended.", 409)
            with suppress(ConflictError):
                self._host.stop(str(document.run))
            try:
                self._host.wait(str(document.run), _PATIENCE)
            except WaitTimeoutError:
                raise RefusalError("2958", f"Training job {ident} does not end.", 500) from None
        self._host.delete(document)

    def delete_all(self, body: Json) -> None:
        """Forget several jobs, or, if one of them is not there, none."""
        jobs = objects(body, "jobs")
        if not 1 <= len(jobs) <= 100:
            raise RefusalError(INVALID, "jobs must be a list of 1 to 100")
        idents = [str(at(one, "/metadata/id")) for one in jobs]
        for ident in idents:
            self.find(ident)
        for ident in idents:
            self.delete(ident)

    # ---- as they are shown -------------------------------------------------------------------------------------

    def _shown(self, document: Document) -> Json:
        created = round(document.created * 1000)
        request = document.body["request"]
        metadata = request["metadata"] | {"id": document.name, "create_time": created, "user_name": "emulated"}
        return {**request, "metadata": metadata, "status": self._status(document)}

    def _status(self, document: Document) -> Json:
        result = self._result(document)
        status: Json = STATUS.render(result.model_copy(update={"trials": ()}))["status"]  # tables take their time
        if result.state is RunState.PENDING and self._host.phase(document) == "creating":
            status |= {"phase": "Creating", "secondary_phase": "Creating"}
        if result.state is RunState.FAILED and not requests.is_search(document.body["request"]) and _is_lost(result):
            status |= {"phase": "Abnormal", "secondary_phase": "Lost"}
        starts = [one.started for one in result.trials if one.started is not None]
        started = min(starts, default=None)
        ended = result.ended if result.state.ended else self._host.clock.now()
        spent = 0 if started is None or ended is None else max(0, round((ended - started) * 1000))
        tasks = self.tasks(document)
        exits = {RunState.SUCCEEDED: 0, RunState.FAILED: 1, RunState.STOPPED: 137}
        return status | {
            "start_time": 0 if started is None else round(started * 1000),
            "duration": spent,
            "node_count_metrics": None,
            "tasks": tasks,
            "task_statuses": [
                {"task": one, "exit_code": exits.get(result.state, 0), "message": result.message}
                for one in tasks
                if result.state.ended
            ],
            "running_records": [self._record(started, result)] if started is not None else [],
        }

    def _record(self, started: float, result: StudyResult) -> Json:
        record: Json = {"start_at": int(started), "start_type": "init_or_rescheduled"}
        if result.state.ended and result.ended is not None:
            record |= {"end_at": int(result.ended), "end_reason": result.message, "end_related_task": "worker-0"}
        return record

    def tasks(self, document: Document) -> list[str]:
        """The names of a job's tasks, one for each machine."""
        nodes = at(document.body["request"], "/spec/resource").get("node_count", 1)
        return [f"worker-{index}" for index in range(nodes)]

    def events(self, ident: str, query: Mapping[str, str]) -> Json:
        """A page of what has happened to a job."""
        document = self.find(ident)
        status = self._status(document)
        told = [(document.created, "Training job created.")]
        told += [(one["start_at"], "Training job started.") for one in status["running_records"]]
        told += [(one["end_at"], "Training job ended.") for one in status["running_records"] if "end_at" in one]
        found = [{"time": _iso(when), "level": "Normal", "source": "Job", "message": message} for when, message in told]
        order = query.get("order", "desc")
        items, paging = page(found if order == "asc" else found[::-1], query)
        times = {"start_time": found[0]["time"], "end_time": found[-1]["time"]}
        return {"total": len(found), **paging, "order": order, **times, "events": items}

    def stages(self, ident: str) -> Json:
        """The stages of each start of a job."""
        status = self._status(self.find(ident))
        phases = {"Creating": "init", "Pending": "scheduling"}
        began = status["start_time"]
        stage = {
            "name": phases.get(status["phase"], "running"),
            "start_time": _iso(began / 1000) if began else "",
            "stage_order": 1,
        }
        return {"total_count": 1, "running_records": [{"record_order": 1, "stages": [stage]}]}

    # ---- trials ------------------------------------------------------------------------------------------------

    def trials(self, ident: str, query: Mapping[str, str]) -> Json:
        """A page of the list of trials."""
        result, options = self.result(ident), self._options
        offset, limit = number(query, "offset", 0, least=0), number(query, "limit", MOST)
        start = offset * limit if options.offsets == "pages" else offset
        table = tables.listed(ident, result, start, limit, options.layout, options.config)
        return table | {"offset": offset}

    def trial(self, ident: str, trial: str) -> Json:
        """One trial with its reports."""
        result = self.result(ident)
        return tables.reports(ident, result, tables.find(ident, result, trial), self._options.config)

    def stop_trial(self, ident: str, trial: str) -> Json:
        """End one trial; the search goes on."""
        document = self.find(ident)
        number = tables.find(ident, self._result(document), trial).id
        try:
            self._host.stop(str(document.run), number)
        except (UnknownTrialError, ConflictError):
            raise RefusalError(INVALID, f"trial {trial} does not run") from None
        return {"earlystop_trial": trial}

    def analysis(self, ident: str) -> Json:
        """How much each parameter matters."""
        result = self.result(ident)
        if not result.state.ended:
            raise RefusalError(INVALID, f"Training job {ident} has not ended.")
        return tables.analysis(result)

    def image(self, ident: str, parameter: str) -> Json:
        """Where the image for a parameter is said to be."""
        if all(name != parameter for name, _ in self.analysis(ident)["data"]):
            raise RefusalError(INVALID, f"parameter {parameter} is not searched")
        algorithm = self.find(ident).body["request"]["algorithm"]
        output = next((at(one, "/remote/obs").get("obs_url") for one in algorithm.get("outputs") or ()), None)
        folder = "/" + (output or "/emulated/").removeprefix("obs://").strip("/")
        return {"file_path": f"{folder}/log/hyperparameter-analysis/fanova/{parameter}.png"}

    # ---- logs --------------------------------------------------------------------------------------------------

    def log(self, ident: str, task: str) -> list[str]:
        """What a job's trials wrote, each line with its process before it. All are on the first machine.

        Raises:
            RefusalError: there is no such task.
        """
        document = self.find(ident)
        if task not in self.tasks(document):
            raise RefusalError(INVALID, f"task {task} not found")
        if task != "worker-0":
            return []
        trials = self._result(document).trials
        return [
            f"(pid={tables.process(trial)}) {line}"
            for trial in trials
            for line in self._host.logs(str(document.run), trial.id)
        ]

    def preview(self, ident: str, task: str) -> Json | None:
        """The newest part of a log; None while there is nothing."""
        whole = "".join(f"{line}\n" for line in self.log(ident, task)).encode()
        if not whole:
            return None
        newest = whole[-_MOST_LOG:]
        text = newest.decode(errors="replace")
        return {"content": text, "current_size": len(newest), "full_size": len(whole)}

    def lines(self, ident: str, task: str, query: Mapping[str, str]) -> Json:
        """Some lines of a log, from the front or from the end."""
        lines, count = self.log(ident, task), number(query, "lines", MOST, most=500)
        base = number(query, "base_line", 0, least=0)
        if query.get("order", "desc") == "asc":
            start, end = base, min(len(lines), base + count)
        else:
            end = base if "base_line" in query else len(lines)
            start = max(0, end - count)
        content = "".join(f"{line}\n" for line in lines[start:end])
        return {"start_line": str(start), "end_line": str(end), "lines": max(0, end - start), "content": content}

    # ---- tags --------------------------------------------------------------------------------------------------

    def tags(self, ident: str) -> Json:
        """Tags of a job."""
        return {"tags": self.find(ident).body["tags"]}

    def all_tags(self) -> Json:
        """Tags of all jobs, by key."""
        merged: dict[str, list[str]] = {}
        for one in self._host.documents.all(KIND):
            for tag in one.body["tags"]:
                values = merged.setdefault(tag["key"], [])
                values += [tag["value"]] if tag["value"] not in values else []
        return {"tags": [{"key": key, "values": values} for key, values in merged.items()]}

    def tag(self, ident: str, body: Json) -> None:
        """Set tags of a job; those of the same key are replaced."""
        self._retag(ident, body, lambda kept, new: kept | new)

    def untag(self, ident: str, body: Json) -> None:
        """Take tags off a job."""
        self._retag(ident, body, lambda kept, gone: {key: kept[key] for key in kept if key not in gone})

    def _retag(self, ident: str, body: Json, changed: Any) -> None:
        given = _tags(body)
        self.find(ident)

        def change(kept: Json) -> None:
            tags = changed({one["key"]: one["value"] for one in kept["tags"]}, given)
            kept["tags"] = [{"key": key, "value": value} for key, value in tags.items()]

        self._host.documents.change(KIND, ident, change)


def _once(result: StudyResult) -> StudyResult:
    """The run of a job without a search: its program decides how it ended, since nobody looks for metrics."""
    trial = next(iter(result.trials), None)
    if trial is None or trial.failure is None or result.state is not RunState.FAILED:
        return result
    if trial.failure.kind in _ENDED_WELL:
        return result.model_copy(update={"state": RunState.SUCCEEDED, "message": ""})
    return result.model_copy(update={"message": trial.failure.message})


def _is_lost(result: StudyResult) -> bool:
    """Whether the machine, and not the program, ended a trial."""
    lost = {FailureKind.PREEMPTED, FailureKind.INFRASTRUCTURE}
    return any(one.failure is not None and one.failure.kind in lost for one in result.trials)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tags(body: Json) -> dict[str, str]:
    pairs = {str(one.get("key", "")): one.get("value") or "" for one in objects(body, "tags")}
    for key, value in pairs.items():
        fits = 1 <= len(key) <= 128 and isinstance(value, str) and len(value) <= 255
        if not fits or key.startswith(_SYSTEM):
            message = f"must have 1 to 128 characters and a value of at most 255, and not begin with {_SYSTEM}"
            raise RefusalError(INVALID, f"tag {key!r}: {message}")
    return pairs
