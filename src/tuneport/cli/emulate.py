"""The verb emulate: the clouds' services on this machine."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuneport.cli.options import Json
from tuneport.cli.output import note, say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from tuneport.emulators.pace import Pace

LOOK = 0.1
"""Seconds between looks at whether it is to end."""

Clouds = Annotated[
    list[str] | None,
    typer.Argument(metavar="CLOUD...", help="sagemaker, vertex, modelarts.", show_default="all of them"),
]
Images = Annotated[
    list[str] | None,
    typer.Option(
        "--image",
        metavar="NAME=COMMAND",
        help="What runs for an image, for module:NAME or for boot:PATH; may be repeated. "
        "Without any, a synthetic trainer runs.",
    ),
]
FaultRules = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="RULE",
        help="What is to go wrong, KIND[:TARGET[:PROBABILITY or #CALL[:SECONDS]]]; may be repeated.",
    ),
]
Delays = Annotated[
    list[str] | None,
    typer.Option(
        "--delay",
        metavar="STATE=SECONDS",
        help="How long jobs are creating, queued or pending, or how long a step of the synthetic trainer takes; may be "
        "repeated.",
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="CLOUD.NAME=VALUE",
        help="What a service does where that is not known, such as vertex.stopping=true; may be repeated. "
        "A wrong name lists all.",
    ),
]


def emulate(
    clouds: Clouds = None,
    *,
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Port of the first cloud; the others' follow it.")
    ] = 0,
    image: Images = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="DIR", help="Keep everything there.", show_default="nothing is kept"),
    ] = None,
    fault: FaultRules = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides whom faults strike.")] = 0,
    speed: Annotated[
        float, typer.Option(metavar="FACTOR", min=0.001, help="How fast the clock of the emulators runs.")
    ] = 1.0,
    simulated: Annotated[
        bool,
        typer.Option("--simulated", help="The clock stands while anything is done, and jumps to the next event."),
    ] = False,
    delay: Delays = None,
    grace: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.0, help="Time for a trial to end when it is asked to.")
    ] = 10.0,
    option: Options = None,
    quick: Annotated[bool, typer.Option("--quick", help="The synthetic trainer runs in no time, not as processes.")] = (
        False
    ),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell of every request.")] = False,
    as_json: Json = False,
) -> int:
    """Serve clouds' tuning services on this machine.

    For their own SDKs and for tuneport; trials really run. Prints the variables that point clients there, with --json
    one line with the endpoints. Ends on Ctrl-C or SIGTERM.

    Example: tuneport emulate sagemaker --image my/trainer:1='python train.py' --state cloud
    """
    import signal
    import time

    from tuneport.emulators.doors import CLOUDS, open_doors
    from tuneport.emulators.faults import Fault, Faults
    from tuneport.emulators.host import Host
    from tuneport.emulators.options import read
    from tuneport.emulators.programs import Programs

    if simulated and speed != 1.0:
        raise typer.BadParameter("a simulated clock has no speed", param_hint="--speed")
    names = list(dict.fromkeys(clouds or CLOUDS))
    programs, pace = Programs.read(image or ()), _pace(delay or (), quick=quick)
    faults = Faults([Fault.read(text) for text in fault or ()], seed)
    options = read(option or ())
    _log(verbose=verbose)
    came: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        if came and number == signal.SIGINT:
            raise KeyboardInterrupt  # whoever presses Ctrl-C again does not want to wait
        came.append(number)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    host = Host(state, programs=programs, pace=pace, speed=speed, simulated=simulated, faults=faults, grace=grace)
    try:
        with open_doors(names, host, faults, port, options) as doors:
            _announce(doors.endpoints, as_json=as_json)
            while not came:  # the system may give a signal to any thread, and then nothing wakes this one
                time.sleep(LOOK)
    finally:
        host.close()
    return 0


def _pace(texts: list[str] | tuple[str, ...], *, quick: bool) -> Pace:
    """The delays that several STATE=SECONDS say.

    Raises:
        BadParameter: one says none.
    """
    from tuneport.emulators.pace import PHASES, Pace

    names = (*PHASES, "step")
    delays = {}
    for text in texts:
        name, _, seconds = text.partition("=")
        if name not in names or not seconds.replace(".", "", 1).isdecimal():
            message = f"must be STATE=SECONDS with one of {', '.join(names)}, not {text!r}"
            raise typer.BadParameter(message, param_hint="--delay")
        delays[name] = float(seconds)
    return Pace(**delays, quick=quick)


def _log(*, verbose: bool) -> None:
    import logging

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    if verbose:
        logging.getLogger("tuneport.emulators.access").setLevel(logging.INFO)


def _announce(endpoints: Mapping[str, str], *, as_json: bool) -> None:
    """Say that all is ready, to a program in one line, to a person in lines that a shell understands."""
    from tuneport.emulators.doors import advice, variables

    if as_json:
        say(json.dumps(endpoints))
        return
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables(endpoints).items()]
    said = [f"# {line}" for line in advice(endpoints)]
    say("\n".join([*(f"# {name} is at {place}" for name, place in endpoints.items()), *exports, *said]))
    note("the emulators are ready; Ctrl-C ends them")
