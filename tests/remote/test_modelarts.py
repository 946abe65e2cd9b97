"""tuneport's own client of ModelArts: on the emulator, on a service of the test's own, and on scripted calls."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys

import pytest
import requests
from huaweicloudsdkcore.auth import credentials
from huaweicloudsdkcore.exceptions import exceptions as sdk
from huaweicloudsdkmodelarts.v1.region.modelarts_region import ModelArtsRegion

import tuneport as tp
from tuneport.backends import retries
from tuneport.backends.modelarts import BACKEND
from tuneport.backends.modelarts.client import ModelArtsClient, connecting, refusals
from tuneport.backends.modelarts.settings import ModelArtsSettings
from tuneport.emulators import modelarts
from tuneport.emulators.faults import Kind
from tuneport.emulators.pace import Pace
from tuneport.emulators.programs import Programs
from tuneport.emulators.server import Response, Server
from tuneport.errors import (
    AuthError,
    BackendError,
    BackendNotInstalledError,
    ConflictError,
    QuotaError,
    RunNotFoundError,
    UnavailableError,
)
from tuneport.model.results import RunState, TrialState
from tuneport.translating import translate

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:huaweicloudsdkcore")

IMAGE = "team/trainer:1"
JOBS = "modelarts/job"
TRAINER = """
import tuneport_trial as t
p = t.params()
print("layers", type(p["layers"]).__name__, p["layers"])
t.report(loss=(p["lr"] - 0.03) ** 2 + p["layers"], step=1)
"""
SLEEPER = "import time; time.sleep(60)"


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Nobody's own credentials, regions and long waits."""
    monkeypatch.setattr(retries, "SLOWEST", 0.001)
    for name in ("AK", "SK", "PROJECT_ID", "REGION_MODELARTS_CN_NORTH_4"):
        monkeypatch.delenv(f"HUAWEICLOUD_SDK_{name}", raising=False)
    monkeypatch.setattr(credentials.Credentials, "_CACHE", {})


@pytest.fixture
def make_place(open_door, monkeypatch):
    def make(options=None, **arguments):
        host, door = open_door("modelarts", options, **arguments)
        monkeypatch.setenv("TUNEPORT_MODELARTS__ENDPOINT", door.endpoints["modelarts"])
        return host, BACKEND.connect(ModelArtsSettings(endpoint=door.endpoints["modelarts"]))

    return make


@pytest.fixture
def job():
    return tp.TuningJob(
        name="digits",
        labels={"team": "vision", "draft": ""},
        study=tp.StudySpec(
            parameters=[
                tp.Float("lr", 1e-4, 0.1),
                tp.Discrete("layers", [1, 2, 4]),
                tp.Categorical("wide", [True, False]),
            ],
            objectives=[tp.minimize("loss")],
            algorithm=tp.Random(),
        ),
        trial=tp.TrialSpec(image=IMAGE, command=["python", "fit.py"], resources={"machine": "modelarts.vm.cpu.8u"}),
        budget=tp.Budget(max_trials=4),
    )


@pytest.fixture
def payload(job):
    return translate(job, "modelarts").payload


def result_of(made, ref):
    return BACKEND.status.parse(made.describe(ref), made.trials(ref))


def submitted(place, payload):
    """The reference of a job that has ended."""
    host, made = place
    ref = made.submit(payload, "abc")
    host.wait(host.documents.get(JOBS, ref.partition("/")[2]).run, 20)
    return ref


# ---- on the emulator ------------------------------------------------------------------------------------------------


def test_a_job_goes_there_and_its_trials_come_back(make_place, job, tmp_path):
    make_place(pace=Pace(), programs=Programs({IMAGE: (sys.executable, "-c", TRAINER)}))
    run = tp.submit(job, on="modelarts", workspace=tmp_path / "here")
    result = run.wait(timeout=60)
    assert result.state is RunState.SUCCEEDED
    assert run.ref.startswith("modelarts:cn-north-4/")
    for trial in result.trials:
        kinds = {name: type(value) for name, value in trial.parameters.items()}
        assert kinds == {"lr": float, "layers": int, "wide": bool}
        assert trial.metrics["loss"] == (trial.parameters["lr"] - 0.03) ** 2 + trial.parameters["layers"]
    elsewhere = tp.attach(run.ref, workspace=tmp_path / "elsewhere")
    assert elsewhere.best == result.best
    assert elsewhere.job.labels == job.labels
    assert next(iter(elsewhere.logs(2))) == f"layers int {result.trials[1].parameters['layers']}"
    with pytest.raises(ConflictError):
        elsewhere.stop()
    elsewhere.delete()
    with pytest.raises(RunNotFoundError):
        run.result()


