"""What the engine costs, as ratios in one run: `make bench`.

1. 200 trials of a trivial process, two at a time, with the journal on disk and the metric read from the output, against
   a bare subprocess loop and against Optuna whose objective starts the same process.
2. Start-up of `import tuneport` and `tuneport --help` against a bare interpreter.
3. Resuming a run whose journal holds 10,000 trials.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.launch import launch
from tuneport.backends.local.settings import LocalSettings
from tuneport.engine.store import Event
from tuneport.model.job import Budget, TuningJob
from tuneport.model.parameters import Float
from tuneport.model.study import Random, StudySpec, minimize
from tuneport.model.trial_spec import TrialSpec

TRIALS, PARALLEL, ROUNDS = 200, 2, 5
TRAINER = "import sys\nx = float(sys.argv[1].partition('=')[2])\nprint(f'loss={(x - 0.3) ** 2}')\n"


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def start(script: Path, x: float) -> float:
    output = subprocess.run([sys.executable, str(script), f"--x={x!r}"], capture_output=True, text=True, check=True)
    return float(re.search(r"loss=(\S+)", output.stdout)[1])  # type: ignore[index]


def bare_loop(script: Path) -> None:
    with ThreadPoolExecutor(PARALLEL) as pool:
        losses = list(pool.map(lambda n: start(script, n / TRIALS), range(TRIALS)))
    assert len(losses) == TRIALS


def with_optuna(script: Path, storage: JournalStorage | None) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1), storage=storage)
    study.optimize(lambda trial: start(script, trial.suggest_float("x", 0, 1)), n_trials=TRIALS, n_jobs=PARALLEL)
    assert len(study.trials) == TRIALS


def journal(folder: str) -> JournalStorage:
    return JournalStorage(JournalFileBackend(f"{folder}/optuna-{time.perf_counter_ns()}.log"))


def job(script: Path, trials: int) -> TuningJob:
    return TuningJob(
        name="bench",
        study=StudySpec(parameters=(Float("x", 0, 1),), objectives=(minimize("loss"),), algorithm=Random(seed=1)),
        trial=TrialSpec(command=("python", str(script)), metrics={"loss": r"loss=(\S+)"}),
        budget=Budget(max_trials=trials, parallel_trials=PARALLEL),
    )


def with_tuneport(script: Path, client: LocalClient) -> None:
    name = client.create(job(script, TRIALS), script.parent, "process", "bench")
    client.drive(name)
    assert sum(bool(trial.metrics) for trial in client.result(name).trials) == TRIALS


def resume(script: Path, client: LocalClient, trials: int) -> float:
    """Seconds from a journal of finished trials to a run that knows that it is done."""
    name = client.create(job(script, trials), script.parent, "process", "bench")
    events = [Event("began")]
    for trial in range(1, trials + 1):
        said = {"metrics": {"loss": 1 / trial}, "step": 1, "elapsed": 0.1}
        events += [
            Event("asked", trial, {"parameters": {"x": trial / (trials + 1)}}),
            Event("started", trial, {"attempt": 1, "devices": [], "share": 0.0, "memory": 0, "handle": {}}),
            Event("reported", trial, said),
            Event("ended", trial, {"state": "succeeded", "final": said, "failure": None}),
        ]
    client._store.append(name, events)  # noqa: SLF001 - a journal of this length takes hours to earn
    return seconds(lambda: client.drive(name))


def start_up(arguments: Sequence[str]) -> float:
    def once() -> float:
        return seconds(lambda: subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True))

    once()
    return statistics.median(once() for _ in range(15))


def say(what: str, ratios: Sequence[float], aim: str) -> None:
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(f"{what:<58} {middle:6.2f}   ({low:.2f} to {high:.2f})   aim {aim}")


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "train.py")
        script.write_text(TRAINER)
        client = LocalClient(LocalSettings(workspace=Path(folder, "ws"), gpus=0), lambda _: launch, create=True)
        bare_loop(script)
        works: dict[str, Callable[[], None]] = {
            "bare": lambda: bare_loop(script),
            "tuneport": lambda: with_tuneport(script, client),
            "Optuna with its journal file": lambda: with_optuna(script, journal(folder)),
            "Optuna in memory": lambda: with_optuna(script, None),
        }
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(ROUNDS):  # in turn, so that a machine whose speed drifts treats all alike
            for name, work in works.items():
                times[name].append(seconds(work))
        print(f"{TRIALS} trials, {PARALLEL} at a time: bare subprocess loop {statistics.median(times['bare']):.2f} s")
        for name in list(works)[1:]:
            ratios = [a / b for a, b in zip(times[name], times["bare"], strict=True)]
            say(f"{name} / bare subprocess loop", ratios, "<= 1.25" if name == "tuneport" else "-")
        nothing = start_up(["-c", "pass"])
        say("import tuneport / bare interpreter", [start_up(["-c", "import tuneport"]) / nothing], "<= 1.5")
        say("tuneport --help / bare interpreter", [start_up(["-m", "tuneport", "--help"]) / nothing], "<= 12")
        print(f"resume of a journal of 10,000 trials: {resume(script, client, 10_000):.2f} s   aim < 1 s")
        client.close()


if __name__ == "__main__":
    main()
