"""check, run, submit, resume: what they say, and what they end with."""

import json
import signal
import subprocess
import time

import pytest

from tuneport.model.results import StudyResult


def test_check_says_what_would_be_done(desk):
    done = desk("check", desk.job())
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        "ok: tiny",
        "  at most 4 trials, 2 at a time",
        "  random search of 1 parameter, a space without end",
        "  to minimize loss",
    ]
    assert desk.here("check", "job.yaml", "--json").json == {
        "ok": True,
        "name": "tiny",
        "trials": 4,
        "parallel": 2,
        "parameters": 1,
        "points": None,
        "algorithm": "random",
        "objective": {"metric": "loss", "goal": "minimize", "target": None},
        "gpus": 0.0,
    }


def test_check_knows_how_large_a_grid_is(desk):
    job = json.loads((desk.folder / desk.job()).read_text())
    job["study"] |= {
        "parameters": [
            {"name": "a", "kind": "int", "low": 1, "high": 3},
            {"name": "b", "kind": "categorical", "choices": ["x", "y"]},
        ],
        "algorithm": {"kind": "grid"},
    }
    job["budget"] = {"max_trials": None}
    checked = desk("check", "-", "--json", stdin=json.dumps(job)).json
    assert (checked["points"], checked["trials"]) == (6, 6)
    assert "a space of 6 points" in desk("check", "-", stdin=json.dumps(job)).out


BROKEN = """\
name: broken
study:
  parameters:
    - {name: x, kind: float, low: 1, high: 0}
    - {name: y, kind: int, low: 1, hihg: 2}
  objectives: [{metric: loss, goal: minimise}]
trial:
  command: [no-such-program, train.py]
budget: {max_trials: 0}
"""


@pytest.mark.parametrize("verb", ["check", "run", "submit"])
def test_every_problem_of_a_job_is_said_at_once_and_nothing_is_started(desk, verb):
    (desk.folder / "job.yaml").write_text(BROKEN)
    done = desk(verb, "job.yaml")
    assert (done.status, done.out) == (3, "")
    title, *problems = done.err.splitlines()
    assert title == f"tuneport: job.yaml: {len(problems)} problems"
    assert len(problems) >= 5
    assert all(problem.startswith("  job.yaml:") for problem in problems)
    for place in ("4:", "5:", "6:", "8:", "9:"):
        assert any(problem.startswith(f"  job.yaml:{place}") for problem in problems), place
    assert "did you mean 'high'" in done.err
    assert "no program 'no-such-program'" in done.err
    assert not (desk.folder / ".tuneport").exists()
    listed = desk.here(verb, "job.yaml", "--json").json["error"]
    assert listed["problems"][0]["pointer"] == "/study/parameters/0/low"
    assert listed["code"] == "invalid-job"
    assert all(problem["place"].startswith("job.yaml:") for problem in listed["problems"])


@pytest.mark.parametrize("text", ["", "- 1", "name: [", "just words"])
def test_what_is_no_job_at_all(desk, text):
    done = desk("check", "-", stdin=text)
    assert done.status == 3
    assert done.err.startswith("tuneport: <stdin>: 1 problem\n")


def test_a_file_that_is_not_there_and_a_backend_that_is_not(desk):
    assert desk.here("check", "nowhere.yaml").status == 3
    done = desk.here("check", desk.job(), "--on", "moon")
    assert done.status == 2
    assert "there is no backend 'moon'" in done.err


def test_a_run_says_how_it_goes_and_how_it_went(desk):
    done = desk("run", desk.job())
    assert done.status == 0
    first, *lines = done.err.splitlines()
    assert first.startswith("run local:tiny-")
    assert len(lines) == 4
    assert {line.split(",")[0] for line in lines} == {f"trial {n} of 4: succeeded" for n in range(1, 5)}
    assert all(" | x=" in line and " loss " in line for line in lines)
    assert "(best so far)" in done.err
    assert done.out.startswith(f"{first[4:]}: succeeded, all trials have ended\n\nbest: trial ")
    assert "\n4 trials: 4 succeeded in " in done.out
    assert f"kept in {desk.folder}/.tuneport/runs/tiny-" in done.out


def test_long_tables_are_cut_short_and_say_so(desk):
    done = desk.here("run", desk.job(max_trials=13), "--quiet")
    assert (done.status, done.err) == (0, "")
    table = done.out.split("\n\n")[2].splitlines()
    assert table[0].split() == ["trial", "state", "loss", "x", "seconds"]
    assert len(table) == 12
    losses = [float(line.split()[2]) for line in table[1:11]]
    assert losses == sorted(losses)
    assert table[11].startswith("… and 3 more: tuneport trials local:tiny-")


def test_the_result_for_programs_is_the_record_of_the_run(desk):
    done = desk("run", desk.job(), "--json", "--quiet", "--workspace", "elsewhere")
    result = StudyResult.model_validate(done.json)
    assert done.json.keys() == StudyResult.model_fields.keys()
    assert result.name == "tiny"
    assert len(result.trials) == 4
    assert desk.here("status", result.ref, "--json", "-w", "elsewhere").json == done.json
    assert not (desk.folder / ".tuneport").exists()


def test_a_job_from_standard_input_and_paths_from_where_the_job_is(desk):
    (desk.folder / "deep").mkdir()
    (desk.folder / "deep" / "train.py").write_text(desk.quick)
    desk.job(name="deep/job.yaml")
    job = json.loads((desk.folder / "deep" / "job.yaml").read_text())
    job["trial"] = {"command": ["python", "train.py"]}
    (desk.folder / "deep" / "job.json").write_text(json.dumps(job))
    assert desk.here("run", "deep/job.json", "-q").status == 0
    assert desk("run", "-", "-q", stdin=json.dumps(job)).status == 3
    job["trial"]["command"][1] = "deep/train.py"
    assert desk("run", "-", "-q", stdin=json.dumps(job)).status == 0


