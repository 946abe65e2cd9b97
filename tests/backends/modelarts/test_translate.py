"""Words to requests and back, one by one, and the ways in which one request can be spelt."""

import copy
import json
import re
import time

import pytest

import tuneport
from tuneport import exchange
from tuneport.backends.modelarts import BACKEND, ModelArtsSettings
from tuneport.backends.modelarts.translate import TRANSLATOR
from tuneport.errors import PayloadError
from tuneport.files import read_document
from tuneport.model.job import TuningJob

from .specimens import ALGORITHM, DOCUMENTS, FILE, JOB, changed

SEARCH = "/algorithm/policies/auto_search"
LR = f"{SEARCH}/search_params/0"
OPT = f"{SEARCH}/search_params/1"
SETTINGS = f"{SEARCH}/algo_configs/0/params"
PLAIN = {
    "name": "sweep",
    "study": {
        "parameters": [{"name": "x", "kind": "float", "low": 0.5, "high": 2}],
        "objectives": [{"metric": "acc", "goal": "maximize"}],
    },
    "trial": {"image": "team/train:1", "command": ["train"]},
}


def job(**changes):
    return TuningJob.model_validate(changed(PLAIN, {f"/{name.replace('__', '/')}": to for name, to in changes.items()}))


def said(one, form="job", settings=None):
    return TRANSLATOR.to_native(one, settings or ModelArtsSettings(), form)


def meant(document):
    reading = TRANSLATOR.read(document)
    return TRANSLATOR.from_native(reading.request, reading.form)[0]


def back(one, form="job"):
    return TRANSLATOR.from_native(said(one, form), form)[0]


@pytest.mark.parametrize("form", DOCUMENTS)
def test_reading_changes_nothing_of_its_document(form):
    document = copy.deepcopy(DOCUMENTS[form])
    TRANSLATOR.write(TRANSLATOR.read(document))
    assert document == DOCUMENTS[form]


# ---- spellings ------------------------------------------------------------------------------------------------------

SPELLINGS = [
    {f"{LR}/lower_bound": "1e-3"},
    {f"{LR}/lower_bound": 0.001, f"{LR}/upper_bound": 0.1},
    {f"{LR}/param_type": ..., f"{OPT}/param_type": ...},
    {f"{LR}/discrete_points_num": "", f"{LR}/discrete_values": []},
    {f"{OPT}/param_type": "discreate"},
    {f"{OPT}/param_type": ""},
    {f"{SEARCH}/skip_search_params": ""},
    {f"{SETTINGS}/1": {"key": "gamma", "value": "0.250", "type": "Float"}},
    {f"{SETTINGS}/0": {"key": "gamma", "value": "0.25"}, f"{SETTINGS}/1": {"key": "num_samples", "value": "30"}},
    {"/algorithm/code_dir": "obs://bucket/code/", "/algorithm/boot_file": "obs://bucket/code/fit.py"},
    {"/algorithm/inputs/0/remote/obs/obs_url": "obs://bucket/data/"},
    {"/algorithm/inputs/0/local_dir": "/home/ma-user/modelarts/inputs/data_url_0"},
    {"/algorithm/inputs/0/remote": [{"obs": [{"obs_url": "/bucket/data/"}]}]},
    {"/algorithm/outputs/0/local_dir": "/home/ma-user/modelarts/outputs/train_url_0"},
    {"/algorithm/engine/engine_name": "PyTorch", "/algorithm/engine/engine_version": "whatever"},
    {"/algorithm/parameters/0": {"name": "epochs", "value": "5"}, "/algorithm/parameters/2": {"name": "lr"}},
    {"/algorithm/parameters/2/constraint": {"type": "Integer", "valid_type": "None", "required": False}},
    {
        "/algorithm/parameters/0/constraint": {
            "type": "Float",
            "editable": True,
            "valid_type": "Range",
            "valid_range": ["1e-3", "0.10"],
        }
    },
    {
        "/algorithm/parameters/0/constraint": {"required": True, "valid_type": "Range", "valid_range": ["0", "0.1"]},
        "/algorithm/parameters/1/constraint": {"valid_type": "Choice", "valid_range": ["sgd", "adam", "lion"]},
    },
    {"/algorithm/parameters/0/constraint": {"type": "Float", "valid_range": ["0.001", "1"]}},
    {"/algorithm/parameters/0/constraint": {"type": "Float", "valid_type": "None", "valid_range": ["3", "4"]}},
    {"/algorithm/parameters/2": {"name": "epochs", "value": "5.0", "constraint": {"type": "Integer"}}},
    {"/algorithm/parameters": JOB["algorithm"]["parameters"][1:]},
    {f"{SETTINGS}/0/value": "30.0"},
    {f"{SETTINGS}/0/value": "3e1"},
    {f"{LR}/discrete_values": "[]"},
    {f"{OPT}/discrete_values": "['adam', 'sgd']"},
    {"/metadata/description": "NULL", "/metadata/workspace_id": "0"},
    {"/metadata/description": "", "/spec/log_export_path": {"obs_url": "", "host_path": ""}},
    {"/spec/resource/node_count": ...},
    {"/spec/resource/node_count": "1"},
    {"/spec/volumes": [], "/algorithm/name": ""},
    {"/kind": "job", "/spec/schedule_policy": None},
    {"/tags": {"team": "vision"}},
]


@pytest.mark.parametrize("changes", SPELLINGS)
def test_spellings_of_one_request_are_one_request(changes):
    document = changed(JOB, changes)
    assert TRANSLATOR.read(document).request == TRANSLATOR.read(JOB).request
    imported = exchange.read(document, BACKEND)
    assert imported.boxed == []
    again = exchange.translate(imported.job, BACKEND, imported.settings, form=imported.form)
    assert again.payload == document


