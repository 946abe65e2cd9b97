"""The machine types of the clouds, and which of them is nearest to what a trial needs."""

from __future__ import annotations

import json
import math
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tuneport.model.trial_spec import Resources
from tuneport.model.word import did_you_mean

GIB = 2**30
ANY_GPU = "nvidia"
"""The family that a trial means which asks for GPUs of no kind in particular."""
_ALIKE = 5 / 6
"""With this share of a machine's processors and memory another one is its like; clouds cut them differently."""
_LEAST = 1 / 2
"""With less than this share it is none."""
_SIZE = re.compile(r"(-mega)?-\d+gb$")
_MAKERS = {"nvidia", "tesla", "gpu", "pcie", "sxm", "sxm2", "sxm3", "sxm4", "sxm5", "hbm2", "hbm2e", "hbm3", "hbm3e"}
"""What people and drivers write around the name of a GPU."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A kind of accelerator.

    Attributes:
        id: its portable name.
        memory: GiB of one, as sold.
        family: kinds that run the same programs.
        rank: its place among all, weaker kinds of a family first.
        vertex: its AcceleratorType on Vertex AI, the only cloud that has words for them.
        old: of an earlier generation.
    """

    id: str
    memory: int
    family: str
    rank: int
    vertex: str | None = None
    old: bool = False

    @property
    def chip(self) -> str:
        """What kinds have in common that differ in memory or connection alone: "a100"."""
        return _SIZE.sub("", self.id)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine type of one cloud. None: the catalogue does not know.

    Attributes:
        cloud: the backend's name.
        name: what the cloud calls it.
        cpus: virtual processors.
        memory: GiB.
        gpu: kind of its built-in GPUs.
        gpus: how many it has built in.
        old: of an earlier generation.
        pool: cards of a dedicated pool, whatever they are.
        unverified: its figures are not confirmed by a second source.
    """

    cloud: str
    name: str
    cpus: float | None
    memory: float | None
    gpu: str | None = None
    gpus: int | None = 0
    old: bool = False
    pool: bool = False
    unverified: bool = False

    @property
    def known(self) -> bool:
        """Whether all of its figures are known, so that it can be compared."""
        return None not in {self.cpus, self.memory, self.gpus} and (self.gpus == 0 or self.gpu is not None)


@dataclass(frozen=True, slots=True)
class Match:
    """The machine that is nearest to what was asked for.

    Attributes:
        machine: None: there is none.
        gpu: kind of the GPUs to be had with it, built in or attached.
        gpus: how many of them.
        reason: what is as asked, and what is not; or why there is none.
        exact: every figure is as asked.
    """

    machine: Machine | None
    gpu: str | None
    gpus: int
    reason: str
    exact: bool = False


@dataclass(frozen=True, slots=True)
class _Offer:
    """A machine with the GPUs that it has, or with some that may be attached."""

    machine: Machine
    gpu: Gpu | None
    gpus: int
    cpus: float
    memory: float
    old: bool

    @property
    def order(self) -> tuple[Any, ...]:
        """Smaller ones first; of an earlier generation last."""
        return self.old, self.gpus, self.cpus, self.memory, self.gpu.memory if self.gpu else 0


@dataclass(frozen=True, slots=True)
class _Need:
    """What is asked for; memory in GiB, 0: whatever there is."""

    gpus: int = 0
    gpu: Gpu | None = None
    gpu_memory: float = 0
    cpus: float = 0
    memory: float = 0


@dataclass(frozen=True, slots=True)
class _Catalogue:
    date: str
    gpus: Mapping[str, Gpu]
    names: Mapping[str, Gpu]
    machines: Mapping[str, Mapping[str, Machine]]
    offers: Mapping[str, Mapping[str, list[_Offer]]]
    """Per cloud and kind of GPU, and per cloud and family for any kind; "" has no GPUs. In the order of preference."""


@cache
def _catalogue() -> _Catalogue:
    data = json.loads(pkgutil.get_data(__package__, "machines.json") or b"")
    gpus: dict[str, Gpu] = {}
    names: dict[str, Gpu] = {}
    for rank, row in enumerate(data["gpus"]):
        gpu = Gpu(row["id"], row["memory"], row["family"], rank, row.get("vertex"), row.get("old", False))
        gpus[gpu.id] = gpu
        names |= dict.fromkeys((gpu.id, *row.get("aliases", ()), _plain(gpu.vertex or gpu.id)), gpu)
    machines = {
        cloud: {row["name"]: Machine(cloud=cloud, **row) for row in rows} for cloud, rows in data["machines"].items()
    }
    offers: dict[str, dict[str, list[_Offer]]] = {}
    for cloud, known in machines.items():
        offers[cloud] = {}
        for offer in sorted(
            _offers(known.values(), data["attachments"].get(cloud, ()), gpus), key=lambda offer: offer.order
        ):
            for group in (offer.gpu.id, offer.gpu.family) if offer.gpu else ("",):
                offers[cloud].setdefault(group, []).append(offer)
    return _Catalogue(data["date"], gpus, names, machines, offers)


def _offers(
    machines: Iterable[Machine], attachments: Iterable[Mapping[str, Any]], gpus: Mapping[str, Gpu]
) -> Iterator[_Offer]:
    for machine in machines:
        if not machine.known:
            continue
        cpus, memory = machine.cpus or 0, machine.memory or 0
        gpu = gpus[machine.gpu] if machine.gpu else None
        yield _Offer(machine, gpu, machine.gpus or 0, cpus, memory, machine.old or (gpu is not None and gpu.old))
        for one in attachments:
            if machine.name.startswith(one["to"]) and cpus <= one["max_cpus"] and memory <= one["max_memory"]:
                gpu = gpus[one["gpu"]]
                yield _Offer(machine, gpu, one["gpus"], cpus, memory, machine.old or gpu.old)


def _plain(name: str) -> str:
    """A name of a GPU in our spelling, without its maker and how it is built in."""
    return "-".join(part for part in re.split(r"[\s_-]+", name.strip().lower()) if part not in _MAKERS)


def date() -> str:
    """When the catalogue was made."""
    return _catalogue().date


def clouds() -> list[str]:
    """The clouds whose machines are known."""
    return list(_catalogue().machines)


def machines(cloud: str) -> list[Machine]:
    """All machines of a cloud; none of a cloud that is not known."""
    return list(_catalogue().machines.get(cloud, {}).values())


def gpus() -> list[Gpu]:
    """All kinds of GPUs and other accelerators."""
    return list(_catalogue().gpus.values())


def find_gpu(name: str) -> Gpu | None:
    """A kind of GPU by its portable name, by a cloud's, or by what drivers and people call it."""
    names = _catalogue().names
    return names.get(name) or names.get(_plain(name))


