"""What stands in the way is found before anything starts."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from tuneport.engine.host import main_memory, processors
from tuneport.engine.nvml import Device
from tuneport.engine.preflight import local_problems
from tuneport.model.job import Budget
from tuneport.model.parameters import when
from tuneport.model.trial_spec import Input, Resources, TrialSpec, Variant, about

TWO_GPUS = [Device("0", memory=40 << 30), Device("1", memory=40 << 30)]


def pointers(trial: TrialSpec, base: Path, parallel: int = 1) -> list[str]:
    return [problem.pointer for problem in local_problems(trial, Budget(parallel_trials=parallel), base, TWO_GPUS)]


def test_programs(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    (tmp_path / "run.sh").touch(mode=0o755)
    (tmp_path / "plain.txt").touch()
    for command in (["python", "train.py"], ["python3", "-m", "x"], ["./run.sh"], ["true"], [str(tmp_path / "run.sh")]):
        assert pointers(TrialSpec(command=command), tmp_path) == [], command
    for command in (["no-such-program"], ["run.sh"], ["./plain.txt"], ["./nothing"]):
        assert pointers(TrialSpec(command=command), tmp_path) == ["/trial/command/0"], command
    assert pointers(TrialSpec(command=["python", "missing.py"]), tmp_path) == ["/trial/command/1"]


def test_programs_are_looked_for_on_the_path_of_the_job(tmp_path: Path) -> None:
    (tmp_path / "mine").touch(mode=0o755)
    assert pointers(TrialSpec(command=["mine"], env={"PATH": str(tmp_path)}), tmp_path) == []
    assert pointers(TrialSpec(command=["true"], env={"PATH": str(tmp_path)}), tmp_path) == ["/trial/command/0"]


def test_files_may_be_named_by_uris(tmp_path: Path) -> None:
    (tmp_path / "my data").mkdir()
    uri = f"file://{tmp_path}/my%20data"
    data = [Input(name="a", uri=uri), Input(name="b", uri="s3://bucket/data"), Input(name="c", uri=uri + "/gone")]
    assert pointers(TrialSpec(module="m", package=uri, inputs=data), tmp_path) == ["/trial/inputs/2/uri"]
    assert pointers(TrialSpec(module="m", package="gs://bucket/p.whl"), tmp_path) == []


def test_packages(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "sdist.tar.gz").write_bytes(b"\x1f\x8b")
    with zipfile.ZipFile(tmp_path / "made.whl", "w") as wheel:
        wheel.writestr("made.py", "")
    for package, expected in {"source": [], "made.whl": [], "sdist.tar.gz": ["/trial/package"]}.items():
        assert pointers(TrialSpec(module="made", package=package), tmp_path) == expected
    assert pointers(TrialSpec(module="made", package="nothing"), tmp_path) == ["/trial/package"]


def test_commands_run_inside_of_their_packages(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "train.py").touch()
    (tmp_path / "source" / "run.sh").touch(mode=0o755)
    for name in ("made.whl", "made.pack"):
        with zipfile.ZipFile(tmp_path / name, "w") as wheel:
            wheel.writestr("made.py", "")
    for command in (["python", "train.py"], ["./run.sh"]):
        assert pointers(TrialSpec(command=command, package="source"), tmp_path) == [], command
    for package, expected in {
        "source": ["/trial/command/1"],
        "made.whl": ["/trial/command/1"],
        "made.pack": ["/trial/package"],
        "gone": ["/trial/package"],
    }.items():
        assert pointers(TrialSpec(command=["python", "gone.py"], package=package), tmp_path) == expected


VARIANTS = [
    ({"args": ["--x"], "timeout": 3}, []),
    ({"command": ["no-such-program"]}, ["/trial/variants/0/command/0"]),
    ({"inputs": [Input(name="a", uri="gone")]}, ["/trial/variants/0/inputs/0/uri"]),
    ({"env": {"PATH": "/nowhere"}}, ["/trial/command/0"]),
    ({"algorithm": "kmeans"}, ["/trial/variants/0"]),
    ({"image": "i"}, []),
    ({"resources": Resources(gpus=1)}, ["/trial/variants/0/resources"]),
    ({"resources": Resources(gpu_memory="8GiB")}, ["/trial/variants/0/resources"]),
    ({"resources": Resources(machine="n1-standard-8", disk="1GiB")}, []),
    ({"resources": Resources(cpus=processors() + 1)}, ["/trial/variants/0/resources/cpus"]),
    ({"resources": Resources(memory="1PiB")}, ["/trial/variants/0/resources/memory"]),
    ({"resources": Resources(gpu_memory="auto")}, ["/trial/variants/0/resources"]),
]


@pytest.mark.parametrize(("changes", "expected"), VARIANTS)
def test_variants(tmp_path: Path, changes: dict[str, Any], expected: list[str]) -> None:
    variant = Variant(when=when("model", "b"), **changes)
    assert pointers(TrialSpec(command=["true"], variants=[variant]), tmp_path) == expected


def test_what_is_missing_in_any_case_is_said_once(tmp_path: Path) -> None:
    variant = Variant(when=when("model", "b"), args=["--x"])
    assert pointers(TrialSpec(command=["no-such-program"], variants=[variant]), tmp_path) == ["/trial/command/0"]


def test_data(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    inputs = [Input(name="a", uri="here"), Input(name="b", uri="gone"), Input(name="c", uri="file:///nowhere/at/all")]
    assert pointers(TrialSpec(command=["true"], inputs=inputs), tmp_path) == [
        "/trial/inputs/1/uri",
        "/trial/inputs/2/uri",
    ]


@pytest.mark.parametrize(
    ("resources", "parallel", "expected"),
    [
        (Resources(gpus=1), 2, []),
        (Resources(gpus=1), 3, ["/budget/parallel_trials"]),
        (Resources(gpus=0.5), 4, []),
        (Resources(gpus=3), 1, ["/trial/resources/gpus"]),
        (Resources(gpu_memory="20GiB"), 4, []),
        (Resources(gpu_memory="20GiB"), 5, ["/budget/parallel_trials"]),
        (Resources(gpu_memory="80GiB"), 1, ["/trial/resources/gpu_memory"]),
        (Resources(cpus=processors()), 1, []),
        (Resources(cpus=processors()), 2, ["/budget/parallel_trials"]),
        (Resources(cpus=1, replicas=processors() + 1), 1, ["/trial/resources/cpus"]),
        (Resources(memory=main_memory()), 1, []),
        (Resources(memory=main_memory()), 2, ["/budget/parallel_trials"]),
        (Resources(memory=main_memory() + 1), 2, ["/trial/resources/memory"]),
        (Resources(gpu_memory="auto"), 99, []),
        (
            Resources(gpus=3, cpus=999, memory="1PiB"),
            1,
            [f"/trial/resources/{one}" for one in ("cpus", "memory", "gpus")],
        ),
    ],
)
def test_devices_processors_and_memory(
    tmp_path: Path, resources: Resources, parallel: int, expected: list[str]
) -> None:
    assert pointers(TrialSpec(command=["true"], resources=resources), tmp_path, parallel) == expected


def test_what_is_wanted_what_there_is_and_the_way_out_are_said(tmp_path: Path) -> None:
    greedy = TrialSpec(command=["true"], resources=Resources(memory="1PiB", gpu_memory="auto"))
    memory, gpus = local_problems(greedy, Budget(parallel_trials=2), tmp_path, [])
    assert memory.message == f"a trial needs 1 PiB of memory, but this machine has {about(main_memory())} of memory"
    assert memory.hint == "lower it, or run the job where there is more"
    assert (gpus.pointer, gpus.message) == ("/trial/resources/gpus", "a trial needs 1 GPU, but this machine has 0")
    many = TrialSpec(command=["true"], resources=Resources(cpus=1))
    (cores,) = local_problems(many, Budget(parallel_trials=processors() + 1), tmp_path, [])
    assert cores.hint == f"set parallel_trials to {processors()}, or lower trial.resources.cpus"
