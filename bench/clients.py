"""What it costs to send a job, and what the emulators take: `make bench`, as ratios in one run.

1. From the start of a process to the first byte of the request that creates a job: `tuneport.submit` against the
   high-level path of the vendor's SDK, both with fresh interpreters, sending to a server here that notes the moment.
2. 500 trials of a trainer that does nothing, two at a time: on SageMaker's emulator, in a process of its own and looked
   at every second by tuneport's client, against this machine without any cloud.
3. How many descriptions of a job of 20 trials each emulator gives per second.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import tuneport as tp
from tuneport.emulators.doors import variables

ROUNDS, TRIALS, PARALLEL = 7, 500, 2
REQUESTS, CONNECTIONS = 1000, 4
ROLE = "arn:aws:iam::111122223333:role/demo"
ECR = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/train:1"
STUDY = """\
    study=tp.StudySpec(parameters=[tp.Float("lr", 1e-4, 0.1, scale="log"), tp.Int("depth", 2, 9)],
                       objectives=[tp.minimize("loss")]),
    budget=tp.Budget(max_trials=4, parallel_trials=2),
"""
"""What is searched, the same for all."""

OURS = {
    "vertex": f"""
import tuneport as tp
tp.submit(tp.TuningJob(name="digits",
{STUDY}
    trial=tp.TrialSpec(image="gcr.io/p/train:1", resources=tp.Resources(machine="n1-standard-4"))),
    on="vertex", workspace="WORKSPACE")
""",
    "sagemaker": f"""
import tuneport as tp
tp.submit(tp.TuningJob(name="digits",
{STUDY}
    trial=tp.TrialSpec(image="{ECR}", timeout=3600, metrics={{"loss": "loss=([-+0-9.eE]+)"}},
                       resources=tp.Resources(machine="ml.m5.large"))),
    on="sagemaker", settings={{"role": "{ROLE}", "output": "s3://bucket/out"}}, workspace="WORKSPACE")
""",
    "modelarts": f"""
import tuneport as tp
tp.submit(tp.TuningJob(name="digits",
{STUDY}
    trial=tp.TrialSpec(image="team/train:1", command=["python", "train.py"], metrics={{"loss": "loss=([-+0-9.eE]+)"}},
                       resources=tp.Resources(machine="modelarts.vm.cpu.8u"))),
    on="modelarts", tolerate="approximated", workspace="WORKSPACE")
""",
}
THEIRS = {
    "vertex": """
import google.auth.credentials
from google.cloud import aiplatform
from google.cloud.aiplatform import hyperparameter_tuning as search
aiplatform.init(project="p", location="us-central1", staging_bucket="gs://bucket", api_transport="rest",
                credentials=google.auth.credentials.AnonymousCredentials(), api_endpoint="ENDPOINT")
custom = aiplatform.CustomJob(display_name="digits", worker_pool_specs=[{
    "machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1,
    "container_spec": {"image_uri": "gcr.io/p/train:1"}}])
aiplatform.HyperparameterTuningJob(display_name="digits", custom_job=custom, metric_spec={"loss": "minimize"},
    parameter_spec={"lr": search.DoubleParameterSpec(min=1e-4, max=0.1, scale="log"),
                    "depth": search.IntegerParameterSpec(min=2, max=9, scale="linear")},
    max_trial_count=4, parallel_trial_count=2).run(sync=True)
""",
    "sagemaker": f"""
from sagemaker.core.parameter import ContinuousParameter, IntegerParameter
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, OutputDataConfig, StoppingCondition
from sagemaker.train.tuner import HyperparameterTuner
trainer = ModelTrainer(training_image="{ECR}", role="{ROLE}",
    compute=Compute(instance_type="ml.m5.large", instance_count=1),
    output_data_config=OutputDataConfig(s3_output_path="s3://bucket/out"),
    stopping_condition=StoppingCondition(max_runtime_in_seconds=3600))
HyperparameterTuner(trainer, objective_metric_name="loss", objective_type="Minimize", max_jobs=4, max_parallel_jobs=2,
    hyperparameter_ranges={{"lr": ContinuousParameter(1e-4, 0.1, "Logarithmic"), "depth": IntegerParameter(2, 9)}},
    metric_definitions=[{{"Name": "loss", "Regex": "loss=([-+0-9.eE]+)"}}]).tune(job_name="digits", wait=False)
