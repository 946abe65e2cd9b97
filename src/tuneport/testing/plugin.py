"""For pytest: the fixture `tuneport_cloud`, which has the clouds' tuning services on this machine while a test runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # every pytest run loads this module, whether a test wants a cloud or not
    from tuneport.emulators.doors import Doors
    from tuneport.emulators.faults import Faults
    from tuneport.emulators.host import Host
    from tuneport.emulators.pace import Clock
    from tuneport.errors import TuneportError


MARKER = "tuneport_cloud"


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known that says how the fixture's clouds are."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(speed=1.0, simulated=False, seed=0, options={{}}, **pace): how the clouds of this test are: their "
        "clock, whom faults strike, options such as {'vertex.stopping': True}, and the pace: creating, queued, pending "
        "and step in seconds, quick.",
    )


class EmulatedCloud:
    """The emulators of the clouds, open for one test. Trials that are not mapped run in no time in this process.

    Attributes:
        endpoints: cloud to URL, and vertex_grpc to HOST:PORT; a cloud whose emulator misses a package is not there.
        faults: add rules to have calls and trials fail.
        host: runs the jobs.
    """

    def __init__(self, host: Host, doors: Doors, faults: Faults, missing: dict[str, TuneportError]) -> None:
        self.host = host
        self.faults = faults
        self.endpoints = doors.endpoints
        self._missing = missing

    @property
    def clock(self) -> Clock:
        """The time that the services show; ``clock.advance(seconds)`` lets some of it pass at once."""
        return self.host.clock

    def __getitem__(self, name: str) -> str:
        """The endpoint of that name.

        Raises:
            MissingExtraError: its emulator needs a package that is not there.
        """
        if name in self._missing:
            raise self._missing[name]
        return self.endpoints[name]

    def map(self, name: str, program: str | Sequence[str] | Callable[..., Any]) -> None:
        """Run a command, or call a function, for what jobs call `name`: an image, ``module:NAME``, ``boot:PATH``.

        Args:
            name: as requests have it.
            program: a command, quoted as for a shell or as a list, which runs as a process per trial; or a function
                that takes parameters as those of `tuneport.tune` do: called in this process.
        """
        self.host.programs.map(name, program)

    def place(self, uri: str) -> Path:
        """The folder that stands for a place in a cloud, such as s3://bucket/key."""
        return self.host.place(uri)


@pytest.fixture
def tuneport_cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedCloud]:
    """The clouds' tuning services, with environment variables that point the vendors' SDKs and tuneport at them.

    ``@pytest.mark.tuneport_cloud(speed=60, options={"vertex.stopping": True})`` says how they are.
    """
    from tuneport.emulators.doors import CLOUDS, Doors, variables  # noqa: PLC0415 - see above
    from tuneport.emulators.faults import Faults  # noqa: PLC0415
    from tuneport.emulators.host import Host  # noqa: PLC0415
    from tuneport.emulators.options import chosen  # noqa: PLC0415
    from tuneport.emulators.pace import Pace  # noqa: PLC0415
    from tuneport.errors import MissingExtraError  # noqa: PLC0415

    mark = request.node.get_closest_marker(MARKER)
    said = dict(mark.kwargs) if mark else {}
    clock = {name: said.pop(name) for name in ("speed", "simulated") if name in said}
    faults = Faults(seed=said.pop("seed", 0))
    options = chosen(said.pop("options", {}))
    host = Host(pace=Pace(**{"quick": True, **said}), faults=faults, grace=1.0, **clock)
    missing: dict[str, TuneportError] = {}
    try:
        with Doors() as doors:
            for name in CLOUDS:
                try:
                    doors.open(name, host, faults, options=options.get(name))
                except MissingExtraError as error:
                    missing[name] = error
            for name, value in variables(doors.endpoints).items():
                monkeypatch.setenv(name, value)
            yield EmulatedCloud(host, doors, faults, missing)
    finally:
        host.close()
