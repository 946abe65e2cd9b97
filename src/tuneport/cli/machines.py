"""The verb `machines`: what clouds have, and what is nearest to what a trial needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneport.cli.options import Json
from tuneport.cli.output import say, say_json

if TYPE_CHECKING:
    from tuneport.catalog.machines import Machine, Match
    from tuneport.model.trial_spec import Resources

NOTHING_FITS = 3
"""Exit status when no cloud that was asked has such a machine."""


def machines(
    like: Annotated[
        str | None, typer.Option(metavar="NAME", help="Find the machine that is most like this one of any cloud.")
    ] = None,
    on: Annotated[
        str | None, typer.Option("--on", metavar="CLOUD", help="Only machines of this cloud.", show_default="all")
    ] = None,
    gpus: Annotated[float | None, typer.Option(metavar="NUMBER", help="Find one with so many GPUs.")] = None,
    gpu_type: Annotated[str | None, typer.Option(metavar="KIND", help="Of this kind, such as a100-40gb.")] = None,
    gpu_memory: Annotated[str | None, typer.Option(metavar="SIZE", help="With so much memory each.")] = None,
    cpus: Annotated[float | None, typer.Option(metavar="NUMBER", help="Find one with so many processors.")] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="With so much memory, such as 64GiB.")] = None,
    as_json: Json = False,
) -> int:
    """List machine types, or find the nearest one and say why.

    With --json memory is in GiB, and a search gives a list with one answer per cloud. The exit status is 3 if nothing
    fits.

    Examples: tuneport machines --like a2-highgpu-1g --on sagemaker, tuneport machines --gpus 1 --gpu-type t4 --cpus 8
    """
    from tuneport.catalog import machines as catalogue
    from tuneport.model.trial_spec import Resources

    clouds = _clouds(on)
    figures = {"gpus": gpus, "gpu_type": gpu_type, "gpu_memory": gpu_memory, "cpus": cpus, "memory": memory}
    asked = {name: value for name, value in figures.items() if value is not None}
    if like is None and not asked:
        _list([machine for cloud in clouds for machine in catalogue.machines(cloud)], as_json)
        return 0
    resources = Resources.model_validate(asked)
    found = {cloud: _find(like, resources, cloud) for cloud in clouds}
    if as_json:
        say_json([_match_data(cloud, match) for cloud, match in found.items()])
    else:
        say("\n".join(_match_text(cloud, match) for cloud, match in found.items()))
    return 0 if any(match.machine for match in found.values()) else NOTHING_FITS


def _clouds(on: str | None) -> list[str]:
    """The clouds to look at.

    Raises:
        BadParameter: the machines of this one are not known.
    """
    from tuneport.catalog import machines as catalogue

    known = catalogue.clouds()
    if on is not None and on not in known:
        raise typer.BadParameter(f"machines of {on} are not known; one of {', '.join(known)}", param_hint="--on")
    return known if on is None else [on]


def _find(like: str | None, resources: Resources, cloud: str) -> Match:
    from tuneport.catalog import machines as catalogue

    if like is None:
        return catalogue.match(resources, cloud)
    return catalogue.like(like, on=cloud, beside=resources)


def _list(known: list[Machine], as_json: bool) -> None:
    from tuneport.cli.words import table

    if as_json:
        say_json([_machine_data(machine) for machine in known])
        return
    rows = [["cloud", "machine", "gpus", "cpus", "GiB memory", "note"]]
    rows += [
        [
            machine.cloud,
            machine.name,
            _gpus(machine.gpu, machine.gpus),
            _figure(machine.cpus),
            _figure(machine.memory),
            ", ".join(note for note in ("old", "pool", "unverified") if getattr(machine, note)),
        ]
        for machine in known
    ]
    say(table(rows, whole=True))


def _match_text(cloud: str, match: Match) -> str:
    if match.machine is None:
        return f"{cloud}: none\n  {match.reason}"
    gpus, machine = _gpus(match.gpu, match.gpus), match.machine
    figures = [gpus, f"{_figure(machine.cpus)} cpus", f"{_figure(machine.memory)} GiB memory"]
    return f"{cloud}: {machine.name} ({', '.join(filter(None, figures))})\n  {match.reason}"


def _match_data(cloud: str, match: Match) -> dict[str, Any]:
    machine = _machine_data(match.machine) if match.machine else None
    return {
        "cloud": cloud,
        "machine": machine,
        "gpu": match.gpu,
        "gpus": match.gpus,
        "exact": match.exact,
        "reason": match.reason,
    }


def _machine_data(machine: Machine) -> dict[str, Any]:
    from dataclasses import asdict

    from tuneport.catalog import machines as catalogue

    gpu = catalogue.find_gpu(machine.gpu) if machine.gpu else None
    return asdict(machine) | {"gpu_memory": gpu.memory if gpu else None}


def _gpus(kind: str | None, count: int | None) -> str:
    return "" if count == 0 else f"{_figure(count)} x {kind or '?'}"


def _figure(value: float | None) -> str:
    return "?" if value is None else f"{value:g}"
