"""GPU leases: never two trials that do not fit, and no device promised beyond what it has."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.launch import launch
from tuneport.engine.devices import Lease, Pool, discover
from tuneport.engine.host import processors
from tuneport.engine.ledger import Ledger
from tuneport.engine.nvml import Device
from tuneport.errors import DeviceError
from tuneport.model.job import TuningJob
from tuneport.model.results import StudyResult
from tuneport.model.trial_spec import Resources

GIB = 1 << 30


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def pool(resources: Resources, count: int = 2, memory: int | None = None) -> Pool:
    return Pool([Device(str(index), memory=memory) for index in range(count)], resources)


def leases(from_pool: Pool) -> list[tuple[str, ...]]:
    taken = []
    while (lease := from_pool.lease()) is not None:
        taken.append(lease.devices)
    return taken


@pytest.mark.parametrize(
    ("resources", "memory", "expected"),
    [
        (Resources(gpus=1), None, [("0",), ("1",)]),
        (Resources(gpus=2), None, [("0", "1")]),
        (Resources(gpus=0.5), None, [("0",), ("0",), ("1",), ("1",)]),
        (Resources(gpus=0.1), None, [("0",)] * 10 + [("1",)] * 10),
        (Resources(gpus=0.4), None, [("0",), ("0",), ("1",), ("1",)]),
        (Resources(gpu_memory="12GiB"), 40 * GIB, [("0",), ("1",)] * 3),
        (Resources(gpu_memory="12GiB"), None, [("0",), ("1",)]),
        (Resources(gpus=0.5, gpu_memory="30GiB"), 40 * GIB, [("0",), ("1",)]),
        (Resources(gpus=1, gpu_memory="12GiB"), 40 * GIB, [("0",), ("1",)]),
    ],
)
def test_shares_are_packed_and_memory_is_spread(
    resources: Resources, memory: int | None, expected: list[tuple[str, ...]]
) -> None:
    full = pool(resources, memory=memory)
    assert full.capacity == len(expected)
    assert leases(full) == expected


def test_trials_without_gpus_are_not_limited_and_see_what_they_saw() -> None:
    free = pool(Resources(), count=0)
    assert free.capacity is None
    assert free.lease() == Lease()


@pytest.mark.parametrize(
    ("resources", "count", "memory", "said"),
    [
        (Resources(gpus=1), 0, None, "needs 1 GPU, but this machine has 0"),
        (Resources(gpus=4), 2, None, "needs 4 GPUs, but this machine has 2"),
        (Resources(gpu_memory="80GiB"), 2, 40 * GIB, "no device here has more than 40GiB"),
    ],
)
def test_what_never_fits_is_refused_at_once(resources: Resources, count: int, memory: int | None, said: str) -> None:
    with pytest.raises(DeviceError, match=said):
        pool(resources, count, memory)


@given(
    share=st.sampled_from([0.1, 0.25, 0.3, 0.5, 1.0]),
    memory=st.sampled_from([None, 5, 10, 30]),
    moves=st.lists(st.integers(0, 30), max_size=60),
)
def test_no_device_is_ever_overcommitted(share: float, memory: int | None, moves: list[int]) -> None:
    resources = Resources(gpus=share, gpu_memory=memory * GIB if memory else None)
    shared = Pool([Device(str(index), memory=40 * GIB) for index in range(3)], resources)
    held: list[Lease] = []
    for move in moves:
        if move < len(held):
            shared.release(held.pop(move))
        elif (lease := shared.lease()) is not None:
            held.append(lease)
        for device in "012":
            on_it = [lease for lease in held if device in lease.devices]
            assert sum(lease.share for lease in on_it) <= 1 + 1e-6
            assert sum(lease.memory for lease in on_it) <= 40 * GIB
    assert shared.capacity is not None
    while (lease := shared.lease()) is not None:
        held.append(lease)
    assert len(held) == shared.capacity, "after any history, exactly as many fit as at first"


def test_a_lease_taken_over_from_another_runner_counts() -> None:
    shared = pool(Resources(gpus=1))
    shared.retake(Lease(("0",), share=1.0))
    assert leases(shared) == [("1",)]


def test_declared_devices_stand_for_real_ones() -> None:
    assert [device.id for device in discover(3)] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("2,3", ["2", "3"]), ("5, 6,7", ["5", "6"]), ("GPU-ab", ["GPU-ab"]), ("", []), ("1,-1,2", ["1"]), ("4,4", ["4"])],
)
def test_declared_devices_are_the_first_visible_ones(
    monkeypatch: pytest.MonkeyPatch, visible: str, expected: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [device.id for device in discover(2)] == expected


Machine = Callable[..., Path]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["GPU-aa11", "MIG-22", "MIG-23", "MIG-24"]),
        ("0", ["GPU-aa11"]),
        ("1", ["MIG-22", "MIG-23", "MIG-24"]),
        ("1,0", ["MIG-22", "MIG-23", "MIG-24", "GPU-aa11"]),
        ("GPU-aa,0,7", ["GPU-aa11"]),
        ("MIG-23,GPU-bb22", ["MIG-23", "MIG-22", "MIG-24"]),
        ("GPU-cc,MIG-3", []),
        ("", []),
    ],
)
def test_visible_devices_are_found_by_index_and_by_uuid(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, visible: str | None, expected: list[str]
) -> None:
    """A GPU that is divided is its parts; those of one GPU instance share its memory."""
    machine(
        {"uuid": "GPU-aa11", "memory": 80 * GIB},
        {
            "uuid": "GPU-bb22",
            "memory": 80 * GIB,
            "parts": [
                {"uuid": "MIG-22", "memory": 20 * GIB, "instance": 1},
                {"uuid": "MIG-23", "memory": 10 * GIB, "instance": 2},
                {"uuid": "MIG-24", "memory": 10 * GIB, "instance": 2},
            ],
        },
        {"uuid": "GPU-dd44", "memory": 80 * GIB, "parts": []},
    )
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = discover()
    sizes = {"GPU-aa11": 80, "MIG-22": 20, "MIG-23": 5, "MIG-24": 5}
    assert [(one.uuid, one.name) for one in found] == [(uuid, f"name of {uuid}") for uuid in expected]
    assert [one.memory for one in found] == [sizes[uuid] * GIB for uuid in expected]


def test_devices_go_by_the_names_that_are_visible(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    machine({"uuid": "GPU-aa11", "memory": GIB}, {"uuid": "GPU-bb22", "memory": GIB})
    assert [one.id for one in discover()] == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bb,0")
    assert [one.id for one in discover()] == ["GPU-bb", "0"]


def test_a_device_that_is_lost_is_as_if_it_were_not_there(machine: Machine) -> None:
    machine({"uuid": "GPU-a", "memory": GIB}, {"uuid": "GPU-b", "lost": True}, {"uuid": "GPU-c", "memory": GIB})
    assert [(one.id, one.uuid) for one in discover()] == [("0", "GPU-a"), ("2", "GPU-c")]


def test_without_a_driver_there_are_no_devices(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    machine({"uuid": "GPU-aa11", "memory": GIB})
    monkeypatch.delenv("STANDIN_GPUS")
    assert discover() == []


def test_processors() -> None:
    assert 1 <= processors() <= (os.cpu_count() or 1)


def test_trials_see_their_devices_and_no_others(
    client: LocalClient, make_job: Callable[..., TuningJob], tmp_path: Path
) -> None:
    """Eight real trials on two declared devices, half a device each: four at once, two per device."""
    settings = client._settings.changed(gpus=2)
    two = LocalClient(settings, lambda _: launch)
    crowd = tmp_path / "crowd"
    crowd.mkdir()
    script = f"""
