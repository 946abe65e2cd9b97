"""What trials have of memory, measured from outside: real processes, and a stand-in for the driver."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tuneport.engine import metering, processes
from tuneport.engine.executors.keeper import MARK
from tuneport.engine.metering import Metering, Usage, Watched
from tuneport.engine.nvml import Device, connected
from tuneport.engine.processes import Process, began, exists, families, proportional

MIB = 1 << 20
CARD = {"uuid": "GPU-a", "memory": 1000 * MIB}
FAMILY = f"""
import os, sys, time
ours = bytearray(50 * {MIB})
if os.fork() == 0 and os.fork() == 0:  # what they have is the first one's, and is shared
    os.setsid()
os.write(1, b"there\\n")  # at once, whatever is buffered
time.sleep(60)
"""


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """Three processes of one trial, started as by a keeper, who is we."""
    first = subprocess.Popen([sys.executable, "-c", FAMILY], env={**os.environ, MARK: "r/1.1"}, stdout=subprocess.PIPE)
    assert first.stdout is not None
    for _ in range(3):
        assert first.stdout.readline() == b"there\n"
    yield first
    for process in families([os.getpid()], MARK, ["r/1.1"])["r/1.1"]:
        os.kill(process.pid, 9)
    first.wait()
    first.stdout.close()


def pids() -> list[int]:
    return sorted(one.pid for one in families([os.getpid()], MARK, ["r/1.1"])["r/1.1"])


def test_all_processes_of_a_trial_are_found_by_their_mark(family: subprocess.Popen[bytes]) -> None:
    assert len(pids()) == 3
    assert family.pid in pids()
    assert not families([os.getpid()], MARK, ["r/2.1"])
    assert not families([family.pid], MARK, ["r/2.1"]), "only those below are looked at"


@pytest.mark.usefixtures("family")
def test_what_processes_share_counts_once_where_a_limit_is_at_stake() -> None:
    there = families([os.getpid()], MARK, ["r/1.1"])["r/1.1"]
    resident, exact = sum(one.resident for one in there), proportional(pids())
    assert exact is not None
    assert 50 * MIB < exact < resident - 90 * MIB
    free = Metering().usage({"r/1.1": Watched()}, [os.getpid()])["r/1.1"]
    assert free.memory > 150 * MIB
    limited = Metering().usage({"r/1.1": Watched(limit=100 * MIB)}, [os.getpid()])["r/1.1"]
    assert 50 * MIB < limited.memory < 100 * MIB


@pytest.mark.usefixtures("family")
def test_a_child_that_has_ended_changes_nothing() -> None:
    """A zombie has no memory; it is no reason to count what the others share for each of them."""
    last = families([os.getpid()], MARK, ["r/1.1"])["r/1.1"][-1].pid
    os.kill(last, 9)
    while began(last) is not None:
        time.sleep(0.01)
    assert exists(last), "nobody has asked how it ended"
    assert proportional([last]) == 0
    limited = Metering().usage({"r/1.1": Watched(limit=90 * MIB)}, [os.getpid()])["r/1.1"]
    assert 50 * MIB < limited.memory < 90 * MIB


def test_memory_that_cannot_be_read_is_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()  # a process as a kernel shows it that does not count shares
    monkeypatch.setattr(processes, "PROC", tmp_path)
    assert proportional([2]) == 0
    assert proportional([1, 2]) is None


def test_who_is_gone_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = 2**22 + 1
    assert proportional([gone]) == 0
    assert Metering().usage({"r/9.9": Watched(limit=1)}, [os.getpid()]) == {"r/9.9": Usage()}
    monkeypatch.setattr(metering, "families", lambda *_: {"r/9.9": [Process(gone, 1, resident=MIB)]})
    assert Metering().usage({"r/9.9": Watched(limit=1)}, []) == {"r/9.9": Usage()}, "it ended between two looks"


@pytest.mark.usefixtures("family")
def test_memory_of_a_device_is_that_of_all_processes(machine: Callable[..., Path]) -> None:
    folder = machine(CARD | {"used": 70 * MIB}, {"uuid": "GPU-b", "memory": 1000 * MIB})
    for at, pid in enumerate(pids()):
        (folder / f"GPU-a.{pid}").write_text(str(100 * MIB))
        (folder / f"GPU-b.{pid}").write_text(str(at * MIB))
    (folder / f"GPU-a.{os.getpid()}").write_text(str(500 * MIB))
    meter = connected()
    devices = [Device("0", uuid="GPU-a"), Device("1", uuid="GPU-b")]

    def usage(*names: str) -> int:
        return Metering(meter, devices).usage({"r/1.1": Watched(names)}, [os.getpid()])["r/1.1"].gpu_memory

    assert usage("0") == 300 * MIB, "what others have is not its"
    assert usage("1") == 3 * MIB
    assert usage("1", "0") == 300 * MIB, "of the device of which it has most"
    assert usage() == 0


@pytest.mark.usefixtures("family")
def test_where_the_driver_knows_other_numbers_a_device_is_its_only_trials(machine: Callable[..., Path]) -> None:
    folder = machine(CARD | {"used": 70 * MIB, "container": True})
    (folder / f"GPU-a.{os.getpid()}").write_text(str(100 * MIB))
    metering = Metering(connected(), [Device("0", uuid="GPU-a")])
    one = Watched(("0",))
    assert metering.usage({"r/1.1": one}, [os.getpid()])["r/1.1"].gpu_memory == 170 * MIB
    several = metering.usage({"r/1.1": one, "r/2.1": one}, [os.getpid()])
    assert [usage.gpu_memory for usage in several.values()] == [0, 0], "nobody knows whose it is"


def test_looking_is_cheap() -> None:
    began = time.process_time()
    for _ in range(10):
        Metering().usage({"r/1.1": Watched()}, [os.getpid()])
    assert (time.process_time() - began) / 10 < 0.1


def test_growth_is_told_by_steps() -> None:
    assert Usage(111, 0).exceeds(Usage(100, 0), 0.1)
    assert not Usage(110, 0).exceeds(Usage(100, 50), 0.1)
    assert Usage(0, 1).exceeds(Usage(100, 0), 0.1)
    assert Usage(5, 3) | Usage(4, 7) == Usage(5, 7)
