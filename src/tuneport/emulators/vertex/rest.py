"""The emulated Vertex AI over HTTP: paths, queries and bodies to requests, and refusals in the service's shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from tuneport.emulators.server import Handler, Request, Response, Router
from tuneport.emulators.vertex.refusals import refusal
from tuneport.emulators.vertex.service import COLLECTIONS, Collection, Service

Json: TypeAlias = dict[str, Any]

_PLACE = "projects/{project}/locations/{location}"


def router(service: Service) -> Router:
    """The paths of all calls."""
    routes = Router()

    def route(method: str, path: str, call: str, message: Callable[[Request], Json]) -> None:
        routes.add(method, path, _answering(service, call, message))

    for one in COLLECTIONS:
        items = f"/v1/{_PLACE}/{one.name}"
        item = items + "/{id}"
        route("POST", items, f"Create{one.message}", _creating(one))
        route("GET", items, f"List{one.message}s", lambda request: {"parent": _parent(request), **request.query})
        for method, path, verb in (
            ("GET", item, "Get"),
            ("DELETE", item, "Delete"),
            ("POST", f"{item}:cancel", "Cancel"),
        ):
            route(method, path, f"{verb}{one.message}", _naming(one.name))
    for root in ("/v1", "/ui"):
        for above in ("", "/{collection}/{resource}"):
            operations = f"{root}/{_PLACE}{above}/operations"
            operation = operations + "/{id}"
            route("GET", operations, "ListOperations", lambda request: {"name": _parent(request), **request.query})
            for method, path, call in (
                ("GET", operation, "GetOperation"),
                ("DELETE", operation, "DeleteOperation"),
                ("POST", f"{operation}:cancel", "CancelOperation"),
                ("POST", f"{operation}:wait", "WaitOperation"),
            ):
                route(method, path, call, _naming("operations"))
    route("POST", "/v2/entries:list", "ListLogEntries", _object)
    return routes


def worded(error: Exception) -> Response:
    """A refusal as a response."""
    refused = refusal(error)
    return Response.json({"error": refused.error}, status=refused.http)


def _answering(service: Service, call: str, message: Callable[[Request], Json]) -> Handler:
    return lambda request: Response.json(service.call(call, message(request)))


def _parent(request: Request) -> str:
    return _PLACE.format(**request.params)


def _creating(of: Collection) -> Callable[[Request], Json]:
    return lambda request: {"parent": _parent(request), of.field: request.json()}


def _naming(collection: str) -> Callable[[Request], Json]:
    return lambda request: {"name": f"{_parent(request)}/{collection}/{request.params['id']}"}


def _object(request: Request) -> Json:
    body = request.json()
    return body if isinstance(body, dict) else {}
