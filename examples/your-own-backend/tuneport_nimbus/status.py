"""What Nimbus answers about a run, as our results and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tuneport.model.results import StudyResult

Json = dict[str, Any]
_ENDS = {"stopping": "CLOSING", "succeeded": "DONE", "stopped": "CLOSED", "failed": "BROKEN"}
RUNS = {"pending": "QUEUED", "running": "BUSY", **_ENDS}
TRIALS = {"requested": "QUEUED", "running": "BUSY", "infeasible": "REFUSED", **_ENDS}
DIRECTIONS = {"maximize": "UP", "minimize": "DOWN"}


class NimbusStatus:
    """An answer is the job, its state and its tries; a try has an id, a state, values and perhaps a score."""

    def parse(self, described: Json, trials: Iterable[Json]) -> StudyResult:
        runs = {native: state for state, native in RUNS.items()}
        goal = described["job"]["goal"]
        direction = "maximize" if goal["direction"] == "UP" else "minimize"
        return StudyResult.model_validate(
            {
                "ref": f"nimbus:{described['id']}",
                "name": described["job"]["title"],
                "backend": "nimbus",
                "state": runs[described["state"]],
                "objectives": [{"metric": goal["metric"], "goal": direction}],
                "trials": [_read_try(one, goal["metric"]) for one in [*described["tries"], *trials]],
            }
        )

    def render(self, result: StudyResult) -> Json:
        goal = result.objectives[0]
        job = {"title": result.name, "goal": {"metric": goal.metric, "direction": DIRECTIONS[goal.goal]}}
        tries = [
            {
                "id": one.id,
                "state": TRIALS[one.state],
                "values": dict(one.parameters),
                "score": one.metrics.get(goal.metric),
            }
            for one in result.trials
        ]
        return {"id": result.ref.partition(":")[2], "state": RUNS.get(result.state, "BUSY"), "job": job, "tries": tries}


def _read_try(one: Json, metric: str) -> Json:
    states = {native: state for state, native in TRIALS.items()}
    score = {} if one.get("score") is None else {"final_measurement": {"metrics": {metric: one["score"]}}}
    return {"id": one["id"], "state": states[one["state"]], "parameters": one["values"], **score}
