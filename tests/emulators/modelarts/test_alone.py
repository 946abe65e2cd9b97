"""Training jobs without a search, through tuneport's own client: run once, shown as asked for, listed, stopped."""

import sys
import time

import pytest

from tuneport.backends.modelarts.client import connect
from tuneport.backends.modelarts.settings import ModelArtsSettings
from tuneport.emulators.programs import Programs

IMAGE = "swr.cn-north-4.myhuaweicloud.com/team/trainer:1"


def document(name="alone"):
    return {
        "kind": "job",
        "metadata": {"name": name},
        "algorithm": {
            "engine": {"image_url": IMAGE},
            "command": "python train.py",
            "parameters": [{"name": "lr", "value": "0.1"}, {"name": "opt", "value": "sgd"}],
        },
        "spec": {"resource": {"flavor_id": "modelarts.vm.cpu.2u", "node_count": 1}},
    }


@pytest.fixture
def connected(open_door, tmp_path):
    def make(script):
        programs = Programs({IMAGE: (sys.executable, "-c", script)})
        _, door = open_door("modelarts", programs=programs, base=tmp_path)
        return connect(ModelArtsSettings(region="cn-north-4"), door.endpoints["modelarts"])

    return make


def ended(client, ref, seconds=20.0):
    end = time.monotonic() + seconds
    while (job := client.describe(ref))["status"]["phase"] in {"Creating", "Pending", "Running", "Terminating"}:
        assert time.monotonic() < end, "it never ended"
        time.sleep(0.05)
    return job


def test_it_runs_once_with_its_parameters(connected):
    client = connected("import sys; print(sys.argv[1:])")
    job = ended(client, ref := client.submit(document(), "1"))
    assert job["status"]["phase"] == "Completed"
    assert "policies" not in job["algorithm"]
    assert client.newest(ref)["content"].endswith("['--lr=0.1', '--opt=sgd']\n")
    assert [one["metadata"]["name"] for one in client.searched("alone")] == ["alone-1"]


def test_a_program_that_fails_says_so(connected):
    client = connected("raise SystemExit(3)")
    job = ended(client, client.submit(document(), "1"))
    assert job["status"]["phase"] == "Failed"
    assert "status 3" in job["status"]["task_statuses"][0]["message"]


def test_it_is_stopped_at_any_moment(connected):
    client = connected("import time; time.sleep(60)")
    ref = client.submit(document(), "1")
    client.stop(ref)
    assert ended(client, ref)["status"]["phase"] == "Terminated"
