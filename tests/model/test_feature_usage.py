"""What a job uses is found where it stands, whatever the value is and whoever says it."""

from tuneport.model.feature_catalogue import CATALOGUE
from tuneport.model.feature_usage import used
from tuneport.model.features import Feature
from tuneport.model.job import TuningJob


def test_values_that_are_false_are_values():
    job = CATALOGUE[Feature.ALGORITHM_SEED].specimen()
    assert job.study.algorithm.seed == 0
    assert used(job)[Feature.ALGORITHM_SEED] == ["/study/algorithm/seed"]
    job = TuningJob.model_validate(
        {
            **job.brief(),
            "study": {
                "parameters": [{"name": "x", "kind": "float", "low": -1, "high": 0, "default": 0}],
                "objectives": [{"metric": "m", "goal": "minimize", "target": 0.0}],
            },
            "budget": {"max_failed_trials": 0},
        }
    )
    found = used(job)
    assert found[Feature.PARAMETER_DEFAULT] == ["/study/parameters/0/default"]
    assert found[Feature.OBJECTIVE_TARGET] == ["/study/objectives/0/target"]
    assert found[Feature.BUDGET_MAX_FAILED_TRIALS] == ["/budget/max_failed_trials"]


def test_variants_use_what_they_say():
    x = {"name": "x", "kind": "categorical", "choices": ["a", "b"]}
    variant = {
        "when": {"parameter": "x", "values": ["b"]},
        "command": ["run"],
        "spot": False,
        "env": {"A": "1"},
        "inputs": [{"name": "t", "uri": "data"}],
        "resources": {"gpus": 1},
    }
    job = CATALOGUE[Feature.TRIAL_IMAGE].specimen()
    data = job.brief() | {"study": job.study.brief() | {"parameters": [x]}}
    varied = TuningJob.model_validate(data | {"trial": {**data["trial"], "variants": [variant]}})
    of_variants = {
        feature: [place for place in places if "variants" in place] for feature, places in used(varied).items()
    }
    assert {feature: places for feature, places in of_variants.items() if places} == {
        Feature.TRIAL_IMAGE_COMMAND: ["/trial/variants/0/command"],
        Feature.TRIAL_VARIANTS: ["/trial/variants/0/when"],
        Feature.TRIAL_ENV: ["/trial/variants/0/env"],
        Feature.TRIAL_INPUTS_LOCAL: ["/trial/variants/0/inputs/0/uri"],
        Feature.RESOURCES_GPUS: ["/trial/variants/0/resources/gpus"],
    }
