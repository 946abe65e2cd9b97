"""The door of ModelArts, open for one test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuneport.emulators import modelarts
from tuneport.emulators.faults import Faults
from tuneport.emulators.host import Host
from tuneport.emulators.pace import Pace

sys.path.append(str(Path(__file__).parent))

from training_jobs import Api


@pytest.fixture
def make_api() -> Iterator[Callable[..., Api]]:
    opened = []

    def make(options: modelarts.Options | None = None, **arguments: Any) -> Api:
        faults = Faults()
        host = Host(**({"grace": 1.0, "pace": Pace(quick=True), "faults": faults} | arguments))
        api = Api(modelarts.serve(host, faults, 0, options), host, faults)
        opened.append(api)
        return api

    yield make
    for api in opened:
        api.session.close()
        api.door.close()
        api.host.close()


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api()