mine = os.environ["CUDA_VISIBLE_DEVICES"]
open({str(crowd)!r} + f"/{{mine}}.{{os.getpid()}}", "w").close()
time.sleep(0.5)
together = [name for name in os.listdir({str(crowd)!r}) if name.startswith(mine + ".")]
print(f"loss={{len(together)}} device={{mine}}")
time.sleep(0.1)
os.remove({str(crowd)!r} + f"/{{mine}}.{{os.getpid()}}")
"""
    job = make_job(
        script,
        trial={"resources": Resources(gpus=0.5), "metrics": {"loss": r"loss=(\S+)", "device": r"device=(\S+)"}},
        budget={"max_trials": 8, "parallel_trials": 4},
    )
    name = two.create(job, tmp_path, "process", "test")
    two.drive(name)
    result: StudyResult = two.result(name)
    assert {trial.metrics["device"] for trial in result.trials} == {0.0, 1.0}
    assert {trial.metrics["loss"] for trial in result.trials} <= {1.0, 2.0}
    assert max(trial.metrics["loss"] for trial in result.trials) == 2.0


def test_who_ran_out_of_memory_gets_more_of_it_and_so_do_all_that_follow() -> None:
    shared = pool(Resources(gpu_memory="12GiB"), count=1, memory=40 * GIB)
    first, second = shared.lease(), shared.lease()
    assert first is not None
    assert second is not None
    assert shared.more_room(first)
    assert shared.more_room(second), "both had 12 GiB, and 24 are twice that, not four times"
    shared.release(first)
    shared.release(second)
    larger = shared.lease()
    assert larger is not None
    assert larger.memory == 24 * GIB
    assert shared.lease() is None, "40 GiB have no room for a second one"
    assert shared.more_room(larger)
    shared.release(larger)
    whole = shared.lease()
    assert whole is not None
    assert whole.memory == 40 * GIB
    assert not shared.more_room(whole), "there is no more"
    assert not pool(Resources(), count=0).more_room(Lease())


def test_trials_that_run_out_of_a_devices_memory_run_again_with_more_room(
    client: LocalClient, make_job: Callable[..., TuningJob], tmp_path: Path
) -> None:
    """Three on one declared device at first; who shares it with two others fails, as CUDA says it."""
    one = LocalClient(client._settings.changed(gpus=1), lambda _: launch)
    crowd = tmp_path / "crowd"
    crowd.mkdir()
    script = f"""
