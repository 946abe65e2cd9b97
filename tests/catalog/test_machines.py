"""The machine catalogue: complete, true to itself, and fair in what it finds."""

import json
from pathlib import Path

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneport.catalog import machines as catalogue
from tuneport.catalog.machines import GIB, Match, like, match
from tuneport.model.trial_spec import Resources

DATA = Path(catalogue.__file__).with_name("machines.json")
CLOUDS = ["sagemaker", "vertex", "modelarts"]
EVERY_MACHINE = [machine for cloud in CLOUDS for machine in catalogue.machines(cloud)]
ACCELERATOR_TYPES = {
    "NVIDIA_TESLA_K80", "NVIDIA_TESLA_P100", "NVIDIA_TESLA_V100", "NVIDIA_TESLA_P4", "NVIDIA_TESLA_T4", "TPU_V2",
    "TPU_V3", "NVIDIA_TESLA_A100", "NVIDIA_A100_80GB", "TPU_V4_POD", "NVIDIA_L4", "TPU_V5_LITEPOD", "NVIDIA_H100_80GB",
    "NVIDIA_H100_MEGA_80GB", "NVIDIA_H200_141GB", "NVIDIA_B200", "NVIDIA_GB200", "NVIDIA_RTX_PRO_6000",
}  # fmt: skip
"""Vertex AI's enum AcceleratorType, v1."""


def named(found: Match) -> tuple[str | None, str | None, int]:
    return found.machine.name if found.machine else None, found.gpu, found.gpus


def test_every_machine_that_sagemaker_takes_is_there():
    model = botocore.session.get_session().get_service_model("sagemaker")
    assert {machine.name for machine in catalogue.machines("sagemaker")} >= set(
        model.shape_for("TrainingInstanceType").enum
    )


def test_every_accelerator_type_of_vertex_is_a_kind_of_gpu():
    assert {gpu.vertex for gpu in catalogue.gpus()} - {None} == ACCELERATOR_TYPES
    for native in ACCELERATOR_TYPES:
        assert catalogue.find_gpu(native).vertex == native


def test_the_data_is_dated_and_has_sources():
    data = json.loads(DATA.read_text())
    assert data["date"] == catalogue.date()
    assert list(data["sources"]) == list(data["machines"]) == catalogue.clouds() == CLOUDS
    assert data["attachments"].keys() <= set(CLOUDS)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_data_contradicts_itself_nowhere(cloud):
    data = json.loads(DATA.read_text())
    kinds = {row["id"] for row in data["gpus"]}
    rows = data["machines"][cloud]
    assert len({row["name"] for row in rows}) == len(rows)
    assert {row.get("gpu") for row in rows} - {None} <= kinds
    aliases = [alias for row in data["gpus"] for alias in [row["id"], *row.get("aliases", [])]]
    assert len(set(aliases)) == len(aliases)
    for row in rows:
        assert all(figure is None or figure > 0 for figure in (row["cpus"], row["memory"]))
        assert ("gpu" in row) == ("gpus" in row)


def test_what_is_built_in_is_never_attached_as_well():
    for one in EVERY_MACHINE:
        found = match(catalogue.describe(one), one.cloud) if one.known else None
        assert found is None or found.machine.gpus in {0, found.gpus}


@pytest.mark.parametrize(
    ("name", "gpu"),
    [
        ("a100", "a100-40gb"),
        ("A100-40GB", "a100-40gb"),
        ("a100_80gb", "a100-80gb"),
        ("nvidia-tesla-t4", "t4"),
        ("NVIDIA_TESLA_T4", "t4"),
        ("Tesla V100-SXM2-16GB", "v100-16gb"),
        ("NVIDIA H100 80GB HBM3", "h100-80gb"),
        ("NVIDIA A100-SXM4-80GB", "a100-80gb"),
        ("nvidia-v100-pcie", "v100-16gb"),
        ("ascend-snt9", "ascend-910"),
        ("Trn1", "trainium"),
        ("a10", None),
        ("nvidia", None),
        ("", None),
    ],
)
def test_names_of_gpus(name, gpu):
    found = catalogue.find_gpu(name)
    assert (found.id if found else None) == gpu


@pytest.mark.parametrize("machine", EVERY_MACHINE, ids=lambda machine: machine.name)
def test_every_machine_is_like_itself(machine):
    found = like(machine.name, on=machine.cloud)
    assert (found.machine, found.gpu, found.exact) == (machine, machine.gpu, True)
    assert catalogue.clouds_of(machine.name) == [machine.cloud]


@pytest.mark.parametrize(
    "machine", [one for one in EVERY_MACHINE if one.known and not one.old], ids=lambda machine: machine.name
)
def test_a_machine_described_gives_one_of_the_same_figures(machine):
    found = match(catalogue.describe(machine), machine.cloud)
    assert found.exact
    assert (found.machine.cpus, found.machine.memory) == (machine.cpus, machine.memory)
    assert (found.gpu, found.gpus) == (machine.gpu, machine.gpus)


