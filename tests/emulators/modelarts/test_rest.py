"""The door of ModelArts by plain HTTP: what it refuses and how, states and their order, lists, options, restarts."""

from __future__ import annotations

import copy
import sys

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from training_jobs import ALGORITHM, JOB

from tuneport.emulators import modelarts
from tuneport.emulators.modelarts import tables
from tuneport.emulators.pace import Pace
from tuneport.emulators.programs import Programs
from tuneport.model.results import Measurement, RunState, StudyResult, Trial, TrialState
from tuneport.model.study import Objective


def changed(path, value, document=JOB):
    """A document with something else in one place; None: without it."""
    made = copy.deepcopy(document)
    *parents, last = path.split("/")
    place = made
    for part in parents:
        place = place[int(part)] if part.isdecimal() else place[part]
    if value is None:
        del place[last]
    elif isinstance(place, list):
        place[int(last) :] = [value]
    else:
        place[last] = value
    return made


SEARCH = "algorithm/policies/auto_search"
RANGE = f"{SEARCH}/search_params/0"
REWARD = {"name": "loss", "mode": "min", "regex": "x"}


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("kind", None, "2788"),
        ("metadata/name", "a b", "2788"),
        ("metadata/name", "", "2788"),
        ("algorithm/parameters/1", JOB["algorithm"]["parameters"][0], "2767"),
        ("algorithm/parameters/2/value", "many", "2825"),
        (f"{SEARCH}/reward_attrs/1", REWARD, "2824"),
        (f"{SEARCH}/reward_attrs/0/mode", "best", "2826"),
        (f"{SEARCH}/reward_attrs/0/regex", "(", "2826"),
        (f"{SEARCH}/algo_configs/0/name", "grid_search", "2826"),
        (f"{SEARCH}/algo_configs/0/params/0/value", "0", "2826"),
        (f"{RANGE}/lower_bound", "1.0", "2826"),
        (f"{RANGE}/lower_bound", "low", "2826"),
        (f"{RANGE}/upper_bound", None, "2826"),
        ("algorithm/policies/auto_search", {}, "2826"),
        ("algorithm/inputs/0/remote", {}, "2753"),
        ("algorithm/outputs/0/remote/obs/obs_url", "s3://bucket/", "2754"),
        ("algorithm/boot_file", "/bucket/other/fit.py", "2758"),
        ("algorithm/engine", {"image_url": "team/trainer:1"}, "2806"),
        ("algorithm/engine", None, "2780"),
        ("spec/resource/flavor_id", None, "2763"),
        ("spec/resource/node_count", 0, "2788"),
        ("algorithm/id", "none", "2755"),
        ("algorithm/environments", {"1A": "x"}, "2788"),
    ],
)
def test_a_job_is_refused_with_the_code_for_what_is_wrong(api, path, value, code):
    assert api.refused("POST", "/training-jobs", changed(path, value)) == code
    assert api.host.documents.all("modelarts/job") == []


def test_all_that_is_wrong_is_said_at_once(api):
    body = changed("spec/resource/flavor_id", None, changed("algorithm/parameters/2/value", "many"))
    reply = api("POST", "/training-jobs", body, 400)
    assert all(place in reply["error_msg"] for place in ("parameters/2/value", "flavor_id"))


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/training-jobs/none", None, 400, "2775"),
        ("PUT", "/training-jobs/none", {"description": "x"}, 400, "2775"),
        ("DELETE", "/training-jobs/none", None, 400, "2775"),
        ("POST", "/training-jobs/none/actions", {"action_type": "terminate"}, 400, "2775"),
        ("GET", "/training-jobs/none/autosearch-trials", None, 400, "2775"),
        ("GET", "/modelarts-training-job/none/tags", None, 400, "2775"),
        ("POST", "/training-jobs/batch-delete", {"jobs": [{"metadata": {"id": "none"}}]}, 400, "2775"),
        ("POST", "/training-jobs/batch-delete", {"jobs": []}, 400, "2788"),
        ("POST", "/training-jobs", [], 400, "2787"),
        ("GET", "/algorithms/none", None, 400, "2755"),
        ("GET", "/training-jobs/autosearch/yaml-templates/hpo/None", None, 400, "2788"),
        ("GET", "/training-job-flavors?flavor_type=NPU", None, 400, "2788"),
        ("PUT", "/training-quotas", {"quotas": [{"resource": "pool", "quota": 1}]}, 400, "2788"),
        ("GET", "/nothing", None, 404, "2836"),
        ("PATCH", "/training-jobs", {}, 405, "2803"),
    ],
)
def test_calls_that_make_no_sense_are_refused(api, method, path, body, status, code):
    assert api.refused(method, path, body, status) == code


