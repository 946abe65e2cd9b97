"""What many trials cost, as ratios in one run: `python bench/scale.py [warm] [ray] [events]`, and `profile`.

warm    200 trials that each import scikit-learn and fit for 50 ms, two at a time: forked from a process that has
        imported it, against one new process each.
ray     200 trivial trials in slots of a Ray cluster of two nodes, against processes of this machine; without start-up.
        100 of them from the first order to the last end, against Ray Tune on that cluster (pip install 'ray[tune]'), as
        it is and with reuse_actors, which gives up that each trial has a process of its own.
events  10,000 simulated trials, 500 at a time, with the journal on disk: processor time of the driver per event as
        the run grows, and what it is spent on.
"""

from __future__ import annotations

import cProfile
import heapq
import io
import os
import platform
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.launch import launch
from tuneport.backends.local.settings import LocalSettings, RaySettings
from tuneport.engine.devices import Device, Pool
from tuneport.engine.engine import Engine
from tuneport.engine.executors.protocols import Emitted, Event, Exited
from tuneport.engine.launch import Reported, TrialContext
from tuneport.engine.record import Record
from tuneport.model.job import Budget, TuningJob
from tuneport.model.parameters import Float
from tuneport.model.results import StudyResult
from tuneport.model.study import MedianStopping, Random, StudySpec, minimize
from tuneport.model.trial_spec import Resources, TrialSpec

TRIALS, PARALLEL = 200, 2
COLD_TRIALS = 10
"""One process per trial takes seconds for each: so many stand for all, and the ratio is per trial."""
FIT = 0.05
NO_OPS = 100
ROUNDS = 5
MANY, AT_ONCE, REPORTS = 10_000, 500, 3
TRAINER = f"""
import sys, time
from sklearn.datasets import make_classification
from sklearn.linear_model import SGDClassifier
begun = time.perf_counter()
x = float(sys.argv[1].partition("=")[2])
data, classes = make_classification(200, 10, random_state=0)
model = SGDClassifier(alpha=1e-4 + x)
while True:
    model.partial_fit(data, classes, classes=[0, 1])
    if time.perf_counter() - begun > {FIT}:
        break
print(f"loss={{1 - model.score(data, classes)}} work={{time.perf_counter() - begun}}")
"""


def job(script: Path, trials: int, parallel: int, **trial: Any) -> TuningJob:
    return TuningJob(
        name="scale",
        study=StudySpec(parameters=(Float("x", 0, 1),), objectives=(minimize("loss"),), algorithm=Random(seed=1)),
        trial=TrialSpec(
            command=("python", str(script)), metrics={"loss": r"loss=(\S+)", "work": r"work=(\S+)"}, **trial
        ),
        budget=Budget(max_trials=trials, parallel_trials=parallel),
    )


def run(client: LocalClient, made: TuningJob, base: Path) -> tuple[float, StudyResult]:
    """Seconds from the first trial's start to the last one's end, and what came out."""
    name = client.create(made, base, "process", "bench")
    client.drive(name)
    result = client.result(name)
    assert all(trial.metrics for trial in result.trials), result.trials[0]
    return max(trial.ended or 0 for trial in result.trials) - min(trial.started or 0 for trial in result.trials), result


def overheads(result: StudyResult) -> list[float]:
    """Of each trial, the seconds in which it held its place and did no work of its own."""
    return [(trial.duration or 0) - trial.metrics["work"] for trial in result.trials]


def warm(folder: Path) -> None:
    script = folder / "train.py"
    script.write_text(TRAINER)
    client = LocalClient(LocalSettings(workspace=folder / "ws", gpus=0), lambda _: launch, create=True)
    run(client, job(script, 2, 1), folder)  # what both import is in the system's cache
    cold, _ = run(client, job(script, COLD_TRIALS, PARALLEL), folder)
    forked, result = run(client, job(script, TRIALS, PARALLEL, warm_workers=True), folder)
    assert result.notes == (), result.notes
    ratio = (cold / COLD_TRIALS) / (forked / TRIALS)
    settled = overheads(result)[PARALLEL + 2 :]  # the first ones teach what to preload
    print(f"scikit-learn, {PARALLEL} at a time: one process per trial {cold / COLD_TRIALS * 1e3:.0f} ms per trial,")
    print(f"  warm workers {forked / TRIALS * 1e3:.0f} ms, learning included: {ratio:.1f} times faster (aim >= 4)")
    print(f"  overhead per trial, median {statistics.median(settled) * 1e3:.1f} ms (aim <= 15)")
    client.close()


def on_ray(folder: Path) -> None:
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra

    script = folder / "trivial.py"
    script.write_text("import sys\nprint(f'loss={float(sys.argv[1][4:])} work=0')\n")
    here = LocalSettings(workspace=folder / "here", gpus=0)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    there = RaySettings(workspace=folder / "there", address=cluster.address)
    ours = LocalClient(there, lambda _: launch, create=True)
    process = LocalClient(here, lambda _: launch, create=True)
    spent: dict[LocalClient, list[float]] = {process: [], ours: []}
    for _ in range(ROUNDS):  # in turn, since the machine may have other things to do
        for client, times in spent.items():
            times.append(settled(run(client, job(script, TRIALS, PARALLEL), folder)[1]) / TRIALS)
    ratios = [one / other for one, other in zip(spent[ours], spent[process], strict=True)]
    each = {client: statistics.median(times) * 1e3 for client, times in spent.items()}
    print(f"{TRIALS} trivial trials, {PARALLEL} at a time: {each[process]:.1f} ms each as processes,")
    print(f"  {each[ours]:.1f} ms each in slots of two nodes; median of {ROUNDS} ratios", end=" ")
    print(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}; aim <= 1.3)")
    began = time.perf_counter()
    run(ours, job(script, NO_OPS, PARALLEL), folder)
    took = time.perf_counter() - began
    print(f"{NO_OPS} no-op trials, start-up included: {took:.1f} s")
    try:
        for reuse in (False, True):
            theirs = ray_tune(cluster.address, folder, reuse)
            print(f"  Ray Tune{' with reuse_actors' * reuse} {theirs:.1f} s: {theirs / took:.1f} times that (aim >= 5)")
    except ImportError:
        print("  Ray Tune is left out: it is not installed")
    ours.close()
    process.close()
    cluster.shutdown()