@pytest.mark.parametrize(
    ("name", "cloud", "expected"),
    [
        ("ml.g4dn.xlarge", "vertex", ("n1-standard-4", "t4", 1)),
        ("ml.p3.2xlarge", "vertex", ("n1-highmem-8", "v100-16gb", 1)),
        ("ml.p3.16xlarge", "vertex", ("n1-highmem-64", "v100-16gb", 8)),
        ("ml.g5.xlarge", "vertex", ("g2-standard-4", "l4", 1)),
        ("ml.g6.12xlarge", "vertex", ("g2-standard-48", "l4", 4)),
        ("ml.p4d.24xlarge", "vertex", ("a2-highgpu-8g", "a100-40gb", 8)),
        ("ml.p4de.24xlarge", "vertex", ("a2-ultragpu-8g", "a100-80gb", 8)),
        ("ml.p5.48xlarge", "vertex", ("a3-highgpu-8g", "h100-80gb", 8)),
        ("ml.p5.4xlarge", "vertex", ("a3-highgpu-1g", "h100-80gb", 1)),
        ("ml.m5.xlarge", "vertex", ("e2-standard-4", None, 0)),
        ("ml.trn1.2xlarge", "vertex", (None, None, 0)),
        ("a2-highgpu-1g", "sagemaker", ("ml.p4d.24xlarge", "a100-40gb", 8)),
        ("a3-highgpu-8g", "sagemaker", ("ml.p5.48xlarge", "h100-80gb", 8)),
        ("a3-megagpu-8g", "sagemaker", ("ml.p5.48xlarge", "h100-80gb", 8)),
        ("a3-ultragpu-8g", "sagemaker", ("ml.p5e.48xlarge", "h200-141gb", 8)),
        ("g2-standard-4", "sagemaker", ("ml.g6.xlarge", "l4", 1)),
        ("n1-standard-4", "sagemaker", ("ml.m7i.xlarge", None, 0)),
        ("ct5lp-hightpu-1t", "sagemaker", (None, None, 0)),
        ("ml.p3.2xlarge", "modelarts", ("modelarts.p3.large.public", "v100-32gb", 1)),
        ("a2-highgpu-1g", "modelarts", (None, None, 0)),
        ("ml.m5.24xlarge", "modelarts", (None, None, 0)),
        ("modelarts.p3.large.public", "vertex", ("a2-highgpu-1g", "a100-40gb", 1)),
        ("modelarts.vm.cpu.8u", "sagemaker", ("ml.m7i.2xlarge", None, 0)),
        ("modelarts.kat1.xlarge", "sagemaker", (None, None, 0)),
        ("modelarts.pool.visual.xlarge", "vertex", (None, None, 0)),
        ("modelarts.vm.gpu.p4", "vertex", ("n1-highmem-2", "p4", 1)),
        ("ml.g7.2xlarge", "vertex", ("a2-highgpu-1g", "a100-40gb", 1)),
        ("x1-nothing", "vertex", (None, None, 0)),
        ("ml.m5.xlarge", "nowhere", (None, None, 0)),
    ],
)
def test_machines_of_other_clouds(name, cloud, expected):
    assert named(like(name, on=cloud)) == expected