def test_a_trial_is_stopped_and_then_the_job(make_place, payload, until):
    programs = Programs({IMAGE: (sys.executable, "-c", SLEEPER)})
    host, made = make_place(modelarts.Options(parallel=2), pace=Pace(), programs=programs)
    ref = made.submit(payload, "abc")

    def running():
        trials = result_of(made, ref).trials
        return [one.links["trial"] for one in trials if one.state is TrialState.RUNNING]

    until(lambda: len(running()) == 2)
    first, second = running()
    made.stop(ref, first)
    until(lambda: len(running()) == 2 and first not in running())
    made.stop(ref)
    assert host.wait(host.documents.all(JOBS)[0].run, 20).state is RunState.STOPPED
    assert result_of(made, ref).state is RunState.STOPPED
    with pytest.raises(BackendError, match="does not run"):
        made.stop(ref, second)


def test_trials_have_the_names_of_the_request_there_and_those_of_the_job_here(make_place, job, tmp_path, until):
    told = []
    space = [
        tp.Float("lr", 1e-4, 0.1, scale="log"),
        tp.Int("layers", 1, 64, scale="log"),
        tp.Categorical("opt", ["adam", "sgd"]),
        tp.Float("momentum", 0.5, 0.9, when=tp.when("opt", "sgd")),
    ]
    changed = job.changed(study=job.study.changed(parameters=space), budget={"max_trials": 8})

    def train(**parameters):
        told.append(parameters)
        return 1.0

    _, made = make_place(programs=Programs({IMAGE: train}))
    run = tp.submit(changed, on="modelarts", workspace=tmp_path)
    trials = run.wait(timeout=30).trials
    (table,) = made.trials(run.ref.partition(":")[2])
    rows = [dict(zip(table["items"]["header"], row, strict=True))["config"] for row in table["items"]["data"]]
    there = {name.removeprefix("param/") for row in rows for name in row} - {"trial_index"}
    assert there == {"log10_lr", "log10_layers", "opt", "momentum"}, "the service searches what it was sent"
    here = {"lr": float, "layers": int, "opt": str, "momentum": float}
    for row, trial in zip(rows, trials, strict=True):
        names = here.keys() - ({"momentum"} if row["opt"] == "adam" else set())
        assert {name: type(value) for name, value in trial.parameters.items()} == {name: here[name] for name in names}
        assert trial.parameters["lr"] == pytest.approx(10 ** float(row["log10_lr"]))
    assert sorted(told, key=str) == sorted((dict(one.parameters) for one in trials), key=str)


def test_a_script_gets_what_the_job_means(make_place, job, tmp_path):
    space = [tp.Float("lr", 1e-4, 0.1, scale="log"), tp.Int("layers", 1, 64, scale="log")]
    changed = job.changed(study=job.study.changed(parameters=space), budget={"max_trials": 2})
    make_place(pace=Pace(), programs=Programs({IMAGE: (sys.executable, "-c", TRAINER)}))
    run = tp.submit(changed, on="modelarts", workspace=tmp_path)
    for trial in run.wait(timeout=60).trials:
        assert trial.metrics["loss"] == pytest.approx((trial.parameters["lr"] - 0.03) ** 2 + trial.parameters["layers"])
        assert f"layers int {trial.parameters['layers']}" in list(run.logs(trial.id))


def test_lines_of_a_trial_are_told_from_those_of_others(make_place, payload):
    place = make_place(pace=Pace(), programs=Programs({IMAGE: (sys.executable, "-c", TRAINER)}))
    ref = submitted(place, payload)
    for trial in result_of(place[1], ref).trials:
        (first, second) = place[1].logs(ref, trial.links["trial"])
        assert first == f"layers int {trial.parameters['layers']}"
        assert second.startswith("tuneport: ")


def test_there_may_be_no_log_yet(make_place, payload):
    _, made = make_place(pace=Pace(queued=60))
    assert list(made.logs(made.submit(payload, "abc"), "any")) == []