@pytest.mark.parametrize(
    ("item", "entry", "plain"),
    [
        (
            {"discrete_values": ["32", "16.0"]},
            {"value": "16.00", "constraint": {"type": "Integer"}},
            ({"param_type": "discrete", "discrete_values": ["16", "32"]}, "16"),
        ),
        (
            {"discrete_values": ["false", "true"]},
            {"value": "FALSE", "constraint": {"type": "Boolean"}},
            ({"param_type": "discrete", "discrete_values": ["False", "True"]}, "False"),
        ),
        (
            {"lower_bound": "0", "upper_bound": "1e0", "discrete_points_num": "5.0"},
            {"value": "5e-1"},
            (
                {
                    "param_type": "continuous",
                    "lower_bound": "0.0",
                    "upper_bound": "1.0",
                    "discrete_points_num": "5",
                },
                "0.5",
            ),
        ),
    ],
)
def test_numbers_and_booleans_have_one_spelling(item, entry, plain):
    search = {f"{SEARCH}/search_params": [{"name": "x", **item}], "/algorithm/parameters": [{"name": "x", **entry}]}
    algorithm = TRANSLATOR.read(changed(JOB, search)).request["algorithm"]
    (found,), (said_of_it,) = algorithm["policies"]["auto_search"]["search_params"], algorithm["parameters"]
    assert ({**found, "name": ...}, said_of_it["value"]) == ({"name": ..., **plain[0]}, plain[1])


def test_what_our_words_can_say_comes_first():
    place = {"remote": {"obs": {"obs_url": "/b/more/"}}}
    document = changed(JOB, {"/algorithm/outputs": [{"name": "more", **place}, *JOB["algorithm"]["outputs"]]})
    imported = exchange.read(document, BACKEND)
    assert {pointer.split("/")[3] for pointer in imported.boxed} == {"[more]"}
    assert exchange.translate(imported.job, BACKEND, imported.settings).payload == document


def test_an_input_from_obs_is_the_usual_one():
    inputs = [{"name": "data_url", "remote_constraints": [{"data_type": "obs"}]}]
    assert exchange.read(changed(ALGORITHM, {"/job_config/inputs": inputs}), BACKEND).boxed == []


def test_numbers_of_a_file_are_in_order():
    request = TRANSLATOR.read(changed(FILE, {"/search_space/0/params/1/values": [64, 8, 16]})).request
    assert request["search_space"][0]["params"][1]["values"] == [8, 16, 64]


def test_a_group_says_the_kind_of_its_parameters():
    both = {"name": "x", "start": 1, "stop": 2, "values": [1, 2]}
    group = {"type": "continuous", "params": [both]}
    imported = exchange.read(changed(FILE, {"/search_space": [group]}), BACKEND)
    assert imported.job.study.parameters[0].kind == "float"
    assert imported.boxed


@pytest.mark.parametrize(
    "changes",
    [
        {"/search_space/0/params/0/start": 0.1, "/search_space/0/params/0/stop": 0.001},
        {"/search_space": [{"params": [one]} for one in FILE["search_space"][0]["params"]]},
        {"/search_space": [FILE["search_space"][0] | {"type": "discrete"}]},
        {"/search_space/0/params/0/type": "continuous", "/search_space/0/params/1/type": ...},
        {"/search_algorithm/mode": ..., "/search_algorithm/kind": "ucb", "/search_algorithm/max_concurrent": 1},
        {"/scheduler": {"type": "FIFOScheduler"}, "/general": ...},
    ],
)
def test_spellings_of_one_file_are_one_file(changes):
    document = changed(FILE, changes)
    assert TRANSLATOR.read(document).request == TRANSLATOR.read(FILE).request


def test_constraints_follow_from_the_search():
    parameters = TRANSLATOR.write(TRANSLATOR.read(JOB))["algorithm"]["parameters"]
    assert [one.get("constraint") for one in parameters] == [
        {"editable": True, "valid_type": "Range", "valid_range": ["0.001", "0.1"], "type": "Float"},
        {"editable": True, "valid_type": "Choice", "valid_range": ["adam", "sgd"], "type": "String"},
        {"type": "Integer"},
    ]


# ---- the search -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "native", "kind"),
    [
        (
            {"kind": "float", "low": 1e-05, "high": 10},
            {"param_type": "continuous", "lower_bound": "1e-05", "upper_bound": "10.0"},
            "Float",
        ),
        (
            {"kind": "float", "low": 0, "high": 1, "step": 0.25},
            {"param_type": "continuous", "lower_bound": "0.0", "upper_bound": "1.0", "discrete_points_num": "5"},
            "Float",
        ),
        (
            {"kind": "discrete", "values": [16, 32]},
            {"param_type": "discrete", "discrete_values": ["16", "32"]},
            "Integer",
        ),
        (
            {"kind": "discrete", "values": [1, 2.5, 10]},
            {"param_type": "discrete", "discrete_values": ["1", "2.5", "10"]},
            "Float",
        ),
        ({"kind": "discrete", "values": list(range(200))}, None, "Integer"),
        (
            {"kind": "categorical", "choices": ["b", "a", "a b"], "default": "a"},
            {"param_type": "discrete", "discrete_values": ["b", "a", "a b"]},
            "String",
        ),
        (
            {"kind": "categorical", "choices": [False, True], "default": False},
            {"param_type": "discrete", "discrete_values": ["False", "True"]},
            "Boolean",
        ),
    ],
)
def test_parameters_that_can_be_said_as_they_are(parameter, native, kind):
    one = job(study__parameters=[{"name": "x", **parameter}])
    request = said(one)
    search = request["algorithm"]["policies"]["auto_search"]
    assert native is None or search["search_params"] == [{"name": "x", **native}]
    default = {"value": str(parameter["default"])} if "default" in parameter else {}
    assert request["algorithm"]["parameters"] == [{"name": "x", "constraint": {"type": kind}} | default]
    assert "environments" not in request["algorithm"]
    assert back(one).study.parameters == one.study.parameters


