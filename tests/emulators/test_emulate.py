"""The verb emulate as its users have it: a process, real HTTP, SIGTERM, kill -9; and the fixture for pytest."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from small_door import door_module

from tuneport.cli import app
from tuneport.emulators import doors
from tuneport.emulators.faults import Faults
from tuneport.emulators.server import LOOPBACK
from tuneport.errors import MissingExtraError, SettingsError
from tuneport.testing.plugin import EmulatedCloud, tuneport_cloud  # noqa: F401 - a fixture

PROGRAM = Path(__file__).parent / "small_door.py"
RECORDING = (
    "import sys,time; open(sys.argv[1], 'a').write('began '); time.sleep({}); open(sys.argv[1], 'a').write('ended ')"
)


def call(method: str, url: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def job(name: str = "digits", **budget: int) -> dict[str, Any]:
    return {
        "name": name,
        "study": {
            "parameters": [{"name": "x", "kind": "float", "low": 0, "high": 1}],
            "objectives": [{"metric": "loss", "goal": "minimize"}],
            "algorithm": {"kind": "random", "seed": 1},
        },
        "trial": {"image": "trainer:1", "metrics": {"loss": r"loss=(\S+)"}},
        "budget": {"max_trials": 3, "parallel_trials": 2} | budget,
    }


class Emulators:
    """Emulators as processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def ready(self, *arguments: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
        process = self.start(*arguments, "--json")
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        return process, json.loads(line)

    def end(self, process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str, str]:
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    def refused(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=30)
        return process.returncode, out + err


@pytest.fixture
def emulators(tmp_path: Path) -> Iterator[Emulators]:
    made = Emulators(tmp_path)
    yield made
    for process in made.started:
        process.terminate()  # not killed, so that it leaves nothing behind
        process.communicate(timeout=30)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in doors.CLOUDS:
        monkeypatch.setitem(sys.modules, f"tuneport.emulators.{name}", door_module(name))


def recorder(folder: Path, seconds: float) -> tuple[str, Callable[[], list[str]]]:
    """What maps the image to a trainer that keeps a ledger, and the ledger."""
    ledger = folder / "ledger"
    code = RECORDING.format(seconds) + "; print('loss=1')"
    command = shlex.join(["python", "-c", code, str(ledger)])
    return f"trainer:1={command}", lambda: ledger.read_text().split() if ledger.exists() else []


def finished(url: str) -> Callable[[], Any]:
    def look() -> Any:
        status, said = call("GET", url)
        return said if status == 200 and said["state"] in {"succeeded", "failed", "stopped"} else None

    return look


def test_jobs_run_and_sigterm_ends_it_cleanly(emulators: Emulators, until):
    process, endpoints = emulators.ready("sagemaker", "vertex")
    assert list(endpoints) == ["sagemaker", "vertex"]
    assert len(set(endpoints.values())) == 2
    assert all(url.startswith("http://127.0.0.1:") for url in endpoints.values())
    url = endpoints["vertex"]
    assert call("POST", f"{url}/jobs", job()) == (201, {"name": "digits"})
    assert call("POST", f"{url}/jobs", job())[0] == 409
    assert call("GET", f"{endpoints['sagemaker']}/jobs") == (200, []), "clouds do not see each other's jobs"
    said = until(finished(f"{url}/jobs/digits"))
    assert said["state"] == "succeeded"
    assert all("loss" in trial["metrics"] for trial in said["trials"])
    assert "synthetic trainer" in call("GET", f"{url}/jobs/digits/trials/1/log")[1][0]
    assert emulators.end(process) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_while_trials_run_and_takes_them_with_it(emulators: Emulators, tmp_path: Path, number: int, until):
    image, ledger = recorder(tmp_path, 3)
    process, endpoints = emulators.ready("modelarts", "--image", image, "--grace", "0.5")
    call("POST", f"{endpoints['modelarts']}/jobs", job())
    until(ledger)
    assert emulators.end(process, number)[0] == 0
    began = ledger()
    time.sleep(3.2)
    assert "ended" not in ledger()
    assert ledger() == began


def test_a_killed_emulator_is_started_again_and_nothing_runs_twice(emulators: Emulators, tmp_path: Path, until):
    image, ledger = recorder(tmp_path, 0.8)
    arguments = ("modelarts", "--image", image, "--state", "cloud")
    process, endpoints = emulators.ready(*arguments)
    request = job(max_trials=4)
    call("POST", f"{endpoints['modelarts']}/jobs", request)
    until(lambda: len(ledger()) >= 2)
    process.kill()
    process.wait()
    _, endpoints = emulators.ready(*arguments)
    url = f"{endpoints['modelarts']}/jobs/digits"
    status, said = call("GET", url)
    assert (status, said["request"], said["state"]) == (200, request, "running")
    said = until(finished(url))
    assert [trial["state"] for trial in said["trials"]] == ["succeeded"] * 4
    assert sorted(ledger()) == ["began"] * 4 + ["ended"] * 4


def test_a_state_folder_outlives_a_clean_end(emulators: Emulators, tmp_path: Path, until):
    process, endpoints = emulators.ready("sagemaker", "--state", "cloud", "--quick")
    url = endpoints["sagemaker"]
    call("POST", f"{url}/jobs", job())
    said = until(finished(f"{url}/jobs/digits"))
    status, message = emulators.refused("sagemaker", "--state", "cloud")
    assert status == 1
    assert "another emulator uses" in message
    emulators.end(process)
    port = url.rpartition(":")[2]
    _, endpoints = emulators.ready("sagemaker", "--state", "cloud", "--port", port)
    assert endpoints == {"sagemaker": url}
    assert call("GET", f"{url}/jobs/digits") == (200, said)


def test_without_json_it_prints_what_a_shell_understands(emulators: Emulators):
    process = emulators.start("--quick", "--verbose")
    assert process.stderr is not None
    assert "ready" in process.stderr.readline()
    status, out, _ = emulators.end(process)
    assert status == 0
    shell = subprocess.run(
        ["sh", "-ec", f"{out}\nenv"], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    found = dict(line.split("=", 1) for line in shell.stdout.splitlines())
    assert found["AWS_ENDPOINT_URL_SAGEMAKER"].startswith("http://127.0.0.1:")
    assert found["HUAWEICLOUD_SDK_REGION_MODELARTS_CN_NORTH_4"].startswith("http://127.0.0.1:")
    assert "127.0.0.1" in found["NO_PROXY"]
    for word in ("boto3.client", "aiplatform.init", 'api_transport="rest"', "with_endpoint"):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "status", "parts"),
    [
        (["azure"], 2, ["no emulator 'azure'", "vertex"]),
        (["server"], 2, ["no emulator 'server'"]),
        (["vertex", "--image", "alone", "--image", "=x"], 2, ["'alone'", "'=x'", "NAME=COMMAND"]),
        (["vertex", "--fault", "explode"], 2, ["explode", "throttle"]),
        (["vertex", "--delay", "sleeping=3"], 2, ["sleeping=3", "creating, queued, pending, step"]),
        (["vertex", "--delay", "creating=-3"], 2, ["creating=-3"]),
        (["vertex", "--port", "70000"], 2, ["65535"]),
        (["vertex", "--simulated", "--speed", "60"], 2, ["no speed"]),
        (["vertex", "--state", "/proc/nowhere"], 2, ["/proc/nowhere"]),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_served(planted, monkeypatch, capsys, arguments, status, parts):
    monkeypatch.setattr(sys, "argv", ["tuneport", "emulate", *arguments])
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # these are the signals of the tests' own process
    with pytest.raises(SystemExit) as ended:
        app.main()
    said = "".join(capsys.readouterr())
    assert ended.value.code == status, said
    assert all(part in said for part in parts), said


def neighbours() -> int:
    """The first of two free ports, below those that systems hand out by chance: nobody else takes them meanwhile."""
    for port in range(20_000 + os.getpid() % 5_000 * 2, 32_000, 2):
        with suppress(OSError), socket.create_server((LOOPBACK, port)), socket.create_server((LOOPBACK, port + 1)):
            return port
    raise AssertionError("no two free ports")


def test_a_taken_port_closes_what_was_open(emulators: Emulators, planted, make_host):
    host, port = make_host(), neighbours()
    first = doors.open_doors(["vertex"], host, Faults(), port + 1)
    with pytest.raises(SettingsError, match="taken"):
        doors.open_doors(["sagemaker", "vertex"], host, Faults(), port)
    first.close()
    with doors.open_doors(["sagemaker", "vertex"], host, Faults(), port) as opened:
        assert opened.endpoints == {"sagemaker": f"http://127.0.0.1:{port}", "vertex": f"http://127.0.0.1:{port + 1}"}


def test_faults_are_the_same_in_every_process_of_a_seed(emulators: Emulators):
    def fates(seed: str) -> list[int]:
        rules = ("--fault", "throttle:List:0.3", "--fault", "error:List:0.2", "--seed", seed)
        process, endpoints = emulators.ready("vertex", *rules)
        found = [call("GET", f"{endpoints['vertex']}/jobs")[0] for _ in range(40)]
        emulators.end(process)
        return found

    first = fates("3")
    assert set(first) == {200, 429, 503}
    assert fates("3") == first


def test_a_simulated_day_is_over_at_once(emulators: Emulators, until):
    _, endpoints = emulators.ready(
        "vertex", "--quick", "--simulated", "--delay", "pending=3600", "--delay", "step=3600"
    )
    url = f"{endpoints['vertex']}/jobs"
    call("POST", url, job(max_trials=4))
    said = until(finished(f"{url}/digits"), 20)
    assert said["state"] == "succeeded"


def test_a_lost_answer_leaves_the_job_there(emulators: Emulators):
    _, endpoints = emulators.ready("vertex", "--quick", "--fault", "lost:Create:#1")
    url = f"{endpoints['vertex']}/jobs"
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        call("POST", url, job())
    assert call("GET", url) == (200, ["digits"])
    assert call("POST", url, job())[0] == 409


def test_two_hundred_describes_a_second_without_an_error(emulators: Emulators):
    _, endpoints = emulators.ready("vertex")
    url = f"{endpoints['vertex']}/jobs"
    call("POST", url, job(max_trials=20))
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: call("GET", f"{url}/digits")[0], range(400)))
    assert set(found) == {200}
    assert 400 / (time.monotonic() - began) > 200


