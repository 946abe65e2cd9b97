"""Stored algorithms of the emulated ModelArts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, TypeAlias

from tuneport.backends.modelarts.translate.rules import at
from tuneport.emulators.documents import Document
from tuneport.emulators.host import Host
from tuneport.emulators.modelarts import requests
from tuneport.emulators.modelarts.pages import page
from tuneport.emulators.modelarts.refusals import RefusalError
from tuneport.errors import RunNotFoundError

Json: TypeAlias = dict[str, Any]

KIND = "modelarts/algorithm"


class Algorithms:
    """All of them.

    Args:
        host: keeps their documents.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def create(self, body: Json) -> Json:
        """Store one.

        Raises:
            RefusalError: the service would not.
        """
        ident = str(uuid.uuid4())
        self._host.documents.add(Document(KIND, ident, self._host.clock.now(), _checked(body)))
        return self.show(ident)

    def show(self, ident: str) -> Json:
        """One of them, as the service shows it."""
        return self._shown(self._find(ident))

    def request(self, ident: str) -> Json:
        """One of them as it was sent, with its id."""
        body = self._find(ident).body
        return body | {"metadata": body["metadata"] | {"id": ident}}

    def change(self, ident: str, body: Json) -> Json:
        """Store another one in its place."""
        self._find(ident)
        request = _checked(body)
        self._host.documents.change(KIND, ident, lambda _: request)
        return self.show(ident)

    def delete(self, ident: str) -> None:
        """Forget one."""
        self._find(ident)
        self._host.documents.remove(KIND, ident)

    def listed(self, query: Mapping[str, str]) -> Json:
        """A page of those whose names contain what is searched for."""
        searched = query.get("searches", "").removeprefix("name:")
        found = [one for one in self._host.documents.all(KIND) if searched in one.body["metadata"]["name"]]
        found.sort(key=lambda one: one.created, reverse=query.get("order", "desc") != "asc")
        items, paging = page(found, query)
        sorting = {"sort_by": query.get("sort_by", "create_time"), "order": query.get("order", "desc"), "group_by": ""}
        return {"total": len(found), **paging, **sorting, "items": [self._shown(one) for one in items]}

    def _find(self, ident: str) -> Document:
        try:
            return self._host.documents.get(KIND, ident)
        except RunNotFoundError:
            raise RefusalError("2755", f"Algorithm {ident} not found.") from None

    def _shown(self, document: Document) -> Json:
        created = round(document.created * 1000)
        said = requests.filled_algorithm(document.body)
        added = {
            "id": document.name,
            "create_time": created,
            "update_time": created,
            "user_name": "emulated",
            "source": "custom",
            "api_version": "2.0.0",
            "is_valid": True,
            "state": "",
            "size": 0,
            "version_num": 1,
        }
        return said | {"metadata": said["metadata"] | added}


def _checked(body: Json) -> Json:
    """A stored algorithm; without a search there is nothing about it that anybody here understands."""
    request = requests.read(body)
    if at(request, "/advanced_config/auto_search"):
        requests.job(request)
    return request
