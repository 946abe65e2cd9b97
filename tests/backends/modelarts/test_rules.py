"""What the service refuses: every rule on the line, and one over it."""

import pytest

from tuneport.backends.modelarts.translate import TRANSLATOR
from tuneport.errors import PayloadError

from .specimens import ALGORITHM, DOCUMENTS, FILE, JOB, changed

SEARCH = "/algorithm/policies/auto_search"
LR, OPT = f"{SEARCH}/search_params/0", f"{SEARCH}/search_params/1"
REWARD = f"{SEARCH}/reward_attrs/0"
SETTINGS = f"{SEARCH}/algo_configs/0/params"
PARAMS = "/search_space/0/params"
IMAGE = {"engine": {"image_url": "team/train:1"}, "command": "python fit.py"}


def problems(document, form="job"):
    return [one.pointer for one in TRANSLATOR.problems(document, form)]


@pytest.mark.parametrize("form", DOCUMENTS)
def test_a_good_document_has_no_problems(form):
    assert TRANSLATOR.problems(DOCUMENTS[form], form) == []


MALFORMED = [
    ({f"{SEARCH}/reward_attrs": []}, f"{SEARCH}/reward_attrs"),
    ({f"{SEARCH}/search_params": []}, f"{SEARCH}/search_params"),
    ({f"{SEARCH}/algo_configs": []}, f"{SEARCH}/algo_configs"),
    ({f"{REWARD}/name": ...}, f"{REWARD}/name"),
    ({f"{REWARD}/mode": ...}, f"{REWARD}/mode"),
    ({f"{REWARD}/mode": "${mode}"}, f"{REWARD}/mode"),
    ({f"{REWARD}/regex": "("}, f"{REWARD}/regex"),
    ({f"{REWARD}/regex": "a" * 1001}, f"{REWARD}/regex"),
    ({f"{SEARCH}/reward_attrs/1": {"name": "acc", "mode": "min"}}, f"{SEARCH}/reward_attrs/1/name"),
    ({f"{LR}/name": ...}, f"{LR}/name"),
    ({f"{LR}/lower_bound": ...}, f"{LR}/lower_bound"),
    ({f"{LR}/lower_bound": "nan"}, f"{LR}/lower_bound"),
    ({f"{LR}/upper_bound": "1e999"}, f"{LR}/upper_bound"),
    ({f"{LR}/upper_bound": "${high}"}, f"{LR}/upper_bound"),
    ({f"{LR}/lower_bound": "0.2"}, f"{LR}/lower_bound"),
    ({f"{LR}/lower_bound": "-1e308", f"{LR}/upper_bound": "1e308"}, f"{LR}/lower_bound"),
    ({f"{LR}/discrete_points_num": "1"}, f"{LR}/discrete_points_num"),
    ({f"{LR}/discrete_points_num": "2.5"}, f"{LR}/discrete_points_num"),
    ({f"{OPT}/discrete_values": ...}, f"{OPT}/discrete_values"),
    ({f"{OPT}/discrete_values": ["a", "b", "a"]}, f"{OPT}/discrete_values/2"),
    ({f"{OPT}/discrete_values": list(map(str, range(10_001)))}, f"{OPT}/discrete_values"),
    ({f"{OPT}/discrete_values": "a, b, a"}, f"{OPT}/discrete_values/2"),
    ({f"{OPT}/discrete_values": "[]"}, f"{OPT}/discrete_values"),
    ({f"{OPT}/param_type": ..., f"{OPT}/discrete_values": [], f"{OPT}/upper_bound": "1"}, f"{OPT}/lower_bound"),
    ({f"{OPT}/name": "lr"}, f"{OPT}/name"),
    ({f"{SEARCH}/algo_configs/0/name": "hyperopt"}, f"{SEARCH}/algo_configs/0/name"),
    ({f"{SETTINGS}/0/key": "samples"}, f"{SETTINGS}/0/key"),
    ({f"{SETTINGS}/0/value": "many"}, f"{SETTINGS}/0/value"),
    ({f"{SETTINGS}/0/value": "1.5"}, f"{SETTINGS}/0/value"),
    ({f"{SETTINGS}/0/value": "0"}, f"{SETTINGS}/0/value"),
    ({f"{SETTINGS}/1": {"key": "num_samples", "value": "3"}}, f"{SETTINGS}/1/key"),
    ({"/algorithm/parameters/3": {"name": "epochs"}}, "/algorithm/parameters/3/name"),
    ({SEARCH: ...}, SEARCH),
    ({SEARCH: ..., "/algorithm/id": "5f3e"}, SEARCH),
    ({SEARCH: ..., "/algorithm/autosearch_config_path": "obs://b/s.yaml"}, "/algorithm/autosearch_config_path"),
]


@pytest.mark.parametrize(("changes", "pointer"), MALFORMED)
def test_what_is_no_search_is_neither_read_nor_sent(changes, pointer):
    document = changed(JOB, changes)
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read(document)
    assert [one.pointer for one in caught.value.problems] == [pointer]
    with pytest.raises(PayloadError):
        TRANSLATOR.from_native(document, "job")
    assert pointer in problems(document)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({f"{PARAMS}/0/start": ...}, f"{PARAMS}/0/start"),
        ({f"{PARAMS}/0/stop": 1e308}, f"{PARAMS}/0/stop"),
        ({f"{PARAMS}/0/base": 10, f"{PARAMS}/0/stop": 400}, f"{PARAMS}/0/stop"),
        ({f"{PARAMS}/0/base": 1}, f"{PARAMS}/0/base"),
        ({f"{PARAMS}/0/base": -10}, f"{PARAMS}/0/base"),
        ({f"{PARAMS}/0/num": 1}, f"{PARAMS}/0/num"),
        ({"/search_algorithm/type": "grid_search", f"{PARAMS}/0/num": "${n}"}, f"{PARAMS}/0/num"),
        ({f"{PARAMS}/1/values": ["a", "a"]}, f"{PARAMS}/1/values"),
        ({f"{PARAMS}/1/values": ...}, f"{PARAMS}/1/values"),
        ({f"{PARAMS}/1/name": "lr"}, f"{PARAMS}/1/name"),
        ({"/search_algorithm/type": "dragonfly"}, "/search_algorithm/type"),
        ({"/search_algorithm/mode": "maximum"}, "/search_algorithm/mode"),
        ({f"{PARAMS}/0/type": "loguniform"}, f"{PARAMS}/0/type"),
        ({"/search_space/0/name": "stage"}, "/search_space/0/name"),
        ({"/search_algorithm/reward_attr": ...}, "/search_algorithm/reward_attr"),
        ({"/search_algorithm/type": "grid_search", "/search_algorithm/num_samples": ...}, f"{PARAMS}/0/num"),
    ],
)
def test_files_that_are_no_search_are_neither_read_nor_sent(changes, pointer):
    document = changed(FILE, changes)
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read(document)
    assert [one.pointer for one in caught.value.problems] == [pointer]
    assert pointer in problems(document, "yaml")