def test_gpus_that_are_attached_go_along():
    t4 = Resources(gpus=1, gpu_type="t4")
    assert named(like("n1-standard-4", on="vertex", beside=t4)) == ("n1-standard-4", "t4", 1)
    assert named(like("modelarts.pool.visual.2xlarge", on="vertex", beside=Resources(gpu_type="l4"))) == (
        "g2-standard-24", "l4", 2,
    )  # fmt: skip
    assert named(like("n1-standard-4", on="sagemaker", beside=Resources(gpus=1, gpu_type="NVIDIA_TESLA_T4"))) == (
        "ml.g4dn.xlarge", "t4", 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("resources", "cloud", "expected"),
    [
        (Resources(gpus=1, gpu_type="a100-40gb", cpus=8), "vertex", ("a2-highgpu-1g", "a100-40gb", 1)),
        (Resources(gpus=0.5, gpu_type="t4"), "sagemaker", ("ml.g4dn.xlarge", "t4", 1)),
        (Resources(gpu_type="t4"), "sagemaker", ("ml.g4dn.xlarge", "t4", 1)),
        (Resources(gpus=1), "vertex", ("n1-highmem-2", "t4", 1)),
        (Resources(gpus=2, gpu_type="t4", cpus=32), "vertex", ("n1-highcpu-32", "t4", 2)),
        (Resources(gpus=1, gpu_type="t4", cpus=32), "vertex", ("n1-highcpu-32", "t4", 2)),
        (Resources(gpu_memory="40GiB"), "sagemaker", ("ml.g6e.xlarge", "l40s", 1)),
        (Resources(gpus=1, gpu_type="a100-40gb", gpu_memory="60GiB"), "vertex", ("a2-ultragpu-1g", "a100-80gb", 1)),
        (Resources(cpus=4), "sagemaker", ("ml.c7i.xlarge", None, 0)),
        (Resources(cpus=0.5), "vertex", ("n1-highmem-2", None, 0)),
        (Resources(cpus=8, memory="32GiB"), "modelarts", ("modelarts.vm.cpu.8u", None, 0)),
        (Resources(gpus=3, gpu_type="ascend-910", pool="p1"), "modelarts", ("modelarts.pool.visual.4xlarge", None, 4)),
        (Resources(gpus=1, pool="p1"), "vertex", (None, None, 0)),
        (Resources(cpus=1000), "vertex", (None, None, 0)),
        (Resources(gpus=16, gpu_type="a100-80gb"), "sagemaker", (None, None, 0)),
        (Resources(gpus=1, gpu_type="b300"), "vertex", (None, None, 0)),
        (Resources(gpus=1, gpu_type="voodoo"), "vertex", (None, None, 0)),
    ],
)
def test_what_is_asked_for(resources, cloud, expected):
    assert named(match(resources, cloud)) == expected


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (
            like("a2-highgpu-1g", on="sagemaker"),
            (
                "8 x a100-40gb instead of 1; 96 instead of 12 cpus; 1152 instead of 85 GiB memory; "
                "ml.p5.4xlarge with 1 x h100-80gb (80 GiB) is smaller"
            ),
        ),
        (like("ml.g4dn.xlarge", on="vertex"), "1 x t4, 4 cpus as asked; 15 instead of 16 GiB memory"),
        (like("ml.g5.xlarge", on="vertex"), "4 cpus, 16 GiB memory as asked; 1 x l4 instead of 1 x a10g"),
        (match(Resources(gpus=1, gpu_type="v100"), "sagemaker"), "1 x v100-16gb as asked; an earlier generation"),
        (
            match(Resources(gpu_type="p100"), "modelarts"),
            "1 x p100 as asked; an earlier generation; its figures are unverified",
        ),
        (
            match(Resources(gpus=1, gpu_type="a10"), "vertex"),
            "the kind of GPU 'a10' is not in the catalogue; did you mean 'a10g'?",
        ),
        (
            match(Resources(gpus=1, gpu_type="b300"), "vertex"),
            "vertex has no b300, nor another accelerator of at least 268 GiB that runs the same programs",
        ),
        (
            match(Resources(cpus=1000), "vertex"),
            "no such machine of vertex has as much; the largest is m1-ultramem-160 with 160 cpus, 3844 GiB memory",
        ),
        (
            like("modelarts.pool.visual.xlarge", on="vertex"),
            "what modelarts.pool.visual.xlarge has is not in the catalogue",
        ),
        (
            like("modelarts.kat1.4xlarge", on="sagemaker"),
            "sagemaker has no ascend-910, nor another accelerator of at least 32 GiB that runs the same programs",
        ),
        (
            like("modelarts.vm.gpu.p4", on="vertex"),
            "1 x p4 as asked; an earlier generation; what else modelarts.vm.gpu.p4 has is not in the catalogue",
        ),
        (match(Resources(cpus=1), "nowhere"), "machines of nowhere are not in the catalogue"),
    ],
)
def test_the_reason_says_what_is_as_asked_and_what_is_not(found, reason):
    assert found.reason == reason


asks = st.builds(
    Resources,
    gpus=st.integers(0, 16),
    gpu_type=st.none() | st.sampled_from([gpu.id for gpu in catalogue.gpus()]),
    cpus=st.none() | st.integers(1, 400),
    memory=st.none() | st.integers(1, 2000).map(lambda size: size * GIB),
)


def size(found: Match) -> tuple[float, float, float]:
    return found.gpus, found.machine.cpus, found.machine.memory


@given(asks, st.sampled_from(CLOUDS))
def test_a_match_has_at_least_what_is_asked_for(asked, cloud):
    found = match(asked, cloud)
    if found.machine is None:
        return
    assert found.machine.cloud == cloud
    assert found.gpus >= asked.gpus
    assert found.machine.cpus >= (asked.cpus or 0)
    assert found.machine.memory * GIB >= (asked.memory or 0)
    if asked.gpu_type:
        wanted, got = catalogue.find_gpu(asked.gpu_type), catalogue.find_gpu(found.gpu)
        assert got.family == wanted.family
        assert got.memory >= wanted.memory
    assert found == match(asked, cloud)


@given(asks, asks, st.sampled_from(CLOUDS))
def test_who_asks_for_less_never_gets_a_bigger_machine(one, other, cloud):
    less = Resources(
        gpus=min(one.gpus, other.gpus),
        gpu_type=one.gpu_type,
        cpus=min(one.cpus, other.cpus) if one.cpus and other.cpus else None,
        memory=min(one.memory, other.memory) if one.memory and other.memory else None,
    )
    bigger, smaller = match(one, cloud), match(less, cloud)
    if bigger.machine is not None and (less.gpus or less.gpu_type or not one.gpus):
        assert smaller.machine is not None
        if bigger.gpu == smaller.gpu:
            assert size(smaller) <= size(bigger)