@pytest.mark.parametrize(
    "options",
    [
        modelarts.Options(layout="console", config="repr"),
        modelarts.Options(offsets="pages"),
        modelarts.Options(config="repr", offsets="pages", parallel=3),
    ],
)
def test_whatever_way_the_service_says_it_the_same_is_read(make_place, job, options):
    place = make_place(options)
    ref = submitted(place, translate(job.changed(budget={"max_trials": 210}), "modelarts").payload)
    host, made = place
    there = host.result(host.documents.all(JOBS)[0].run)
    assert len(there.trials) == 210
    assert [(one.id, one.parameters, one.metrics) for one in result_of(made, ref).trials] == [
        (one.id, one.parameters, one.metrics) for one in there.trials
    ]


def test_what_modelarts_has_besides(make_place, payload):
    place = make_place()
    ref, made = submitted(place, payload), place[1]
    trial = result_of(made, ref).trials[0]
    assert len(made.reports(ref, trial.links["trial"])["data"]) == 5
    assert [row[0] for row in made.parameter_analysis(ref)["data"]] == ["lr", "layers", "wide"]
    assert made.parameter_image(ref, "lr").endswith("/fanova/lr.png")
    assert made.tags(ref) == [{"key": "team", "value": "vision"}, {"key": "draft", "value": ""}]
    assert requests.get(made.log_url(ref)).text.startswith("(pid=301) ")
    assert [one["name"] for one in made.search_algorithms()] == ["bayes_opt_search", "tpe_search", "anneal_search"]
    assert made.templates()[0]["algorithm_names"][1] == "Bayes"
    assert "bayes_opt_search" in made.template("hpo", "Bayes")
    assert any("tags" in one for one in made.engines())
    assert {one["ai_engine"] for one in made.engine_runtimes()} == {"PyTorch", "TensorFlow", "Custom"}
    assert {one["flavor_type"] for one in made.flavors("GPU")} == {"GPU"}
    assert len(made.flavors()) > len(made.flavors("GPU"))
    assert made.training_quotas() == [{"resource": "job-num", "quota": 10_000, "used": 1}]
    assert [one["type"] for one in made.resource_quotas()] == ["pool", "network"]
    assert made.network_quotas()["networkQuota"] == 15
    with pytest.raises(BackendError, match="models/any"):
        made.model("any")


def test_an_algorithm_is_stored_once_and_is_no_run(make_place, job):
    host, made = make_place()
    trial = {"command": ["python", "fit.py"], "package": "obs://bucket/code/", "image": "pytorch_1.8.0"}
    stored = translate(job.changed(trial=trial), "modelarts", form="algorithm").payload
    host.faults.add(Kind.LOST, "CreateAlgorithm", calls=[1])
    ref = made.submit(stored, "abc")
    assert ref == made.submit(stored, "abc", again=True)
    assert len(host.documents.all("modelarts/algorithm")) == 1
    assert made.describe(ref)["metadata"]["name"] == "digits-abc"
    assert list(made.trials(ref)) == []
    with pytest.raises(BackendError, match="does not run"):
        made.stop(ref)
    made.delete(ref)
    with pytest.raises(RunNotFoundError):
        made.describe(ref)


# ---- once, whatever happens -----------------------------------------------------------------------------------------


def test_a_name_that_another_job_has_is_a_conflict(make_place, payload):
    host, made = make_place()
    made.submit(payload, "abc")
    with pytest.raises(ConflictError, match="2751"):
        made.submit(payload, "abc")
    assert len(host.documents.all(JOBS)) == 1


# ---- on calls of the test's own -------------------------------------------------------------------------------------