@pytest.mark.parametrize(
    ("parameter", "native"),
    [
        ({"kind": "int", "low": 1, "high": 3}, {"param_type": "discrete", "discrete_values": ["1", "2", "3"]}),
        (
            {"kind": "int", "low": 1, "high": 1000},
            {"param_type": "continuous", "lower_bound": "1.0", "upper_bound": "1000.0"},
        ),
        (
            {"kind": "float", "low": 0.01, "high": 100, "scale": "log"},
            {"name": "log10_x", "param_type": "continuous", "lower_bound": "-2.0", "upper_bound": "2.0"},
        ),
        ({"kind": "float", "low": 0, "high": 1, "step": 0.3}, {"param_type": "discrete"}),
        ({"kind": "categorical", "choices": ["1", "True", ""]}, {"discrete_values": ["1", "True", ""]}),
        ({"kind": "categorical", "choices": [1.5, "a", True]}, {"discrete_values": ["1.5", "a", "true"]}),
    ],
)
def test_parameters_that_are_lowered_come_back_by_their_hints(parameter, native):
    one = job(study__parameters=[{"name": "x", **parameter}])
    request = said(one)
    (found,) = request["algorithm"]["policies"]["auto_search"]["search_params"]
    assert native.items() <= found.items()
    assert request["algorithm"]["environments"].keys() == {"TUNEPORT_SPACE"}
    assert back(one) == one


def test_booleans_stay_what_they_are_beside_what_is_lowered():
    switch = {"name": "s", "kind": "categorical", "choices": [True, False], "default": False}
    count = {"name": "n", "kind": "int", "low": 1, "high": 3, "when": {"parameter": "s", "values": [True]}}
    inner = {
        "name": "b",
        "kind": "categorical",
        "choices": [True, False],
        "when": {"parameter": "s", "values": [False]},
    }
    one = job(study__parameters=[switch, count, inner])
    parameters = said(one)["algorithm"]["parameters"]
    assert [entry["constraint"]["type"] for entry in parameters] == ["Boolean", "Integer", "String"]
    assert back(one).study.parameters == one.study.parameters


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_parameters_keep_what_is_said_of_them(scale):
    one = job(
        study__parameters=[{"name": "x", "kind": "float", "low": 1, "high": 2, "scale": scale, "description": "D"}]
    )
    assert said(one)["algorithm"]["parameters"][0]["description"] == "D"
    assert back(one) == one


def test_a_space_of_the_users_own_is_left_alone():
    one = job(
        study__parameters=[{"name": "x", "kind": "int", "low": 1, "high": 3}], trial__env={"TUNEPORT_SPACE": "{}"}
    )
    assert said(one)["algorithm"]["environments"] == {"TUNEPORT_SPACE": "{}"}
    assert back(one).trial.env == {"TUNEPORT_SPACE": "{}"}


@pytest.mark.parametrize(
    ("algorithm", "budget", "name", "settings"),
    [
        ({"kind": "bayesian", "seed": 0}, 8, "bayes_opt_search", {"num_samples": "8", "seed": "0"}),
        ({"kind": "tpe", "initial_trials": 20, "gamma": 0.25}, 30, "tpe_search", {"num_samples": "30"}),
        (
            {"kind": "tpe", "initial_trials": 5, "gamma": 0.2},
            30,
            "tpe_search",
            {"num_samples": "30", "gamma": "0.2", "n_initial_points": "5"},
        ),
        ({"kind": "anneal"}, 7, "anneal_search", {"num_samples": "7"}),
        (
            {"kind": "anneal", "average_best": 3, "shrink": 0.5},
            7,
            "anneal_search",
            {"num_samples": "7", "avg_best_idx": "3.0", "shrink_coef": "0.5"},
        ),
        ({"kind": "random", "seed": 1}, 30, "tpe_search", {"num_samples": "30", "seed": "1", "n_initial_points": "30"}),
        ({"kind": "random"}, 20, "tpe_search", {"num_samples": "20"}),
        ({"kind": "random"}, 7, "tpe_search", {"num_samples": "7"}),
    ],
)
def test_algorithms(algorithm, budget, name, settings):
    one = job(study__algorithm=algorithm, budget={"max_trials": budget})
    (config,) = said(one)["algorithm"]["policies"]["auto_search"]["algo_configs"]
    assert config["name"] == name
    assert {item["key"]: item["value"] for item in config["params"]} == settings
    assert back(one) == one


@pytest.mark.parametrize(
    ("setting", "value"),
    [("n_initial_points", "${n}"), ("n_initial_points", "-3"), ("gamma", "0"), ("gamma", "7"), ("seed", "-1")],
)
def test_settings_without_a_word_stay_as_they_are(setting, value):
    document = changed(JOB, {f"{SETTINGS}/1": {"key": setting, "value": value}})
    imported = exchange.read(document, BACKEND)
    assert imported.boxed
    assert imported.job.study.algorithm.kind == "tpe"
    assert exchange.translate(imported.job, BACKEND, imported.settings).payload == document


@pytest.mark.parametrize(
    "constraint",
    [
        {"valid_type": "Range", "valid_range": ["0.01", "1"]},
        {"valid_type": "Range", "valid_range": ["0", "0.05"]},
        {"valid_type": "Range", "valid_range": ["${low}", "1"]},
        {"valid_type": "Range", "valid_range": ["0"]},
        {"valid_type": "Choice", "valid_range": ["0.001", "0.1"]},
    ],
)
def test_constraints_that_forbid_what_is_searched_are_kept(constraint):
    document = changed(JOB, {"/algorithm/parameters/0/constraint": {"type": "Float", **constraint}})
    assert {one.rsplit("/constraint/")[1].split("/")[0] for one in exchange.read(document, BACKEND).boxed} <= {
        "valid_type",
        "valid_range",
    }
    assert exchange.read(document, BACKEND).boxed


def test_ranges_that_list_values_as_well_are_ranges():
    imported = exchange.read(changed(JOB, {f"{LR}/discrete_values": ["1", "2"]}), BACKEND)
    assert imported.job.study.parameters[0].kind == "float"
    assert imported.boxed == [f"{SEARCH}/search_params/[lr]/discrete_values/{index}" for index in (0, 1)]


@pytest.mark.parametrize("regex", ["", ...])
def test_a_metric_without_a_pattern_is_found_as_tuneport_trial_prints_it(regex):
    document = changed(JOB, {f"{SEARCH}/reward_attrs/0/regex": regex})
    assert meant(document).trial.metrics == {}


def test_metrics_are_found_as_tuneport_trial_prints_them():
    one = job(study__objectives=[{"metric": "a.b", "goal": "minimize"}])
    (reward,) = said(one)["algorithm"]["policies"]["auto_search"]["reward_attrs"]
    assert reward == {"name": "a.b", "mode": "min", "regex": r"tuneport:.* a\.b=(\S+)"}
    assert back(one).trial.metrics == {}


# ---- what runs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trial", "native"),
    [
        (
            {"image": "preset", "package": "obs://b/code", "command": ["python", "a/fit.py"]},
            {"engine": {"engine_id": "preset"}, "code_dir": "/b/code", "boot_file": "/b/code/a/fit.py"},
        ),
        (
            {"image": "Name:version", "command": ["python", "obs://b/fit.py"]},
            {"engine": {"engine_name": "Name", "engine_version": "version"}, "boot_file": "/b/fit.py"},
        ),
        ({"image": "o/i:1", "command": ["train"]}, {"engine": {"image_url": "o/i:1"}, "command": "train"}),
        (
            {"image": "o/i:1", "command": ["./run me", "x"], "args": ["--a=1", "b c"]},
            {"engine": {"image_url": "o/i:1"}, "command": "'./run me' x --a=1 'b c'"},
        ),
        (
            {"image": "o/i:1", "command": ["bash", "-c", "cd /a && python b.py; echo $?"]},
            {"engine": {"image_url": "o/i:1"}, "command": "cd /a && python b.py; echo $?"},
        ),
        (
            {"image": "o/i:1", "module": "pack.train", "args": ["x", "--y"]},
            {"engine": {"image_url": "o/i:1"}, "command": "python -m pack.train x --y"},
        ),
        (
            {"image": "o/i:1", "package": "obs://b/my code/", "command": ["python", "fit.py"]},
            {
                "engine": {"image_url": "o/i:1"},
                "code_dir": "/b/my code/",
                "command": "cd ${MA_JOB_DIR}/'my code' && python fit.py",
            },
        ),
        (
            {
                "image": "o/i:1",
                "package": "obs://b/code/",
                "command": ["bash", "-c", "python ${MA_JOB_DIR}/code/fit.py"],
            },
            {"engine": {"image_url": "o/i:1"}, "code_dir": "/b/code/", "command": "python ${MA_JOB_DIR}/code/fit.py"},
        ),
        ({"algorithm": "5f3e-11"}, {"id": "5f3e-11"}),
        ({"algorithm": "a/1.0"}, {"subscription_id": "a", "item_version_id": "1.0"}),
    ],
)
def test_programs(trial, native):
    one = job(trial=trial)
    algorithm = said(one)["algorithm"]
    assert {key: value for key, value in algorithm.items() if key not in {"policies", "parameters"}} == native
    assert back(one).trial == one.trial


@pytest.mark.parametrize(
    "line", ["a 'b", "A=1 python fit.py", "a  b", "python fit.py > log", 'python "a b"', "x" * 20_000]
)
def test_lines_that_need_a_shell_get_one(line):
    document = changed(JOB, {"/algorithm/boot_file": ..., "/algorithm/code_dir": ..., "/algorithm/command": line})
    command = meant(document).trial.command
    assert command == (("bash", "-c", line) if len(line) < 1000 else (line,))
    assert said(meant(document))["algorithm"]["command"] == line


# ---- data, machines, times ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "native"),
    [
        ({"uri": "obs://b/x/"}, {"inputs": [{"name": "in", "remote": {"obs": {"obs_url": "/b/x/"}}}]}),
        ({"uri": "dataset://d/v"}, {"inputs": [{"name": "in", "remote": {"dataset": {"id": "d", "version_id": "v"}}}]}),
        ({"uri": "dataset://d"}, {"inputs": [{"name": "in", "remote": {"dataset": {"id": "d"}}}]}),
        (
            {"uri": "obs://b/x", "path": "/in", "told_by": "variable", "description": "D"},
            {
                "inputs": [
                    {
                        "name": "in",
                        "remote": {"obs": {"obs_url": "/b/x"}},
                        "local_dir": "/in",
                        "access_method": "env",
                        "description": "D",
                    }
                ]
            },
        ),
        (
            {"uri": "nfs://host/a/b"},
            {
                "volumes": [
                    {
                        "nfs": {
                            "nfs_server_path": "host:/a/b",
                            "local_path": "/home/ma-user/inputs/in",
                            "read_only": True,
                        }
                    }
                ],
                "environments": {"TUNEPORT_INPUTS": '{"in": "/home/ma-user/inputs/in"}'},
            },
        ),
        (
            {"uri": "nfs://host/a", "path": "/mnt/in", "writable": True},
            {"volumes": [{"nfs": {"nfs_server_path": "host:/a", "local_path": "/mnt/in", "read_only": False}}]},
        ),
        (
            {"uri": "nfs://host/a", "path": "/mnt/other"},
            {
                "volumes": [{"nfs": {"nfs_server_path": "host:/a", "local_path": "/mnt/other", "read_only": True}}],
                "environments": {"TUNEPORT_INPUTS": '{"in": "/mnt/other"}'},
            },
        ),
        (
            {"uri": "obs://b/x", "mode": "mount", "path": "/mnt/in"},
            {"volumes": [{"obs": {"obs_path": "/b/x", "local_path": "/mnt/in"}}]},
        ),
        (
            {"uri": "pfs://bucket/x", "path": "/mnt/in"},
            {"volumes": [{"pfs": {"pfs_path": "/bucket/x", "local_path": "/mnt/in"}}]},
        ),
    ],
)
def test_inputs(channel, native):
    one = job(trial__inputs=[{"name": "in", **channel}])
    request = said(one)
    found = {name: request["algorithm"].get(name) for name in ("inputs", "environments")}
    found["volumes"] = request["spec"].get("volumes")
    assert {name: value for name, value in found.items() if value is not None} == native
    assert back(one) == TuningJob.model_validate(one.model_dump() | {"budget": {"max_trials": 50}})


@pytest.mark.parametrize("form", ["job", "algorithm"])
def test_an_output_is_called_as_the_trial_is_told_of_it(form):
    one = job(trial__output={"uri": "${model_url}", "name": "model_url", "told_by": "flag"})
    request = said(one, form)
    (output,) = request["algorithm" if form == "job" else "job_config"]["outputs"]
    assert (output["name"], output["access_method"]) == ("model_url", "parameter")
    assert back(one, form).trial.output == one.trial.output


