"""Calls of ModelArts' API: jobs, trials, logs, and what it has besides, as plain JSON."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import quote

from tuneport.backends import retries
from tuneport.backends.modelarts.client.refusals import NAME, NoLogError
from tuneport.backends.protocols import Finding, JobRef
from tuneport.errors import BackendError, ConflictError, RunNotFoundError, UnavailableError
from tuneport.model.word import did_you_mean

Json: TypeAlias = dict[str, Any]
Call: TypeAlias = Callable[[str, str, Any, Mapping[str, Any] | None], Json]
"""Method, path, body and query to what came back."""
Download: TypeAlias = Callable[[str], list[str]]

JOBS, ALGORITHMS = "/v2/{project_id}/training-jobs", "/v2/{project_id}/algorithms"
SEARCHES = "/v2/{project_id}/training-job-searches"
_STORED = "algorithms"
"""Stands in references before the id of a stored algorithm."""
_TAGS = "/v2/{{project_id}}/modelarts-training-job/{}/tags"
_AUTOSEARCH = "/v2/{project_id}/training-jobs/autosearch/yaml-templates"
_LONGEST_NAME = 64
_MOST_TRIALS = 100
"""Trials in a page. No limit is published; pages that are shorter than was asked for do no harm."""
_MOST_LISTED = 50
"""Jobs, or algorithms, in a page: the documented limit."""
MARKED = re.compile(r"\((?:\S+ )?pid=(\d+)(?:, [^)]*)?\) ?")
"""How a line begins that says which process of the job wrote it."""

_ENGINE = ("engine_id", "engine_name", "engine_version")
"""What an engine is known by."""

_log = logging.getLogger(__name__)


class ModelArtsClient:
    """One region of one project.

    References are ``REGION/ID`` of a training job, or ``REGION/algorithms/ID`` of a stored algorithm.

    Args:
        call: sends one request. Raises BackendError.
        region: where it goes.
        download: the lines of what is at a URL. Raises BackendError.
        way: what is known of the connection.
    """

    def __init__(self, call: Call, region: str, download: Download, way: Sequence[Finding] = ()) -> None:
        self._call = call
        self._region = region
        self._download = download
        self._way = way
        self._tags: dict[JobRef, list[Json]] = {}

    @property
    def emulated(self) -> bool:
        """Whether it is an emulator that is talked to: a place without TLS."""
        return any(one.what == "endpoint" and one.found.startswith("http://") for one in self._way)

    # ---- jobs --------------------------------------------------------------------------------------------------

    def submit(self, payload: Json, token: str, *, again: bool = False) -> JobRef:
        """Start a training job, or store an algorithm, once; its name ends with the token."""
        body = {key: value for key, value in payload.items() if key not in {"tags", "region"}}
        metadata = body.get("metadata")
        if not isinstance(metadata, dict) or not {"algorithm", "job_config"} & body.keys():
            hint = "a training job or a stored algorithm can be; see --form"
            raise BackendError("a document of this kind cannot be submitted to ModelArts", backend=NAME, hint=hint)
        if payload.get("region", self._region) != self._region:
            hint = f"set region in [modelarts] to {payload['region']}, or take it out of the document"
            raise BackendError(f"the job is one of {payload['region']}, not of {self._region}", backend=NAME, hint=hint)
        name = f"{metadata.get('name', '')[: _LONGEST_NAME - 1 - len(token)]}-{token}"
        body["metadata"] = metadata | {"name": name}
        if "job_config" in body:
            return self._store(body, name, again=again)
        ref = self._create(body, name, again=again)
        self._tag(ref, payload.get("tags") or ())
        return ref

    def _create(self, body: Json, name: str, *, again: bool) -> JobRef:
        search = {
            "filters": [{"key": "name", "operator": "like", "value": [name]}],
            "offset": 0,
            "limit": _MOST_LISTED,
            "workspace_id": body["metadata"].get("workspace_id", "0"),
        }

        def find() -> JobRef | None:
            listed = self._call("POST", SEARCHES, search, None)
            return self._named(listed, name, "")

        return self._once(JOBS, body, "", find, again=again)

    def _store(self, body: Json, name: str, *, again: bool) -> JobRef:
        query = {"searches": name, "offset": 0, "limit": _MOST_LISTED}
        if workspace := body["metadata"].get("workspace_id"):
            query["workspace_id"] = workspace

        def find() -> JobRef | None:
            return self._named(self._call("GET", ALGORITHMS, None, query), name, f"{_STORED}/")

        return self._once(ALGORITHMS, body, f"{_STORED}/", find, again=again)

    def _once(self, path: str, body: Json, kind: str, find: Callable[[], JobRef | None], *, again: bool) -> JobRef:
        sent = again

        def create() -> JobRef:
            nonlocal sent
            earlier, sent = sent, True
            try:
                return self._ref(self._call("POST", path, body, None), kind)
            except ConflictError:  # perhaps with what an earlier attempt made after we had looked
                if earlier and (found := find()) is not None:
                    return found
                raise

        return retries.submit(create, find, again=again)

    def _named(self, listed: Json, name: str, kind: str) -> JobRef | None:
        found = [one for one in listed.get("items") or () if one["metadata"]["name"] == name]
        return self._ref(found[0], kind) if found else None

    def _ref(self, made: Json, kind: str) -> JobRef:
        number = (made.get("metadata") or {}).get("id")
        if number is None:
            raise UnavailableError("ModelArts: the reply says nothing of what was made", backend=NAME)
        return f"{self._region}/{kind}{number}"

    def _tag(self, ref: JobRef, tags: Sequence[Json] | Json) -> None:
        """Set a job's tags. The job runs by now: that they could not be set is no reason to lose it."""
        pairs = [{"key": key, "value": value} for key, value in tags.items()] if isinstance(tags, dict) else tags
        if not pairs:
            return
        body = {"tags": [{"value": "", **one} for one in pairs]}
        try:
            retries.read(lambda: self._call("POST", f"{_TAGS.format(_job(ref))}/create", body, None))
        except BackendError as error:
            if error.retryable:
                raise
            _log.warning("%s runs, but its tags could not be set: %s", ref, error)

    def describe(self, ref: JobRef) -> Json:
        """The job with its tags, or the stored algorithm, as the service shows it."""
        found = self._get(_path(ref), has="metadata")
        tags = () if _is_stored(ref) else self._known_tags(ref)
        return found | {"tags": tags} if tags else found

    def _known_tags(self, ref: JobRef) -> list[Json]:
        """Tags as they were when the job was first looked at; following a job need not ask for them every time."""
        if ref not in self._tags:
            try:
                self._tags[ref] = self.tags(ref)
            except BackendError as error:
                if error.retryable:
                    raise
                self._tags[ref] = []  # who may see jobs need not be allowed to see tags
        return self._tags[ref]

    def trials(self, ref: JobRef) -> Iterator[Json]:
        """Tables of the trials, page by page."""
        if _is_stored(ref):
            return
        seen = page = 0
        while True:
            table = self._trials(ref, offset=seen)
            if page and not _rows(table):  # by one half of the documents offsets count rows, by the other half pages
                table = self._trials(ref, offset=page)
            yield table
            seen, page = seen + len(_rows(table)), page + 1
            total = table.get("total")
            if not _rows(table) or not isinstance(total, int) or seen >= total:
                return

    def _trials(self, ref: JobRef, offset: int) -> Json:
        return self._get(f"{_path(ref)}/autosearch-trials", {"limit": _MOST_TRIALS, "offset": offset})

    def stop(self, ref: JobRef, trial: str | None = None) -> None:
        """Stop the job, or one of its trials by its trial_id.

        Raises:
            ConflictError: the job has ended.
        """
        if _is_stored(ref):
            raise BackendError("a stored algorithm does not run", backend=NAME)
        if trial is None:
            self._change("POST", f"{_path(ref)}/actions", {"action_type": "terminate"}, done=ConflictError)
        else:
            self._change("POST", f"{_path(ref)}/autosearch-trial-earlystop/{_quoted(trial)}", done=ConflictError)

    def delete(self, ref: JobRef) -> None:
        """Delete the job, or the stored algorithm."""
        self._change("DELETE", _path(ref), done=RunNotFoundError)

    def logs(self, ref: JobRef, trial: str) -> Iterator[str]:
        """What a trial wrote, as far as that is known; else what all trials did, each line with its process before it.

        A trial's process is known from its first report on, and not all images say which process wrote a line.
        """
        lines = self._written(ref)
        marks = [MARKED.match(line) for line in lines]
        process = self._process(ref, trial) if any(marks) else None
        if process is None:
            yield from lines
            return
        yield from (line[mark.end() :] for line, mark in zip(lines, marks, strict=True) if mark and mark[1] == process)

    def searched(self, part: str) -> Iterator[Json]:
        """Jobs whose names have a part, the newest first; of several pages, those that are counted by jobs."""
        seen = 0
        while True:
            search = {
                "filters": [{"key": "name", "operator": "like", "value": [part]}],
                "sort_by": "create_time",
                "order": "desc",
                "offset": seen,
                "limit": _MOST_LISTED,
            }
            found = retries.read(lambda search=search: self._call("POST", SEARCHES, search, None)).get("items") or ()  # type: ignore[misc]
            yield from found
            seen += len(found)
            if len(found) < _MOST_LISTED:
                return

    def newest(self, ref: JobRef, task: str = "worker-0") -> Json:
        """The newest part of a task's log: its `content`, the `current_size` of that, and the `full_size` of all."""
        try:
            return self._get(f"{_path(ref)}/tasks/{_quoted(task)}/logs/preview")
        except NoLogError:
            return {}

    def _written(self, ref: JobRef) -> list[str]:
        """The log of the job's first task; none while there is no log."""
        task = next(iter(self.describe(ref).get("status", {}).get("tasks") or ()), "worker-0")
        found = self.newest(ref, task)
        lines = str(found.get("content") or found.get("context") or "").splitlines()
        if (found.get("full_size") or 0) <= (found.get("current_size") or 0):
            return lines
        try:  # a preview is five megabytes at most; the rest is only to be had where the log is kept
            return retries.read(lambda: self._download(self.log_url(ref, task)))
        except BackendError as error:
            _log.warning("only the newest lines of %s can be read: %s", ref, error)
            return lines

    def _process(self, ref: JobRef, trial: str) -> str | None:
        """The id of a trial's process; None until it has reported something."""
        table = self.reports(ref, trial)
        rows = [dict(zip(table["header"], row, strict=False)) for row in _rows({"items": table})]
        return str(rows[-1]["pid"]) if rows and "pid" in rows[-1] else None

    def probe(self, payload: Json | None = None) -> Iterator[Finding]:
        """The way to ModelArts as Huawei's own settings have it, what may be read, what the account may use.

        Of a job it is said whether its machine type, its engine and its stored algorithm are offered there.
        """
        yield from self._way
        yield self._probed("training jobs", lambda: self._call("POST", SEARCHES, {"offset": 0, "limit": 1}, None))
        yield self._probed("stored algorithms", lambda: self._call("GET", ALGORITHMS, None, {"offset": 0, "limit": 1}))
        yield self._probed("quota of training jobs", lambda: _counted(self.training_quotas(), "resource"))
        yield self._probed("quotas of resources", lambda: _counted(self.resource_quotas(), "type"))
        yield self._probed("quota of networks", lambda: str(self.network_quotas().get("networkQuota", "")))
        yield self._probed("engines", lambda: ", ".join(str(one.get("ai_engine")) for one in self.engine_runtimes()))
        if payload is not None:
            yield from self._offered(payload)

    @staticmethod
    def _probed(what: str, call: Callable[[], object]) -> Finding:
        """Whether a read is answered; a finding, or a text, that it answers is what was found."""
        try:
            found = call()
        except BackendError as error:
            return Finding(what, error.message, ok=False, hint=error.hint)
        if isinstance(found, Finding):
            return found
        return Finding(what, found if isinstance(found, str) and found else "can be read")

    def _offered(self, payload: Json) -> Iterator[Finding]:
        """Whether what a job names is there."""
        resource = (payload.get("spec") or {}).get("resource") or {}
        algorithm = payload.get("algorithm") or {}
        engine = {key: value for key, value in (algorithm.get("engine") or {}).items() if key in _ENGINE and value}
        if (flavor := resource.get("flavor_id")) and "pool_id" not in resource:
            yield self._probed("machine type", lambda: _among(self.flavors(), {"flavor_id": flavor}, "machine type"))
        if engine:
            yield self._probed("engine", lambda: _among(self.engines(), engine, "engine"))
        if number := algorithm.get("id"):
            yield self._probed("stored algorithm", lambda: self.describe(f"{self._region}/{_STORED}/{number}"))

    # ---- what ModelArts has besides ----------------------------------------------------------------------------

    def reports(self, ref: JobRef, trial: str) -> Json:
        """The table of one trial, with a row for each of its reports."""
        return self._get(f"{_path(ref)}/autosearch-trials/{_quoted(trial)}")

    def parameter_analysis(self, ref: JobRef) -> Json:
        """How much each searched parameter matters, once the job has ended: a table of means and deviations."""
        return self._get(f"{_path(ref)}/autosearch-parameter-analysis")

    def parameter_image(self, ref: JobRef, parameter: str) -> str:
        """Where on OBS the image is that shows how a parameter matters."""
        path = f"{_path(ref)}/autosearch-parameter-analysis/{_quoted(parameter)}"
        return str(self._get(path, has="file_path")["file_path"])

    def tags(self, ref: JobRef) -> list[Json]:
        """Tags of the job."""
        return list(self._get(_TAGS.format(_job(ref))).get("tags") or ())

    def log_url(self, ref: JobRef, task: str = "worker-0") -> str:
        """Where the whole log of a task can be had for five minutes."""
        return str(self._get(f"{_path(ref)}/tasks/{_quoted(task)}/logs/url", has="obs_url")["obs_url"])

    def search_algorithms(self) -> list[Json]:
        """The search algorithms, with the defaults of their settings."""
        return list(self._get("/v2/{project_id}/search-algorithms").get("search_algo_list") or ())

    def templates(self) -> list[Json]:
        """Types of AutoSearch files, and the names of the templates of each."""
        return list(self._get(_AUTOSEARCH).get("yaml_templates") or ())

    def template(self, kind: str, name: str) -> str:
        """The text of a template, such as that of hpo and Bayes."""
        return str(self._get(f"{_AUTOSEARCH}/{_quoted(kind)}/{_quoted(name)}", has="content")["content"])

    def engines(self) -> list[Json]:
        """Preset engines of training jobs; those that can search are tagged auto_search."""
        return list(self._get("/v2/{project_id}/training-job-engines").get("items") or ())

    def engine_runtimes(self) -> list[Json]:
        """Engines with their runtimes, in lists that go together by index."""
        found = self._get("/v1/{project_id}/models/ai-engine-runtimes")
        return list(found.get("engine_runtimes") or ())

    def flavors(self, kind: str | None = None) -> list[Json]:
        """Machine types of the public pool; of one kind: CPU, GPU or Ascend."""
        query = {} if kind is None else {"flavor_type": kind}
        return list(self._get("/v2/{project_id}/training-job-flavors", query).get("flavors") or ())

    def model(self, model: str) -> Json:
        """Details of a model by its id."""
        return self._get(f"/v1/{{project_id}}/models/{_quoted(model)}")

    def training_quotas(self) -> list[Json]:
        """How many training jobs there may be, and are."""
        return list(self._get("/v2/{project_id}/training-quotas").get("quotas") or ())

    def resource_quotas(self) -> list[Json]:
        """How many resource pools and networks there may be, and are."""
        return list(self._get("/v1/{project_id}/quotas").get("quotas", {}).get("resources") or ())

    def network_quotas(self) -> Json:
        """Networks that may be made, and their address ranges."""
        return self._get("/v1/{project_id}/os-user-config")

    # ---- calls -------------------------------------------------------------------------------------------------

    def _get(self, path: str, query: Mapping[str, Any] | None = None, *, has: str | None = None) -> Json:
        """Read something; a reply without the member that it must have is none of the service."""

        def once() -> Json:
            found = self._call("GET", path, None, query)
            if has is not None and has not in found:
                raise UnavailableError(f"ModelArts: the reply has no {has}", backend=NAME)
            return found

        return retries.read(once)

    def _change(self, method: str, path: str, body: Any = None, *, done: type[BackendError]) -> None:
        """Make a call whose repetition does no harm; of a repeated one, `done` says that an earlier one got through."""
        tried = False

        def attempt() -> None:
            nonlocal tried
            repeated, tried = tried, True
            try:
                self._call(method, path, body, None)
            except done:
                if not repeated:
                    raise

        retries.read(attempt)


# ---- references -----------------------------------------------------------------------------------------------------


def _is_stored(ref: JobRef) -> bool:
    return ref.split("/")[1:-1] == [_STORED]


def _job(ref: JobRef) -> str:
    """The id in a reference.

    Raises:
        RunNotFoundError: it is none.
    """
    region, *kind, number = ref.split("/") if "/" in ref else ("", ref)
    if not region or not number or kind not in ([], [_STORED]):
        hint = "such as cn-north-4/0f2ccdbb-4f34-4d53-afb9-d526f3be8c68"
        raise RunNotFoundError(f"'{ref}' is no job of ModelArts", backend=NAME, hint=hint)
    return _quoted(number)


def _path(ref: JobRef) -> str:
    return f"{ALGORITHMS if _is_stored(ref) else JOBS}/{_job(ref)}"


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _among(listed: Sequence[Json], wanted: Json, what: str) -> Finding:
    """Whether there is something in a list that is all this."""
    said = " ".join(map(str, wanted.values()))
    if any(wanted.items() <= one.items() for one in listed if all(isinstance(one.get(key), str) for key in wanted)):
        return Finding(what, f"{said} is offered")
    known = sorted({str(one[key]) for one in listed for key in wanted if key in one})
    return Finding(what, f"{said} is not offered", ok=False, hint=did_you_mean(said, known))


def _counted(quotas: Sequence[Json], name: str) -> str:
    return ", ".join(f"{one.get(name)} {one.get('used')} of {one.get('quota')}" for one in quotas)


def _rows(table: Json) -> list[Any]:
    return list((table.get("items") or {}).get("data") or ())
