"""The verb machines."""

import contextlib
import io
import json

import pytest
import typer

from tuneport.catalog import machines as catalogue
from tuneport.cli.machines import machines
from tuneport.errors import JobError

app = typer.Typer()
app.command()(machines)


def said(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = app(arguments, standalone_mode=False)
    return status, out.getvalue()


def test_all_machines_of_a_cloud_are_listed():
    status, out = said("--on", "modelarts")
    lines = out.splitlines()
    assert status == 0
    assert lines[0].split() == ["cloud", "machine", "gpus", "cpus", "GiB", "memory", "note"]
    assert len(lines) == 1 + len(catalogue.machines("modelarts"))
    assert "modelarts  modelarts.vm.cpu.8u" in out
    assert "? x" not in said("--on", "sagemaker")[1]


def test_all_machines_of_all_clouds_as_json():
    listed = json.loads(said("--json")[1])
    assert {one["cloud"] for one in listed} == set(catalogue.clouds())
    assert next(one for one in listed if one["name"] == "a2-highgpu-1g") == {
        "cloud": "vertex",
        "name": "a2-highgpu-1g",
        "cpus": 12,
        "memory": 85,
        "gpu": "a100-40gb",
        "gpus": 1,
        "gpu_memory": 40,
        "old": False,
        "pool": False,
        "unverified": False,
    }


def test_the_machine_most_like_another_with_the_reason():
    status, out = said("--like", "ml.g4dn.xlarge", "--on", "vertex")
    assert status == 0
    assert out.splitlines() == [
        "vertex: n1-standard-4 (1 x t4, 4 cpus, 15 GiB memory)",
        "  1 x t4, 4 cpus as asked; 15 instead of 16 GiB memory",
    ]


def test_what_is_asked_for_on_every_cloud():
    status, out = said("--gpus", "1", "--gpu-type", "a100-40gb", "--cpus", "8", "--memory", "64GiB", "--json")
    found = {one["cloud"]: one for one in json.loads(out)}
    assert status == 0
    assert {cloud: one["machine"] and one["machine"]["name"] for cloud, one in found.items()} == {
        "sagemaker": "ml.p4d.24xlarge",
        "vertex": "a2-highgpu-1g",
        "modelarts": None,
    }
    assert found["sagemaker"].items() >= {"gpu": "a100-40gb", "gpus": 8, "exact": False}.items()
    assert found["modelarts"]["reason"].startswith("modelarts has no a100-40gb")


def test_gpus_beside_a_machine():
    _, out = said("--like", "n1-standard-4", "--gpus", "1", "--gpu-type", "t4", "--on", "sagemaker")
    assert out.startswith("sagemaker: ml.g4dn.xlarge")


def test_nothing_fits():
    status, out = said("--cpus", "1000", "--on", "vertex")
    assert status == 3
    assert out.startswith("vertex: none\n  no such machine of vertex")


def test_what_is_not_understood():
    with pytest.raises(typer.BadParameter, match="one of sagemaker, vertex, modelarts"):
        said("--on", "azure")
    with pytest.raises(JobError, match="must be a size"):
        said("--memory", "plenty")