@pytest.mark.parametrize("name", ["two words", "n" * 65])
def test_an_output_with_a_name_that_none_can_have_is_kept(name):
    document = changed(JOB, {"/algorithm/outputs/0/name": name})
    imported = exchange.read(document, BACKEND)
    assert (imported.job.trial.output.name, imported.job.trial.output.uri) == (None, "obs://bucket/out/")
    assert exchange.translate(imported.job, BACKEND, imported.settings).payload == document


def test_volumes_are_called_by_where_they_are():
    volumes = [{"nfs": {"nfs_server_path": "h:/a", "local_path": path}} for path in ("/x/data_url", "/y/data_url", "/")]
    names = [one.name for one in meant(changed(JOB, {"/spec/volumes": volumes})).trial.inputs]
    assert names == ["data_url", "data_url_2", "data_url_3", "volume"]


def test_a_variable_of_the_users_own_names_no_volume():
    own = '{"in": "/somewhere"}'
    one = job(
        trial__env={"TUNEPORT_INPUTS": own}, trial__inputs=[{"name": "in", "uri": "nfs://h/a", "path": "/mnt/in"}]
    )
    assert back(one).trial.env == {"TUNEPORT_INPUTS": own}


@pytest.mark.parametrize(
    ("resources", "native"),
    [
        ({"machine": "m"}, {"flavor_id": "m", "node_count": 1}),
        (
            {"pool": "p", "memory": "512MiB", "gpus": 0.5},
            {
                "node_count": 1,
                "pool_id": "p",
                "main_container_customized_flavor": {"mem_size": 0.5, "accelerator_num": 0.5},
            },
        ),
        ({"pool": "p", "machine": "m", "replicas": 3}, {"flavor_id": "m", "node_count": 3, "pool_id": "p"}),
        (
            {"pool": "p", "cpus": 7.5, "memory": "48GiB", "gpus": 2},
            {
                "node_count": 1,
                "pool_id": "p",
                "main_container_customized_flavor": {"cpu_core_num": 7.5, "mem_size": 48, "accelerator_num": 2},
            },
        ),
    ],
)
def test_resources(resources, native):
    one = job(trial__resources=resources)
    assert said(one)["spec"]["resource"] == native
    assert back(one).trial.resources == one.trial.resources


@pytest.mark.parametrize(
    ("share", "boxed"),
    [
        ({"cpu_core_num": 8, "mem_size": 32, "accelerator_num": 3}, 0),
        ({"cpu_core_num": 7.5, "accelerator_num": 0.5}, 0),
        ({"accelerator_num": 2}, 1),
        ({"cpu_core_num": 0, "mem_size": 0.3, "accelerator_num": 1}, 3),
    ],
)
def test_the_share_of_a_pools_machine_comes_back(share, boxed):
    resource = {"pool_id": "p", "node_count": 1, "main_container_customized_flavor": share}
    document = changed(JOB, {"/spec/resource": resource})
    imported = exchange.read(document, BACKEND)
    assert len(imported.boxed) == boxed
    assert exchange.translate(imported.job, BACKEND, imported.settings).payload == document


@pytest.mark.parametrize(("seconds", "hours"), [(1, 1), (3600, 1), (3601, 2), (259_200, 72)])
def test_a_job_stops_at_full_hours(seconds, hours):
    one = job(budget={"max_seconds": seconds})
    assert said(one)["spec"]["auto_stop"] == {"time_unit": "HOURS", "duration": hours}
    assert back(one).budget.max_seconds == hours * 3600


def test_settings_are_said_and_read():
    settings = ModelArtsSettings(region="cn-north-4", workspace="w" * 32, logs="obs://b/logs/")
    request = said(job(), settings=settings)
    assert request["metadata"]["workspace_id"] == "w" * 32
    assert request["spec"]["log_export_path"] == {"obs_url": "/b/logs/"}
    assert TRANSLATOR.from_native(request, "job")[1] == settings
    stored = said(job(), "algorithm", settings)
    assert TRANSLATOR.from_native(stored, "algorithm")[1] == ModelArtsSettings(region="cn-north-4", workspace="w" * 32)


def test_a_stored_algorithm_declares_what_its_jobs_are_to_say():
    one = job(
        trial__parameters={"epochs": 5},
        trial__inputs=[{"name": "in", "uri": "obs://b/x/", "told_by": "flag"}, {"name": "fs", "uri": "nfs://h/x"}],
        trial__output={"uri": "obs://b/out/", "description": "weights"},
    )
    config = said(one, "algorithm")["job_config"]
    assert config["parameters"][1:] == [{"name": "epochs", "value": "5", "constraint": {"type": "Integer"}}]
    assert config["inputs"] == [{"name": "in", "access_method": "parameter"}]
    assert config["outputs"] == [{"name": "train_url", "description": "weights"}]
    read = back(one, "algorithm")
    assert [(channel.name, channel.uri, channel.told_by) for channel in read.trial.inputs] == [("in", "${in}", "flag")]
    assert (read.trial.output.uri, read.trial.output.description) == ("${train_url}", "weights")
    assert read.trial.parameters == {"epochs": 5}


@pytest.mark.parametrize(
    ("resources", "native", "least"),
    [
        ({}, {}, {}),
        ({"cpus": 8, "machine": "modelarts.vm.cpu.8u"}, {}, {}),
        ({"replicas": 4}, {"host_distributed_mode": "multiple"}, {"replicas": 2}),
        (
            {"gpus": 1},
            {"host_distributed_mode": "singular", "device_distributed_mode": "singular", "flavor_type": "GPU"},
            {"gpus": 1},
        ),
        (
            {"gpus": 8, "gpu_type": "ascend-910b", "replicas": 2},
            {"host_distributed_mode": "multiple", "device_distributed_mode": "multiple", "flavor_type": "Ascend"},
            {"gpus": 2, "gpu_type": "ascend", "replicas": 2},
        ),
    ],
)
def test_a_stored_algorithm_says_what_machines_must_have(resources, native, least):
    one = job(trial__resources=resources)
    asked = said(one, "algorithm").get("resource_requirements", [])
    assert {item["key"]: item["values"] for item in asked} == {key: [value] for key, value in native.items()}
    assert {item["operator"] for item in asked} <= {"in"}
    assert back(one, "algorithm").trial.resources == job(trial__resources=least).trial.resources


