"""What each backend can do, side by side: rows of features, columns of backends."""

from __future__ import annotations

from collections.abc import Mapping

from tuneport.model.feature_catalogue import CATALOGUE
from tuneport.model.features import Feature
from tuneport.translation.capabilities import Capabilities, Fidelity, Support

SYMBOLS: Mapping[Fidelity, str] = {
    Fidelity.EXACT: "yes",
    Fidelity.EMULATED: "emulated",
    Fidelity.DROPPED: "dropped",
    Fidelity.APPROXIMATED: "about",
    Fidelity.UNSUPPORTED: "no",
}
"""How a fidelity is written in a cell."""


def rows(backends: Mapping[str, Capabilities]) -> list[tuple[Feature, str, tuple[Support, ...]]]:
    """For every feature what it is, and how each backend does it, in the order of the mapping."""
    return [
        (feature, entry.says, tuple(capabilities.support(feature) for capabilities in backends.values()))
        for feature, entry in CATALOGUE.items()
    ]


def markdown(backends: Mapping[str, Capabilities]) -> str:
    """The matrix as a page: a table, and below it what every cell that is not a plain yes means."""
    lines = [
        f"| feature | {' | '.join(backends)} |",
        f"|---|{'---|' * len(backends)}",
        *(
            f"| {says} | {' | '.join(SYMBOLS[support.fidelity] for support in supports)} |"
            for _, says, supports in rows(backends)
        ),
    ]
    for at, name in enumerate(backends):
        lines += ["", f"## {name}", "", "| feature | | by | note | evidence |", "|---|---|---|---|---|"]
        lines += [
            f"| {says} | {support.fidelity.value} | {support.by or ''} | {_note(support)} | {_cell(support.evidence)} |"
            for _, says, supports in rows(backends)
            if (support := supports[at]).fidelity is not Fidelity.EXACT or support.note
        ]
    return "\n".join(lines) + "\n"


def _note(support: Support) -> str:
    return _cell("; ".join(filter(None, (support.note, support.instead))))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
