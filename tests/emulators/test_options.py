"""Options of the doors, by name: as text from the command line, as values from tests."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import requests

from tuneport.cli.emulate import emulate
from tuneport.emulators import modelarts, sagemaker, vertex
from tuneport.emulators.options import chosen, names, read
from tuneport.errors import SettingsError

PAGE = Path(__file__).parents[2] / "docs" / "emulators.md"


def test_options_are_read_as_their_types_are(tmp_path):
    (tmp_path / "key").write_bytes(b"k")
    (tmp_path / "chain").write_bytes(b"c")
    given = [
        "vertex.stopping=true", "vertex.page_size=5", f"vertex.certificate={tmp_path / 'key'},{tmp_path / 'chain'}",
        "sagemaker.reuse_names=false", "modelarts.layout=console", "modelarts.keys=ak:sk,other:secret",
    ]  # fmt: skip
    assert read(given) == {
        "vertex": vertex.Options(stopping=True, page_size=5, certificate=(b"k", b"c")),
        "sagemaker": sagemaker.Options(reuse_names=False),
        "modelarts": modelarts.Options(layout="console", keys={"ak": "sk", "other": "secret"}),
    }
    assert chosen({"vertex.stopping": True}) == chosen({"vertex.stopping": "true"})
    assert read([]) == {}


def test_all_that_is_wrong_is_said_with_all_that_there_is():
    wrong = [
        "vertex.stoping=true", "stopping=true", "vertex.stopping=maybe", "vertex.page_size=-1", "modelarts.layout=wide",
        "modelarts.keys=alone", "vertex.certificate=/no/key,/no/chain", "azure.x=1",
    ]  # fmt: skip
    with pytest.raises(SettingsError) as caught:
        read([*wrong, "vertex.measurements=true"])
    said = f"{caught.value} {caught.value.hint}"
    parts = ("'vertex.stoping'", "vertex.stopping", "true|false, not 'maybe'", "documented|console", "ACCESS:SECRET")
    assert len(caught.value.problems) == len(wrong)
    assert all(part in said for part in (*parts, "No such file", *names()))


def test_every_option_has_its_place_in_the_docs():
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in names() if f"`{name.partition('=')[0]}=" not in text] == []


def test_the_command_line_takes_them_and_refuses_before_anything_is_served(monkeypatch):
    with pytest.raises(SettingsError, match=r"there is no option 'vertex\.stoping'"):
        emulate(["vertex"], option=["vertex.stoping=true"])
    seen = {}

    def serve(host, faults, port, options):
        seen["options"] = options
        raise SettingsError("seen enough")

    monkeypatch.setattr(vertex, "serve", serve)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SettingsError, match="seen enough"):
        emulate(["vertex"], option=["vertex.stopping=true"])
    assert seen == {"options": vertex.Options(stopping=True)}


@pytest.mark.tuneport_cloud(options={"vertex.page_size": 1, "sagemaker.most_jobs": "0"}, pending=60, speed=0.0, seed=3)
def test_a_mark_says_how_the_clouds_of_a_test_are(tuneport_cloud):
    parent = f"{tuneport_cloud['vertex']}/v1/projects/p/locations/us-central1/hyperparameterTuningJobs"
    job = {
        "displayName": "digits",
        "maxTrialCount": 1,
        "parallelTrialCount": 1,
        "studySpec": {
            "metrics": [{"metricId": "loss", "goal": "MINIMIZE"}],
            "parameters": [{"parameterId": "x", "doubleValueSpec": {"minValue": 0, "maxValue": 1}}],
        },
        "trialJobSpec": {"workerPoolSpecs": [{"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": 1,
                                              "containerSpec": {"imageUri": "gcr.io/p/t:1"}}]},
    }  # fmt: skip
    names = [requests.post(parent, json=job, timeout=10).json()["name"] for _ in range(2)]
    page = requests.get(parent, timeout=10).json()
    assert len(page["hyperparameterTuningJobs"]) == 1
    assert page["nextPageToken"]
    first = f"{tuneport_cloud['vertex']}/v1/{names[0]}"
    assert requests.get(first, timeout=10).json()["state"] == "JOB_STATE_PENDING"
    tuneport_cloud.clock.advance(60)
    for document in tuneport_cloud.host.documents.with_runs():
        tuneport_cloud.host.wait(document.run, 20)
    assert requests.get(first, timeout=10).json()["state"] == "JOB_STATE_SUCCEEDED"
