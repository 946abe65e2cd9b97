"""Jobs into the documents of clouds and back, with a report of what became of every field. Pure.

::

    document ── read ──► request ── from_native ──► job, and a box of what it says beyond our words
    job ── completed ── relocated ──► to_native ──► request ── box, spelling ──► document
                                        └── from_native ── compared with the job = the report
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from tuneport.backends.protocols import Cloud, Reading, Translator
from tuneport.catalog import machines
from tuneport.catalog.relocation import Maps, relocate
from tuneport.errors import JobError, PayloadError, Problem
from tuneport.model.features import Feature
from tuneport.model.job import TuningJob
from tuneport.model.word import Word, pointer, unspelled
from tuneport.translation.box import FORM, RESPONSE, SETTINGS, SPELLING, apply, boxed, contents, difference, leaves
from tuneport.translation.capabilities import Capabilities, Fidelity
from tuneport.translation.measure import Change, judge
from tuneport.translation.report import FieldReport, TranslationReport

Json: TypeAlias = dict[str, Any]
Material: TypeAlias = Callable[[str], tuple[str, ...]]
"""For a backend's name: of what its documents say beyond our words, the places that matter when a job leaves."""

_OURS = {FORM, SETTINGS, SPELLING, RESPONSE}
_NO_MAPS = Maps()
_MOST_LEVELS = 100
_MOST_PROBLEMS = 100
AnyCloud: TypeAlias = Cloud[Any]


@dataclass(frozen=True, slots=True)
class Imported:
    """A native document, understood.

    Attributes:
        job: what it asks for; its box keeps what our words cannot say.
        settings: what it says of accounts and places, such as a region.
        form: what kind of document it is.
        report: everything that is kept in the box, item by item.
        leaves: how many single values the document has, without what the service answered.
        boxed: JSON pointers of those that our words cannot say.
    """

    job: TuningJob
    settings: Word
    form: str
    report: TranslationReport
    leaves: int
    boxed: list[str]


@dataclass(frozen=True, slots=True)
class Translated:
    """A job in a cloud's words.

    Attributes:
        payload: the document.
        form: what kind of document it is.
        report: every field that is not simply kept.
        job: the job as it is meant there, with its places and machines.
        request: what the payload asks for, in canonical spelling.
        plain: the document without the spelling in which the job was read, and without answers: what is sent.
    """

    payload: Json
    form: str
    report: TranslationReport
    job: TuningJob
    request: Json = field(repr=False)
    plain: Json = field(repr=False)


@dataclass(frozen=True, slots=True)
class Migrated:
    """A cloud's document in another cloud's words.

    Attributes:
        job: what both ask for.
        payload: the other cloud's document.
        form: what kind of document it is.
        report: every field that is not simply kept, and everything that stays behind.
    """

    job: TuningJob
    payload: Json
    form: str
    report: TranslationReport


# ---- from a cloud ---------------------------------------------------------------------------------------------------


def read(document: object, backend: AnyCloud) -> Imported:
    """Understand a native document.

    Raises:
        PayloadError: it is malformed, with every problem.
    """
    plain = _plain(document)
    if not isinstance(plain, dict):
        raise _refused(backend.name, [Problem("", f"must be a mapping, not {_kind(plain)}")])
    translator = backend.translator
    reading = translator.read(plain)
    try:
        job, settings = translator.from_native(reading.request, reading.form)
    except JobError as error:
        raise _refused(backend.name, error.problems or [Problem("", error.message)]) from None
    more = _plain(difference(translator.to_native(job, settings, reading.form), reading.request))
    spelling = difference(translator.write(reading), plain)
    kept = {
        **more,
        **({FORM: reading.form} if reading.form != translator.forms[0] else {}),
        **({SETTINGS: said} if (said := settings.brief()) else {}),
        **({SPELLING: spelling} if spelling else {}),
        **({RESPONSE: reading.response} if reading.response else {}),
    }
    if kept:
        job = job.model_copy(update={"native": {backend.name: kept}})
    answered = sum(1 for _ in leaves(reading.response)) if reading.response else 0
    return Imported(
        job=job,
        settings=settings,
        form=reading.form,
        report=TranslationReport(fields=tuple(_kept(backend.name, more))),
        leaves=max(sum(1 for _ in leaves(plain)) - answered, 1),
        boxed=boxed(more) if more else [],
    )


