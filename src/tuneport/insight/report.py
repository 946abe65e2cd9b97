"""A run on one page of HTML, which needs nothing but a browser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from tuneport.model.results import StudyResult, Trial

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #ccc; padding: .2rem .7rem; text-align: left; }
tr.best td { font-weight: bold; }
"""


def page(result: StudyResult, *, price: str = "") -> str:
    """The page of a run.

    Args:
        result: its record, with that of the runs that it goes on with or without.
        price: in what, and by which prices, its cost is said, such as "USD, by prices of 2026-11-01".
    """
    sections = [
        _facts(_about(result, price)),
        _section("Best", _facts(_best(result))),
        _section("Trials", _table(result)),
    ]
    title = escape(f"{result.name}: {result.ref}")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f"<!doctype html>\n<html><head>{head}</head><body><h1>{title}</h1>\n{''.join(sections)}</body></html>\n"


def _about(result: StudyResult, price: str) -> list[tuple[str, Any]]:
    """What there is to know of the run as a whole; what is not known is said to be so."""
    states = Counter(trial.state.value for trial in result.trials)
    origins = Counter(trial.links["run"] for trial in result.trials if "run" in trial.links)
    search = result.search
    facts: list[tuple[str, Any]] = [
        ("state", f"{result.state.value}, {result.message}" if result.message else result.state.value),
        ("trials", f"{len(result.trials)}: " + ", ".join(f"{count} {state}" for state, count in states.items())),
        ("after", ", ".join(f"{one.metric} ({one.goal})" for one in result.objectives)),
        ("cost", "not known: no price of its machine" if result.cost is None else f"{result.cost:.2f} {price}"),
    ]
    facts += [("goes on with", f"{ref}: {count} trials") for ref, count in origins.items()]
    if search is not None:
        facts.append(("searched by", f"{search.algorithm.kind} of {search.version}"))
        facts += [("since", search.reason)] if search.reason else []
    facts += [("note", note) for note in result.notes]
    return facts + list(result.links.items())


def _best(result: StudyResult) -> list[tuple[str, Any]]:
    best = result.best
    if best is None:
        return [("none", "no trial has a result")]
    return [("trial", _name(best)), *best.metrics.items(), *best.parameters.items()]


def _name(trial: Trial) -> str:
    if "run" in trial.links:
        return f"{trial.links['trial']} of {trial.links['run']}"
    return str(trial.id) if trial.parent is None else f"{trial.id}, from {trial.parent}"


def _table(result: StudyResult) -> str:
    """One row per trial, the best one marked."""
    metrics = list(dict.fromkeys(name for trial in result.trials for name in trial.metrics))
    parameters = list(dict.fromkeys(name for trial in result.trials for name in trial.parameters))
    best = result.best
    head = _row(("trial", "state", *metrics, *parameters, "seconds", "why"), "th")
    rows = [
        _row(
            (
                _name(trial),
                trial.state.value,
                *(trial.metrics.get(name, "") for name in metrics),
                *(trial.parameters.get(name, "") for name in parameters),
                "" if trial.duration is None else f"{trial.duration:.1f}",
                trial.failure.message if trial.failure else "",
            ),
            "td",
            "best" if best is not None and trial.id == best.id else "",
        )
        for trial in result.trials
    ]
    return f"<table>{head}{''.join(rows)}</table>"


def _row(cells: Iterable[Any], tag: str, kind: str = "") -> str:
    inner = "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells)
    return f'<tr class="{kind}">{inner}</tr>\n' if kind else f"<tr>{inner}</tr>\n"


def _facts(facts: Sequence[tuple[str, Any]]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>\n" for name, value in facts)
    return f"<table>{rows}</table>\n"


def _section(title: str, content: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{content}\n"
