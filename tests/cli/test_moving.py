"""translate, import, migrate, plan, diff, backends and check --on: streams, exit statuses, files, and hostile input."""

import json
import sys
import time
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "examples" / "your-own-backend"
sys.path.insert(0, str(PLUGIN))

DOCUMENT = {
    "title": "digits",
    "account": "research",
    "trials": 20,
    "goal": {"metric": "accuracy", "direction": "UP"},
    "space": [{"name": "lr", "low": 0.001, "high": 0.1, "log": True}],
    "image": "nimbus/train:3",
    "results": "nim://runs/",
    "color": "blue",
}
JOB = {
    "name": "digits",
    "study": {
        "parameters": [{"name": "lr", "kind": "float", "low": 0.001, "high": 0.1, "scale": "log"}],
        "objectives": [{"metric": "accuracy", "goal": "maximize"}],
        "algorithm": {"kind": "random"},
    },
    "trial": {"image": "nimbus/train:3", "output": {"uri": "nim://runs/"}},
    "budget": {"max_trials": 20},
}
FAITHFUL = "every field is kept as it is\n"


@pytest.fixture
def work(desk, monkeypatch):
    """A desk with Nimbus installed, the example of a backend, and with a job and a document."""
    info = desk.folder / "site" / "tuneport_nimbus-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tuneport-nimbus\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tuneport.backends]\nnimbus = tuneport_nimbus:BACKEND\n")
    monkeypatch.syspath_prepend(str(info.parent))
    desk.env["PYTHONPATH"] = f"{PLUGIN}:{info.parent}"
    write(desk, "job.json", JOB)
    write(desk, "native.json", DOCUMENT)
    return desk


def write(desk, name, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (desk.folder / name).write_text(text)
    return name


def changed(**trial):
    return JOB | {"trial": JOB["trial"] | trial}


# ---- translate ------------------------------------------------------------------------------------------------------


def test_translate_prints_the_request_and_reports_beside_it(work):
    done = work("translate", "job.json", "--to", "nimbus", "--set", "account=me")
    assert (done.status, done.err) == (0, FAITHFUL)
    assert done.json == {name: value for name, value in DOCUMENT.items() if name != "color"} | {"account": "me"}


def test_translate_writes_a_file_in_the_format_of_its_name(work):
    done = work.here("translate", "job.json", "--to", "nimbus", "-o", "request.yaml")
    assert (done.status, done.out) == (0, "")
    assert "title: digits" in (work.folder / "request.yaml").read_text()


def test_a_lossy_translation_is_printed_and_told_by_the_exit_status(work):
    write(work, "job.json", changed(timeout=60))
    done = work.here("translate", "job.json", "--to", "nimbus")
    assert done.status == 4
    assert done.json["title"] == "digits"
    assert "at worst unsupported" in done.err
    assert "unsupported  /trial/timeout 60.0 -> nothing: nimbus has no word for it" in done.err


def test_how_much_loss_is_fine_can_be_said(work):
    write(work, "job.json", JOB | {"description": "mine"})
    assert work.here("translate", "job.json", "--to", "nimbus", "--tolerate", "dropped").status == 0
    done = work.here("translate", "job.json", "--to", "nimbus", "--tolerate", "exact")
    assert (done.status, "dropped      /description" in done.err) == (4, True)
    refused = work.here("translate", "job.json", "--to", "nimbus", "--tolerate", "unsupported")
    assert refused.status == 2
    assert "must be one of exact, emulated, dropped, approximated" in refused.err


def test_translate_as_json(work):
    write(work, "job.json", changed(timeout=60))
    done = work.here("translate", "job.json", "--to", "nimbus", "--json")
    assert (done.status, done.json["form"], done.json["report"]["worst"]) == (4, "job", "unsupported")
    assert done.json["payload"]["title"] == "digits"
    assert [one["pointer"] for one in done.json["report"]["fields"]] == ["/trial/timeout"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--to", "nimbsu"], 2, "did you mean 'nimbus'?"),
        (["--to", "local"], 2, "has no documents of its own"),
        (["--to", "nimbus", "--form", "helm"], 3, "nimbus has no form 'helm'"),
        (["--to", "nimbus", "--set", "account"], 2, "must be NAME=VALUE"),
        (["--to", "nimbus", "--set", "acount=me"], 2, "did you mean 'account'?"),
    ],
)
def test_wrong_words_are_refused(work, arguments, status, message):
    done = work.here("translate", "job.json", *arguments)
    assert (done.status, done.out) == (status, "")
    assert message in done.err


