"""The calls of the emulated Vertex AI, whatever the transport: from a request to its reply, as protobuf's JSON."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from tuneport.emulators.documents import Document
from tuneport.emulators.faults import Faults
from tuneport.emulators.host import Host
from tuneport.emulators.vertex.filters import FilterError, parse
from tuneport.emulators.vertex.refusals import RefusalError
from tuneport.emulators.vertex.resources import (
    CUSTOM_JOBS,
    PIPELINES,
    TUNING_JOBS,
    Options,
    Resource,
    Resources,
    operation_name,
    timestamp,
)
from tuneport.errors import RunNotFoundError

Json: TypeAlias = dict[str, Any]
Call: TypeAlias = Callable[[Json], Json]

_OPERATIONS = "vertex/operations"
_PARENT = re.compile(r"projects/[^/]+/locations/[^/]+")
_JOB_FILTER = {"display_name": "= != :", "state": "= !=", "create_time": "= != < <= > >=", "labels": "= != :"}
_TYPES = "type.googleapis.com/"


@dataclass(frozen=True, slots=True)
class Collection:
    """One kind of resources.

    Attributes:
        name: as in paths, and the list of a reply.
        message: the name of its message, and of its calls.
        service: which gRPC service has its calls.
        filter: what lists may be filtered by.
    """

    name: str
    message: str
    service: str
    filter: Mapping[str, str]

    @property
    def field(self) -> str:
        """The field of a create request."""
        return self.message[0].lower() + self.message[1:]


COLLECTIONS = (
    Collection(TUNING_JOBS, "HyperparameterTuningJob", "JobService", _JOB_FILTER),
    Collection(CUSTOM_JOBS, "CustomJob", "JobService", _JOB_FILTER),
    Collection(PIPELINES, "TrainingPipeline", "PipelineService", _JOB_FILTER | {"training_task_definition": "= != :"}),
)


class Service:
    """All calls, by their names: CreateHyperparameterTuningJob, GetOperation and so on.

    Args:
        host: runs what is created.
        faults: what goes wrong.
        options: what is not known of the service.
    """

    def __init__(self, host: Host, faults: Faults, options: Options) -> None:
        self._host = host
        self._faults = faults
        self._options = options
        self._resources = Resources(host, options)
        self._calls: dict[str, Call] = {
            "GetOperation": self._get_operation,
            "WaitOperation": self._get_operation,
            "ListOperations": self._list_operations,
            "DeleteOperation": self._delete_operation,
            "CancelOperation": self._cancel_operation,
            "ListLogEntries": self._list_log_entries,
        }
        for one in COLLECTIONS:
            self._calls |= {
                f"Create{one.message}": partial(self._create, one),
                f"Get{one.message}": partial(self._get, one),
                f"List{one.message}s": partial(self._list, one),
                f"Cancel{one.message}": partial(self._cancel, one),
                f"Delete{one.message}": partial(self._delete, one),
            }

    def call(self, name: str, request: Json) -> Json:
        """Answer one call; whatever is raised is worded by `refusals.refusal`."""
        with self._faults.around(name):
            return self._calls[name](request)

    # ---- jobs and pipelines ------------------------------------------------------------------------------------

    def _create(self, of: Collection, request: Json) -> Json:
        return self._resources.create(of.name, _parent(request), request.get(of.field, {}))

    def _get(self, of: Collection, request: Json) -> Json:
        return self._find(of, request).show()

    def _find(self, of: Collection, request: Json) -> Resource:
        try:
            return self._resources.find(of.name, request.get("name", ""))
        except RunNotFoundError:
            raise RefusalError("NOT_FOUND", f"The {of.message} does not exist.") from None

    def _list(self, of: Collection, request: Json) -> Json:
        wanted = _filter(request.get("filter", ""), of.filter)
        resources = self._resources.all(of.name, _parent(request))
        newest = sorted(resources, key=lambda one: (one.created, one.name), reverse=True)
        shown = (({"name": one.name} | one.show(), one.created) for one in newest)
        kept = [(_without_trials(item), f"{created}|{item['name']}") for item, created in shown if wanted(item)]
        page, token = self._page(kept, request)
        mask = request.get("readMask", "")
        return {of.name: [_masked(item, mask) for item in page], **token}

    def _page(self, items: Sequence[tuple[Json, str]], request: Json) -> tuple[list[Json], Json]:
        """The items of one page, and the token of the next: where it ended, whatever comes or goes meanwhile.

        Raises:
            RefusalError: the size or the token is none.
        """
        size = min(self._size(request), self._options.page_size)
        last = _unsealed(request["pageToken"]) if request.get("pageToken") else None
        left = [one for one in items if last is None or _place(one[1]) < last]
        page = left[:size]
        token = {"nextPageToken": _sealed(page[-1][1])} if len(left) > size else {}
        return [item for item, _ in page], token

    def _size(self, request: Json) -> int:
        given = str(request.get("pageSize") or self._options.page_size)
        if not re.fullmatch(r"[0-9]{1,9}", given):
            raise RefusalError("INVALID_ARGUMENT", f"page_size must be a whole number from 0, not '{given}'.")
        return int(given) or self._options.page_size

    def _cancel(self, of: Collection, request: Json) -> Json:
        self._find(of, request).cancel()
        return {}

    def _delete(self, of: Collection, request: Json) -> Json:
        resource = self._find(of, request)
        resource.remove()
        moment = timestamp(self._host.clock.now())
        generic = {"createTime": moment, "updateTime": moment}
        name = operation_name(resource.name.rsplit("/", 2)[0])
        metadata = {"@type": f"{_TYPES}google.cloud.aiplatform.v1.DeleteOperationMetadata", "genericMetadata": generic}
        empty = {"@type": f"{_TYPES}google.protobuf.Empty"}
        operation = {"name": name, "metadata": metadata, "done": True, "response": empty}
        self._host.documents.add(Document(_OPERATIONS, name, self._host.clock.now(), operation))
        return operation

    # ---- operations --------------------------------------------------------------------------------------------

    def _operation(self, request: Json) -> Document:
        try:
            return self._host.documents.get(_OPERATIONS, request.get("name", ""))
        except RunNotFoundError:
            raise RefusalError("NOT_FOUND", "The Operation does not exist.") from None

    def _get_operation(self, request: Json) -> Json:
        return self._operation(request).body

    def _list_operations(self, request: Json) -> Json:
        parent = request.get("name", "").removesuffix("/operations")
        found = [one for one in self._host.documents.all(_OPERATIONS) if one.name.startswith(f"{parent}/operations/")]
        newest = sorted(found, key=lambda one: (one.created, one.name), reverse=True)
        page, token = self._page([(one.body, f"{one.created}|{one.name}") for one in newest], request)
        return {"operations": page, **token}

    def _delete_operation(self, request: Json) -> Json:
        document = self._operation(request)
        self._host.documents.remove(document.kind, document.name)
        return {}

    def _cancel_operation(self, request: Json) -> Json:
        self._operation(request)  # all have ended; cancelling one has no effect
        return {}

    # ---- logs --------------------------------------------------------------------------------------------------

    def _list_log_entries(self, request: Json) -> Json:
        """Entries in the order of their time, which is the only order here."""
        text, names = request.get("filter", ""), request.get("resourceNames", [])
        if not isinstance(text, str) or not isinstance(names, list):
            raise RefusalError("INVALID_ARGUMENT", "filter must be text, and resource_names a list.")
        wanted = _filter(text, None)
        projects = [one.split("/")[1] for one in names if isinstance(one, str) and one.startswith("projects/")]
        mentioned = set(re.findall(r"\d{18,19}", text))
        entries = [one for project in projects for one in self._resources.log(project, mentioned) if wanted(one)]
        start = int(_unsealed(request["pageToken"])[0]) if request.get("pageToken") else 0
        end = start + self._size(request)
        token = {"nextPageToken": _sealed(f"{end}|")} if len(entries) > end else {}
        return {"entries": entries[start:end], **token}


def _parent(request: Json) -> str:
    parent: str = request.get("parent", "")
    if not _PARENT.fullmatch(parent):
        raise RefusalError("INVALID_ARGUMENT", f"Invalid resource name: '{parent}'.")
    return parent


def _filter(text: str, allowed: Mapping[str, str] | None) -> Callable[[Mapping[str, Any]], bool]:
    try:
        return parse(text, allowed)
    except FilterError as error:
        raise RefusalError("INVALID_ARGUMENT", f"Invalid filter: {error}") from None


def _without_trials(item: Json) -> Json:
    return {name: value for name, value in item.items() if name != "trials"}


# ---- pages ----------------------------------------------------------------------------------------------------------


def _place(text: str) -> tuple[float, str]:
    moment, _, name = text.partition("|")
    return float(moment), name


def _sealed(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).decode()


def _unsealed(token: str) -> tuple[float, str]:
    try:
        return _place(base64.urlsafe_b64decode(token.encode()).decode())
    except ValueError:
        raise RefusalError("INVALID_ARGUMENT", "The page token is invalid.") from None


# ---- masks ----------------------------------------------------------------------------------------------------------


def _masked(item: Json, mask: str) -> Json:
    """The members that a mask names, such as ``name,studySpec.metrics``; all of them without one."""
    paths = [path.split(".") for path in mask.split(",") if path]
    return item if not paths or ["*"] in paths else _picked(item, paths)


def _picked(item: Json, paths: Sequence[Sequence[str]]) -> Json:
    found = {}
    for first in dict.fromkeys(re.sub(r"_([a-z])", lambda match: match[1].upper(), path[0]) for path in paths):
        if first not in item:
            continue
        below = [path[1:] for path in paths if re.sub(r"_([a-z])", lambda match: match[1].upper(), path[0]) == first]
        whole = any(not path for path in below) or not isinstance(item[first], dict)
        found[first] = item[first] if whole else _picked(item[first], below)
    return found