def settled(result: StudyResult) -> float:
    """Seconds that a run took without its first trials, which wait for their slots to start."""
    trials = result.trials[2 * PARALLEL :]
    return max(one.ended or 0 for one in trials) - min(one.started or 0 for one in trials)


def ray_tune(address: str, folder: Path, reuse: bool) -> float:
    """Seconds that Ray Tune takes for as many trials that do nothing but report."""
    os.environ |= {
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "RAY_AIR_NEW_OUTPUT": "0",
    }  # we write no such files either
    import ray  # noqa: PLC0415 - an extra
    from ray import tune  # noqa: PLC0415

    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    limits = {"num_samples": NO_OPS, "max_concurrent_trials": PARALLEL, "reuse_actors": reuse}
    tuner = tune.Tuner(
        lambda config: tune.report({"loss": config["x"]}),
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(metric="loss", mode="min", **limits),
        run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0),
    )
    began = time.perf_counter()
    assert tuner.fit().num_terminated == NO_OPS
    took = time.perf_counter() - began
    ray.shutdown()
    return took


class Simulated:
    """An executor whose trials cost nothing: each reports a few times, and ends at a time of its own."""

    name = "process"

    def __init__(self) -> None:
        self.told = 0
        self._due: list[tuple[float, int, Event]] = []
        self._now = 0.0
        self._order = 0

    def handle(self) -> dict[str, Any]:
        return {}

    def start(self, context: TrialContext, *, timeout: float | None) -> None:
        del timeout
        trial, x = context.trial, float(context.parameters["x"])
        for step in range(1, REPORTS + 1):
            self._at(step * (1 + x), Emitted(trial, Reported({"loss": x / step}, step, time.time())))
        self._at(REPORTS * (1 + x) + 0.1, Exited(trial, None, False, "", (), time.time()))

    def _at(self, after: float, event: Event) -> None:
        self._order += 1
        heapq.heappush(self._due, (self._now + after, self._order, event))

    def adopt(self, context: TrialContext, handle: dict[str, Any], *, timeout: float | None) -> bool:
        del context, handle, timeout
        return False

    def stop(self, trial: int) -> None:
        del trial

    def wait(self, timeout: float | None) -> Sequence[Event]:
        del timeout
        if not self._due:
            return []
        self._now, _, event = heapq.heappop(self._due)
        self.told += 1
        return [event]

    def close(self) -> None:
        pass


def events(folder: Path) -> None:
    """One event at a time, which is the most that an event can cost."""
    settings = LocalSettings(workspace=folder / "ws", gpus=0)
    client = LocalClient(settings, lambda _: launch, create=True)
    store = client._store  # noqa: SLF001 - the engine alone is measured, without processes
    made = job(folder / "none.py", MANY, AT_ONCE, resources=Resources(gpus=0.01))
    made = made.changed(study=made.study.changed(early_stopping=MedianStopping(min_trials=5)))
    row = store.find(client.create(made, folder, "process", "bench"))
    record = Record(row, "local:bench")
    executor = Simulated()
    pool = Pool([Device(str(index)) for index in range(AT_ONCE // 100)], made.trial.resources)
    marks: list[tuple[int, float, int]] = []

    def observe(seen: Record) -> None:
        ended = len(seen.lives) - len(seen.running)
        if ended >= 100 * (2 ** len(marks)):
            marks.append((ended, time.process_time(), executor.told))

    places = {"base": str(folder), "python": sys.executable, "cpus": 1}
    engine = Engine(store, record, executor, pool, observer=observe, **places)
    profile = cProfile.Profile() if "profile" in sys.argv else None
    began = time.process_time()
    if profile:
        profile.runcall(engine.run)
    else:
        engine.run()
    spent = time.process_time() - began
    print(f"{MANY} simulated trials, {AT_ONCE} at a time, {executor.told} events:")
    print(f"  {spent / executor.told * 1e3:.3f} ms of the driver's processor time each (aim <= 1)")
    last = (0, began, 0)
    for mark in marks:
        print(f"  up to {mark[0]:>6} ended: {(mark[1] - last[1]) / max(1, mark[2] - last[2]) * 1e3:.3f} ms per event")
        last = mark
    if profile:
        text = io.StringIO()
        pstats.Stats(profile, stream=text).sort_stats("cumulative").print_stats(25)
        print(text.getvalue())
    client.close()


PARTS: dict[str, Callable[[Path], None]] = {"warm": warm, "ray": on_ray, "events": events}


def main() -> None:
    chosen = [name for name in sys.argv[1:] if name in PARTS] or list(PARTS)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}, load {os.getloadavg()[0]:.1f}")
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder))


if __name__ == "__main__":
    main()