# ---- the fixture ----------------------------------------------------------------------------------------------------


def test_a_test_gets_clouds_with_its_own_trainers(planted, tuneport_cloud: EmulatedCloud, until):  # noqa: F811
    def train(x: float) -> float:
        return x * 10

    tuneport_cloud.map("trainer:1", train)
    url = os.environ["AWS_ENDPOINT_URL_SAGEMAKER"]
    assert url == tuneport_cloud["sagemaker"] == tuneport_cloud.endpoints["sagemaker"]
    assert call("POST", f"{url}/jobs", job())[0] == 201
    said = until(finished(f"{url}/jobs/digits"))
    assert [trial["metrics"]["loss"] for trial in said["trials"]] == [
        trial["parameters"]["x"] * 10 for trial in said["trials"]
    ]


def test_a_test_has_a_clock_and_faults(planted, tuneport_cloud: EmulatedCloud):  # noqa: F811
    before = tuneport_cloud.clock.now()
    tuneport_cloud.clock.advance(3600)
    assert tuneport_cloud.clock.now() - before >= 3600
    tuneport_cloud.faults.add("throttle", "List", calls=[1])
    url = f"{tuneport_cloud['vertex']}/jobs"
    assert [call("GET", url)[0] for _ in range(2)] == [429, 200]
    assert tuneport_cloud.faults.struck == (("List", "throttle"),)