REFUSED = [
    ({"/metadata/name": "a" * 64}, {"/metadata/name": "a" * 65}, "/metadata/name"),
    ({"/metadata/name": "a-B_9"}, {"/metadata/name": "a.b"}, "/metadata/name"),
    ({"/metadata/description": "d" * 256}, {"/metadata/description": "d" * 257}, "/metadata/description"),
    (
        {"/metadata/training_experiment_reference": {"name": "e" * 64, "description": "d" * 256}},
        {"/metadata/training_experiment_reference": {"name": "e" * 65}},
        "/metadata/training_experiment_reference/name",
    ),
    (
        {"/metadata/annotations/fault-tolerance~1job-retry-num": "3"},
        {"/metadata/annotations/fault-tolerance~1job-retry-num": "4"},
        "/metadata/annotations/fault-tolerance~1job-retry-num",
    ),
    ({f"{LR}/upper_bound": "0.0011"}, {f"{LR}/upper_bound": "0.001"}, f"{LR}/upper_bound"),
    (
        {f"{SETTINGS}/1": {"key": "gamma", "value": "0.99", "type": "Float"}},
        {f"{SETTINGS}/1": {"key": "gamma", "value": "1", "type": "Float"}},
        f"{SETTINGS}/1/value",
    ),
    (
        {f"{SEARCH}/algo_configs": [{"name": "bayes_opt_search", "params": [{"key": "kind", "value": "poi"}]}]},
        {f"{SEARCH}/algo_configs": [{"name": "bayes_opt_search", "params": [{"key": "kind", "value": "pi"}]}]},
        f"{SETTINGS}/0/value",
    ),
    ({f"{LR}/name": "l" * 64}, {f"{LR}/name": "l" * 65}, f"{LR}/name"),
    ({"/algorithm/parameters/2/name": "a-b"}, {"/algorithm/parameters/2/name": "a b"}, "/algorithm/parameters/2/name"),
    ({"/algorithm/parameters/2/name": "x"}, {"/algorithm/parameters/2/name": ...}, "/algorithm/parameters/2/name"),
    (
        {"/algorithm/parameters/2/value": "${n}"},
        {"/algorithm/parameters/2/value": "x"},
        "/algorithm/parameters/2/value",
    ),
    *(
        (
            {"/algorithm/parameters/2": {"name": "x", "value": right, "constraint": {"type": kind}}},
            {"/algorithm/parameters/2": {"name": "x", "value": "x", "constraint": {"type": kind}}},
            "/algorithm/parameters/2/value",
        )
        for kind, right in {"Float": "1e-3", "Boolean": "false"}.items()
    ),
    (
        {"/algorithm/boot_file": "/bucket/code/a/b.py"},
        {"/algorithm/boot_file": "/bucket/codes/b.py"},
        "/algorithm/boot_file",
    ),
    (
        {"/algorithm/boot_file": "/bucket/code/b.py"},
        {"/algorithm/boot_file": "/bucket/code/b.sh"},
        "/algorithm/boot_file",
    ),
    ({}, {"/algorithm/engine": ...}, "/algorithm/engine"),
    ({"/algorithm/id": "5f3e"}, {"/algorithm/boot_file": ...}, "/algorithm"),
    (
        {"/algorithm/subscription_id": "a", "/algorithm/item_version_id": "1"},
        {"/algorithm/subscription_id": "a"},
        "/algorithm",
    ),
    (
        {"/algorithm/id": "a"},
        {"/algorithm/id": "a", "/algorithm/subscription_id": "a", "/algorithm/item_version_id": "1"},
        "/algorithm",
    ),
    (
        {f"/algorithm/{name}": value for name, value in IMAGE.items()},
        {"/algorithm/engine": IMAGE["engine"]},
        "/algorithm/command",
    ),
    (
        {f"/algorithm/{name}": value for name, value in IMAGE.items()},
        {"/algorithm/engine": IMAGE["engine"], "/algorithm/command": "python\nfit.py"},
        "/algorithm/command",
    ),
    (
        {"/algorithm/environments": {f"A{index}": "" for index in range(100)}},
        {"/algorithm/environments": {f"A{index}": "" for index in range(101)}},
        "/algorithm/environments",
    ),
    ({"/algorithm/environments": {"_a": "1"}}, {"/algorithm/environments": {"1a": "1"}}, "/algorithm/environments/1a"),
    (
        {"/algorithm/environments": {"a" * 8192: ""}},
        {"/algorithm/environments": {"a" * 8193: ""}},
        f"/algorithm/environments/{'a' * 8193}",
    ),
    ({f"{REWARD}/regex": "."}, {f"{REWARD}/regex": ""}, f"{REWARD}/regex"),
    ({f"{REWARD}/regex": "."}, {f"{REWARD}/regex": ...}, f"{REWARD}/regex"),
    ({"/algorithm/environments/A": "v" * 4096}, {"/algorithm/environments/A": "v" * 4097}, "/algorithm/environments/A"),
    (
        {"/algorithm/inputs/0/remote": {"dataset": {"id": "a"}}},
        {"/algorithm/inputs/0/remote": {}},
        "/algorithm/inputs/0/remote",
    ),
    (
        {"/algorithm/inputs/0/remote/obs/obs_url": "obs://b/"},
        {"/algorithm/inputs/0/remote/obs/obs_url": "s3://b/"},
        "/algorithm/inputs/0/remote/obs/obs_url",
    ),
    (
        {"/algorithm/outputs/1": {"name": "more", "remote": {"obs": {"obs_url": "/b/"}}}},
        {"/algorithm/outputs/1": {"name": "train_url", "remote": {"obs": {"obs_url": "/b/"}}}},
        "/algorithm/outputs/1/name",
    ),
    ({"/spec/resource": {"pool_id": "p"}}, {"/spec/resource": {}}, "/spec/resource/flavor_id"),
    (
        {"/spec/resource/pool_id": "p", "/spec/resource/main_container_customized_flavor": {"cpu_core_num": 1}},
        {"/spec/resource/main_container_customized_flavor": {"cpu_core_num": 1}},
        "/spec/resource/main_container_customized_flavor",
    ),
    ({"/spec/resource/node_count": 1}, {"/spec/resource/node_count": 0}, "/spec/resource/node_count"),
    ({"/spec/volumes": [{"nfs": {}}]}, {"/spec/volumes": [{"nfs": {}, "pfs": {}}]}, "/spec/volumes/0"),
    ({"/spec/auto_stop/duration": 1}, {"/spec/auto_stop/duration": 0}, "/spec/auto_stop/duration"),
    ({"/spec/auto_stop/time_unit": "HOURS"}, {"/spec/auto_stop/time_unit": "DAYS"}, "/spec/auto_stop/time_unit"),
    ({"/tags/0/key": "k" * 128}, {"/tags/0/key": "k" * 129}, "/tags/0/key"),
    ({"/tags/0/key": "sys_a"}, {"/tags/0/key": "_sys_a"}, "/tags/0/key"),
    ({"/tags/0/value": "v" * 255}, {"/tags/0/value": "v" * 256}, "/tags/0/value"),
]


