"""What translating costs, per cloud and as ratios in one run: `make bench`. With --profile: where the time goes.

One job of some 60 values, in each cloud's own places, is translated with its report, which includes translating it back
and comparing. The measure is pydantic's own validation and dump of the same job. No SDK may be imported on the way.
"""

from __future__ import annotations

import cProfile
import os
import platform
import pstats
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from tuneport import exchange
from tuneport.backends import registry
from tuneport.model.job import TuningJob
from tuneport.testing.specimens import at_home

JOBS, ROUNDS, MANY = 200, 15, 10_000
SDKS = {"boto3", "botocore", "google.cloud", "google.auth", "huaweicloudsdkcore", "huaweicloudsdkmodelarts", "ray"}

JOB: dict[str, Any] = {
    "name": "digits",
    "description": "a network of two layers",
    "labels": {"team": "vision", "stage": "trial"},
    "study": {
        "parameters": [
            {"name": "lr", "kind": "float", "low": 1e-5, "high": 0.1, "scale": "log"},
            {"name": "dropout", "kind": "float", "low": 0, "high": 0.5},
            {"name": "layers", "kind": "int", "low": 1, "high": 8},
            {"name": "units", "kind": "int", "low": 16, "high": 512, "scale": "log"},
            {"name": "batch", "kind": "discrete", "values": [16, 32, 64, 128]},
            {"name": "optimizer", "kind": "categorical", "choices": ["adam", "sgd", "rmsprop"]},
            {"name": "augment", "kind": "categorical", "choices": [True, False]},
        ],
        "objectives": [{"metric": "accuracy", "goal": "maximize"}],
        "algorithm": {"kind": "bayesian", "seed": 7},
        "early_stopping": {"kind": "median"},
    },
    "trial": {
        "image": "IMAGE",
        "command": ["python", "train.py"],
        "args": ["--epochs=20"],
        "parameters": {"momentum": 0.9},
        "env": {"OMP_NUM_THREADS": "4"},
        "inputs": [{"name": "train", "uri": "DATA"}, {"name": "test", "uri": "DATA"}],
        "output": {"uri": "OUTPUT"},
        "resources": {"machine": "MACHINE", "disk": "100GiB"},
        "timeout": "2h",
        "retries": 1,
        "identity": "IDENTITY",
        "metrics": {"accuracy": r"accuracy=(\S+)"},
    },
    "budget": {"max_trials": 40, "parallel_trials": 4, "max_failed_trials": 5, "max_seconds": "12h"},
}
HOMES: Mapping[str, Mapping[str, str]] = {
    "vertex": {
        "IMAGE": "europe-docker.pkg.dev/p/r/train:1",
        "DATA": "gs://bucket/data/",
        "OUTPUT": "gs://bucket/output/",
        "MACHINE": "n1-standard-8",
        "IDENTITY": "trainer@p.iam.gserviceaccount.com",
    },
    "sagemaker": {
        "IMAGE": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/train:1",
        "DATA": "s3://bucket/data/",
        "OUTPUT": "s3://bucket/output/",
        "MACHINE": "ml.m5.2xlarge",
        "IDENTITY": "arn:aws:iam::123456789012:role/trainer",
    },
    "modelarts": {
        "IMAGE": "team/train:1",
        "DATA": "obs://bucket/data/",
        "OUTPUT": "obs://bucket/output/",
        "MACHINE": "modelarts.vm.cpu.8u",
        "IDENTITY": "trainer",
    },
}


def seconds(work: Callable[[], object], times: int) -> float:
    """Processor time of one call; others on the machine do not count."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def leaves(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(leaves, value.values()))
    return sum(map(leaves, value)) if isinstance(value, list) else 1


def works(name: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Translating a job to a cloud, and pydantic's share in it."""
    backend: Any = registry.load(name)
    settings = backend.settings_type()
    job = at_home(TuningJob.model_validate(JOB), HOMES[name])
    data = job.model_dump(mode="json")

    def pydantic() -> object:
        return TuningJob.model_validate(data).model_dump(mode="json")

    return lambda: exchange.translate(job, backend, settings), pydantic


def profiled(work: Callable[[], object]) -> None:
    with cProfile.Profile() as profile:
        seconds(work, 500)
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


def main() -> None:
    before = set(sys.modules)  # some packages put themselves there when the interpreter starts
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}, load {os.getloadavg()[0]:.1f}; a job of {leaves(JOB)} values")
    for name in HOMES:
        translate, pydantic = works(name)
        seconds(translate, JOBS)
        if "--profile" in sys.argv:
            profiled(translate)
            continue
        pairs = [(seconds(translate, JOBS), seconds(pydantic, JOBS)) for _ in range(ROUNDS)]  # in turn
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(one / other for one, other in pairs)
        per_job = f"{ours * 1e6:5.0f} us with report, aim <= 400"
        ratios = f"{ratio:4.1f} x pydantic's {theirs * 1e6:.0f} us, aim <= 6"
        print(f"{name:<10} {per_job}   {ratios}   {MANY:,} jobs in {seconds(translate, MANY) * MANY:.1f} s")
    loaded = sorted(SDKS & set(sys.modules) - before)
    print(f"SDKs imported: {', '.join(loaded) or 'none'}")
    sys.exit(bool(loaded))


if __name__ == "__main__":
    main()