class Calls:
    """Answers with what a test says, and keeps what was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, method, path, body, query):
        self.asked.append((method, path.removeprefix("/v2/{project_id}"), body, query))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


def connected(*answers):
    calls = Calls(*answers)
    return ModelArtsClient(calls, "cn-north-4", lambda url: pytest.fail(f"{url} is not to be read")), calls


def listed(*names):
    return {"items": [{"metadata": {"name": name, "id": f"id-of-{name}"}} for name in names]}


def table(offset, limit, total=1000):
    rows = [[str(index), f"{index:08x}", "1.0"] for index in range(offset, min(total, offset + limit))]
    return {"total": total, "items": {"header": ["", "trial_id", "loss"], "data": rows}}


@pytest.mark.parametrize("by_pages", [False, True])
def test_a_thousand_trials_cost_at_most_twelve_calls(payload, by_pages):
    asked = []

    def answer(method, path, body, query):
        asked.append(path)
        if not path.endswith("autosearch-trials"):
            return payload | {"metadata": {"id": "1", "name": "digits"}, "status": {"phase": "Running"}}
        return table(query["offset"] * (query["limit"] if by_pages else 1), query["limit"])

    made = ModelArtsClient(answer, "cn-north-4", lambda _: [])
    assert len(result_of(made, "cn-north-4/1").trials) == 1000
    assert len(asked) <= 12 or by_pages


def test_pages_may_be_shorter_than_was_asked_for():
    made, calls = connected(table(0, 50, 120), table(50, 50, 120), table(100, 50, 120))
    assert sum(len(one["items"]["data"]) for one in made.trials("cn-north-4/1")) == 120
    assert [query["offset"] for *_, query in calls.asked] == [0, 50, 100]


def test_what_is_sent_has_the_mark_in_its_name_and_no_tags_or_region():
    made, calls = connected({"metadata": {"id": "7"}}, {})
    payload = {"metadata": {"name": "x" * 64}, "algorithm": {}, "tags": [{"key": "draft"}], "region": "cn-north-4"}
    assert made.submit(payload, "abc123") == "cn-north-4/7"
    create, tags = calls.asked
    assert create == ("POST", "/training-jobs", {"metadata": {"name": "x" * 57 + "-abc123"}, "algorithm": {}}, None)
    assert tags[1:3] == ("/modelarts-training-job/7/tags/create", {"tags": [{"key": "draft", "value": ""}]})
    assert payload["metadata"]["name"] == "x" * 64


def test_a_lost_job_is_looked_for_by_its_whole_name_in_its_workspace():
    lost = UnavailableError("lost")
    made, calls = connected(lost, listed("digits-abc-2", "digits-abc"))
    body = {"metadata": {"name": "digits", "workspace_id": "w"}, "algorithm": {}}
    assert made.submit(body, "abc") == "cn-north-4/id-of-digits-abc"
    search = calls.asked[1][2]
    assert search["filters"] == [{"key": "name", "operator": "like", "value": ["digits-abc"]}]
    assert search["workspace_id"] == "w"


def test_a_job_that_appears_only_after_we_looked_is_ours():
    taken = ConflictError("taken")
    made, _ = connected(UnavailableError("slow"), listed(), taken, listed("digits-abc"))
    assert made.submit({"metadata": {"name": "digits"}, "algorithm": {}}, "abc") == "cn-north-4/id-of-digits-abc"


def test_a_job_whose_tags_are_refused_is_not_lost(caplog):
    body = {"metadata": {"name": "digits"}, "algorithm": {}, "tags": [{"key": "team", "value": "a"}]}
    made, _ = connected({"metadata": {"id": "7"}}, AuthError("not allowed"))
    with caplog.at_level(logging.WARNING):
        assert made.submit(body, "abc") == "cn-north-4/7"
    assert "tags could not be set" in caplog.text


def test_who_may_not_see_tags_sees_jobs():
    made, calls = connected({"metadata": {}}, AuthError("not allowed"), {"metadata": {}})
    assert made.describe("cn-north-4/1") == made.describe("cn-north-4/1") == {"metadata": {}}
    assert len(calls.asked) == 3


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"search_space": [], "search_algorithm": {}}, "of this kind cannot be submitted"),
        ({"metadata": [{"name": "x"}], "algorithm": {}}, "of this kind cannot be submitted"),
        ({"metadata": {"name": "x"}, "algorithm": {}, "region": "cn-east-3"}, "is one of cn-east-3, not of cn-north-4"),
    ],
)
def test_what_does_not_belong_there_is_not_sent(document, why):
    made, calls = connected({})
    with pytest.raises(BackendError, match=why):
        made.submit(document, "abc")
    assert calls.asked == []


@pytest.mark.parametrize("ref", ["", "cn-north-4", "cn-north-4/", "/1", "a/b/c", "a/algorithms/", "a/algorithms/b/c"])
def test_what_is_no_reference_is_said_to_be_none(ref):
    made, calls = connected({})
    with pytest.raises(RunNotFoundError, match="no job of ModelArts"):
        made.describe(ref)
    assert calls.asked == []


def test_a_repeated_deletion_or_stop_may_find_that_it_is_done():
    lost = UnavailableError("lost")
    connected(lost, RunNotFoundError("gone"))[0].delete("cn-north-4/1")
    connected(lost, ConflictError("ended"))[0].stop("cn-north-4/1")
    with pytest.raises(RunNotFoundError):
        connected(RunNotFoundError("gone"))[0].delete("cn-north-4/1")
    with pytest.raises(ConflictError):
        connected(ConflictError("ended"))[0].stop("cn-north-4/1")


def test_a_log_that_does_not_say_who_wrote_a_line_is_told_whole():
    job = {"status": {"tasks": ["worker-0"]}, "metadata": {}}
    made, calls = connected(job, {"tags": []}, {"content": "one\ntwo\n", "current_size": 8, "full_size": 8})
    assert list(made.logs("cn-north-4/1", "ae544174")) == ["one", "two"]
    assert calls.asked[-1][1] == "/training-jobs/1/tasks/worker-0/logs/preview"


def test_a_log_of_which_there_is_more_than_the_preview_is_read_where_it_is_kept(caplog):
    job = {"metadata": {}}
    preview = {"content": "two\n", "current_size": 4, "full_size": 8}
    calls = Calls(job, {"tags": []}, preview, {"obs_url": "https://obs/log"})
    made = ModelArtsClient(calls, "cn-north-4", lambda url: [f"one of {url}", "two"])
    assert list(made.logs("cn-north-4/1", "ae544174")) == ["one of https://obs/log", "two"]

    def gone(_):
        raise RunNotFoundError("gone")

    calls = Calls(job, {"tags": []}, preview, {"obs_url": "https://obs/log"})
    assert list(ModelArtsClient(calls, "cn-north-4", gone).logs("cn-north-4/1", "ae544174")) == ["two"]
    assert "only the newest lines" in caplog.text


def test_lines_as_ray_marks_them_are_told_apart():
    text = "(train pid=314) a\nstarting\n(train pid=315, ip=10.0.0.1) b\n(train pid=314, ip=10.0.0.1) c\n"
    trial = {"header": ["done", "pid"], "data": [["False", "314"], ["True", "314"]]}
    made, _ = connected({"metadata": {}}, {}, {"content": text}, trial)
    assert list(made.logs("cn-north-4/1", "ae544174")) == ["a", "c"]


# ---- errors ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def scripted():
    """A service that answers everything with what it is told, and a connection to it."""
    answers = []
    server = Server(lambda _: answers[0], lambda error: Response(500))
    made = BACKEND.connect(ModelArtsSettings(endpoint=server.url))

    def error_of(status, body=b"", method="GET"):
        answers[:] = [Response(status, body, {"Content-Type": "application/json"})]
        with pytest.raises(BackendError) as raised:
            made._call(method, "/v2/{project_id}/any", None, None)
        return raised.value

    yield error_of
    server.close()


def refused(code):
    return b'{"error_code": "%s", "error_msg": "no"}' % code.encode()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "ModelArts.2751", ConflictError),
        (400, "ModelArts.2775", RunNotFoundError),
        (400, "ModelArts.2755", RunNotFoundError),
        (400, "ModelArts.2788", BackendError),
        (400, "ModelArts.2816", QuotaError),
        (400, "ModelArts.9999", BackendError),
        (401, "ModelArts.0203", AuthError),
        (401, "APIGW.0301", AuthError),
        (403, "ModelArts.2785", AuthError),
        (404, "ModelArts.2786", AuthError),
        (404, "ModelArts.2836", BackendError),
        (404, "APIGW.0101", RunNotFoundError),
        (409, "ModelArts.2796", ConflictError),
        (429, "ModelArts.2799", UnavailableError),
        (429, "APIGW.0308", UnavailableError),
        (500, "ModelArts.2950", UnavailableError),
        (503, "", UnavailableError),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_errors_are_ours_with_theirs_as_the_cause(scripted, status, code, kind, method):
    error = scripted(status, refused(code) if code else b"<html>Bad Gateway</html>", method)
    assert type(error) is kind
    assert isinstance(error.__cause__, sdk.SdkException)
    assert error.backend == "modelarts"


def test_an_answer_that_is_cut_off_is_worth_another_try(scripted):
    assert type(scripted(200, b'{"name": "cut o')) is UnavailableError


def test_a_service_that_is_not_there_is_worth_another_try(caplog, capfd):
    server = Server(lambda _: Response(), lambda error: Response(500))
    made = BACKEND.connect(ModelArtsSettings(endpoint=server.url))
    server.close()
    with pytest.raises(UnavailableError) as raised:
        made.describe("cn-north-4/1")
    assert isinstance(raised.value.__cause__, sdk.ConnectionException)
    assert capfd.readouterr().err == ""


def test_every_exception_of_the_sdk_has_an_error_of_ours():
    theirs = [one for _, one in inspect.getmembers(sdk, inspect.isclass) if issubclass(one, Exception)]
    http = requests.exceptions
    theirs += [one for _, one in inspect.getmembers(http, inspect.isclass) if issubclass(one, http.RequestException)]
    assert len(theirs) > 30
    passing = set()
    for one in theirs:
        if issubclass(one, sdk.ServiceResponseException):
            made = one(500, sdk.SdkError("request", "ModelArts.2950", "no"))
        elif issubclass(one, requests.exceptions.JSONDecodeError):
            made = one("no", "doc", 0)
        else:
            made = one("no")
        error = refusals.refusal(made)
        assert error.message
        passing |= {one.__name__} if error.retryable else set()
    assert {"ConnectionException", "CallTimeoutException", "ReadTimeout", "ChunkedEncodingError"} <= passing
    assert not {"SdkException", "SslHandShakeException", "SSLError", "InvalidURL", "ApiTypeError"} & passing


# ---- where and who --------------------------------------------------------------------------------------------------


def test_a_missing_sdk_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huaweicloudsdkcore.client", None)
    with pytest.raises(BackendNotInstalledError) as raised:
        BACKEND.connect(ModelArtsSettings(region="cn-north-4"))
    assert raised.value.hint == "pip install 'tuneport[modelarts]'"


def test_no_sdk_is_loaded_before_there_is_a_connection_and_then_only_its_core():
    program = (
        "import sys; from tuneport.backends.modelarts import BACKEND; import tuneport.backends.modelarts.client;"
        "print([m for m in sys.modules if m.startswith('huaweicloud')]);"
        "BACKEND.connect(BACKEND.settings_type(endpoint='http://127.0.0.1:9'));"
        "print('huaweicloudsdkcore.client' in sys.modules, 'huaweicloudsdkmodelarts' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.split("\n")[:2] == ["[]", "True False"]


@pytest.mark.parametrize("region", sorted(ModelArtsRegion.static_fields))
def test_every_region_is_where_the_sdk_has_it(region):
    assert connecting._there(region).endpoint == ModelArtsRegion.static_fields[region].endpoint


def sent_by(made):
    """Where a connection's requests go, and as whom."""
    seen = []

    class Session(requests.Session):
        def request(self, method, url, **options):
            seen.append((url, options["headers"]))
            raise requests.exceptions.SSLError("not sent")

    made._call.__closure__[1].cell_contents.get_http_client()._session = Session()
    with pytest.raises(BackendError):
        made.describe("cn-north-4/1")
    return seen[0]


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"region": "cn-east-3"}, "https://modelarts.cn-east-3.myhuaweicloud.com"),
        ({"region": "ap-southeast-1"}, "https://modelarts.ap-southeast-1.myhuaweicloud.cn"),
        ({"region": "cn-north-4"}, "https://ours.example"),
        (
            {"endpoint": "https://modelarts.cn-south-1.myhuaweicloud.com"},
            "https://modelarts.cn-south-1.myhuaweicloud.com",
        ),
        ({"region": "cn-east-3", "endpoint": "inner.example"}, "https://inner.example"),
    ],
)
def test_requests_go_to_the_region_or_the_endpoint(monkeypatch, settings, url):
    monkeypatch.setenv("HUAWEICLOUD_SDK_REGION_MODELARTS_CN_NORTH_4", "https://ours.example")
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "ak")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "sk")
    monkeypatch.setenv("HUAWEICLOUD_SDK_PROJECT_ID", "theirs")
    made = BACKEND.connect(ModelArtsSettings(**settings))
    where, headers = sent_by(made)
    assert where == f"{url}/v2/theirs/training-jobs/1"
    assert "Access=ak," in headers["Authorization"]
    where, headers = sent_by(BACKEND.connect(ModelArtsSettings(project="ours", **settings)))
    assert where == f"{url}/v2/ours/training-jobs/1"
    assert headers["X-Project-Id"] == "ours"


