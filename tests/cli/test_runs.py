"""runs, status, follow, trials, best, logs, stop, delete."""

import json
import re

import pytest

from tuneport.model.results import Trial


def test_where_there_is_no_workspace(desk):
    assert desk("runs").status == 0
    assert desk.here("runs", "--json").json == []
    done = desk("status", "anything")
    assert done.status == 2
    assert "there is no workspace in" in done.err


def test_runs(desk, finished):
    process = desk.start("run", desk.job(desk.endless))
    desk.until_said(process, "run local:")
    newest, oldest = desk.here("runs", "--json").json
    assert (oldest["ref"], oldest["state"], oldest["trial_count"]) == (finished, "succeeded", 4)
    assert oldest["best"]["parameters"].keys() == {"x"}
    assert (newest["state"], newest["best"]) == ("running", None)
    header, first, second = desk("runs").out.splitlines()
    assert header.split() == ["run", "state", "trials", "best", "made"]
    assert first.split()[:2] == [newest["ref"], "running"]
    assert second.split()[:4] == [finished, "succeeded", "4", "trial"]
    desk.interrupt(process)


def test_runs_of_clouds_are_listed_beside_local_ones_as_they_were_last_seen(desk, finished, tuneport_cloud):
    job = json.loads((desk.folder / desk.job(name="there.yaml")).read_text())
    del job["study"]["algorithm"]
    trial = {"image": "gcr.io/p/t:1", "resources": {"machine": "n1-standard-4"}}
    (desk.folder / "there.yaml").write_text(json.dumps(job | {"trial": trial}))
    ref = desk.here("submit", "there.yaml", "--on", "vertex").out.strip()
    assert [one["trial_count"] for one in desk.here("runs", "--json").json] == [0, 4]
    assert desk.here("follow", ref, "-q").status == 0
    best = desk.here("best", ref, "--json").json
    tuneport_cloud.faults.add("error", "*")  # nobody is asked
    there, here = desk.here("runs", "--json").json
    assert (there["ref"], there["state"], there["trial_count"]) == (ref, "succeeded", 4)
    assert there["best"]["parameters"] == best["parameters"]
    assert (here["ref"], here["trial_count"]) == (finished, 4)
    row = desk.here("runs").out.splitlines()[1]
    assert row.split()[:4] == [ref, "succeeded", "4", "trial"]


def test_status(desk, finished):
    headline, times, tally, searched, best, _, folder = desk("status", finished).out.splitlines()
    assert headline == f"{finished}: succeeded, all trials have ended"
    assert times.startswith("made 20")
    assert tally == "4 trials: 4 succeeded"
    assert re.fullmatch(r"searched by \w+ of tuneport [\w.]+, numpy [\w.]+", searched)
    assert best.startswith("best: trial ")
    assert folder == f"kept in {desk.folder}/.tuneport/runs/{finished.removeprefix('local:')}"


@pytest.mark.parametrize("part", [slice(None), slice(6, None), slice(6, 12)])
def test_a_run_is_found_by_its_reference_its_id_or_the_beginning_of_it(desk, finished, part):
    assert desk.here("status", finished[part], "--json").json["ref"] == finished


def test_a_run_that_is_not_there(desk, finished):
    for verb in ("status", "follow", "trials", "best", "stop", "resume"):
        done = desk.here(verb, "nobody", "--json")
        assert (done.status, done.json["error"]["code"]) == (2, "run-not-found")


def test_trials(desk, finished):
    header, *rows = desk("trials", finished).out.splitlines()
    assert header.split() == ["trial", "state", "loss", "x", "seconds"]
    assert [row.split()[:2] for row in rows] == [[str(n), "succeeded"] for n in range(1, 5)]
    trials = [Trial.model_validate(trial) for trial in desk.here("trials", finished, "--json").json]
    assert [trial.id for trial in trials] == [1, 2, 3, 4]
    assert all(trial.metrics["loss"] == trial.parameters["x"] ** 2 for trial in trials)


def test_best(desk, finished):
    trials = desk.here("trials", finished, "--json").json
    best = min(trials, key=lambda trial: trial["final_measurement"]["metrics"]["loss"])
    assert desk.here("best", finished, "--json").json == best
    title, parameter = desk("best", finished).out.splitlines()
    assert title.startswith(f"best: trial {best['id']}, loss ")
    assert parameter.split() == ["x", str(best["parameters"]["x"])]


def test_logs(desk, finished):
    x = desk.here("trials", finished, "--json").json[1]["parameters"]["x"]
    assert desk("logs", finished, "2").out == f"x is {x}\n"
    assert [json.loads(line) for line in desk.here("logs", finished, "2", "--json").out.splitlines()] == [f"x is {x}"]
    done = desk.here("logs", finished, "9")
    assert (done.status, done.out) == (2, "")
    assert "has no trial 9" in done.err


def test_logs_of_a_running_trial_are_followed_to_its_end(desk):
    waits = "import os, time; print('a', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.05)\nprint('b')"
    process = desk.start("run", desk.job(waits), "-q")
    ref = desk.until_running()
    watching = desk.start("logs", ref, "1", "-f")
    assert watching.stdout.readline() == "a\n"
    assert watching.poll() is None
    (desk.folder / "go").touch()
    assert desk.end(watching).out == "b\n"
    assert desk.end(process).status == 9


def test_follow_gives_up_after_a_time_and_control_c_only_stops_watching(desk):
    ref = desk("submit", desk.job(desk.endless), "--json").json["ref"]
    desk.until_running()
    done = desk.here("follow", ref, "--timeout", "0.2", "--json", "-q")
    assert (done.status, done.json["error"]["code"]) == (10, "wait-timeout")
    watching = desk.start("follow", ref)
    desk.until_said(watching, f"run {ref}")
    done = desk.interrupt(watching)
    assert done.status == 130
    assert done.err == f"no longer watching; run {ref} goes on\n"
    assert desk.here("status", ref, "--json").json["state"] == "running"
    assert desk.here("delete", ref, "--yes").status == 1
    assert desk.here("stop", ref).status == 0
    assert desk.here("follow", ref, "-q").status == 8


def test_following_a_run_that_nobody_drives(desk):
    process = desk.start("run", desk.job(desk.endless))
    ref = desk.until_running()
    desk.interrupt(process)
    done = desk("follow", ref)
    assert (done.status, done.out) == (130, "")
    assert done.err.endswith(f"go on with it: tuneport resume {ref}\n")
    assert desk.here("stop", ref, "--json").json["state"] == "stopped"
    assert desk.here("follow", ref, "-q").status == 8


def test_stopping_one_trial(desk):
    process = desk.start("run", desk.job(desk.endless, max_trials=2))
    ref = desk.until_running()
    done = desk("stop", ref, "1")
    assert (done.status, done.err) == (0, f"asked trial 1 of {ref} to stop\n")
    desk.until_said(process, "trial 1 of 2: stopped, stopped by request")
    assert desk.here("stop", ref, "1").status == 2
    assert desk.here("stop", ref).status == 0
    assert desk.end(process).status == 8
    assert desk.here("stop", ref).status == 1


def test_delete(desk, finished):
    refused = desk.here("delete", finished)
    assert refused.status == 2
    assert "give --yes" in refused.err
    folder = desk.folder / ".tuneport" / "runs" / finished.removeprefix("local:")
    assert folder.exists()
    assert desk("delete", finished, "--yes", "--json").json == {"deleted": finished}
    assert not folder.exists()
    assert desk.here("runs").out == "no runs yet\n"