me = {str(crowd)!r} + f"/{{os.getpid()}}"
open(me, "w").close()
time.sleep(0.6)
together = len(os.listdir({str(crowd)!r}))
time.sleep(0.3)
os.remove(me)
if together > 2:
    sys.exit("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB")
print("loss=1")
"""
    job = make_job(script, trial={"resources": Resources(gpus=0.3)}, budget={"max_trials": 4, "parallel_trials": 3})
    name = one.create(job, tmp_path, "process", "test")
    one.drive(name)
    result = one.result(name)
    assert [trial.state.value for trial in result.trials] == ["succeeded"] * 4, result
    assert sum(trial.attempt for trial in result.trials) > 4, "at first, they did not fit"


def test_the_first_trial_has_a_device_to_itself_until_it_is_known_what_it_needs() -> None:
    shared = pool(Resources(gpu_memory="auto"), count=2, memory=40 * GIB)
    assert shared.capacity is None, "nobody knows yet"
    shared.learn(0)
    assert leases(shared) == [("0",), ("1",)]
    shared.learn(10 * GIB)
    assert leases(shared) == [("0",), ("1",)] * 2, "3 on each with a margin; those that run count alike"
    shared.learn(5 * GIB)
    assert shared.lease() is None, "the largest peak counts"
    shared.learn(39 * GIB)
    larger = pool(Resources(gpu_memory="auto"), count=2, memory=40 * GIB)
    larger.learn(39 * GIB)
    assert leases(larger) == [("0",), ("1",)], "the margin does not rule a device out on which it fitted"


def test_a_device_of_unknown_memory_is_not_shared_by_what_is_measured() -> None:
    declared = pool(Resources(gpu_memory="auto"), count=2)
    declared.learn(GIB)
    assert leases(declared) == [("0",), ("1",)]


def test_trials_that_need_more_than_their_share_are_fewer() -> None:
    shared = pool(Resources(gpus=0.25), count=1, memory=40 * GIB)
    shared.learn(15 * GIB)
    assert leases(shared) == [("0",)] * 2
    alone = pool(Resources(gpus=1), count=1, memory=40 * GIB)
    alone.learn(15 * GIB)
    assert leases(alone) == [("0",)]


def test_devices_of_several_sizes_are_used_as_far_as_trials_fit() -> None:
    small, large = Device("s", memory=24 * GIB), Device("l", memory=80 * GIB)
    shared = Pool([small, large], Resources(gpu_memory="auto"))
    shared.learn(30 * GIB)
    assert leases(shared) == [("l",)] * 2
    shared = Pool([small, large], Resources(gpu_memory="auto"))
    shared.learn(26 * GIB)
    assert leases(shared) == [("l",)] * 2, "three of just 26 GiB would leave none of them anything to spare"
    shared = Pool([small, large], Resources(gpu_memory="20GiB"))
    assert shared.more_room(Lease(("s",), memory=20 * GIB))
    assert leases(shared) == [("l",)] * 2


def test_replicas_need_a_device_each() -> None:
    with pytest.raises(DeviceError, match="needs 2 GPUs, but this machine has 1"):
        pool(Resources(gpus=0.5, replicas=2), count=1)


@given(
    want=st.sampled_from([Resources(gpu_memory="auto"), Resources(gpu_memory="3GiB"), Resources(gpus=0.3)]),
    peaks=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    cramped=st.lists(st.integers(1, 30), max_size=4),
    chance=st.randoms(use_true_random=False),
)
def test_what_is_learned_does_not_depend_on_the_order(
    want: Resources, peaks: list[int], cramped: list[int], chance: Random
) -> None:
    """So that a run that is resumed starts with what it knew."""
    lessons = [("learn", size * GIB) for size in peaks]
    lessons += [("more_room", Lease(("0",), want.gpus, size * GIB)) for size in cramped]
    found = []
    for _ in range(2):
        chance.shuffle(lessons)
        shared = pool(want, count=2, memory=40 * GIB)
        for what, lesson in lessons:
            getattr(shared, what)(lesson)
        found.append(shared.lease())
    assert found[0] == found[1]


def two_runs(folder: Path, first: Resources, second: Resources, memory: int | None = 40 * GIB) -> tuple[Pool, Pool]:
    devices = [Device(str(index), memory=memory, uuid=f"GPU-{index}") for index in range(2)]
    hidden = [Device("GPU-1", memory=memory, uuid="GPU-1"), Device("GPU-0", memory=memory, uuid="GPU-0")]
    return Pool(devices, first, Ledger(folder, "a")), Pool(hidden, second, Ledger(folder, "b"))


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ({"gpus": 1}, {"gpus": 1}, 1),
        ({"gpus": 2}, {"gpus": 0.1}, 0),
        ({"gpus": 0.5}, {"gpus": 0.5}, 3),
        ({"gpu_memory": "30GiB"}, {"gpu_memory": "30GiB"}, 1),
        ({"gpu_memory": "10GiB"}, {"gpu_memory": "30GiB"}, 2),
        ({"gpu_memory": "10GiB"}, {"gpus": 1}, 1),
        ({"gpus": 1}, {"gpu_memory": "10GiB"}, 4),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_runs_on_one_machine_know_of_each_other(
    tmp_path: Path, first: dict[str, object], second: dict[str, object], left: int
) -> None:
    """They may call the same device by different names."""
    one, other = two_runs(tmp_path, Resources(**first), Resources(**second))
    lease = one.lease()
    assert lease is not None
    taken = leases(other)
    assert len(taken) == left
    one.release(lease)
    assert len(taken) + len(leases(other)) == other.capacity


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_a_run_had_is_free_when_neither_it_nor_its_keeper_lives(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "a")
    gone = Pool([Device("0")], Resources(gpus=1), ledger)
    assert gone.lease()
    said: list[str] = []
    here = Pool([Device("0")], Resources(gpus=1), Ledger(tmp_path, "b"), said.append)
    keeper = subprocess.Popen(["sleep", "60"], pass_fds=[ledger.descriptor])
    ledger.close()
    assert here.lease() is None, "the runner is gone, and its keeper has the trial"
    assert here.lease() is None
    assert said == ["trials wait for GPUs that other runs on this machine use"]
    successor = Pool([Device("0")], Resources(gpus=1), Ledger(tmp_path, "a"))
    assert successor.lease(), "whoever resumes the run has taken its trials over"
    del successor
    keeper.kill()
    keeper.wait()
    gc.collect()
    assert here.lease()
    assert len(list(tmp_path.glob("*.json"))) == 1, "what is stale is removed"
