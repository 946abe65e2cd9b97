"""Huawei's own SDK, unmodified, with its typed requests and replies: every operation that the emulator has."""

from __future__ import annotations

import copy
import json
import re
import sys
import warnings

import pytest
import requests
from training_jobs import ALGORITHM, ENGINE, JOB

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, ServerResponseException
    from huaweicloudsdkcore.signer.signer import Signer
    from huaweicloudsdkmodelarts import v1

import tuneport as tp
from tuneport import exchange
from tuneport.backends.modelarts import BACKEND
from tuneport.emulators import modelarts
from tuneport.emulators.modelarts.service import Service
from tuneport.emulators.pace import Pace
from tuneport.emulators.programs import Programs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:huaweicloudsdkcore")

TRAINER = """
import argparse, os
parser = argparse.ArgumentParser()
for name in ("--x", "--size", "--epochs"): parser.add_argument(name, type=float)
given, rest = parser.parse_known_args()
for step in (2, 1):
    print(f"loss={(given.x - 0.3) ** 2 * given.size * step + given.epochs}")
print("machine", os.environ["MA_TASK_NAME"], *sorted(word.split("=")[0] for word in rest))
"""
SLEEPER = "import time; print('loss=1', flush=True); time.sleep(60)"


def program(text):
    return Programs({"boot:fit.py": (sys.executable, "-c", text)})


def create(sdk, body=JOB, **metadata):
    made = copy.deepcopy(body)
    made["metadata"] |= metadata
    return sdk.create_training_job(v1.CreateTrainingJobRequest(body=made))


def show(sdk, ident):
    return sdk.show_training_job_details(v1.ShowTrainingJobDetailsRequest(training_job_id=ident))


def ended(sdk, ident, until):
    return until(lambda: next((one for one in [show(sdk, ident)] if one.status.phase == "Completed"), None))


@pytest.fixture
def done(api, until):
    """The SDK, and a job that has ended."""
    sdk = api.sdk()
    ident = create(sdk).metadata.id
    ended(sdk, ident, until)
    return sdk, ident


# ---- jobs -----------------------------------------------------------------------------------------------------------


def test_a_job_of_typed_requests_runs_real_trials_and_finds_what_a_run_here_finds(make_api, tmp_path, until):
    sdk = make_api(pace=Pace(), programs=program(TRAINER)).sdk()
    search = v1.AutoSearch(
        reward_attrs=[v1.RewardAttrs(name="loss", mode="min", regex=r"loss=(\S+)")],
        search_params=[
            v1.SearchParams(name="x", param_type="continuous", lower_bound="0.0", upper_bound="1.0"),
            v1.SearchParams(name="size", param_type="discrete", discrete_values=["1", "2", "4"]),
        ],
        algo_configs=[
            v1.AlgoConfigs(
                name="tpe_search",
                params=[
                    v1.AutoSearchAlgoConfigParameter(key="num_samples", value="3", type="Integer"),
                    v1.AutoSearchAlgoConfigParameter(key="seed", value="7", type="Integer"),
                ],
            )
        ],
    )
    job = v1.Job(
        kind="job",
        metadata=v1.JobMetadata(name="digits"),
        algorithm=v1.JobAlgorithm(
            code_dir="/bucket/code/",
            boot_file="/bucket/code/fit.py",
            engine=v1.JobEngine(engine_id=ENGINE),
            parameters=[
                v1.Parameters(name="size", constraint=v1.ParametersConstraint(type="Integer")),
                v1.Parameters(name="epochs", value="5", constraint=v1.ParametersConstraint(type="Integer")),
            ],
            inputs=[
                v1.Input(name="data_url", remote=v1.InputDataInfo(obs=v1.InputDataInfoObs(obs_url="/bucket/data/")))
            ],
            policies=v1.JobPolicies(auto_search=search),
        ),
        spec=v1.Spec(resource=v1.SpecResource(flavor_id="modelarts.vm.cpu.8u", node_count=1)),
    )
    made = sdk.create_training_job(v1.CreateTrainingJobRequest(body=job))
    assert made.status_code == 201
    assert made.status.phase in {"Pending", "Running"}
    assert made.algorithm.engine.engine_name == "PyTorch"
    ident = made.metadata.id
    ended(sdk, ident, until)

    reply = sdk.show_auto_search_trials(v1.ShowAutoSearchTrialsRequest(training_job_id=ident, limit=10, offset=0))
    assert (reply.total, reply.count, reply.limit, reply.offset) == (3, 3, 10, 0)
    rows = [dict(zip(reply.items.header, row, strict=True)) for row in reply.to_json_object()["items"]["data"]]
    for row in rows:
        x, size = row["config"]["x"], row["config"]["size"]
        assert float(row["reward_attr"]) == (x - 0.3) ** 2 * size + 5
        assert float(row["best_reward"]) == float(row["loss"]) == float(row["reward_attr"])
        assert (row["status"], row["done"], row["training_iteration"]) == ("TERMINATED", "True", "2")

    asked = exchange.read(made.to_json_object(), BACKEND).job
    trial = {"command": ["python", "-c", TRAINER], "parameters": {"epochs": 5}, "env": {"MA_TASK_NAME": "worker"}}
    here = asked.changed(trial=trial | {"metrics": asked.trial.metrics}, native={})
    local = tp.run(here, on="local", workspace=tmp_path)
    assert [(one.parameters["x"], one.metrics["loss"]) for one in local.trials] == [
        (row["config"]["x"], float(row["loss"])) for row in rows
    ]

    log = sdk.show_training_job_logs_preview(
        v1.ShowTrainingJobLogsPreviewRequest(training_job_id=ident, task_id="worker-0")
    )
    assert log.content.count("machine worker --data_url") == 3
    assert log.current_size == log.full_size == len(log.content)