@pytest.mark.parametrize(("on_the_line", "over_it", "pointer"), REFUSED)
def test_every_rule_on_the_line_and_one_over_it(on_the_line, over_it, pointer):
    assert problems(changed(JOB, on_the_line)) == []
    assert problems(changed(JOB, over_it)) == [pointer]


def test_stored_algorithms_keep_their_own_rules():
    assert problems(changed(ALGORITHM, {"/job_config/boot_file": "/other/fit.py"}), "algorithm") == [
        "/job_config/boot_file"
    ]


def test_the_schema_speaks_first():
    found = TRANSLATOR.problems(changed(JOB, {"/spec/resource/node_count": "1", "/colour": "red"}), "job")
    assert [one.pointer for one in found] == ["/spec/resource/node_count", "/colour"]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"total": 1, "count": 1, "items": {"header": ["", "done"], "data": [["0", "True"]]}}, "a table of trials"),
        ({"header": ["done"], "data": [["True"]]}, "a table of trials"),
        ({"trainingInput": {"hyperparameters": {"searchAlgorithm": "hyperopt"}}}, "AutoNet"),
        ({"colour": "red"}, "no document of ModelArts"),
        ({}, "no document of ModelArts"),
        (["job"], "must be an object"),
    ],
)
def test_what_is_no_job_is_called_by_its_name(document, says):
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read(document)
    assert says in caught.value.problems[0].message


@pytest.mark.parametrize("kind", ["continous", "range", "${kind}"])
def test_kinds_of_ranges_are_known(kind):
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read(changed(JOB, {f"{LR}/param_type": kind}))
    assert caught.value.pointer == f"{LR}/param_type"


@pytest.mark.parametrize("tags", ["a", [1], [{"value": "x"}], {"a": 1}, [{"key": "a", "value": "b", "more": "c"}]])
def test_tags_are_keys_with_values(tags):
    with pytest.raises(PayloadError) as caught:
        TRANSLATOR.read({**JOB, "tags": tags})
    assert caught.value.pointer.startswith("/tags")