@pytest.mark.parametrize(
    ("requirements", "boxed"),
    [
        ({"flavor_type": ["CPU"]}, ["0"] * 3),
        ({"flavor_type": ["Ascend", "CPU"], "host_distributed_mode": ["multiple"]}, ["flavor_type"] * 4),
        ({"flavor_type": ["GPU"]}, ["host_distributed_mode", "device_distributed_mode"]),
        ({"cpu_arch": ["arm"], "host_distributed_mode": ["multiple"]}, ["cpu_arch"] * 3),
    ],
)
def test_what_else_machines_must_have_is_kept(requirements, boxed):
    asked = [{"key": key, "values": values, "operator": "in"} for key, values in requirements.items()]
    document = {**ALGORITHM, "resource_requirements": asked}
    imported = exchange.read(document, BACKEND)
    assert [place.split("/")[2].strip("[]") for place in imported.boxed] == boxed
    made = exchange.translate(imported.job, BACKEND, imported.settings, form=imported.form)
    assert made.payload == document
    assert sorted(made.plain["resource_requirements"], key=str) == sorted(asked, key=str)


def test_a_stored_algorithm_has_hints_as_a_flag_that_no_shell_changes():
    parameters = [
        {"name": "lr", "kind": "float", "low": 1e-05, "high": 0.1, "scale": "log"},
        {"name": "n", "kind": "int", "low": 1, "high": 9, "when": {"parameter": "opt", "values": ["a b", "é"]}},
        {"name": "opt", "kind": "categorical", "choices": ["a b", "é", "'"]},
    ]
    one = job(study__parameters=parameters, trial__parameters={"epochs": 5})
    *_, hints, epochs = said(one, "algorithm")["job_config"]["parameters"]
    assert (epochs["name"], hints["name"], hints["constraint"]) == ("epochs", "tuneport_space", {"type": "String"})
    assert re.fullmatch(r"[A-Za-z0-9_-]+", hints["value"])
    read = back(one, "algorithm")
    assert (read.study.parameters, read.trial.parameters) == (one.study.parameters, {"epochs": 5})


@pytest.mark.parametrize("value", ["5", "e30", "not base64!", "_w", "${hints}"])
def test_a_parameter_of_the_users_own_is_left_alone(value):
    one = job(trial__parameters={"tuneport_space": value})
    assert back(one, "algorithm").trial.parameters.keys() == {"tuneport_space"}
    assert said(back(one, "algorithm"), "algorithm") == said(one, "algorithm")


def test_what_a_job_is_called_and_filed_under():
    one = job(description="a try", experiment={"name": "digits"}, labels={"team": "vision"}, trial__retries=2)
    request = said(one)
    assert request["metadata"] == {
        "name": "sweep",
        "description": "a try",
        "annotations": {"fault-tolerance/job-retry-num": "2"},
        "training_experiment_reference": {"name": "digits"},
    }
    assert request["tags"] == [{"key": "team", "value": "vision"}]
    assert (request["kind"], back(one)) == ("job", one)


def test_labels_are_the_tags_of_a_stored_algorithm():
    stored = said(job(labels={"team": "vision", "draft": ""}), "algorithm")
    assert stored["metadata"]["tags"] == [{"key": "team", "value": "vision"}, {"key": "draft"}]
    assert TRANSLATOR.from_native(stored, "algorithm")[0].labels == {"team": "vision", "draft": ""}


def test_variables_that_we_cannot_name_stay_in_the_box():
    imported = exchange.read(changed(JOB, {"/algorithm/environments/a-b": "1"}), BACKEND)
    assert imported.boxed == ["/algorithm/environments/a-b"]


# ---- AutoSearch files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "native"),
    [
        ({"kind": "float", "low": 1, "high": 4}, {"type": "continuous_param", "start": 1, "stop": 4}),
        (
            {"kind": "float", "low": 0, "high": 1, "step": 0.25},
            {"type": "continuous_param", "start": 0, "stop": 1, "num": 5},
        ),
        (
            {"kind": "float", "low": 1e-5, "high": 0.1, "scale": "log"},
            {"type": "continuous_param", "start": -5, "stop": -1, "base": 10},
        ),
        (
            {"kind": "discrete", "values": [2.0, 4.0, 8.0], "scale": "log"},
            {"type": "continuous_param", "start": 1, "stop": 3, "num": 3, "base": 2},
        ),
        ({"kind": "discrete", "values": [1, 2.5]}, {"type": "discrete_param", "values": [1, 2.5]}),
        ({"kind": "categorical", "choices": ["a", True]}, {"type": "discrete_param", "values": ["a", True]}),
    ],
)
def test_parameters_of_files(parameter, native):
    one = job(study__parameters=[{"name": "x", **parameter}])
    assert said(one, "yaml")["search_space"] == [{"params": [{"name": "x", **native}]}]
    assert back(one, "yaml").study.parameters == one.study.parameters


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ({"kind": "int", "low": 1, "high": 7, "step": 2}, [1, 3, 5, 7]),
        ({"kind": "categorical", "choices": [3, 1.5]}, [1.5, 3]),
        ({"kind": "discrete", "values": [1, 2, 3], "scale": "log"}, [1, 2, 3]),
    ],
)
def test_what_files_can_only_list(parameter, values):
    one = job(study__parameters=[{"name": "x", **parameter}])
    assert said(one, "yaml")["search_space"][0]["params"][0]["values"] == values
    assert back(one, "yaml").study.parameters[0].kind == "discrete"