""",
    "modelarts": """
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkmodelarts import v1
client = (v1.ModelArtsClient.new_builder().with_credentials(BasicCredentials("emulated", "emulated", "emulated"))
          .with_endpoint("ENDPOINT").build())
search = v1.AutoSearch(
    reward_attrs=[v1.RewardAttrs(name="loss", mode="min", regex="loss=([-+0-9.eE]+)")],
    search_params=[v1.SearchParams(name="lr", param_type="continuous", lower_bound="0.0001", upper_bound="0.1"),
                   v1.SearchParams(name="depth", param_type="discrete", discrete_values=["2", "4", "8"])])
body = v1.Job(kind="job", metadata=v1.JobMetadata(name="digits"),
    algorithm=v1.JobAlgorithm(command="python train.py", policies=v1.JobPolicies(auto_search=search)))
client.create_training_job(v1.CreateTrainingJobRequest(body=body))
""",
}


CREATES = ("hyperparameterTuningJobs", "CreateHyperParameterTuningJob", "training-jobs")
"""How the names of requests end that create jobs."""


class Recorder:
    """A server that notes when a request to create a job begins, and knows nothing else."""

    def __init__(self) -> None:
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.began = 0.0
                peeked = self.rfile.peek(1)  # type: ignore[attr-defined] # it is a BufferedReader
                self.began = time.perf_counter()
                if peeked:
                    super().handle_one_request()
                else:
                    self.close_connection = True

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                names = (self.path.partition("?")[0], self.headers.get("X-Amz-Target", ""))
                if any(one.endswith(CREATES) for one in names):
                    recorder.began = self.began
                    recorder.seen.set()
                self.do_GET()

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None: ...

        self.seen, self.began = threading.Event(), 0.0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients are killed while they listen
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def first_byte(script: str, workspace: Path) -> float:
    """Seconds from the start of a process to the first byte of its request."""
    recorder = Recorder()
    environ = dict(os.environ) | variables(dict.fromkeys(OURS, recorder.url))
    environ |= {"SAGEMAKER_VALIDATE_ROLE": "false", "PYTHONWARNINGS": "ignore"}
    script = script.replace("WORKSPACE", str(workspace)).replace("ENDPOINT", recorder.url)
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", script], env=environ, stdout=said, stderr=said)
        while not recorder.seen.wait(0.05):
            if process.poll() is not None:
                said.seek(0)
                raise RuntimeError(f"nothing was created: {said.read().decode()[-2000:]}")
        process.kill()
        process.wait()
    recorder.server.shutdown()
    return recorder.began - started


def submissions(folder: Path) -> None:
    aims = {"vertex": "<= 0.6", "sagemaker": "<= 1.0", "modelarts": "<= 1.0"}
    print("from the start of a process to the first byte of the request that creates a job:")
    for name, aim in aims.items():
        times: dict[str, list[float]] = {"ours": [], "theirs": []}
        for turn in range(ROUNDS + 1):
            ours, theirs = (first_byte(one[name], folder / f"{name}-{turn}") for one in (OURS, THEIRS))
            if turn:  # the first one fills caches
                times["ours"].append(ours)
                times["theirs"].append(theirs)
        ours, theirs = (statistics.median(one) for one in times.values())
        ratios = [a / b for a, b in zip(times["ours"], times["theirs"], strict=True)]
        say(f"{name}: tuneport {ours:.2f} s / the vendor's SDK {theirs:.2f} s", ratios, aim)


# ---- emulators ------------------------------------------------------------------------------------------------------


@contextmanager
def emulated(*arguments: str) -> Iterator[dict[str, str]]:
    """The endpoints of emulators in a process of their own."""
    command = [sys.executable, "-m", "tuneport", "emulate", "--json", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def job(trials: int, trial: tp.TrialSpec) -> tp.TuningJob:
    return tp.TuningJob(
        name="bench",
        study=tp.StudySpec(
            parameters=[tp.Float("lr", 0, 1)], objectives=[tp.minimize("loss")], algorithm=tp.Random(seed=1)
        ),
        trial=trial,
        budget=tp.Budget(max_trials=trials, parallel_trials=PARALLEL),
    )


NOTHING = ["sh", "-c", "echo loss=0.5"]
METRICS = {"loss": "loss=([-+0-9.eE]+)"}
THERE = tp.TrialSpec(image=ECR, timeout=3600, metrics=METRICS, resources=tp.Resources(machine="ml.m5.large"))
SETTINGS = {"role": ROLE, "output": "s3://bucket/out"}


def here(folder: Path) -> float:
    return spent(tp.run(job(TRIALS, tp.TrialSpec(command=NOTHING, metrics=METRICS)), workspace=folder / "here").result)


def there(folder: Path) -> float:
    run = tp.submit(
        job(TRIALS, THERE), on="sagemaker", settings=SETTINGS, tolerate="approximated", workspace=folder / "there"
    )
    while not (result := run.result).state.ended:
        time.sleep(1)
    return spent(result)


def spent(result: tp.StudyResult) -> float:
    """Seconds from the making of a run to its end, by its own record."""
    assert sum(trial.metrics.get("loss") == 0.5 for trial in result.trials) == TRIALS
    assert result.created is not None
    assert result.ended is not None
    return result.ended - result.created


def throughput(folder: Path) -> None:
    with emulated("sagemaker", "--image", f"{ECR}=sh -c 'echo loss=0.5'") as endpoints:
        os.environ.update(variables(endpoints))
        pairs = [(there(folder), here(folder)) for _ in range(3)]
    print(f"{TRIALS} trials that do nothing, {PARALLEL} at a time: {statistics.median(b for _, b in pairs):.1f} s here")
    say("SageMaker's emulator / this machine", [a / b for a, b in pairs], "<= 1.5")


def descriptions(folder: Path) -> None:
    with emulated("--quick") as endpoints:
        os.environ.update(variables(endpoints))
        specs = {
            "vertex": tp.TrialSpec(image="gcr.io/p/train:1", resources=tp.Resources(machine="n1-standard-4")),
            "sagemaker": THERE,
            "modelarts": tp.TrialSpec(
                image="team/train:1",
                command=["python", "train.py"],
                metrics=METRICS,
                resources=tp.Resources(machine="modelarts.vm.cpu.8u"),
            ),
        }
        for name, spec in specs.items():
            settings = SETTINGS if name == "sagemaker" else {}
            run = tp.submit(job(20, spec), on=name, settings=settings, tolerate="approximated", workspace=folder / name)
            run.wait(60)
            refused, took = flood(endpoints[name], *asked(name, run.ref.partition(":")[2]))
            aim = "aim >= 200 /s, 0 refused"
            print(f"{name + ': descriptions':<66} {REQUESTS / took:6.0f} /s, {refused} refused   {aim}")


def asked(name: str, ref: str) -> tuple[str, str, str, dict[str, str]]:
    """The request that describes a job: method, path, body, headers."""
    region, *rest = ref.split("/")
    if name == "vertex":
        return "GET", f"/v1/projects/{rest[0]}/locations/{region}/hyperparameterTuningJobs/{rest[1]}", "", {}
    if name == "modelarts":
        return "GET", f"/v2/emulated/training-jobs/{rest[0]}", "", {}
    scope = f"emulated/20260101/{region}/sagemaker/aws4_request"
    headers = {
        "X-Amz-Target": "SageMaker.DescribeHyperParameterTuningJob",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
    }
    return "POST", "/", json.dumps({"HyperParameterTuningJobName": rest[0]}), headers


def flood(endpoint: str, method: str, path: str, body: str, headers: dict[str, str]) -> tuple[int, float]:
    """How many requests were refused, and the seconds that all took."""

    def some() -> int:
        connection, refused = http.client.HTTPConnection(endpoint.removeprefix("http://")), 0
        for _ in range(REQUESTS // CONNECTIONS):
            connection.request(method, path, body or None, headers)
            reply = connection.getresponse()
            reply.read()
            refused += reply.status != 200
        connection.close()
        return refused

    began = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        refused = sum(pool.map(lambda _: some(), range(CONNECTIONS)))
    return refused, time.perf_counter() - began


def say(what: str, ratios: list[float], aim: str) -> None:
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(f"{what:<66} {middle:6.2f}   ({low:.2f} to {high:.2f})   aim {aim}", flush=True)


def main() -> None:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        submissions(folder)
        throughput(folder)
        descriptions(folder)


if __name__ == "__main__":
    main()