def test_a_job_is_shown_as_it_was_sent_with_what_the_service_adds(done):
    sdk, ident = done
    shown = show(sdk, ident).to_json_object()
    assert shown["metadata"]["create_time"] > 10**12
    assert shown["metadata"]["workspace_id"] == "0"
    assert shown["status"]["tasks"] == ["worker-0"]
    assert shown["status"]["start_time"] >= shown["metadata"]["create_time"]
    algorithm = shown["algorithm"]
    assert algorithm["inputs"][0]["local_dir"] == "/home/ma-user/modelarts/inputs/data_url_0"
    assert (algorithm["outputs"][0]["mode"], algorithm["outputs"][0]["period"]) == ("upload_periodically", 30)
    assert algorithm["parameters"][2]["constraint"]["valid_type"] == "None"
    assert algorithm["policies"] == JOB["algorithm"]["policies"]
    sent, back = (exchange.read(one, BACKEND).job.changed(native={}) for one in (JOB, shown))
    assert back == sent


def test_jobs_are_listed_renamed_looked_for_and_deleted(api, until):
    sdk = api.sdk()
    idents = [create(sdk, name=name).metadata.id for name in ("one", "two", "three")]
    for ident in idents:
        ended(sdk, ident, until)
    listed = sdk.list_training_jobs(
        v1.ListTrainingJobsRequest(
            body=v1.JobSearches(
                offset=0, limit=2, filters=[v1.Filter(key="phase", operator="in", value=["Completed", ""])]
            )
        )
    )
    assert [one.metadata.name for one in listed.items] == ["three", "two"]
    assert (listed.total, listed.count, listed.limit, listed.sort_by, listed.order) == (3, 3, 2, "create_time", "desc")
    for name, taken in (("one", True), ("four", False)):
        request = v1.ValidateTrainingJobNameRequest(job_name=name, workspace_id="0")
        assert sdk.validate_training_job_name(request).is_duplicate is taken
    body = v1.JobUpdateRequestBody(description="better")
    changed = sdk.change_training_job_description(
        v1.ChangeTrainingJobDescriptionRequest(training_job_id=idents[0], body=body)
    )
    assert changed.raw_content == b"null"
    assert show(sdk, idents[0]).metadata.description == "better"
    deleted = sdk.delete_training_job(v1.DeleteTrainingJobRequest(training_job_id=idents[0]))
    assert (deleted.status_code, deleted.raw_content) == (202, b'""')
    jobs = [v1.BatchDeleteJobItem(kind="job", metadata=v1.BatchDeleteJobMetadata(id=ident)) for ident in idents[1:]]
    sdk.batch_delete_training_job(v1.BatchDeleteTrainingJobRequest(body=v1.BatchDeleteJobsReq(jobs=jobs)))
    assert api("POST", "/training-job-searches", {})["items"] == []


def test_a_trial_is_ended_early_and_then_the_job(make_api, until):
    sdk = make_api(modelarts.Options(parallel=2), pace=Pace(), programs=program(SLEEPER)).sdk()
    ident = create(sdk).metadata.id

    def trials():
        table = sdk.show_auto_search_trials(v1.ShowAutoSearchTrialsRequest(training_job_id=ident)).items
        return [dict(zip(table.header, row, strict=True)) for row in table.data]

    first = until(lambda: next((one for one in trials() if one["status"] == "RUNNING" and one["loss"]), None))[
        "trial_id"
    ]
    request = v1.ShowAutoSearchTrialEarlyStopRequest(training_job_id=ident, trial_id=first)
    assert sdk.show_auto_search_trial_early_stop(request).earlystop_trial == first
    until(lambda: [one["status"] for one in trials()] == ["TERMINATED", "RUNNING", "RUNNING"])
    stop = v1.StopTrainingJobRequest(training_job_id=ident, body=v1.JobActionType(action_type="terminate"))
    stopped = sdk.stop_training_job(stop)
    assert (stopped.status_code, stopped.status.phase) == (202, "Terminating")
    until(lambda: show(sdk, ident).status.phase == "Terminated")
    with pytest.raises(ClientRequestException) as error:
        sdk.stop_training_job(stop)
    assert (error.value.status_code, error.value.error_code) == (409, "ModelArts.2796")


def test_a_running_job_is_deleted_with_its_processes(make_api, until):
    api = make_api(pace=Pace(), programs=program(SLEEPER))
    sdk = api.sdk()
    ident = create(sdk).metadata.id
    until(lambda: show(sdk, ident).status.phase == "Running")
    sdk.delete_training_job(v1.DeleteTrainingJobRequest(training_job_id=ident))
    assert api.host.documents.all("modelarts/job") == []


# ---- trials ---------------------------------------------------------------------------------------------------------


def test_a_trial_has_a_row_for_each_report(done):
    sdk, ident = done
    every = sdk.show_auto_search_trials(v1.ShowAutoSearchTrialsRequest(training_job_id=ident)).to_json_object()
    first = dict(zip(every["items"]["header"], every["items"]["data"][0], strict=True))
    one = sdk.show_auto_search_per_trial(
        v1.ShowAutoSearchPerTrialRequest(training_job_id=ident, trial_id=first["trial_id"])
    ).to_json_object()
    assert one["header"] == ["done", "pid", "best_reward", "time_total_s", "config", "loss", "trial_id",
                             "training_iteration", "reward_attr"]  # fmt: skip
    assert [row[0] for row in one["data"]] == ["False"] * 4 + ["True"]
    assert {row[1] for row in one["data"]} == {first["pid"]}
    assert one["data"][-1][-1] == first["reward_attr"]
    assert re.fullmatch("[0-9a-f]{8}", first["trial_id"])


def test_which_parameters_matter(done):
    sdk, ident = done
    table = sdk.show_auto_search_params_analysis(v1.ShowAutoSearchParamsAnalysisRequest(training_job_id=ident))
    assert table.header == ["parameters", "the mean/std of importance"]
    assert [row[0] for row in table.data] == ["x", "size"]
    assert all(re.fullmatch(r"[01]\.\d{4}/[01]\.\d{4}", row[1]) for row in table.data)
    request = v1.ShowAutoSearchParamAnalysisResultPathRequest(training_job_id=ident, parameter_name="x")
    path = sdk.show_auto_search_param_analysis_result_path(request).file_path
    assert path == "/bucket/out/log/hyperparameter-analysis/fanova/x.png"


def test_logs_in_parts_and_whole_and_what_else_is_told_of_a_job(done, api):
    sdk, ident = done
    request = v1.ShowTrainingJobLogsFromAomRequest(training_job_id=ident, task_id="worker-0", lines=2, order="asc")
    part = sdk.show_training_job_logs_from_aom(request)
    assert (part.start_line, part.end_line, part.lines) == ("0", "2", 2)
    assert part.content.startswith("(pid=301) tuneport: this is the synthetic trainer")
    url = api("GET", f"/training-jobs/{ident}/tasks/worker-0/logs/url")["obs_url"]
    assert requests.get(url).text.startswith(part.content)
    metrics = sdk.show_training_job_metrics(v1.ShowTrainingJobMetricsRequest(training_job_id=ident, task_id="worker-0"))
    assert {one.metric for one in metrics.metrics} == {"cpuUsage", "memUsage"}
    events = sdk.list_training_job_events(v1.ListTrainingJobEventsRequest(training_job_id=ident, order="asc"))
    assert [one.message for one in events.events] == [
        "Training job created.", "Training job started.", "Training job ended."
    ]  # fmt: skip
    tasks = sdk.list_training_job_tasks(v1.ListTrainingJobTasksRequest(training_job_id=ident))
    assert [one.task for one in tasks.body] == ["worker-0"]
    stages = sdk.list_training_job_stages(v1.ListTrainingJobStagesRequest(training_job_id=ident))
    assert (stages.total_count, stages.running_records[0].stages[0].name) == (1, "running")


def test_a_log_that_is_not_there_yet_is_an_answer_without_content(make_api):
    api = make_api(pace=Pace(queued=60))
    sdk = api.sdk()
    ident = create(sdk).metadata.id
    log = sdk.show_training_job_logs_preview(
        v1.ShowTrainingJobLogsPreviewRequest(training_job_id=ident, task_id="worker-0")
    )
    assert (log.status_code, log.raw_content) == (204, b"")


# ---- stored algorithms, tags ----------------------------------------------------------------------------------------


def test_algorithms_are_stored_shown_listed_changed_and_deleted(api):
    sdk = api.sdk()
    made = sdk.create_algorithm(v1.CreateAlgorithmRequest(body=ALGORITHM))
    assert made.status_code == 201
    ident = made.metadata.id
    shown = sdk.show_algorithm_by_uuid(v1.ShowAlgorithmByUuidRequest(algorithm_id=ident)).to_json_object()
    assert shown["resource_requirements"] == [{"key": "flavor_type", "value": ["CPU"], "operator": "in"}]
    assert shown["metadata"]["tags"] == [{"key": "auto_search"}]
    assert shown["advanced_config"]["auto_search"]["search_params"][1]["discrete_values"] == "1,2,4"
    sent, back = (exchange.read(one, BACKEND).job.changed(native={}) for one in (ALGORITHM, shown))
    assert back == sent
    other = ALGORITHM | {"metadata": {"name": "other"}, "advanced_config": {}}
    sdk.create_algorithm(v1.CreateAlgorithmRequest(body=other))
    assert [one.metadata.name for one in sdk.list_algorithms(v1.ListAlgorithmsRequest(limit=1)).items] == ["other"]
    found = sdk.list_algorithms(v1.ListAlgorithmsRequest(searches="fit", order="asc"))
    assert (found.total, found.items[0].metadata.id) == (1, ident)
    sdk.change_algorithm(v1.ChangeAlgorithmRequest(algorithm_id=ident, body=other | {"metadata": {"name": "newer"}}))
    assert sdk.show_algorithm_by_uuid(v1.ShowAlgorithmByUuidRequest(algorithm_id=ident)).metadata.name == "newer"
    sdk.delete_algorithm(v1.DeleteAlgorithmRequest(algorithm_id=ident))
    with pytest.raises(ClientRequestException) as error:
        sdk.show_algorithm_by_uuid(v1.ShowAlgorithmByUuidRequest(algorithm_id=ident))
    assert (error.value.status_code, error.value.error_code) == (400, "ModelArts.2755")


@pytest.mark.parametrize("mapped", ["boot:fit.py", "fitting", ENGINE])
def test_a_job_of_a_stored_algorithm_says_little_and_has_all(make_api, mapped, until):
    api = make_api(programs=Programs({mapped: lambda x, size, epochs: x + epochs}))
    sdk = api.sdk()
    stored = sdk.create_algorithm(v1.CreateAlgorithmRequest(body=ALGORITHM)).metadata.id
    body = {
        "kind": "job",
        "metadata": {"name": "of-it"},
        "algorithm": {"id": stored, "parameters": [{"name": "epochs", "value": "9"}]},
        "spec": JOB["spec"],
    }
    ident = create(sdk, body).metadata.id
    shown = ended(sdk, ident, until)
    assert (shown.algorithm.id, shown.algorithm.name) == (stored, "fitting")
    assert shown.algorithm.boot_file == "/bucket/code/fit.py"
    assert shown.algorithm.policies.auto_search.reward_attrs[0].name == "loss"
    rows = api.rows(ident)
    assert [float(row["loss"]) for row in rows] == [row["config"]["x"] + 9 for row in rows]


def test_tags_of_jobs(done):
    sdk, ident = done
    two = [v1.TmsTag(key="team", value="vision"), v1.TmsTag(key="draft", value="")]
    made = sdk.create_train_job_tags(
        v1.CreateTrainJobTagsRequest(training_job_id=ident, body=v1.CreateTmsTagsRequest(tags=two))
    )
    assert made.status_code == 204
    gone = v1.DeleteTmsTagsRequest(tags=[v1.TmsTag(key="draft", value="")])
    sdk.delete_train_job_tags(v1.DeleteTrainJobTagsRequest(training_job_id=ident, body=gone))
    tags = sdk.show_train_job_tags(v1.ShowTrainJobTagsRequest(training_job_id=ident)).tags
    assert [(one.key, one.value) for one in tags] == [("team", "vision")]
    every = sdk.list_training_job_tags(v1.ListTrainingJobTagsRequest()).tags
    assert [(one.key, one.values) for one in every] == [("team", ["vision"])]


# ---- what there is --------------------------------------------------------------------------------------------------


def test_search_algorithms_templates_engines_and_flavors(api):
    sdk = api.sdk()
    found = sdk.show_search_algorithms(v1.ShowSearchAlgorithmsRequest())
    assert found.search_algo_count == 3
    assert {one.name: [(p.key, p.value) for p in one.params] for one in found.search_algo_list}["tpe_search"] == [
        ("gamma", "0.25"), ("n_initial_points", "20"), ("num_samples", "20"), ("seed", "1")
    ]  # fmt: skip
    kinds = sdk.show_auto_search_yaml_templates_info(v1.ShowAutoSearchYamlTemplatesInfoRequest()).yaml_templates
    assert [one.algorithm_type_en for one in kinds] == ["hpo", "nas", "augment", "compression"]
    for kind in kinds:
        for name in kind.algorithm_names:
            request = v1.ShowAutoSearchYamlTemplateContentRequest(
                algorithm_type=kind.algorithm_type_en, algorithm_name=name
            )
            assert sdk.show_auto_search_yaml_template_content(request).file_name == f"{name}.yaml"
    engines = sdk.show_training_job_engines(v1.ShowTrainingJobEnginesRequest()).to_json_object()
    searching = [
        one["engine_id"] for one in engines["items"] if {"key": "auto_search", "value": "True"} in one.get("tags", [])
    ]
    assert ENGINE in searching
    assert 0 < len(searching) < engines["total"] == len(engines["items"])
    flavors = sdk.show_training_job_flavors(v1.ShowTrainingJobFlavorsRequest(flavor_type="GPU"))
    assert {one.flavor_type for one in flavors.flavors} == {"GPU"}
    assert flavors.total_count == len(flavors.flavors)


def test_quotas_are_told_changed_and_kept(api):
    sdk = api.sdk()
    item = v1.ModifyTrainingQuotaItem(resource="job-num", quota=1)
    body = v1.ModifyTrainingQuotaRequest(quotas=[item])
    sdk.modify_training_quotas(v1.ModifyTrainingQuotasRequest(body=body))
    create(sdk)
    quotas = sdk.show_training_quotas(v1.ShowTrainingQuotasRequest()).quotas
    assert [(one.resource, one.quota, one.used) for one in quotas] == [("job-num", 1, 1)]
    with pytest.raises(ClientRequestException) as error:
        create(sdk, name="another")
    assert error.value.error_code == "ModelArts.2816"
    pools = sdk.show_os_quota(v1.ShowOsQuotaRequest()).quotas.resources
    assert [one.type for one in pools] == ["pool", "network"]
    networks = requests.get(f"{api.url}/v1/p/os-user-config").json()
    assert {"networkCidrs", "networkQuota", "poolQuota", "pooHighAvailable"} == set(networks)
    runtimes = requests.get(f"{api.url}/v1/p/models/ai-engine-runtimes").json()
    for one in runtimes["engine_runtimes"]:
        assert len({len(value) for key, value in one.items() if key != "ai_engine"}) == 1