def test_a_file_says_grid_parallelism_and_what_a_trial_gets():
    one = job(
        study__parameters=[{"name": "x", "kind": "discrete", "values": [1, 2]}],
        study__algorithm={"kind": "grid"},
        trial__resources={"gpus": 0.5, "cpus": 2, "replicas": 2},
        budget={"max_trials": None, "parallel_trials": 3},
    )
    request = said(one, "yaml")
    assert request["general"] == {"instance_per_trial": 2, "gpu_per_instance": 1, "cpu_per_instance": 2}
    assert request["search_algorithm"] == {
        "type": "grid_search",
        "max_concurrent": 3,
        "reward_attr": "acc",
        "mode": "max",
    }
    read = back(one, "yaml")
    assert (read.study.algorithm, read.budget) == (one.study.algorithm, one.budget)
    assert (read.trial.resources.replicas, read.trial.resources.gpus, read.trial.resources.cpus) == (2, 1, 2)


def test_exponents_of_a_base_below_one_are_turned_round():
    way = {"start": 1, "stop": 3, "num": 3, "base": 0.5}
    document = changed(FILE, {f"/search_space/0/params/0/{name}": value for name, value in way.items()})
    imported = exchange.read(document, BACKEND)
    assert imported.job.study.parameters[0].values == (0.125, 0.25, 0.5)
    assert imported.boxed == []
    assert exchange.translate(imported.job, BACKEND, imported.settings, form="yaml").payload == document


def test_a_file_says_how_many_trials():
    some = job(
        study__parameters=[{"name": "x", "kind": "discrete", "values": [1, 2]}], study__algorithm={"kind": "grid"}
    )
    some = some.changed(budget={"max_trials": 2})
    assert back(some, "yaml").budget.max_trials == 2
    assert said(job(budget={"max_trials": 7}), "yaml")["search_algorithm"]["num_samples"] == 7
    assert back(job(budget={"max_trials": 7}), "yaml").budget.max_trials == 7


@pytest.mark.parametrize(
    ("algorithm", "said_of_it"),
    [
        ({"kind": "anneal", "seed": 4, "average_best": 3}, {"type": "anneal_search", "seed": 4, "avg_best_idx": 3.0}),
        ({"kind": "random"}, {"type": "tpe_search", "n_initial_points": 30}),
        (
            {"kind": "tpe", "initial_trials": 5, "gamma": 0.3},
            {"type": "tpe_search", "n_initial_points": 5, "gamma": 0.3},
        ),
        ({"kind": "tpe", "initial_trials": 20, "gamma": 0.25}, {"type": "tpe_search"}),
    ],
)
def test_a_file_has_settings_of_its_algorithm_beside_it(algorithm, said_of_it):
    one = job(study__algorithm=algorithm, budget={"max_trials": 30})
    search = said(one, "yaml")["search_algorithm"]
    assert search == {"reward_attr": "acc", "mode": "max", "num_samples": 30, **said_of_it}
    assert back(one, "yaml").study.algorithm == one.study.algorithm
    assert TRANSLATOR.problems(said(one, "yaml"), "yaml") == []


def test_what_files_say_beyond_what_is_published_is_kept():
    more = {"/search_space/0/params/0/step_size": 2, "/search_algorithm/seed": "7", "/stages": 3}
    document = changed(FILE, more)
    imported = exchange.read(document, BACKEND)
    assert sorted(imported.boxed) == [
        "/search_algorithm/seed",
        "/search_space/[0]/params/[lr]/step_size",
        "/stages",
    ]
    assert imported.job.study.algorithm.seed is None
    assert exchange.translate(imported.job, BACKEND, imported.settings, form="yaml").payload == document


def test_numbers_of_files_are_numbers_however_they_are_written(tmp_path):
    (tmp_path / "search.yaml").write_text(
        "search_space: [{params: [{name: lr, start: 1e-4, stop: 1.0e-2, num: 0x5}]}]\n"
        "search_algorithm: {type: tpe_search, reward_attr: acc, num_samples: 30}\n"
    )
    imported = exchange.read(read_document(tmp_path / "search.yaml").data, BACKEND)
    assert imported.boxed == []
    assert "$is" not in str(imported.job.native)


# ---- the whole ------------------------------------------------------------------------------------------------------


ANSWERS = {
    "/status": {"phase": "Completed"},
    "/metadata/id": "5b60",
    "/metadata/create_time": 1636515222282,
    "/metadata/user_name": "someone",
    "/metadata/user_id": "7",
    "/metadata/annotations/job_template": "Template DL",
    "/metadata/annotations/key_task": "worker",
    "/algorithm/name": "fit",
    "/spec/resource/policy": "regular",
    "/spec/resource/flavor_name": "8U",
    "/spec/resource/flavor_detail": {"flavor_type": "CPU"},
    "/spec/resource/pool_name": "public",
    "/spec/resource/main_container_allocated_resources": {"cpu_core_num": 8},
    "/endpoints": {"tensorboard": {"url": "u"}, "jupyter_lab": {"url": "u"}, "mindstudio_insight": {"url": "u"}},
}


def test_what_was_answered_stands_beside_the_request():
    document = changed(JOB, ANSWERS)
    reading = TRANSLATOR.read(document)
    assert reading.form == "response"
    assert reading.request == TRANSLATOR.read(JOB).request
    assert changed({}, ANSWERS) == reading.response
    assert TRANSLATOR.write(reading) == changed(TRANSLATOR.write(TRANSLATOR.read(JOB)), ANSWERS)
    imported = exchange.read(document, BACKEND)
    again = exchange.translate(imported.job, BACKEND, imported.settings, form=imported.form)
    assert again.payload == document


def test_what_no_request_can_say_was_answered():
    answers = {
        "/status": {"phase": "Running"},
        "/metadata/ai_project": "default",
        "/algorithm/engine/run_user": "1102",
        "/spec/is_hosted_log": True,
    }
    document = changed(JOB, answers)
    imported = exchange.read(document, BACKEND)
    assert (imported.boxed, imported.leaves) == ([], exchange.read(JOB, BACKEND).leaves)
    assert imported.job.native["modelarts"]["$response"] == changed({}, answers)
    assert exchange.translate(imported.job, BACKEND, imported.settings, form="response").payload == document


def test_a_stored_algorithm_that_is_said_in_full_can_run_elsewhere():
    imported = exchange.read(changed(JOB, {"/algorithm/id": "5f3e"}), BACKEND)
    assert (imported.job.trial, imported.boxed) == (meant(JOB).trial, ["/algorithm/id"])
    for part in ("/algorithm/engine", "/algorithm/boot_file"):
        assert meant(changed(JOB, {"/algorithm/id": "5f3e", part: ...})).trial.algorithm == "5f3e"


