"""The verb backends: what each of them can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneport.cli.options import Json
from tuneport.cli.output import say, say_json

if TYPE_CHECKING:
    from tuneport.backends.protocols import Backend
    from tuneport.model.word import Word


def backends(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One backend, with notes.")] = None,
    as_json: Json = False,
) -> None:
    """Say what each backend can do, or all about one of them.

    Example: tuneport backends sagemaker
    """
    from tuneport.backends import registry

    chosen = {one: registry.load(one) for one in ([name] if name else registry.names())}
    if as_json:
        say_json({one: _plain(backend) for one, backend in chosen.items()})
    elif name:
        say(_one(chosen[name]))
    else:
        say(_matrix(chosen))


def _matrix(chosen: dict[str, Backend[Word]]) -> str:
    from tuneport.cli.words import table
    from tuneport.translation.matrix import SYMBOLS, rows

    found = rows({name: backend.capabilities for name, backend in chosen.items()})
    lines = [[feature.value, *(SYMBOLS[support.fidelity] for support in supports)] for feature, _, supports in found]
    return table([["feature", *chosen], *lines])


def _one(backend: Backend[Word]) -> str:
    from dataclasses import asdict

    from tuneport.translation.matrix import rows

    capabilities = backend.capabilities
    lines = [backend.name]
    if forms := getattr(getattr(backend, "translator", None), "forms", ()):
        lines.append(f"forms: {', '.join(forms)}")
    settings = [
        f"  {name}: {info.description or ''}".rstrip() for name, info in backend.settings_type.model_fields.items()
    ]
    limits = [f"  {name}: {most}" for name, most in asdict(capabilities.limits).items() if most is not None]
    needs = [f"  {need.pointer}: {need.why}; {need.hint}" for need in capabilities.needs]
    for title, listed in (("settings", settings), ("limits", limits), ("every job must say", needs)):
        lines += [f"{title}:", *listed] if listed else []
    lines.append("features:")
    for feature, _, (support,) in rows({backend.name: capabilities}):
        by = f" by {support.by}" if support.by else ""
        said = "; ".join(filter(None, (support.note, support.instead)))
        lines.append(f"  {feature.value}: {support.fidelity.value}{by}{f' ({said})' if said else ''}")
    return "\n".join(lines)


def _plain(backend: Backend[Word]) -> dict[str, Any]:
    from dataclasses import asdict

    from tuneport.translation.matrix import rows

    capabilities = backend.capabilities
    return {
        "forms": list(getattr(getattr(backend, "translator", None), "forms", ())),
        "limits": asdict(capabilities.limits),
        "needs": [asdict(need) for need in capabilities.needs],
        "features": {
            feature.value: {**asdict(support), "fidelity": support.fidelity.value}
            for feature, _, (support,) in rows({backend.name: capabilities})
        },
    }


def doctor(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Backends; all of them if none.")] = None,
    as_json: Json = False,
) -> int:
    """Look at this machine, and at the way to each cloud.

    Shows devices, packages, credentials (masked), endpoints, and what harmless reads are answered. The exit status is 5
    if something is not as it must be.

    Example: tuneport doctor sagemaker
    """
    from dataclasses import asdict

    from tuneport import doctor as looks

    found = []
    for about, finding in looks.examine(names or ()):
        found.append({"about": about, **asdict(finding)})
        if not as_json:
            hint = f" ({finding.hint})" if finding.hint and not finding.ok else ""
            say(f"{'ok  ' if finding.ok else 'FAIL'} {about}: {finding.what}: {finding.found}{hint}")
    if as_json:
        say_json(found)
    return 0 if all(one["ok"] for one in found) else 5