def test_another_launch_contract(desk):
    code = "import os, json; print('loss', json.loads(os.environ['SM_HPS'])['x'], 'of', os.environ['SM_CURRENT_HOST'])"
    job = json.loads((desk.folder / desk.job(code)).read_text())
    job["trial"]["metrics"] = {"loss": "loss (\\S+)"}
    (desk.folder / "job.yaml").write_text(json.dumps(job))
    assert desk.here("run", "job.yaml", "--contract", "sagemaker", "-q").status == 0
    done = desk.here("run", "job.yaml", "--contract", "fax", "-q")
    assert done.status == 2
    assert "/local/contract" in done.err


def test_too_many_failures(desk):
    done = desk("run", desk.job(desk.crash, max_failed_trials=2))
    assert done.status == 7
    assert "no trial has a result" in done.out
    assert "exited with status 1: ValueError: boom" in done.err
    assert done.err.count("| here we go") == 1  # other failures of that kind look the same


def test_a_budget_spent_without_a_result(desk):
    done = desk.here("run", desk.job(desk.no_number), "--json", "-q")
    assert done.status == 9
    assert done.json["trials"][0]["final_measurement"]["metrics"] == {"loss": "NaN"}
    assert desk.here("best", done.json["ref"]).status == 9
    assert desk.here("best", done.json["ref"], "--json").json["error"]["code"] == "no-result"


def test_a_metric_that_never_comes_is_said_after_the_first_trial(desk):
    process = desk.start(
        "run", desk.job(f"import time; {desk.silent}; time.sleep(0.2)", max_trials=60, parallel_trials=1)
    )
    seen = [process.stderr.readline() for _ in range(4)]
    assert process.poll() is None
    assert "trial 1 of 60: failed, never reported 'loss'; looked for " in seen[1]
    assert seen[2:] == ["  the end of its output:\n", "  | loss is 3\n"]
    assert desk.interrupt(process).status in {130, 7}


def test_a_stopped_run(desk):
    process = desk.start("run", desk.job(desk.endless))
    ref = desk.until_running()
    assert desk.here("stop", ref).status == 0
    done = desk.end(process)
    assert done.status == 8
    assert f"{ref}: stopped by request" in done.out


def test_control_c_records_everything_and_says_how_to_go_on(desk):
    process = desk.start("run", desk.job(desk.brief, max_trials=8))
    desk.until_said(process, "succeeded", times=2)
    done = desk.interrupt(process)
    ref = desk.here("runs", "--json").json[0]["ref"]
    assert done.status == 130
    assert done.out == ""
    assert done.err.endswith(f"go on with it: tuneport resume {ref}\n")
    before = desk.here("status", ref, "--json").json
    assert before["state"] == "interrupted"
    again = desk("resume", ref, "--json", "-q")
    assert again.status == 0
    assert [trial["id"] for trial in again.json["trials"]] == list(range(1, 9))
    assert {trial["state"] for trial in again.json["trials"]} == {"succeeded"}
    kept = {trial["id"]: trial for trial in before["trials"] if trial["state"] == "succeeded"}
    assert len(kept) >= 2
    assert {trial["id"]: trial for trial in again.json["trials"] if trial["id"] in kept} == kept


def test_control_c_for_programs(desk):
    process = desk.start("run", desk.job(desk.endless), "--json", "-w", "elsewhere")
    desk.until_said(process, "run local:")
    done = desk.interrupt(process)
    assert (done.status, done.json["state"]) == (130, "interrupted")
    ref = done.json["ref"]
    assert done.err == (
        "the run is to end: asking 2 trials to stop\n"
        f"{ref}: interrupted; it can be resumed\ngo on with it: tuneport resume {ref} --workspace elsewhere\n"
    )


def test_termination_is_an_interrupt_too(desk):
    process = desk.start("run", desk.job(desk.endless))
    ref = desk.until_running()
    process.send_signal(signal.SIGTERM)
    assert desk.end(process).status == 130
    assert desk.here("status", ref, "--json").json["state"] == "interrupted"


def test_a_second_control_c_does_not_wait_for_stubborn_trials(desk):
    desk.env["TUNEPORT_LOCAL__GRACE"] = "30"
    ignore = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('no', flush=True); time.sleep(3)"
    )
    process = desk.start("run", desk.job(ignore))
    ref = desk.until_running()
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        desk.end(process, timeout=0.5)
    began = time.monotonic()
    assert desk.interrupt(process).status == 130
    assert time.monotonic() - began < 1.5
    assert desk.here("status", ref, "--json").json["state"] == "interrupted"


def test_resume_goes_on_with_a_stopped_run_but_not_with_one_that_has_ended(desk, finished):
    done = desk("resume", finished)
    assert (done.status, done.out) == (1, "")
    assert "has ended: all trials have ended" in done.err
    assert desk.here("resume", "nobody").status == 2


def test_a_submitted_run_outlives_the_command(desk):
    done = desk("submit", desk.job(desk.brief))
    ref = done.out.strip()
    assert (done.status, done.err) == (0, f"see how it goes: tuneport follow {ref}\n")
    followed = desk("follow", ref)
    assert followed.status == 0
    assert "trial 4 of 4: succeeded" in followed.err
    assert followed.out.startswith(f"{ref}: succeeded, all trials have ended\n")
    submitted = desk("submit", "job.yaml", "--json").json
    assert submitted["ref"] != ref
    assert desk("follow", submitted["ref"], "--json", "-q").json["state"] == "succeeded"