# ---- import and migrate ---------------------------------------------------------------------------------------------


def test_import_and_translate_give_the_document_back(work):
    done = work.here("import", "native.json", "--from", "nimbus", "-o", "job.yaml")
    assert (done.status, done.out) == (0, "")
    assert done.err.splitlines() == [
        "nimbus job: 11 of 12 values understood",
        "kept as they are, for this cloud only:",
        "  /color",
    ]
    back = work.here("translate", "job.yaml", "--to", "nimbus")
    assert (back.status, back.json) == (0, DOCUMENT)


def test_import_reads_standard_input_and_prints_the_job(work):
    done = work("import", "-", "--from", "nimbus", stdin=json.dumps(DOCUMENT))
    assert done.status == 0
    assert done.out.startswith("name: digits\nstudy:\n")


def test_import_as_json(work):
    done = work.here("import", "native.json", "--from", "nimbus", "--json")
    assert done.json["boxed"] == ["/color"]
    assert (done.json["leaves"], done.json["form"], done.json["settings"]) == (12, "job", {"account": "research"})
    assert done.json["job"]["native"]["nimbus"]["color"] == "blue"


def test_a_malformed_document_is_refused_with_every_place(work):
    write(
        work,
        "native.json",
        DOCUMENT | {"trials": 2000, "methd": "GRID", "goal": {"metric": "x", "direction": "SIDEWAYS"}},
    )
    done = work.here("import", "native.json", "--from", "nimbus")
    assert (done.status, done.out) == (3, "")
    for place in ("/trials", "/methd", "/goal/direction"):
        assert place in done.err
    as_json = work.here("import", "native.json", "--from", "nimbus", "--json")
    assert (as_json.status, as_json.err) == (3, "")
    assert as_json.json["error"]["code"] == "invalid-payload"
    assert len(as_json.json["error"]["problems"]) == 3


def test_migrate_says_what_stays_behind(work):
    write(work, "tuneport.toml", '[map.uri]\n"nim://runs/" = "gs://runs/"\n')
    arguments = ["native.json", "--from", "nimbus", "--to", "vertex", "--set", "machine=n1-standard-4"]
    done = work.here("migrate", *arguments, "-o", "vertex.json")
    assert (done.status, done.out) == (0, "")
    assert "only nimbus understands this" in done.err
    assert "a setting of nimbus; settings never move" in done.err
    assert json.loads((work.folder / "vertex.json").read_text())["displayName"] == "digits"


# ---- plan, check, diff, backends ------------------------------------------------------------------------------------


def test_plan_says_what_it_means(work):
    write(work, "job.json", changed(resources={"machine": "n.large"}))
    done = work.here("plan", "job.json", "--on", "nimbus")
    assert done.status == 0
    assert done.out.splitlines() == [
        "digits on nimbus, as a job",
        "  at most 20 trials, 1 at a time; nothing bounds the time",
        "  each on n.large",
        "  its cost is not known: no price of n.large under [prices]",
    ]


def test_plan_lists_what_is_unresolved(work):
    write(work, "job.json", changed(output={"uri": "s3://elsewhere/"}))
    done = work.here("plan", "job.json", "--on", "nimbus", "--json")
    assert done.status == 3
    assert "/trial/output/uri" in [one["pointer"] for one in done.json["unresolved"]]
    assert done.json["payload"]["title"] == "digits"


def test_check_on_a_cloud_lists_what_it_would_refuse_with_places_in_the_file(work):
    text = json.dumps(changed(timeout=60), indent=1).replace('"max_trials": 20', '"max_trials": 2000')
    write(work, "job.json", text)
    done = work.here("check", "job.json", "--on", "nimbus")
    assert (done.status, done.out) == (3, "")
    line = next(at for at, one in enumerate(text.splitlines(), 1) if "max_trials" in one)
    assert f"job.json:{line}:" in done.err
    assert "/trial/timeout" in done.err
    write(work, "job.json", JOB)
    assert work.here("check", "job.json", "--on", "nimbus").status == 0


def test_diff_is_about_meaning(work):
    same = work.here("diff", "job.json", "nimbus:native.json")
    assert (same.status, same.out) == (0, '/native/nimbus/color: nothing -> "blue"\n')
    write(work, "other.json", DOCUMENT | {"trials": "21", "color": "blue"})
    assert work.here("diff", "nimbus:native.json", "other.json").out == "/budget/max_trials: 20 -> 21\n"
    assert work.here("diff", "other.json", "other.json").err == "no difference in meaning\n"
    as_json = work.here("diff", "native.json", "other.json", "--json").json
    assert as_json == [{"pointer": "/budget/max_trials", "a": 20, "b": 21}]


def test_diff_of_what_is_no_document_of_anybody(work):
    write(work, "odd.json", {"x": 1})
    done = work.here("diff", "job.json", "odd.json")
    assert (done.status, done.out) == (3, "")
    assert "odd.json is no job and no document of" in done.err


def test_backends_prints_the_matrix_and_one_of_them(work):
    matrix = work.here("backends")
    header, first, *_ = matrix.out.splitlines()
    assert header.split() == ["feature", "local", "modelarts", "nimbus", "ray", "sagemaker", "vertex"]
    assert first.split()[0] == "parameter_float"
    one = work.here("backends", "nimbus").out
    assert "limits:\n  max_parameters: 20" in one
    assert "  parameter_int_step: emulated by tuneport_trial (read back through TUNEPORT_SPACE)" in one
    assert work.here("backends", "nimbus", "--json").json["nimbus"]["forms"] == ["job"]


# ---- hostile input --------------------------------------------------------------------------------------------------

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
HOSTILE = {
    "bomb.yaml": (BOMB, "holds more than 500,000 values"),
    "twice.yaml": ("title: a\ntitle: b\n", "title"),
    "twice.json": ('{"title": "a", "title": "b"}', "title"),
    "deep.json": ("[" * 100_000 + "]" * 100_000, "nested"),
    "deep.yaml": ("[" * 5_000 + "]" * 5_000, "nested"),
    "huge.yaml": ("x: " + "a" * (2 << 20), "is larger than 1 MiB"),
    "huge.json": ('{"x": "' + "a" * (9 << 20) + '"}', "is larger than 8 MiB"),
    "broken.json": ('{"title": ', "broken.json:1"),
    "list.json": ("[1, 2]", "must be a mapping"),
    "tagged.yaml": ("x: !!python/object/apply:os.system [ls]\n", "tag"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("verb", ["import", "migrate", "diff"])
def test_hostile_files_are_refused_at_once(work, verb, name):
    content, message = HOSTILE[name]
    write(work, name, content)
    arguments = {
        "import": [name, "--from", "nimbus"],
        "migrate": [name, "--from", "nimbus", "--to", "vertex"],
        "diff": [f"nimbus:{name}", "job.json"],
    }
    began = time.process_time()
    done = work.here(verb, *arguments[verb])
    assert time.process_time() - began < 5
    assert (done.status, done.out) == (3, ""), done.err
    assert message in done.err
    assert len(done.err) < 2_000
