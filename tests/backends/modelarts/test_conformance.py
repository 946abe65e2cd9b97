"""ModelArts keeps what every backend promises."""

from pathlib import Path

import pytest

from tuneport import exchange
from tuneport.backends.modelarts import BACKEND
from tuneport.model.feature_usage import used
from tuneport.model.features import Feature
from tuneport.testing.conformance import ALL_EXACT, Conformance
from tuneport.translation.capabilities import Fidelity

EXACT = [
    (form, feature)
    for form, supports in BACKEND.capabilities.by_form.items()
    for feature, support in supports.items()
    if support.fidelity is Fidelity.EXACT and feature is not Feature.BUDGET_ANY_TRIALS  # which is about grids
]


class TestModelArts(Conformance):
    backend = BACKEND
    settings = {
        "image": "team/train:1",
        "machine": "modelarts.vm.cpu.8u",
        "output": "obs://bucket/results/",
    }
    at_home = {
        "registry.example/train:1": "team/train:1",
        "registry.example/b:1": "team/b:1",
        "gs://bucket/train.tar.gz": "obs://bucket/train/",
        "s3://bucket/train/": "obs://bucket/train/",
        "s3://bucket/results/": "obs://bucket/results/",
        "n1-standard-8": "modelarts.vm.cpu.8u",
        "a100-40gb": "v100-32gb",
    }
    goldens = Path(__file__).parents[2] / "golden" / "modelarts"

    @pytest.mark.parametrize(("kind", "claim"), EXACT)
    def test_nothing_is_overclaimed_of_a_form(self, kind, claim):
        translator = BACKEND.translator
        there = self.translate(self.specimen(claim), kind).job
        found = exchange.measured(there, translator.to_native(there, self.chosen, kind), kind, translator, ALL_EXACT)
        assert [one for one in found if any(one.pointer.startswith(place) for place in used(there)[claim])] == []