# ---- errors, signatures ---------------------------------------------------------------------------------------------


def test_what_is_refused_has_the_services_code_and_text(api):
    sdk = api.sdk()
    create(sdk)
    with pytest.raises(ClientRequestException) as error:
        create(sdk)
    assert (error.value.status_code, error.value.error_code) == (400, "ModelArts.2751")
    assert "digits" in error.value.error_msg
    assert re.fullmatch("[0-9a-f]{32}", error.value.request_id)
    with pytest.raises(ClientRequestException) as error:
        show(sdk, "none")
    assert (error.value.status_code, error.value.error_code) == (400, "ModelArts.2775")


@pytest.mark.parametrize(
    ("kind", "raised", "status", "code"),
    [
        ("throttle", ClientRequestException, 429, "ModelArts.2799"),
        ("quota", ClientRequestException, 400, "ModelArts.2816"),
        ("error", ServerResponseException, 500, "ModelArts.2950"),
    ],
)
def test_faults_are_worded_as_the_service_does(api, kind, raised, status, code):
    api.faults.add(kind, "CreateTrainingJob")
    with pytest.raises(raised) as error:
        create(api.sdk())
    assert (error.value.status_code, error.value.error_code) == (status, code)
    assert api.host.documents.all("modelarts/job") == []


def test_signatures_are_checked_on_request(make_api, until):
    api = make_api(modelarts.Options(keys={"known": "secret"}))
    sdk = api.sdk("known", "secret")
    ident = create(sdk, description="größer / 大").metadata.id
    ended(sdk, ident, until)
    sdk.show_auto_search_trials(v1.ShowAutoSearchTrialsRequest(training_job_id=ident, limit=10, offset=0))
    sdk.validate_training_job_name(v1.ValidateTrainingJobNameRequest(job_name="a b+c/d~e", workspace_id="0"))
    for ak, sk in (("known", "wrong"), ("unknown", "secret")):
        with pytest.raises(ClientRequestException) as error:
            show(api.sdk(ak, sk), ident)
        assert (error.value.status_code, error.value.error_code) == (401, "APIGW.0301")
    assert requests.get(f"{api.url}/v2/p/training-jobs/{ident}").status_code == 401
    token = {"X-Auth-Token": "any"}
    assert requests.get(f"{api.url}/v2/p/training-jobs/{ident}", headers=token).status_code == 200


def test_a_signature_does_not_last(make_api, monkeypatch):
    api = make_api(modelarts.Options(keys={"ak": "sk"}))
    moment = Signer._process_header_time

    @staticmethod
    def late(request):
        request.header_params["X-Sdk-Date"] = "20200101T000000Z"
        return moment(request)

    monkeypatch.setattr(Signer, "_process_header_time", late)
    with pytest.raises(ClientRequestException, match="15 minutes"):
        show(api.sdk(), "any")


def test_the_asynchronous_client_works_as_well(api):
    sdk = api.sdk(kind="ModelArtsAsyncClient")
    made = sdk.create_training_job_async(v1.CreateTrainingJobRequest(body=JOB)).result()
    assert made.metadata.name == "digits"


def test_every_operation_is_one_of_the_sdk(api):
    service = Service(api.host, api.faults, modelarts.Options(), lambda: "")
    beyond = {"ShowObsUrlOfTrainingJobLogs", "ListEngineRuntimes"}
    for method, template, _, name, _ in service._operations():
        method_name = re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
        if name in beyond:
            assert not hasattr(v1.ModelArtsClient, method_name)
            continue
        request = type("Request", (), {"attribute_map": {}})()
        info = getattr(v1.ModelArtsClient, f"_{method_name}_http_info")(request)
        plain = [re.sub(r"{\w+}", "{}", path) for path in (template, info["resource_path"])]
        assert (method, plain[0]) == (info["method"], plain[1]), name
        assert json.dumps(info["response_type"])
