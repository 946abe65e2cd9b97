import pytest

from tuneport.errors import Problem
from tuneport.model.job import TuningJob
from tuneport.translation.blame import blamed

JOB = TuningJob.model_validate(
    {
        "name": "a-name-that-is-long",
        "study": {
            "parameters": [
                {"name": "x", "kind": "float", "low": 0, "high": 1},
                {"name": "opt", "kind": "categorical", "choices": ["a", "b", "c"]},
            ],
            "objectives": [{"metric": "score", "goal": "maximize"}],
        },
        "trial": {"command": ["train"], "env": {"A": "1", "B": "2"}},
        "budget": {"parallel_trials": 7},
    }
)


@pytest.mark.parametrize(
    ("complaint", "place"),
    [
        (lambda job: len(job.name) > 10, "/name"),
        (lambda job: job.budget.parallel_trials > 5, "/budget/parallel_trials"),
        (lambda job: len(job.study.parameters[-1].name) == 3, "/study/parameters/1/name"),
        (
            lambda job: any(len(getattr(one, "choices", ())) > 2 for one in job.study.parameters),
            "/study/parameters/1/choices",
        ),
        (lambda job: len(job.trial.env) > 1, "/trial/env"),
        (lambda job: job.trial.identity is None, ""),
    ],
)
def test_a_refusal_is_told_at_the_word_that_has_to_change(complaint, place):
    (problem,) = blamed(JOB, lambda job: [Problem("/Native/Place", "is refused")] if complaint(job) else [])
    assert problem.pointer == place
    assert problem.message == "in the request at /Native/Place: is refused"


def test_nothing_is_blamed_where_nothing_is_refused():
    assert blamed(JOB, lambda job: []) == []