def test_a_cloud_that_misses_a_package_says_so_when_it_is_wanted(
    planted, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    def serve(*_: Any) -> None:
        raise MissingExtraError("grpcio is not installed", hint="pip install 'tuneport[vertex]'")

    monkeypatch.setattr(sys.modules["tuneport.emulators.vertex"], "serve", serve)
    cloud = request.getfixturevalue("tuneport_cloud")
    assert set(cloud.endpoints) == {"sagemaker", "modelarts"}
    with pytest.raises(MissingExtraError, match="tuneport\\[vertex\\]"):
        cloud["vertex"]


INNER = """
import os, sys
sys.path.append({folder!r})
from small_door import door_module
for name in ("sagemaker", "vertex", "modelarts"):
    sys.modules["tuneport.emulators." + name] = door_module(name)
from tuneport.testing.plugin import tuneport_cloud

before = dict(os.environ)
seen = []

def test_with_clouds(tuneport_cloud):
    seen.append(tuneport_cloud.host.folder)
    assert os.environ["HUAWEICLOUD_SDK_AK"] == "emulated"
    assert seen[0].exists()

def test_afterwards():
    changed = {{name for name in os.environ if os.environ[name] != before.get(name)}}
    assert changed == {{"PYTEST_CURRENT_TEST"}}
    assert not seen[0].exists()
"""


def test_the_fixture_leaves_no_trace(tmp_path: Path):
    inner = tmp_path / "test_inner.py"
    inner.write_text(INNER.format(folder=str(PROGRAM.parent)))
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", str(inner)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout
