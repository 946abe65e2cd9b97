"""Code on its way to a cloud: packed as it is taken there, the same for the same files, uploaded once."""

import subprocess
import sys
import tarfile

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

import tuneport as tp
from tuneport import api, packaging, translating
from tuneport.errors import BackendError, JobError
from tuneport.packaging import packed, relying, upload

SETTINGS = {
    "vertex": {"image": "gcr.io/t/base:1", "output": "gs://store/out/", "machine": "n1-standard-4"},
    "sagemaker": {
        "image": "111122223333.dkr.ecr.us-east-1.amazonaws.com/t:1",
        "role": "arn:aws:iam::111122223333:role/t",
        "machine": "ml.m5.xlarge",
        "output": "s3://store/out",
    },
    "modelarts": {"image": "t/base:1", "machine": "modelarts.vm.cpu.2u", "output": "obs://store/out/"},
}


@pytest.fixture
def stores(tmp_path, monkeypatch):
    """Folders that stand for the clouds' storage."""

    def store(name):
        root = str(tmp_path / "stores" / name)

        class Folder(LocalFileSystem):
            protocol = name
            written = 0

            @classmethod
            def _strip_protocol(cls, path):
                return path if path.startswith(root) else f"{root}/{path.removeprefix(f'{name}://')}"

            def pipe_file(self, path, value, **options):
                type(self).written += 1
                self.makedirs(self._parent(path), exist_ok=True)
                super().pipe_file(path, value, **options)

        return Folder

    known = {name: store(name) for name in ("gs", "s3", "obs")}
    for name, kind in known.items():
        monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, name, kind)
    return known


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "code"
    (folder / "parts").mkdir(parents=True)
    (folder / "train.py").write_text("import parts.words\nprint(parts.words.WORD, __import__('sys').argv[1:])\n")
    (folder / "parts" / "words.py").write_text("WORD = 'trained'\n")
    for left_out in (".git", "__pycache__"):
        (folder / left_out).mkdir()
        (folder / left_out / "x.py").write_text("")
    return folder


def job(**fields):
    fields = {"command": ["python", "train.py"], "package": "code"} | fields
    return tp.TuningJob(
        name="j",
        study=tp.StudySpec(parameters=[tp.Float("x", 0.1, 1)], objectives=[tp.minimize("loss")]),
        trial=tp.TrialSpec(**fields),
        budget=tp.Budget(max_trials=2),
    )


@pytest.mark.parametrize("on", SETTINGS)
def test_a_folder_becomes_what_the_cloud_takes(code, tmp_path, on):
    assert any(one.pointer == "/trial/package" for one in translating.refusals(job(), on, settings=SETTINGS[on]))
    assert api.check(job(), on=on, settings=SETTINGS[on], base=tmp_path) == []
    _, uploads = packed(job(), on, settings=SETTINGS[on], base=tmp_path)
    assert all(one.uri.startswith(SETTINGS[on]["output"].rstrip("/") + "/tuneport-code/") for one in uploads)
    assert uploads == packed(job(), on, settings=SETTINGS[on], base=tmp_path).uploads
    (code / "train.py").write_text("changed")
    assert uploads[0].uri != packed(job(), on, settings=SETTINGS[on], base=tmp_path).uploads[0].uri


def test_vertex_gets_a_distribution_that_pip_installs(code, tmp_path):
    placed, (one,) = packed(job(args=["--epochs=2"]), "vertex", settings=SETTINGS["vertex"], base=tmp_path)
    assert (placed.trial.module, placed.trial.args) == ("train", ("--epochs=2",))
    archive = tmp_path / one.uri.rpartition("/")[2]
    archive.write_bytes(one.content)
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run([*pip, str(archive)], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "train", "--epochs=2"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(target)},
        text=True,
        stdout=-1,
        check=True,
    )
    assert done.stdout == "trained ['--epochs=2']\n"
    pool = translating.translate(placed, "vertex", settings=SETTINGS["vertex"]).payload["trialJobSpec"][
        "workerPoolSpecs"
    ][0]
    assert pool["pythonPackageSpec"]["packageUris"] == [one.uri]


def test_sagemaker_gets_an_archive_for_script_mode(code, tmp_path):
    placed, (one,) = packed(job(), "sagemaker", settings=SETTINGS["sagemaker"], base=tmp_path)
    (tmp_path / "s.tar.gz").write_bytes(one.content)
    with tarfile.open(tmp_path / "s.tar.gz") as archive:
        assert sorted(archive.getnames()) == ["parts/words.py", "train.py"]
    request = translating.translate(placed, "sagemaker", settings=SETTINGS["sagemaker"]).payload
    static = request["TrainingJobDefinition"]["StaticHyperParameters"]
    assert static["sagemaker_submit_directory"] == one.uri


def test_modelarts_gets_a_folder(code, tmp_path):
    placed, uploads = packed(job(), "modelarts", settings=SETTINGS["modelarts"], base=tmp_path)
    names = [one.uri.removeprefix(placed.trial.package) for one in uploads]
    assert names == ["/parts/words.py", "/train.py"]


def test_code_is_uploaded_once(stores, code, tmp_path):
    for on, protocol in (("vertex", "gs"), ("sagemaker", "s3"), ("modelarts", "obs")):
        _, uploads = packed(job(), on, settings=SETTINGS[on], base=tmp_path)
        settings = translating.settings_of(translating.cloud(on), SETTINGS[on])
        upload(uploads, settings)
        upload(uploads, settings)
        assert stores[protocol].written == len(uploads)
        for one in uploads:
            system, path = fsspec.core.url_to_fs(one.uri)
            assert system.cat_file(path) == one.content


def test_submitting_takes_the_code_along(stores, code, tmp_path, tuneport_cloud, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = [sys.executable, "-c", "import tuneport_trial as t; t.report(loss=1)"]
    tuneport_cloud.map("module:train", program)
    run = tp.submit(job(), on="vertex", settings=SETTINGS["vertex"], tolerate="approximated")
    run.wait(60)
    assert run.state == "succeeded"
    assert stores["gs"].written == 1


def test_storage_that_refuses_is_told(stores, code, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("no")

    monkeypatch.setattr(stores["gs"], "pipe_file", refuse)
    _, uploads = packed(job(), "vertex", settings=SETTINGS["vertex"], base=tmp_path)
    with pytest.raises(BackendError, match=r"gs://store/out/.*no"):
        upload(uploads, translating.settings_of(translating.cloud("vertex"), SETTINGS["vertex"]))


@pytest.mark.parametrize(
    ("fields", "said"), [({"package": "empty"}, "holds no files"), ({"package": "code"}, "no place")]
)
def test_what_cannot_be_packed_is_said(code, tmp_path, fields, said):
    (tmp_path / "empty").mkdir()
    settings = dict(SETTINGS["modelarts"])
    if said == "no place":
        del settings["output"]
    with pytest.raises(JobError) as caught:
        packed(job(**fields), "modelarts", settings=settings, base=tmp_path)
    assert said in caught.value.problems[0].message


def test_too_much_is_no_code(code, tmp_path, monkeypatch):
    monkeypatch.setattr(packaging, "MOST", 10)
    with pytest.raises(JobError) as caught:
        packed(job(), "vertex", settings=SETTINGS["vertex"], base=tmp_path)
    assert "trial.inputs" in caught.value.problems[0].hint


@pytest.mark.parametrize("package", ["gs://store/code.tar.gz", "dist/code.whl"])
def test_what_is_packed_already_stays(tmp_path, package):
    asked = job(package=package, command=None, module="train")
    assert packed(asked, "vertex", settings=SETTINGS["vertex"], base=tmp_path) == (asked, ())


def test_what_is_up_to_the_trainer_is_told_unless_the_code_has_it(code, tmp_path):
    stepped = job().changed(study=job().study.changed(parameters=[tp.Float("x", 0, 1, step=0.25)]))
    said = relying(stepped, "sagemaker", settings=SETTINGS["sagemaker"], base=tmp_path)
    assert any(one.startswith("/study/parameters/0") for one in said)
    (code / "tuneport_trial.py").touch()
    assert relying(stepped, "sagemaker", settings=SETTINGS["sagemaker"], base=tmp_path) == []
