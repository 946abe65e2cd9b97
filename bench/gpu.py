"""How trials are packed on one GPU, as ratios in one run: `python bench/gpu.py [--trainer sleep] [packed] [crowded]`.

packed   32 small PyTorch trials, multilayer perceptrons and convolutional networks on generated data, packed by
         `gpu_memory: auto`, against the best fixed number at once of 1, 2, 4, 8 and 16: throughput; the share of the
         time in which no trial was on the GPU; trials that were left without memory.
crowded  16 trials that take between a twentieth and nearly half of the GPU's memory, more than the first one teaches:
         trials that were left without memory, and attempts that it took.

It needs a GPU that NVML shows, and torch. `--trainer sleep` needs neither: the tests' stand-in for NVML is the GPU, and
trials sleep. What it says is then about the engine alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.launch import launch
from tuneport.backends.local.settings import LocalSettings
from tuneport.engine.devices import discover
from tuneport.engine.nvml import Device, connected
from tuneport.model.job import Budget, TuningJob
from tuneport.model.parameters import Categorical, Float
from tuneport.model.results import FailureKind, StudyResult
from tuneport.model.study import Random, StudySpec, minimize
from tuneport.model.trial_spec import Resources, TrialSpec, about

TRIALS, CROWD = 32, 16
FIXED = (1, 2, 4, 8, 16)
AT_ONCE = FIXED[-1]
SEED = 11
"""By which the first of the trials of several sizes is a small one, and the next two are large."""
STANDINS = Path(__file__).parent.parent / "tests" / "engine" / "standins"
SMALL = {"kind": Categorical("kind", ["mlp", "cnn"]), "lr": Float("lr", 1e-4, 1e-1, scale="log")}
LARGE = {"take": Float("take", 0.05, 0.45)}

ARGUMENTS = """
import os, sys, time
given = dict(word[2:].split("=", 1) for word in sys.argv[1:])
"""
TORCH = """
import torch
from torch import nn
if "take" in given:
    total = torch.cuda.get_device_properties(0).total_memory
    held = torch.empty(int(float(given["take"]) * total), dtype=torch.uint8, device="cuda").fill_(1)
torch.manual_seed(0)
data = torch.randn(20_000, 3, 32, 32, device="cuda")
wanted = torch.randint(10, (20_000,), device="cuda")
if given.get("kind") == "cnn":
    def layer(i, o): return [nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layer(3, 32), *layer(32, 64), nn.Flatten(), nn.Linear(64 * 8 * 8, 10))
else:
    hidden = [nn.Linear(3072, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU()]
    model = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(512, 10))
model.to("cuda")
optimizer = torch.optim.SGD(model.parameters(), lr=float(given.get("lr", 0.01)), momentum=0.9)
for epoch in range(int(given["epochs"])):
    for batch in torch.randperm(len(data), device="cuda").split(128):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(data[batch]), wanted[batch])
        loss.backward()
        optimizer.step()
    print(f"loss={loss.item()}", flush=True)
"""
SLEEP = """
import glob
card = os.environ["STANDIN_GPUS"] + "/GPU-standin."
with open(card + str(os.getpid()), "w") as file:
    file.write(str(int(float(given.get("take", 0.02)) * (10 << 30))))
alive = [path for path in glob.glob(card + "*") if os.path.exists("/proc/" + path.rpartition(".")[2])]
if sum(int(open(path).read() or 0) for path in alive) > 10 << 30:
    time.sleep(1)
    sys.exit("torch.OutOfMemoryError: CUDA out of memory")
for epoch in range(int(given["epochs"])):
    time.sleep(0.25)
    print(f"loss={1 / (epoch + 1)}", flush=True)
