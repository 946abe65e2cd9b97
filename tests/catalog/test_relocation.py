"""What happens to places, images and machines of a job on its way to another cloud."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneport.catalog import machines as catalogue
from tuneport.catalog.relocation import PLACES, Maps, relocate
from tuneport.model.job import TuningJob
from tuneport.model.trial_spec import Encryption, Input, Network, Output, Resources, TrialSpec, Variant
from tuneport.testing import strategies
from tuneport.translation.capabilities import Fidelity, Home
from tuneport.translation.report import TranslationReport

VERTEX = Home(
    cloud="vertex",
    uri=r"gs://.+",
    image=r"([a-z0-9-]+-docker\.pkg\.dev|gcr\.io)/.+",
    machine=r"(n1|n2|e2|c2|m1|a2|a3|a4|a4x|g2|g4)-.+|ct5lp-.+|cloud-tpu",
    identity=r".+\.gserviceaccount\.com",
    network=r"projects/.+",
    key=r"projects/.+",
)
SAGEMAKER = Home(cloud="sagemaker", uri=r"s3://.+", image=r".+\.amazonaws\.com/.+", machine=r"ml\..+")
MODELARTS = Home(cloud="modelarts", uri=r"obs://.+|/.+", machine=r"modelarts\..+")
LOCAL = Home()


def job(**trial) -> TuningJob:
    return TuningJob.model_validate(
        {
            "name": "digits",
            "study": {
                "parameters": [{"name": "opt", "kind": "categorical", "choices": ["a", "b"]}],
                "objectives": [{"metric": "loss", "goal": "minimize"}],
            },
            "trial": {"command": ["python", "train.py"]} | trial,
        }
    )


def told(reports):
    return [(one.pointer, one.fidelity.value, one.before, one.after, one.by) for one in reports]


AT_HOME = {
    "image": "gcr.io/team/train:1",
    "inputs": [Input(name="train", uri="gs://data/digits/")],
    "output": Output(uri="gs://runs/digits/"),
    "resources": Resources(machine="n1-standard-4", gpus=1, gpu_type="t4"),
    "identity": "tuner@project.iam.gserviceaccount.com",
    "network": Network(name="projects/1/global/networks/default"),
    "encryption": Encryption(key="projects/p/locations/l/keyRings/r/cryptoKeys/k"),
}


def test_what_is_at_home_stays_untouched():
    same = job(**AT_HOME, variants=[Variant(when={"parameter": "opt", "values": ["b"]}, image="gcr.io/b")])
    moved, reports = relocate(same, VERTEX, Maps(uri={"gs://data/": "gs://other/"}))
    assert moved is same
    assert reports == []


@given(strategies.jobs())
def test_a_backend_that_takes_everything_changes_nothing(anything):
    moved, reports = relocate(anything, LOCAL, Maps())
    assert moved is anything
    assert reports == []


def test_placeholders_stay():
    same = job(
        image="${IMAGE}",
        inputs=[Input(name="train", uri="gs://${BUCKET}/data")],
        output=Output(uri="${OUT}"),
        resources=Resources(machine="${MACHINE}"),
    )
    assert relocate(same, VERTEX, Maps()) == (same, [])


def test_a_placeholder_in_a_place_of_another_cloud_does_not_hide_it():
    elsewhere = job(inputs=[Input(name="train", uri='s3://${aws_s3.a["x"].id}/data')], output=Output(uri="gs://b"))
    _, (report,) = relocate(elsewhere, VERTEX, Maps())
    assert (report.pointer, report.fidelity) == ("/trial/inputs/0/uri", Fidelity.UNSUPPORTED)


def test_everything_by_the_users_maps():
    maps = Maps(
        uri={"s3://a/": "gs://b/", "s3://a/deep/": "gs://c/d/", "/home/me": "gs://code"},
        image={"1.dkr.ecr.eu-west-1.amazonaws.com/train:1": "gcr.io/team/train:1"},
        machine={"ml.p3.2xlarge": "g2-standard-8"},
    )
    moved, reports = relocate(
        job(
            image="1.dkr.ecr.eu-west-1.amazonaws.com/train:1",
            package="/home/me/code",
            inputs=[Input(name="x", uri="gs://at/home"), Input(name="y", uri="s3://a/deep/er/", mode="stream")],
            output=Output(uri="s3://a/out"),
            resources=Resources(machine="ml.p3.2xlarge", disk="100GiB"),
        ),
        VERTEX,
        maps,
    )
    assert told(reports) == [
        ("/trial/image", "exact", "1.dkr.ecr.eu-west-1.amazonaws.com/train:1", "gcr.io/team/train:1",
         "[map.image] 1.dkr.ecr.eu-west-1.amazonaws.com/train:1"),
        ("/trial/package", "exact", "/home/me/code", "gs://code/code", "[map.uri] /home/me"),
        ("/trial/inputs/1/uri", "exact", "s3://a/deep/er/", "gs://c/d/er/", "[map.uri] s3://a/deep/"),
        ("/trial/output/uri", "exact", "s3://a/out", "gs://b/out", "[map.uri] s3://a/"),
        ("/trial/resources/machine", "exact", "ml.p3.2xlarge", "g2-standard-8", "[map.machine] ml.p3.2xlarge"),
    ]  # fmt: skip
    assert [one.uri for one in moved.trial.inputs] == ["gs://at/home", "gs://c/d/er/"]
    assert moved.trial.inputs[1].mode == "stream"
    assert moved.trial.resources == Resources(machine="g2-standard-8", gpus=1, gpu_type="l4", disk="100GiB")
    assert relocate(moved, VERTEX, maps) == (moved, [])


@pytest.mark.parametrize(
    ("prefix", "target", "uri", "expected"),
    [
        ("s3://a/", "gs://b/", "s3://a/x/y", "gs://b/x/y"),
        ("s3://a/", "gs://b", "s3://a/x", "gs://b/x"),
        ("s3://a", "gs://b/", "s3://a/x", "gs://b/x"),
        ("s3://a/", "gs://b/", "s3://a", "gs://b"),
        ("s3://a/x", "gs://b/y", "s3://a/x", "gs://b/y"),
        ("s3://", "gs://", "s3://a/x", "gs://a/x"),
        ("s3://a", "gs://b", "s3://ab/x", None),
        ("s3://a/x", "gs://b/y", "s3://a/xy", None),
    ],
)
def test_places_move_folder_by_folder(prefix, target, uri, expected):
    moved, reports = relocate(job(output=Output(uri=uri)), VERTEX, Maps(uri={prefix: target}))
    assert moved.trial.output.uri == (expected or uri)
    assert [one.fidelity for one in reports] == [Fidelity.EXACT if expected else Fidelity.UNSUPPORTED]


@pytest.mark.parametrize(
    ("key", "target", "expected"),
    [
        ("docker.io/team/*", "gcr.io/team/*", "gcr.io/team/train:1"),
        ("docker.io/*", "gcr.io/hub/*", "gcr.io/hub/team/train:1"),
        ("docker.io/team/train:1", "gcr.io/x", "gcr.io/x"),
        ("docker.io/team", "gcr.io/x", None),
    ],
)
def test_images_move_one_by_one_or_with_a_star(key, target, expected):
    moved, reports = relocate(job(image="docker.io/team/train:1"), VERTEX, Maps(image={key: target}))
    assert moved.trial.image == (expected or "docker.io/team/train:1")
    assert reports[0].fidelity is (Fidelity.EXACT if expected else Fidelity.UNSUPPORTED)


def test_what_nothing_resolves_stays_and_is_told_with_the_way_out():
    lost = job(
        image="team/train:1",
        inputs=[Input(name="x", uri="s3://data/digits/"), Input(name="y", uri="/mnt/data")],
        identity="arn:aws:iam::1:role/tuner",
        network=Network(subnets=("subnet-1",), security_groups=("sg-1",)),
        encryption=Encryption(disk_key="arn:aws:kms:::key/1"),
        resources=Resources(machine="ml.trn1.2xlarge"),
    )
    moved, reports = relocate(lost, VERTEX, Maps())
    assert moved is lost
    assert {one.fidelity for one in reports} == {Fidelity.UNSUPPORTED}
    assert all(one.before == one.after for one in reports)
    assert {one.pointer: one.note for one in reports} == {
        "/trial/image": (
            'team/train:1 is not an image of vertex; say what it is there: [map.image] "team/train:1" = "…"'
        ),
        "/trial/inputs/0/uri": (
            's3://data/digits/ is not a place of data of vertex; say what it is there: [map.uri] "s3://data/" = "…"'
        ),
        "/trial/inputs/1/uri": (
            '/mnt/data is not a place of data of vertex; say what it is there: [map.uri] "/mnt/data" = "…"'
        ),
        "/trial/identity": (
            "arn:aws:iam::1:role/tuner is not an identity of vertex; give one of vertex, or leave it out"
        ),
        "/trial/network/subnets/0": "subnet-1 is not a network of vertex; give one of vertex, or leave it out",
        "/trial/network/security_groups/0": "sg-1 is not a network of vertex; give one of vertex, or leave it out",
        "/trial/encryption/disk_key": (
            "arn:aws:kms:::key/1 is not an encryption key of vertex; give one of vertex, or leave it out"
        ),
        "/trial/resources/machine": (
            "ml.trn1.2xlarge is not a machine of vertex, and vertex has no trainium, nor another accelerator of at "
            'least 32 GiB that runs the same programs; say which one to take: [map.machine] "ml.trn1.2xlarge" = "…"'
        ),
    }
    with pytest.raises(Exception, match="8 of 8 fields"):
        TranslationReport(fields=tuple(reports)).require(Fidelity.APPROXIMATED)


def test_a_map_that_does_not_lead_home_is_told():
    maps = Maps(uri={"s3://a/": "obs://b/"}, machine={"ml.m5.xlarge": "ml.m5.large"})
    lost = job(output=Output(uri="s3://a/x"), resources=Resources(machine="ml.m5.xlarge"))
    moved, reports = relocate(lost, VERTEX, maps)
    assert moved is lost
    assert [one.fidelity for one in reports] == [Fidelity.UNSUPPORTED] * 2
    assert "nor is obs://b/x, to which [map.uri] leads it" in reports[0].note
    assert "neither ml.m5.xlarge nor ml.m5.large, to which [map.machine] leads it" in reports[1].note


@pytest.mark.parametrize(
    ("asked", "home", "resources", "expected"),
    [
        (  # the ordinary case: nothing but what is needed
            Resources(gpus=1, gpu_type="a100-40gb", cpus=8),
            VERTEX,
            Resources(machine="a2-highgpu-1g", gpus=1, gpu_type="a100-40gb", cpus=8),
            [("machine", "emulated", None, "a2-highgpu-1g")],
        ),
        (  # GPUs that are attached
            Resources(gpus=1, gpu_type="nvidia-tesla-t4"),
            VERTEX,
            Resources(machine="n1-highmem-2", gpus=1, gpu_type="t4"),
            [("machine", "emulated", None, "n1-highmem-2"), ("gpu_type", "exact", "nvidia-tesla-t4", "t4")],
        ),
        (  # more GPUs than asked for
            Resources(gpus=1, gpu_type="a100"),
            SAGEMAKER,
            Resources(machine="ml.p4d.24xlarge", gpus=8, gpu_type="a100-40gb"),
            [
                ("machine", "emulated", None, "ml.p4d.24xlarge"),
                ("gpus", "emulated", 1, 8),
                ("gpu_type", "exact", "a100", "a100-40gb"),
            ],
        ),
        (  # another kind of GPU
            Resources(gpus=1, gpu_type="a10g"),
            VERTEX,
            Resources(machine="g2-standard-4", gpus=1, gpu_type="l4"),
            [("machine", "emulated", None, "g2-standard-4"), ("gpu_type", "approximated", "a10g", "l4")],
        ),
        (
            Resources(gpu_type="a100-40gb", gpu_memory="30GiB"),
            SAGEMAKER,
            Resources(machine="ml.p4d.24xlarge", gpus=8, gpu_type="a100-40gb"),
            [("machine", "emulated", None, "ml.p4d.24xlarge"), ("gpu_memory", "emulated", "30GiB", None)],
        ),
        (
            Resources(cpus=4),
            SAGEMAKER,
            Resources(machine="ml.c7i.xlarge", cpus=4),
            [("machine", "emulated", None, "ml.c7i.xlarge")],
        ),
        (  # cards of a dedicated pool
            Resources(gpus=1, pool="p1"),
            MODELARTS,
            Resources(machine="modelarts.pool.visual.xlarge", gpus=1, pool="p1"),
            [("machine", "emulated", None, "modelarts.pool.visual.xlarge")],
        ),
        (Resources(cpus=4, pool="p1"), MODELARTS, Resources(cpus=4, pool="p1"), []),
        (Resources(gpus=3, memory="8GiB", pool="p1"), MODELARTS, Resources(gpus=3, memory="8GiB", pool="p1"), []),
        (Resources(disk="100GiB", replicas=2), VERTEX, Resources(disk="100GiB", replicas=2), []),
        (Resources(gpus=1, cpus=4), LOCAL, Resources(gpus=1, cpus=4), []),
        (  # a machine of another cloud
            Resources(machine="ml.g4dn.xlarge"),
            VERTEX,
            Resources(machine="n1-standard-4", gpus=1, gpu_type="t4"),
            [("machine", "approximated", "ml.g4dn.xlarge", "n1-standard-4")],
        ),
        (
            Resources(machine="n1-standard-4", gpus=1, gpu_type="t4"),
            SAGEMAKER,
            Resources(machine="ml.g4dn.xlarge", gpus=1, gpu_type="t4"),
            [("machine", "approximated", "n1-standard-4", "ml.g4dn.xlarge")],
        ),
        (
            Resources(machine="ml.m5.xlarge"),
            VERTEX,
            Resources(machine="e2-standard-4"),
            [("machine", "exact", "ml.m5.xlarge", "e2-standard-4")],
        ),
        (  # one that nobody knows, but what it is to have is said beside it
            Resources(machine="gpu-box", gpus=1, gpu_type="l4"),
            VERTEX,
            Resources(machine="g2-standard-4", gpus=1, gpu_type="l4"),
            [("machine", "approximated", "gpu-box", "g2-standard-4")],
        ),
        (  # a machine of its own, and a kind of GPU in its own words
            Resources(machine="a2-highgpu-1g", gpu_type="NVIDIA_TESLA_A100"),
            VERTEX,
            Resources(machine="a2-highgpu-1g", gpu_type="a100-40gb"),
            [("gpu_type", "exact", "NVIDIA_TESLA_A100", "a100-40gb")],
        ),
    ],
)
def test_machines_are_found(asked, home, resources, expected):
    moved, reports = relocate(job(resources=asked), home, Maps())
    assert moved.trial.resources == resources
    assert told(reports) == [(f"/trial/resources/{word}", *rest, "machine catalogue") for word, *rest in expected]
    assert relocate(moved, home, Maps()) == (moved, [])


def test_the_reason_is_the_note():
    _, reports = relocate(job(resources=Resources(machine="ml.g4dn.xlarge")), VERTEX, Maps())
    assert reports[0].note == catalogue.like("ml.g4dn.xlarge", on="vertex").reason


@pytest.mark.parametrize(
    ("resources", "pointer", "says"),
    [
        (Resources(cpus=1000), "/trial/resources", "no such machine of vertex has as much"),
        (Resources(gpus=1, gpu_type="a10"), "/trial/resources/gpu_type", "did you mean 'a10g'"),
        (Resources(machine="box"), "/trial/resources/machine", "no cloud's machine type 'box' is in the catalogue"),
        (Resources(machine="ml.m5.xlarge", gpus=1, gpu_type="a10"), "/trial/resources/machine", "did you mean 'a10g'"),
    ],
)
def test_machines_that_are_not_found(resources, pointer, says):
    asked = job(resources=resources)
    moved, (report,) = relocate(asked, VERTEX, Maps())
    assert moved is asked
    assert (report.pointer, report.fidelity) == (pointer, Fidelity.UNSUPPORTED)
    assert says in report.note


@pytest.mark.parametrize(
    ("target", "gpus", "gpu_type"),
    [("n1-standard-4", 1, "t4"), ("n1-standard-64", 0, None), ("e2-standard-4", 0, None), ("n9-new", 0, None)],
)
def test_a_mapped_machine_keeps_the_gpus_that_it_takes(target, gpus, gpu_type):
    asked = job(resources=Resources(machine="ml.g4dn.xlarge"))
    anywhere = Home(cloud="vertex", machine=r"\w\d-.+")
    moved, reports = relocate(asked, anywhere, Maps(machine={"ml.g4dn.*": "x", "ml.g4dn.xlarge": target}))
    assert moved.trial.resources == Resources(machine=target, gpus=gpus, gpu_type=gpu_type)
    assert [one.fidelity for one in reports] == [Fidelity.EXACT]


def test_variants_move_too():
    asked = job(
        image="gcr.io/a",
        variants=[
            Variant(
                when={"parameter": "opt", "values": ["b"]},
                image="docker.io/b",
                inputs=(Input(name="x", uri="s3://a/x"),),
                resources=Resources(machine="ml.g4dn.xlarge"),
            )
        ],
    )
    moved, reports = relocate(asked, VERTEX, Maps(uri={"s3://a/": "gs://b/"}, image={"docker.io/*": "gcr.io/*"}))
    assert [one.pointer for one in reports] == [
        "/trial/variants/0/image",
        "/trial/variants/0/inputs/0/uri",
        "/trial/variants/0/resources/machine",
    ]
    variant = moved.trial.variants[0]
    assert (variant.image, variant.inputs[0].uri) == ("gcr.io/b", "gs://b/x")
    assert variant.resources == Resources(machine="n1-standard-4", gpus=1, gpu_type="t4")


@given(strategies.jobs(), st.sampled_from([VERTEX, SAGEMAKER]))
def test_any_job_can_be_relocated_and_then_stays(anything, home):
    moved, reports = relocate(anything, home, Maps())
    assert (moved == anything) == all(one.before == one.after for one in reports)
    again, left = relocate(moved, home, Maps())
    assert again == moved
    assert left == [one for one in reports if one.fidelity is Fidelity.UNSUPPORTED]


def test_every_place_is_one_of_the_model():
    for path, kind in PLACES:
        assert path[0] in TrialSpec.model_fields
        assert kind in Home.__dataclass_fields__


@pytest.mark.parametrize(
    ("machine", "gpu_type", "gpus", "lacking"),
    [
        ("n1-standard-8", "t4", 1, False),
        ("n1-standard-8", None, 1, False),
        ("n1-standard-8", "a100-40gb", 1, True),
        ("a2-highgpu-1g", "a100-40gb", 1, False),
        ("a2-highgpu-1g", "a100-40gb", 2, True),
        ("e2-standard-4", None, 1, True),
        ("of-tomorrow", "t4", 1, False),
    ],
)
def test_a_machine_that_is_named_may_lack_the_gpus_that_are_asked_for(machine, gpu_type, gpus, lacking):
    asking = job(resources=Resources(machine=machine, gpu_type=gpu_type, gpus=gpus))
    moved, reports = relocate(asking, replace(VERTEX, machine=".*"), Maps())
    assert moved == asking
    assert [one.pointer for one in reports] == (["/trial/resources/gpus"] if lacking else [])


@pytest.mark.parametrize(("home", "place"), [(VERTEX, "gs://data/digits/"), (MODELARTS, "obs://d/digits/")])
def test_one_place_has_a_name_in_each_cloud(home, place):
    maps = Maps(
        uri={"s3://data/": ("gs://data/", "obs://d/")}, machine={"ml.g5.xlarge": ["g2-standard-4", "modelarts.a"]}
    )
    asked = job(inputs=[Input(name="train", uri="s3://data/digits/")], resources=Resources(machine="ml.g5.xlarge"))
    moved, _ = relocate(asked, home, maps)
    assert moved.trial.inputs[0].uri == place
    assert moved.trial.resources.machine == ("g2-standard-4" if home is VERTEX else "modelarts.a")