@pytest.mark.parametrize("wrong", [1, "x", [None], [[1]], {"a": None}])
@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/training-jobs", "metadata"),
        ("POST", "/training-jobs", "algorithm"),
        ("POST", "/algorithms", "metadata"),
        ("POST", "/training-job-searches", "filters"),
        ("POST", "/training-job-searches", "sort_by"),
        ("POST", "/training-job-searches", "offset"),
        ("POST", "/training-jobs/batch-delete", "jobs"),
        ("PUT", "/training-quotas", "quotas"),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused_and_trips_nobody_up(api, method, path, name, wrong):
    body = (JOB if path == "/training-jobs" else ALGORITHM if path == "/algorithms" else {}) | {name: wrong}
    reply = api.session.request(method, f"{api.url}/v2/p{path}", json=body)
    assert reply.status_code == (200 if (name, wrong) == ("offset", 1) else 400), reply.text


def test_null_says_nothing(api):
    ident = api.create(changed("spec/resource/node_count", 1) | {"tasks": None, "endpoints": None})
    body = copy.deepcopy(JOB)
    body["spec"]["resource"]["node_count"] = body["algorithm"]["inputs"] = None
    other = api.create(body, name="other")
    assert api("GET", f"/training-jobs/{other}")["status"]["tasks"] == ["worker-0"]
    assert {one["metadata"]["id"] for one in api("POST", "/training-job-searches", {})["items"]} == {ident, other}


def test_a_body_that_is_no_json_is_refused(api):
    reply = requests.post(f"{api.url}/v2/p/training-jobs", data=b"{")
    assert (reply.status_code, reply.json()["error_code"]) == (400, "ModelArts.2787")


def test_trials_parameters_and_tasks_that_are_not_there(api):
    ident = api.create()
    api.ended(ident)
    job = f"/training-jobs/{ident}"
    assert api.refused("GET", f"{job}/autosearch-trials/00000000") == "2788"
    assert api.refused("POST", f"{job}/autosearch-trial-earlystop/00000000") == "2788"
    assert api.refused("POST", f"{job}/autosearch-trial-earlystop/{api.rows(ident)[0]['trial_id']}") == "2788"
    assert api.refused("GET", f"{job}/autosearch-parameter-analysis/none") == "2788"
    assert api.refused("GET", f"{job}/tasks/worker-1/logs/preview") == "2788"
    assert api.refused("GET", f"{job}/autosearch-trials", limit="0") == "2788"
    assert api.refused("GET", f"{job}/autosearch-trials", offset="many") == "2788"
    assert api.refused("POST", f"{job}/actions", {"action_type": "restart"}) == "2812"
    assert api.refused("PUT", job, {"description": "x" * 257}) == "2788"


@pytest.mark.parametrize(
    "tag", [{"key": "_sys_a", "value": "b"}, {"key": ""}, {"key": "a" * 129}, {"key": "a", "value": "b" * 256}]
)
def test_tags_have_limits(api, tag):
    ident = api.create()
    assert api.refused("POST", f"/modelarts-training-job/{ident}/tags/create", {"tags": [tag]}) == "2788"


def test_an_algorithm_with_a_search_that_makes_no_sense_is_refused(api):
    wrong = changed("advanced_config/auto_search/search_params/0/upper_bound", None, ALGORITHM)
    assert api.refused("POST", "/algorithms", wrong) == "2826"
    wrong = changed("job_config/parameters/2/value", "many", ALGORITHM)
    assert api.refused("POST", "/algorithms", wrong) == "2768"


def test_tags_in_the_body_of_a_job_are_not_its_tags(api):
    ident = api.create(JOB | {"tags": [{"key": "team", "value": "vision"}]})
    assert api("GET", f"/modelarts-training-job/{ident}/tags") == {"tags": []}
    assert "tags" not in api("GET", f"/training-jobs/{ident}")


# ---- states ---------------------------------------------------------------------------------------------------------


def test_a_job_goes_through_its_states_in_order(make_api):
    api = make_api(pace=Pace(creating=5, queued=5, pending=5, quick=True), speed=0)
    ident = api.create()
    seen = []
    for _ in range(3):
        status = api("GET", f"/training-jobs/{ident}")["status"]
        seen.append((status["phase"], status["secondary_phase"], status["start_time"]))
        api.host.clock.advance(5)
    assert seen == [("Creating", "Creating", 0), ("Pending", "Queuing", 0), ("Pending", "Queuing", 0)]
    assert api.ended(ident)["status"]["phase"] == "Completed"


def test_a_job_that_waits_can_be_stopped(make_api):
    api = make_api(pace=Pace(queued=600))
    ident = api.create()
    stopped = api("POST", f"/training-jobs/{ident}/actions", {"action_type": "terminate"}, 202)
    assert stopped["status"]["phase"] == "Terminating"
    assert api.ended(ident)["status"]["phase"] == "Terminated"
    assert api.rows(ident) == []