"""


def job(script: Path, parameters: Mapping[str, Any], epochs: int, trials: int, **resources: Any) -> TuningJob:
    at_once = round(1 / resources["gpus"]) if "gpus" in resources else AT_ONCE
    return TuningJob(
        name="gpu",
        study=StudySpec(
            parameters=tuple(parameters.values()), objectives=(minimize("loss"),), algorithm=Random(seed=SEED)
        ),
        trial=TrialSpec(
            command=("python", str(script)),
            parameters={"epochs": epochs},
            metrics={"loss": r"loss=(\S+)"},
            resources=Resources(**resources),
        ),
        budget=Budget(max_trials=trials, parallel_trials=at_once, max_failed_trials=trials),
    )


class Bench:
    """Runs jobs on one GPU."""

    def __init__(self, folder: Path, trainer: str, epochs: int) -> None:
        self._folder = folder
        self._epochs = epochs
        self._script = folder / "train.py"
        self._script.write_text(ARGUMENTS + trainer)
        self._client = LocalClient(LocalSettings(workspace=folder / "ws"), lambda _: launch, create=True)

    def run(self, parameters: Mapping[str, Any], trials: int, **resources: Any) -> tuple[StudyResult, float]:
        """What came out, and how busy NVML says that the GPU was."""
        made = job(self._script, parameters, self._epochs, trials, **resources)
        name = self._client.create(made, self._folder, "process", "bench")
        with load() as busy:
            self._client.drive(name)
        return self._client.result(name), fmean(busy or [0.0])


@contextmanager
def load() -> Iterator[list[float]]:
    """How busy the GPU is, looked at twice a second."""
    seen: list[float] = []
    over = threading.Event()

    def look() -> None:
        driver = connected()
        while driver and not over.wait(0.5):
            seen.extend(one.busy for one in driver.loads().values() if one.busy is not None)

    thread = threading.Thread(target=look)
    thread.start()
    yield seen
    over.set()
    thread.join()


def spans(result: StudyResult) -> list[tuple[float, float]]:
    return sorted((one.started or 0.0, one.ended or 0.0) for one in result.trials)


def seconds(result: StudyResult) -> float:
    """From the first trial's start to the last one's end."""
    return max(end for _, end in spans(result)) - spans(result)[0][0]


def idle(result: StudyResult) -> float:
    """The part of that time in which no trial was there."""
    free, until = 0.0, spans(result)[0][0]
    for begin, end in spans(result):
        free += max(0.0, begin - until)
        until = max(until, end)
    return free / seconds(result)


def left_without(result: StudyResult) -> int:
    """Trials that failed for lack of memory."""
    return sum(one.failure is not None and one.failure.kind is FailureKind.OUT_OF_MEMORY for one in result.trials)


def packed(bench: Bench) -> None:
    spent = {}
    for count in FIXED:
        result, busy = bench.run(SMALL, TRIALS, gpus=1 / count)
        spent[count] = seconds(result)
        print(f"{count:>4} at once: {TRIALS / spent[count]:.2f} trials/s, busy {busy:.0%}", flush=True)
    best = min(spent, key=lambda count: spent[count])
    result, busy = bench.run(SMALL, TRIALS, gpu_memory="auto")
    peak = max(one.gpu_memory or 0 for one in result.trials)
    print(f"    auto: {TRIALS / seconds(result):.2f} trials/s, busy {busy:.0%}; at most {about(peak)} a trial")
    print(f"  throughput of auto: {spent[best] / seconds(result):.2f} of that of {best} at once (aim >= 0.9)")
    print(f"  no trial on the GPU: {idle(result):.1%} of the time (aim <= 2 %)")
    print(f"  left without memory: {left_without(result)} of {TRIALS} (aim 0)", flush=True)


def crowded(bench: Bench) -> None:
    result, _ = bench.run(LARGE, CROWD, gpu_memory="auto")
    attempts = sum(one.attempt for one in result.trials)
    ended = sum(bool(one.metrics) for one in result.trials)
    print(f"{CROWD} trials of several sizes: {ended} ended well after {attempts} attempts in {seconds(result):.0f} s")
    print(f"  left without memory: {left_without(result)} (aim 0)", flush=True)


def standin(folder: Path) -> None:
    """Have the tests' stand-in be NVML, here and in what is started."""
    (folder / "gpus.json").write_text(json.dumps([{"uuid": "GPU-standin", "memory": 10 << 30, "busy": 50}]))
    os.environ |= {"STANDIN_GPUS": str(folder), "TMPDIR": str(folder)}
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    sys.path.insert(0, str(STANDINS))


def gpu() -> Device:
    """The first GPU, which is then the only one.

    Raises:
        SystemExit: there is none, or no torch that can use it.
    """
    way_out = "; without them: --trainer sleep"
    found = discover()
    if not found:
        sys.exit(f"a GPU is needed that NVML shows (pip install 'tuneport[gpu]'), and torch{way_out}")
    os.environ["CUDA_VISIBLE_DEVICES"] = found[0].id
    if importlib.util.find_spec("torch") is None:
        sys.exit(f"torch is needed (pip install torch), and a GPU{way_out}")
    usable = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    if subprocess.run([sys.executable, "-c", usable], check=False).returncode:
        sys.exit(f"torch does not see the GPU {found[0].name}{way_out}")
    return found[0]


PARTS: dict[str, Callable[[Bench], None]] = {"packed": packed, "crowded": crowded}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{' or '.join(PARTS)}; both if none is named")
    parser.add_argument("--trainer", choices=["torch", "sleep"], default="torch")
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    if unknown := set(given.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.trainer == "sleep":
            standin(folder)
        device = gpu() if given.trainer == "torch" else discover()[0]
        print(f"{device.name}, {about(device.memory or 0)}", flush=True)
        bench = Bench(folder, TORCH if given.trainer == "torch" else SLEEP, given.epochs)
        for part in given.parts or PARTS:
            PARTS[part](bench)


if __name__ == "__main__":
    main()