def _refused(name: str, problems: Any) -> PayloadError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return PayloadError(f"this makes no job of {name}: {count}", problems=problems)


def _kept(name: str, box: Json) -> list[FieldReport]:
    return [
        FieldReport(
            pointer=pointer(("native", name, *path)),
            feature=Feature.NATIVE,
            fidelity=Fidelity.EXACT,
            before=value,
            after=value,
            by="box",
            note=f"kept as {name} says it",
        )
        for path, value in (contents(box) if box else ())
    ]


def _plain(value: object) -> Any:
    """A copy that is JSON, and fit for a box; SDKs hand out tuples, times and numbers that are none.

    Raises:
        PayloadError: it holds what JSON cannot say, or is nested too deeply.
    """
    problems: list[Problem] = []
    plain = _copied(value, (), problems)
    if problems:
        raise PayloadError("this is no document that JSON can say", problems=problems[:_MOST_PROBLEMS])
    return plain


def _copied(value: object, path: tuple[str | int, ...], problems: list[Problem]) -> Any:
    if len(path) > _MOST_LEVELS:
        problems.append(Problem("", f"is nested deeper than {_MOST_LEVELS} levels"))
    elif isinstance(value, Mapping):
        return {
            _copied(str(key), path, problems): _copied(item, (*path, str(key)), problems) for key, item in value.items()
        }
    elif isinstance(value, (list, tuple)):
        return [_copied(item, (*path, index), problems) for index, item in enumerate(value)]
    elif isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"  # as protobuf's JSON has them
    elif hasattr(value, "isoformat"):
        return value.isoformat()
    elif complaint := _unfit_for_json(value):
        problems.append(Problem(pointer(path), complaint))
    return unspelled(value)


def _unfit_for_json(value: object) -> str | None:
    if isinstance(value, str):
        sound = "\x00" not in value and (value.isascii() or not any("\ud800" <= one <= "\udfff" for one in value))
        return None if sound else "must be text without NUL characters and lone surrogates"
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**63 else "must fit into 64 bits"
    return None if value is None or isinstance(value, float) else f"is {_kind(value)}, which JSON cannot say"


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


# ---- to a cloud -----------------------------------------------------------------------------------------------------


def translate(
    job: TuningJob,
    backend: AnyCloud,
    settings: Word,
    *,
    form: str | None = None,
    maps: Maps | None = None,
    material: Material = lambda _: (),
) -> Translated:
    """Say a job in a cloud's words, and measure what became of it.

    Args:
        job: the job.
        backend: the cloud.
        settings: of that cloud; they say what the job leaves open.
        form: what kind of document; None: what the job was read from there, or else what is submitted.
        maps: where things of other clouds are on this one.
        material: what matters of the boxes of other clouds.

    Raises:
        PayloadError: the cloud has no such form.
    """
    translator = backend.translator
    box: dict[str, Any] = dict(job.native.get(backend.name, {}))
    form = _form(form, box, translator.forms, backend.name)
    settings = _with_said(settings, _part(box, SETTINGS))
    capabilities = backend.capabilities.of(form)
    home = capabilities.home
    if form in capabilities.without_machines:
        home = replace(home, cloud="", machine=".*")
    relocated, moved = relocate(job, home, maps or _NO_MAPS)
    there, moved = complete(relocated, settings, moved)
    request = translator.to_native(there, settings, form)
    verdicts = [*measured(there, request, form, translator, capabilities), *_needed(there, capabilities)]
    request, stale = apply({key: value for key, value in box.items() if key not in _OURS}, request)
    plain = payload = translator.write(Reading(form, request))
    if form == box.get(FORM) and RESPONSE in box:
        payload = translator.write(Reading(form, request, _part(box, RESPONSE)))
    if SPELLING in box and form == box.get(FORM, translator.forms[0]):
        payload, _ = apply(_part(box, SPELLING), payload)
    fields = [
        *_merged(moved, verdicts),
        *_unfit(backend.name, stale),
        *_left_behind(job, backend.name, material),
    ]
    report = TranslationReport.model_construct(fields=tuple(fields))
    return Translated(payload, form, report, there, request, plain)


def _part(box: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A member of a box that is ours; people write boxes too, and what is no mapping says nothing."""
    part = box.get(name)
    return part if isinstance(part, dict) else {}


def _form(asked: str | None, box: Mapping[str, Any], forms: tuple[str, ...], name: str) -> str:
    remembered = box.get(FORM, forms[0])
    if asked is None:
        return str(remembered) if remembered in forms or not box.get(RESPONSE) else forms[0]
    if asked not in forms and asked != remembered:
        listed = ", ".join(forms)
        raise PayloadError(f"{name} has no form '{asked}'", hint=f"forms of {name}: {listed}")
    return asked


def _with_said(settings: Word, said: Mapping[str, Any]) -> Word:
    """The settings with what the document that the job was read from said of those that are left at their defaults."""
    fields = type(settings).model_fields
    unsaid = {
        name: value
        for name, value in said.items()
        if name in fields and getattr(settings, name) == fields[name].default
    }
    try:
        return settings.changed(**unsaid) if unsaid else settings
    except JobError:  # somebody has edited them
        return settings


def complete(job: TuningJob, settings: Word, moved: list[FieldReport]) -> tuple[TuningJob, list[FieldReport]]:
    """The job with what its backend's settings say wherever it says nothing, or nothing that is known there.

    Args:
        job: the job after its relocation.
        settings: of the backend.
        moved: reports of the relocation.

    Returns:
        The job, and the reports, in which what settings resolve is resolved.
    """
    words: Mapping[str, str] = getattr(type(settings), "WORDS", {})
    reports = {one.pointer: one for one in moved}
    for name, place in words.items():
        value = getattr(settings, name)
        path = place.split("/")[1:]
        unresolved = place in reports and reports[place].fidelity is Fidelity.UNSUPPORTED
        if value in (None, ()) or not (unresolved or _is_open(job, path)):
            continue
        before = reports[place].before if unresolved else None
        try:
            job = _with(job, path, value)
        except JobError:  # it does not go with what the job says, as an image does not with a stored algorithm
            continue
        reports[place] = FieldReport(
            pointer=place, fidelity=Fidelity.EXACT, before=before, after=_plain(value), by=f"settings: {name}"
        )
    return job, list(reports.values())


def _is_open(word: Any, path: list[str]) -> bool:
    for part in path:
        if word is None:
            return True
        word = getattr(word, part)
    return word in (None, ())


def _with(word: Any, path: list[str], value: Any) -> Any:
    head, *rest = path
    inner = getattr(word, head)
    if rest and inner is None:  # an optional word such as an output, of which only one field is known
        return word.changed(**{head: {rest[0]: value}})
    return word.changed(**{head: _with(inner, rest, value) if rest else value})


def measured(
    job: TuningJob, request: Json, form: str, translator: Translator[Any], capabilities: Capabilities
) -> list[FieldReport]:
    """What comes back of a request; if nothing does, because it lacks what no job can do without, what is declared.

    Args:
        job: what was said, in the cloud's own places and machines.
        request: how it was said.
        form: in which kind of document.
        translator: that said it.
        capabilities: what the cloud declares; it can only make things worse.
    """
    try:
        after, _ = translator.from_native(request, form)
    except (JobError, PayloadError) as error:
        return [
            FieldReport(pointer=one.pointer, fidelity=Fidelity.UNSUPPORTED, note=one.message)
            for one in error.problems or [Problem("", error.message)]
        ] + judge(job, job, capabilities)
    return judge(job, _with_machine(job, after, capabilities.home.cloud), capabilities)


_MACHINE = ("gpus", "gpu_type", "gpu_memory", "cpus", "memory")
"""What a machine type says without saying it."""


def _with_machine(before: TuningJob, after: TuningJob, cloud: str) -> TuningJob:
    """The job that came back, with what its machine type stands for, as far as the machine has what was asked for."""
    ours, theirs = before.trial.resources, after.trial.resources
    if theirs.machine is None or theirs.machine != ours.machine:
        return after
    unsaid = {
        name: getattr(ours, name)
        for name in _MACHINE
        if getattr(theirs, name) == type(theirs).model_fields[name].default != getattr(ours, name)
    }
    if not unsaid:
        return after
    if {"cpus", "memory"} & unsaid.keys():
        for name in machines.lacking(cloud, theirs.machine, ours):
            unsaid.pop(name, None)
    resources = theirs.model_copy(update=unsaid)
    return after.model_copy(update={"trial": after.trial.model_copy(update={"resources": resources})})


def _needed(job: TuningJob, capabilities: Capabilities) -> list[FieldReport]:
    return [
        FieldReport(pointer=need.pointer, fidelity=Fidelity.UNSUPPORTED, note=f"{need.why}; {need.hint}")
        for need in capabilities.needs
        if _is_open(job, need.pointer.split("/")[1:])
    ]


def _merged(moved: list[FieldReport], verdicts: list[FieldReport]) -> list[FieldReport]:
    """One report a field: what it was before it was moved, and the worst that happened to it."""
    fields: dict[str, FieldReport] = {one.pointer: one for one in moved}
    for verdict in verdicts:
        earlier = fields.get(verdict.pointer)
        if earlier is None:
            fields[verdict.pointer] = verdict
            continue
        worse = max(earlier, verdict, key=lambda one: one.fidelity)
        fields[verdict.pointer] = worse.model_copy(
            update={"before": earlier.before, "feature": earlier.feature or verdict.feature}
        )
    return list(fields.values())


def _unfit(name: str, stale: list[str]) -> list[FieldReport]:
    note = "the job has been changed since, and wins over what was kept here"
    return [FieldReport(pointer=f"/native/{name}{one}", fidelity=Fidelity.DROPPED, note=note) for one in stale]


def _left_behind(job: TuningJob, name: str, material: Material) -> list[FieldReport]:
    """What only other clouds understand."""
    fields: list[FieldReport] = []
    for cloud, kept in job.native.items():
        if cloud == name:
            continue
        box: dict[str, Any] = dict(kept)
        fields += [
            FieldReport(
                pointer=pointer(("native", cloud, SETTINGS, name)),
                fidelity=Fidelity.DROPPED,
                before=value,
                note=f"a setting of {cloud}; settings never move",
            )
            for name, value in _part(box, SETTINGS).items()
        ]
        patterns = [pattern.split("/")[1:] for pattern in material(cloud)]
        rest = {key: value for key, value in box.items() if key not in _OURS}
        for path, value in contents(rest) if rest else ():
            matters = any(_matches(pattern, path) for pattern in patterns)
            way_out = ", and it matters there; take it out of the job once that is settled" if matters else ""
            fields.append(
                FieldReport(
                    pointer=pointer(("native", cloud, *path)),
                    feature=Feature.NATIVE,
                    fidelity=Fidelity.UNSUPPORTED if matters else Fidelity.DROPPED,
                    before=value,
                    note=f"only {cloud} understands this{way_out}",
                )
            )
    return fields


def _matches(pattern: list[str], path: tuple[int | str, ...]) -> bool:
    """Whether a place is the one that is meant, or below it; `*` is any one part."""
    return len(path) >= len(pattern) and all(one in {"*", str(part)} for one, part in zip(pattern, path, strict=False))


def compare_boxes(a: TuningJob, b: TuningJob) -> list[Change]:
    """Where two jobs differ in what only one cloud understands; spelling and answers of services left out."""
    ours, theirs = _boxes(a), _boxes(b)
    return [
        Change(place, ours.get(place), theirs.get(place), lost=place not in theirs)
        for place in {**ours, **theirs}
        if ours.get(place) != theirs.get(place)
    ]


def _boxes(job: TuningJob) -> dict[str, Any]:
    return {
        pointer(("native", cloud, *path)): value
        for cloud, box in job.native.items()
        for path, value in contents({key: inner for key, inner in box.items() if key not in _OURS})
        if path
    }


# ---- from one cloud to another --------------------------------------------------------------------------------------


def migrate(
    imported: Imported,
    backend: AnyCloud,
    settings: Word,
    *,
    form: str | None = None,
    maps: Maps | None = None,
    material: Material = lambda _: (),
) -> Migrated:
    """Say what one cloud's document asks for in another cloud's words."""
    translated = translate(imported.job, backend, settings, form=form, maps=maps, material=material)
    return Migrated(imported.job, translated.payload, translated.form, translated.report)
