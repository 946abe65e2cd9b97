"""What `status` shows of devices: a run that is driven, and a stand-in for the driver."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.launch import launch
from tuneport.cli.words import device_table
from tuneport.model.job import TuningJob
from tuneport.model.results import DeviceUse
from tuneport.model.trial_spec import Resources

GIB = 1 << 30


@pytest.fixture
def driven(
    machine: Callable[..., Path],
    client: LocalClient,
    make_job: Callable[..., TuningJob],
    tmp_path: Path,
    start_driver: Callable[..., subprocess.Popen[bytes]],
) -> Iterator[str]:
    """A run with two trials on the first of two GPUs, of which the second is a MIG part."""
    part = {"uuid": "MIG-b", "memory": 20 * GIB, "used": GIB, "instance": 1}
    machine(
        {"uuid": "GPU-a", "memory": 80 * GIB, "used": int(12.25 * GIB), "busy": 87},
        {"uuid": "GPU-b", "memory": 80 * GIB, "parts": [part]},
    )
    here = LocalClient(client._settings.changed(gpus=None), lambda _: launch)
    job = make_job(
        "print('loss=1')\ntime.sleep(60)",
        trial={"resources": Resources(gpus=0.5)},
        budget={"max_trials": 2, "parallel_trials": 2},
    )
    name = here.create(job, tmp_path, "process", "test")
    here.close()
    driver = start_driver(client, name)
    yield name
    driver.terminate()
    driver.wait()


def test_devices_are_shown_with_their_trials(client: LocalClient, driven: str) -> None:
    end = time.monotonic() + 30
    while sum(len(one.trials) for one in client.devices(driven)) < 2:
        assert time.monotonic() < end, "they never began"
        time.sleep(0.05)
    first, second = client.devices(driven)
    assert first == DeviceUse(
        id="0", name="name of GPU-a", trials=(1, 2), memory=80 * GIB, used=int(12.25 * GIB), busy=0.87
    )
    assert (second.id, second.trials, second.used, second.busy) == ("MIG-b", (), GIB, None)
    lines = device_table([first, second])[0].splitlines()
    assert lines[0].split() == ["device", "name", "trials", "memory", "busy"]
    assert re.split(" {2,}", lines[1]) == ["0", "name of GPU-a", "1, 2", "12.2 GiB of 80 GiB", "87%"]
    assert re.split(" {2,}", lines[2]) == ["MIG-b", "name of MIG-b", "none", "1 GiB of 20 GiB", "-"]
    client.stop(driven)
    list(client.changes(driven))
    assert client.devices(driven) == [], "nobody is on them any more"


def test_what_is_not_known_is_said_so(monkeypatch: pytest.MonkeyPatch, client: LocalClient, driven: str) -> None:
    """Whoever asks may not see the devices that the run has."""
    while not client.devices(driven):
        time.sleep(0.05)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (only,) = client.devices(driven)
    assert (only.id, only.used, only.memory) == ("0", None, None)
    assert device_table([only])[0].splitlines()[1].split()[-4:] == ["-", "of", "-", "-"]
