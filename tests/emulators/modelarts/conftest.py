"""The door of ModelArts, open for one test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuneport.emulators import modelarts

sys.path.append(str(Path(__file__).parent))

from training_jobs import Api


@pytest.fixture
def make_api(open_door: Callable[..., Any], until: Callable[..., Any]) -> Iterator[Callable[..., Api]]:
    opened = []

    def make(options: modelarts.Options | None = None, **arguments: Any) -> Api:
        host, door = open_door("modelarts", options, **arguments)
        opened.append(Api(door, host, until))
        return opened[-1]

    yield make
    for api in opened:
        api.session.close()


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api()