def test_nothing_that_says_the_region_is_one_clear_error():
    with pytest.raises(AuthError) as raised:
        BACKEND.connect(ModelArtsSettings())
    assert "TUNEPORT_MODELARTS__REGION" in raised.value.hint


def test_no_credentials_is_one_clear_error(monkeypatch, tmp_path):
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(requests, "get", lambda *_, **__: pytest.fail("no machine here gives credentials"))

    def nowhere(*_, **__):
        raise requests.exceptions.ConnectionError("no metadata")

    monkeypatch.setattr(requests.Session, "request", nowhere)
    monkeypatch.setattr(requests, "get", nowhere)
    with pytest.raises(AuthError) as raised:
        BACKEND.connect(ModelArtsSettings(region="cn-north-4"))
    assert "HUAWEICLOUD_SDK_AK" in raised.value.hint
    assert raised.value.__cause__ is not None


def test_an_emulator_gets_signatures_only_of_variables(make_place, payload, monkeypatch, tmp_path):
    file = tmp_path / "credentials"
    file.write_text("[basic]\nak = precious\nsk = secret\n")
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(file))
    _, made = make_place(modelarts.Options(keys={"emulated": "emulated"}))
    made.submit(payload, "abc")
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "ak")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "sk")
    _, made = make_place(modelarts.Options(keys={"ak": "sk"}))
    made.submit(payload, "abc")
    _, made = make_place(modelarts.Options(keys={"ak": "another"}))
    with pytest.raises(AuthError, match="signature"):
        made.submit(payload, "abc")


def test_a_probe_tells_the_way_without_secrets(make_place, monkeypatch):
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "HPUA1234567890XY")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "verysecret")
    host, made = make_place()
    found = {one.what: one for one in made.probe()}
    assert found["credentials"].found == "HPUA…XY"
    assert found["region"].found == "cn-north-4"
    assert found["endpoint"].found.startswith("http://127.0.0.1:")
    assert found["training jobs"].found == "can be read"
    assert found["quota of training jobs"].found == "job-num 0 of 10000"
    assert found["quotas of resources"].found == "pool 0 of 15, network 0 of 15"
    assert found["quota of networks"].found == "15"
    assert found["engines"].found == "PyTorch, TensorFlow, Custom"
    assert all(one.ok for one in found.values())
    assert "verysecret" not in repr(found)
    host.faults.add(Kind.QUOTA, "ListTrainingJobs")
    refused = {one.what: one for one in made.probe()}["training jobs"]
    assert not refused.ok
    assert "upper limit" in refused.found


def test_a_probe_tells_whether_there_is_what_a_job_names(make_place, job):
    _, made = make_place()
    engine = {"engine_id": made.engines()[0]["engine_id"]}
    there = {"spec": {"resource": {"flavor_id": "modelarts.vm.cpu.8u"}}, "algorithm": {"engine": engine}}
    found = {one.what: one for one in made.probe(there)}
    assert found["machine type"].found == "modelarts.vm.cpu.8u is offered"
    assert found["engine"].found == f"{engine['engine_id']} is offered"
    wrong = {
        "spec": {"resource": {"flavor_id": "modelarts.vm.cpu.8"}},
        "algorithm": {"engine": {"engine_name": "PyTorch", "engine_version": "pytorch_9"}, "id": "no-such-one"},
    }
    found = {one.what: one for one in made.probe(wrong)}
    assert {name for name, one in found.items() if not one.ok} == {"machine type", "engine", "stored algorithm"}
    assert "modelarts.vm.cpu.8u" in found["machine type"].hint
    pooled = {"spec": {"resource": {"flavor_id": "any", "pool_id": "pool-1"}}, "algorithm": {}}
    assert all(one.ok for one in made.probe(pooled))