def test_a_failed_trial_is_no_failed_job_but_nothing_else_than_failed_trials_is(make_api):
    fails = "import sys; x = [a for a in sys.argv if a.startswith('--x=')][0]; print('loss=' + x[4:]); sys.exit({})"
    some = "float(x[4:]) < 0.4"
    api = make_api(pace=Pace(), programs=Programs({"boot:fit.py": (sys.executable, "-c", fails.format(some))}))
    ident = api.create()
    assert api.ended(ident)["status"]["phase"] == "Completed"
    rows = api.rows(ident)
    assert {row["status"] for row in rows} == {"TERMINATED", "ERROR"}
    for row in rows:
        assert (row["reward_attr"] == "") is (row["status"] == "ERROR")
    api.host.programs.map("boot:fit.py", [sys.executable, "-c", fails.format(1)])
    status = api.ended(api.create(name="worse"))["status"]
    assert status["phase"] == "Failed"
    assert status["task_statuses"][0]["exit_code"] == 1


def test_the_metric_is_what_the_pattern_finds_last_with_text_to_its_left(make_api):
    text = "for value in (3, 1, 2): print(f'epoch loss: {value}e-1; done')"
    api = make_api(pace=Pace(), programs=Programs({"boot:fit.py": (sys.executable, "-c", text)}))
    pattern = r"(?<=epoch loss: )([+-]?\d+\.?\d*([eE][+-]?\d+)?)(?=; done)"
    ident = api.create(changed(f"{SEARCH}/reward_attrs/0/regex", pattern))
    api.ended(ident)
    for row in api.rows(ident):
        assert (row["loss"], row["reward_attr"], row["best_reward"], row["training_iteration"]) == (
            "0.2", "0.2", "0.1", "3"
        )  # fmt: skip


def test_jobs_and_what_is_known_of_them_outlive_the_emulator(make_api, tmp_path):
    first = make_api(folder=tmp_path)
    ident = first.create()
    first("POST", f"/modelarts-training-job/{ident}/tags/create", {"tags": [{"key": "a", "value": "b"}]}, 204)
    stored = first("POST", "/algorithms", ALGORITHM, 201)["metadata"]["id"]
    rows = first.ended(ident) and first.rows(ident)
    first.door.close()
    first.host.close()
    second = make_api(folder=tmp_path)
    assert second.rows(ident) == rows
    assert second("GET", f"/modelarts-training-job/{ident}/tags")["tags"] == [{"key": "a", "value": "b"}]
    assert second("GET", f"/algorithms/{stored}")["metadata"]["name"] == "fitting"


# ---- lists ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def three(api, until):
    """Three jobs that have ended, the second one of another workspace."""
    api.create(name="one-a")
    api.create(name="two-b", workspace_id="w" * 32)
    last = api.create(name="three-a")
    api("POST", f"/modelarts-training-job/{last}/tags/create", {"tags": [{"key": "team", "value": "x"}]}, 204)
    until(lambda: len(found(api, {"key": "phase", "operator": "in", "value": ["Completed"]})) == 3)
    return api


def found(api, *filters, **body):
    items = api("POST", "/training-job-searches", {"filters": list(filters)} | body)["items"]
    return [one["metadata"]["name"] for one in items]


def test_jobs_are_searched_for_by_conditions(three):
    assert found(three) == ["three-a", "two-b", "one-a"]
    assert found(three, {"key": "name", "operator": "like", "value": ["-a"]}) == ["three-a", "one-a"]
    assert found(three, {"key": "name", "operator": "in", "value": ["-a", "two-b"]}) == ["two-b"]
    assert found(three, {"key": "name", "operator": "not", "value": ["two-b"]}) == ["three-a", "one-a"]
    assert found(three, {"key": "name", "operator": "like", "value": ["", ""]}) == ["three-a", "two-b", "one-a"]
    assert found(three, {"key": "phase", "operator": "in", "value": ["Running"]}) == []
    assert found(three, workspace_id="w" * 32) == ["two-b"]
    assert found(three, tags=[{"key": "team", "values": ["x", "y"]}]) == ["three-a"]
    assert found(three, tags=[{"key": "team", "values": []}], order="asc") == ["three-a"]
    assert found(three, tags=[{"key": "team", "values": ["z"]}]) == []
    assert found(three, order="asc") == ["one-a", "two-b", "three-a"]
    assert found(three, sort_by="name", order="asc") == ["one-a", "three-a", "two-b"]


def test_jobs_are_searched_for_by_time(three):
    times = [one["metadata"]["create_time"] for one in three("POST", "/training-job-searches", {})["items"]]
    between = {"key": "create_time", "operator": "between"}
    assert found(three, between | {"value": [str(times[1]), ""]}) == ["three-a", "two-b"]
    assert found(three, between | {"value": ["", str(times[1] - 1)]}) == ["one-a"] * (times[2] < times[1])