@pytest.mark.parametrize(
    "name",
    [
        *("id", "create_time", "update_time", "user_name", "domain_id", "source", "api_version", "is_valid", "state"),
        *("size", "attr_list", "version_num"),
    ],
)
def test_what_was_answered_of_a_stored_algorithm(name):
    value = {"is_valid": True, "attr_list": ["a"]}.get(name, "1" if name in {"source", "state"} else 1)
    reading = TRANSLATOR.read(changed(ALGORITHM, {f"/metadata/{name}": value}))
    assert (reading.form, list(reading.response["metadata"])) == ("algorithm-response", [name])
    assert reading.request == TRANSLATOR.read(ALGORITHM).request


def test_terraform_says_the_region_and_maps_of_tags():
    document = {**JOB, "region": "cn-north-4", "tags": {"team": "vision"}}
    imported = exchange.read(document, BACKEND)
    assert (imported.form, imported.settings.region, imported.job.labels) == (
        "terraform",
        "cn-north-4",
        {"team": "vision"},
    )
    assert exchange.translate(imported.job, BACKEND, imported.settings).plain["tags"] == {"team": "vision"}


def test_a_stored_algorithm_of_terraform_says_the_region():
    document = {**ALGORITHM, "region": "cn-north-4"}
    imported = exchange.read(document, BACKEND)
    assert (imported.form, imported.settings.region, imported.boxed) == ("algorithm", "cn-north-4", [])
    assert exchange.translate(imported.job, BACKEND, imported.settings, form="algorithm").payload == document


@pytest.mark.parametrize("form", ["job", "terraform", "algorithm"])
@pytest.mark.parametrize(
    "part",
    [
        {"parameters": {"[b]": {"$is": "junk"}}},
        {"parameters": {"[x]": {"constraint": {"$was": {"type": "Float"}, "$is": "junk"}}}},
        {"search_params": {"[b]": {"$is": "junk"}}},
        {"search_params": {"[b]": {"$is": {"name": "x"}}}},
        {"search_params": {"[x]": {"lower_bound": {"$was": "0.5"}}}},
        {"tags": "junk"},
        {"tags": ["junk"]},
    ],
)
def test_boxes_by_hand_that_make_no_request_are_told_not_tripped_over(form, part):
    program, search = ("job_config", "advanced_config") if form == "algorithm" else ("algorithm", "algorithm")
    if "search_params" in part:
        box = {search: {"auto_search": part} if form == "algorithm" else {"policies": {"auto_search": part}}}
    else:
        box = part if "tags" in part else {program: part}
    one = job(native={"modelarts": box}, trial__resources={"machine": "modelarts.vm.cpu.8u"})
    made = exchange.translate(one, BACKEND, ModelArtsSettings(), form=form)
    assert TRANSLATOR.problems(made.request, form)


@pytest.mark.parametrize(
    ("form", "changes"),
    [
        ("job", {"/algorithm/parameters/0/constraint/type": "Integer"}),
        ("algorithm", {"/job_config/parameters/0/constraint/type": "Integer"}),
        ("algorithm", {"/job_config/outputs": [{"name": "train_url"}, {"name": "plots"}]}),
        ("algorithm", {"/advanced_config/auto_search/algo_configs/0/params/1": {"key": "gamma", "value": "2"}}),
        ("job", {"/spec/resource": {"pool_id": "p", "main_container_customized_flavor": {"accelerator_num": 2}}}),
        ("yaml", {"/scheduler": {"type": "AsyncHyperBandScheduler"}}),
        ("yaml", {"/search_algorithm/kind": "ei"}),
    ],
)
def test_what_matters_of_a_box_is_no_small_thing_elsewhere(form, changes):
    box = "/native/modelarts/"
    moved = tuneport.migrate(changed(DOCUMENTS[form], changes), source="modelarts", to="vertex")
    told = [one for one in moved.report.fields if one.pointer.startswith(box) and "$" not in one.pointer]
    assert told
    assert {one.fidelity.name for one in told} == {"UNSUPPORTED"}


@pytest.mark.parametrize(
    ("image", "known"),
    [
        ("pytorch_1.8.0-cuda_10.2-py_3.7-ubuntu_18.04-x86_64", True),
        ("TensorFlow:TF-1.13.1-python3.6-v2", True),
        ("team/train:1", True),
        ("swr.cn-north-4.myhuaweicloud.com/team/train:1", True),
        ("${image}", True),
        ("python:3.12", False),
        ("gcr.io/project/train:1", False),
    ],
)
def test_images_of_others_are_no_preset_engines(image, known):
    report = exchange.translate(job(trial__image=image), BACKEND, ModelArtsSettings()).report
    assert ("/trial/image" not in {one.pointer for one in report.fields}) == known


def test_a_range_without_a_kind_is_still_constrained():
    box = {"search_params": {"[x]": {"param_type": {"$was": "continuous"}}}}
    one = job(native={"modelarts": {"algorithm": {"policies": {"auto_search": box}}}})
    made = exchange.translate(one, BACKEND, ModelArtsSettings()).payload["algorithm"]
    assert made["policies"]["auto_search"]["search_params"] == [
        {"name": "x", "lower_bound": "0.5", "upper_bound": "2.0"}
    ]
    assert made["parameters"][0]["constraint"]["valid_range"] == ["0.5", "2.0"]


def test_deep_documents_are_refused_in_time():
    deep = {}
    for _ in range(5000):
        deep = {"a": deep}
    start = time.perf_counter()
    with pytest.raises(PayloadError, match="deeper than 100"):
        TRANSLATOR.read({**JOB, "algorithm": deep})
    assert time.perf_counter() - start < 1


def test_requests_are_json():
    assert json.loads(json.dumps(said(job()))) == said(job())
    assert TRANSLATOR.problems(said(job(trial__resources={"machine": "modelarts.vm.cpu.8u"})), "job") == []
    assert TRANSLATOR.read(ALGORITHM).form == "algorithm"