def find(cloud: str, name: str) -> Machine | None:
    """A machine type of a cloud."""
    return _catalogue().machines.get(cloud, {}).get(name)


def lacking(cloud: str, name: str, resources: Resources) -> set[str]:
    """Which of the processors and memory that are asked for a machine type is known not to have."""
    machine = find(cloud, name)
    if machine is None:
        return set()
    asked = {"cpus": resources.cpus, "memory": resources.memory and resources.memory / GIB}
    has = {"cpus": machine.cpus, "memory": machine.memory}
    return {word for word, most in has.items() if most is not None and (asked[word] or 0) > most}


def find_anywhere(name: str) -> Machine | None:
    """A machine type of whichever cloud has it."""
    return next((find(cloud, name) for cloud in clouds_of(name)), None)


def clouds_of(name: str) -> list[str]:
    """The clouds that have a machine type of this name."""
    return [cloud for cloud, known in _catalogue().machines.items() if name in known]


def describe(machine: Machine) -> Resources:
    """A machine in portable words, as far as its figures are known."""
    return Resources(
        gpus=machine.gpus or 0,
        gpu_type=machine.gpu,
        cpus=machine.cpus,
        memory=None if machine.memory is None else math.floor(machine.memory * GIB),
    )


def match(resources: Resources, cloud: str) -> Match:
    """The smallest machine of a cloud that has at least what is asked for.

    GPUs are of the kind that is asked for; where the cloud has none of these, of the nearest kind that runs the same
    programs and has as much memory. In a pool, whose machines are not known, only their number counts. A machine's name
    in `resources` is not looked at.

    Args:
        resources: what a trial needs.
        cloud: the backend's name.
    """
    gpu = find_gpu(resources.gpu_type) if resources.gpu_type else None
    if resources.gpu_type and gpu is None:
        return _unknown_gpu(resources.gpu_type)
    wanted = max(math.ceil(resources.gpus), 1 if gpu or resources.gpu_memory else 0)
    if resources.pool is not None:
        return _in_pool(wanted, cloud)
    memory, gpu_memory = (resources.memory or 0) / GIB, resources.least_gpu_memory / GIB
    return _match(_Need(wanted, gpu, gpu_memory, resources.cpus or 0, memory), cloud, strict=True)


def like(name: str, *, on: str, beside: Resources | None = None) -> Match:
    """The machine of a cloud that is most like one of another cloud.

    It has at least as many GPUs. Processors and memory, which clouds cut differently, come as near as there is: with a
    sixth less it still is like the other, with less than half it is not.

    Args:
        name: a machine type of any cloud.
        on: the backend's name.
        beside: what the job says beside the machine, such as GPUs that are attached to it; goes before its figures.
    """
    said = beside or Resources()
    own, model = find(on, name), find_anywhere(name)
    if own and not (said.gpus or said.gpu_type):
        return Match(own, own.gpu, own.gpus or 0, "the machine itself", exact=True)
    if model is None:
        return Match(None, None, 0, f"no cloud's machine type '{name}' is in the catalogue")
    gpu = find_gpu(said.gpu_type or model.gpu or "")
    if said.gpu_type and gpu is None:
        return _unknown_gpu(said.gpu_type)
    if model.gpus is None or (model.gpus and gpu is None):
        return Match(None, None, 0, f"what {name} has is not in the catalogue")
    need = _Need(
        gpus=max(math.ceil(said.gpus) or model.gpus or 0, 1 if gpu else 0),
        gpu=gpu,
        gpu_memory=said.least_gpu_memory / GIB,
        cpus=said.cpus or model.cpus or 0,
        memory=said.memory / GIB if said.memory else model.memory or 0,
    )
    found = _match(need, on, strict=False)
    if model.known or found.machine is None:
        return found
    return replace(found, reason=f"{found.reason}; what else {name} has is not in the catalogue", exact=False)


def attaches(machine: Machine, gpu: str, count: int) -> bool:
    """Whether a machine can be had with so many GPUs of a kind."""
    offers = _catalogue().offers.get(machine.cloud, {}).get(gpu, ())
    return any(offer.machine is machine and offer.gpus == count for offer in offers)


def _in_pool(count: int, cloud: str) -> Match:
    enough = [one for one in machines(cloud) if one.pool and one.gpus and one.gpus >= count > 0]
    if not enough:
        return Match(None, None, 0, f"which machines of a pool of {cloud} would do is not in the catalogue")
    own = min(enough, key=lambda one: one.gpus or 0)
    return Match(own, None, own.gpus or 0, f"{own.gpus} of the pool's cards")


def _unknown_gpu(name: str) -> Match:
    near = did_you_mean(name, list(_catalogue().gpus))
    return Match(None, None, 0, f"the kind of GPU '{name}' is not in the catalogue; {near}")


def _match(need: _Need, cloud: str, *, strict: bool) -> Match:
    offers = _catalogue().offers.get(cloud)
    if offers is None:
        return Match(None, None, 0, f"machines of {cloud or 'this backend'} are not in the catalogue")
    nearest = _smallest if strict else _most_alike
    for group in _groups(need):
        if offer := nearest(offers.get(group, ()), need):
            reason, exact = _reason(need, offer, offers)
            return Match(offer.machine, offer.gpu.id if offer.gpu else None, offer.gpus, reason, exact)
    return Match(None, None, 0, _why_none(need, cloud, offers))


def _groups(need: _Need) -> Iterator[str]:
    """Groups of offers that may do, the best first."""
    if need.gpu is None:
        yield ANY_GPU if need.gpus else ""
        return
    asked = need.gpu
    if asked.memory >= need.gpu_memory:
        yield asked.id
    others = (gpu for gpu in _catalogue().gpus.values() if gpu.family == asked.family and gpu is not asked)
    enough = [gpu for gpu in others if gpu.memory >= max(asked.memory, need.gpu_memory)]
    yield from (
        gpu.id
        for gpu in sorted(enough, key=lambda gpu: (gpu.chip != asked.chip, gpu.rank < asked.rank, gpu.memory, gpu.rank))
    )


def _smallest(offers: Iterable[_Offer], need: _Need) -> _Offer | None:
    count, cpus, memory, gpu_memory = need.gpus, need.cpus, need.memory, need.gpu_memory
    for offer in offers:
        if offer.gpus >= count and offer.cpus >= cpus and offer.memory >= memory:
            if gpu_memory and offer.gpu and offer.gpu.memory < gpu_memory:
                continue
            return offer
    return None


def _most_alike(offers: Iterable[_Offer], need: _Need) -> _Offer | None:
    def order(offer: _Offer) -> tuple[Any, ...]:
        cpus, memory = offer.cpus / (need.cpus or offer.cpus), offer.memory / (need.memory or offer.memory)
        distance = (cpus if cpus > 1 else 1 / cpus) * (memory if memory > 1 else 1 / memory)
        return offer.old, offer.gpus, max(0.0, _ALIKE - min(cpus, memory)), distance

    cpus, memory = need.cpus * _LEAST, need.memory * _LEAST
    return min(
        (offer for offer in offers if offer.gpus >= need.gpus and offer.cpus >= cpus and offer.memory >= memory),
        key=order,
        default=None,
    )


def _reason(need: _Need, offer: _Offer, offers: Mapping[str, list[_Offer]]) -> tuple[str, bool]:
    """In what the offer is as asked and in what it is not; and whether it is so in everything."""
    same, other = [], []
    if offer.gpu:
        gpus = f"{offer.gpus} x {offer.gpu.id}"
        if need.gpu not in {None, offer.gpu}:
            other.append(f"{gpus} instead of {need.gpus} x {need.gpu.id if need.gpu else 'any'}")
        elif offer.gpus != need.gpus:
            other.append(f"{gpus} instead of {need.gpus}")
        else:
            same.append(gpus)
    for has, wants, unit in ((offer.cpus, need.cpus, "cpus"), (offer.memory, need.memory, "GiB memory")):
        if math.isclose(has, wants):
            same.append(f"{has:g} {unit}")
        elif wants:
            other.append(f"{has:g} instead of {wants:g} {unit}")
    parts = [f"{', '.join(same)} as asked"] if same else []
    parts += other
    if need.gpu and offer.gpu is need.gpu and offer.gpus > need.gpus:
        parts += _fewer(need, offer, offers)
    if offer.old:
        parts.append("an earlier generation")
    if offer.machine.unverified:
        parts.append("its figures are unverified")
    return "; ".join(parts) or "the smallest there is", not other


def _fewer(need: _Need, offer: _Offer, offers: Mapping[str, list[_Offer]]) -> Iterator[str]:
    """Another kind that would do with fewer GPUs."""
    for group in _groups(need):
        smaller = _smallest(offers.get(group, ()), need)
        if smaller and smaller.gpu and smaller.gpus < offer.gpus:
            yield f"{smaller.machine.name} with {smaller.gpus} x {smaller.gpu.id} ({smaller.gpu.memory} GiB) is smaller"
            return


def _why_none(need: _Need, cloud: str, offers: Mapping[str, list[_Offer]]) -> str:
    groups = [group for group in _groups(need) if group in offers]
    if not groups:
        least = f"of at least {max(need.gpu.memory, need.gpu_memory):g} GiB" if need.gpu else ""
        kind = need.gpu.id if need.gpu else "GPU"
        return f"{cloud} has no {kind}, nor another accelerator {least} that runs the same programs".replace("  ", " ")
    most = max((offer for group in groups for offer in offers[group]), key=lambda one: (one.gpus, one.cpus, one.memory))
    has = [f"{most.gpus} x {most.gpu.id}"] if most.gpu else []
    has += [f"{most.cpus:g} cpus", f"{most.memory:g} GiB memory"]
    return f"no such machine of {cloud} has as much; the largest is {most.machine.name} with {', '.join(has)}"