@pytest.mark.parametrize(
    ("search", "code"),
    [
        ({"filters": [{"key": "owner", "operator": "in", "value": ["x"]}]}, "2789"),
        ({"filters": [{"key": "name", "operator": "=", "value": ["x"]}]}, "2808"),
        ({"filters": [{"key": "name", "operator": "in", "value": "x"}]}, "2809"),
        ({"filters": [{"key": "create_time", "operator": "between", "value": ["1"]}]}, "2809"),
        ({"sort_by": "owner"}, "2790"),
        ({"order": "up"}, "2790"),
        ({"limit": 51}, "2788"),
        ({"offset": -1}, "2788"),
        ({"tags": [{"key": str(number)} for number in range(11)]}, "2788"),
    ],
)
def test_searches_that_make_no_sense_are_refused(api, search, code):
    assert api.refused("POST", "/training-job-searches", search) == code


@pytest.mark.parametrize(("offsets", "second"), [("rows", 1), ("pages", 2)])
def test_offsets_count_rows_or_pages(make_api, offsets, second):
    api = make_api(modelarts.Options(offsets=offsets))
    idents = [api.create(name=f"job-{number}") for number in range(3)]
    api.ended(idents[0])
    assert [row[""] for row in api.rows(idents[0], limit=2, offset=1)] == [str(one) for one in range(second, 3)][:2]
    page = api("POST", "/training-job-searches", {"offset": 1, "limit": 2, "order": "asc"})
    assert page["items"][0]["metadata"]["name"] == f"job-{second}"
    assert (page["offset"], page["limit"], page["total"]) == (1, 2, 3)


# ---- tables ---------------------------------------------------------------------------------------------------------


def test_columns_as_documented_and_as_a_past_console_has_them(make_api):
    api = make_api()
    ident = api.create()
    api.ended(ident)
    assert list(api.rows(ident)[0]) == [
        "", "done", "pid", "config", "trial_id", "training_iteration", "time_total_s", "worker_index", "reward_attr",
        "status", "loss", "best_reward",
    ]  # fmt: skip
    api = make_api(modelarts.Options(layout="console", config="repr"))
    ident = api.create()
    api.ended(ident)
    row = api.rows(ident)[0]
    assert list(row) == [
        "", "time_total_s", "config", "pid", "reward_attr", "worker_index", "training_iteration", "done", "trial_id",
        "loss", "best_reward",
    ]  # fmt: skip
    assert row["config"].startswith("{'x': 0.5, 'size': ")
    assert all(isinstance(cell, str) for cell in row.values())


def test_importance_waits_for_the_end(make_api):
    api = make_api(pace=Pace(queued=600))
    assert api.refused("GET", f"/training-jobs/{api.create()}/autosearch-parameter-analysis") == "2788"


def study(rows):
    """A run whose trials have these parameters and losses."""
    trials = [
        Trial(
            id=number,
            parameters=parameters,
            state=TrialState.SUCCEEDED,
            measurements=(Measurement(metrics={"loss": loss}),),
            final_measurement=Measurement(metrics={"loss": loss}),
        )
        for number, (parameters, loss) in enumerate(rows, start=1)
    ]
    objectives = (Objective(metric="loss", goal="minimize"),)
    return StudyResult(ref="r", name="n", backend="b", state=RunState.SUCCEEDED, objectives=objectives, trials=trials)


def importance(rows):
    return {name: float(cell.partition("/")[0]) for name, cell in tables.analysis(study(rows))["data"]}


def test_what_decides_matters_most():
    rows = [({"x": index % 7 / 7, "kind": "ab"[index % 2]}, float(index % 2)) for index in range(42)]
    found = importance(rows)
    assert found["kind"] == pytest.approx(1.0)
    assert found["x"] < 0.2


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.fixed_dictionaries({"x": st.floats(0, 1), "kind": st.sampled_from(["a", "b", True, 3])}),
            st.floats(allow_nan=True, allow_infinity=True),
        ),
        max_size=12,
    )
)
def test_importance_is_a_share_whatever_was_measured(rows):
    assert all(0 <= share <= 1 for share in importance(rows).values())


# ---- options --------------------------------------------------------------------------------------------------------


def test_a_running_job_may_be_kept_from_deletion(make_api):
    api = make_api(modelarts.Options(delete_running=False), pace=Pace(queued=600))
    assert api.refused("DELETE", f"/training-jobs/{api.create()}", status=409) == "2878"


def test_no_more_jobs_than_there_may_be(make_api):
    api = make_api(modelarts.Options(job_quota=1))
    api.create()
    assert api.refused("POST", "/training-jobs", changed("metadata/name", "another")) == "2816"
