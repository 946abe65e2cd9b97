"""What pausing is worth: halving that promotes against halving that stops, and populations against constant parameters.

Trials are synthetic, so that the truth is known; a step of four trials at a time is one tick of the clock. Halving gets
600 steps in all, and the true loss of the best trial that had all 27 steps counts. A population anneals the learning
rate of a noisy descent, and is compared with searches that spend as many steps on trials with a constant one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

import numpy as np

import tuneport as tp
from tuneport.search.protocols import Decision, Replace, Resume

PARALLEL = 4
MOST, SPENT = 27, 600
LENGTH = 30


class Trials:
    """Trials of a study, a step at a time, until so many steps are spent.

    Args:
        study: asks and judges.
        begin: the state of a trial before its first step.
        step: from parameters, state and the step's number to loss and state.
        most: steps of a whole trial.
    """

    def __init__(self, study: tp.Study, begin: object, step: Callable[..., tuple[float, object]], most: int) -> None:
        self.study, self.begin, self.step, self.most = study, begin, step, most
        self.states: dict[int, tuple[int, object]] = {}
        self.running: list[int] = []
        self.spent = 0

    def run(self, spent: int) -> tp.Study:
        while self.spent < spent:
            while len(self.running) < PARALLEL and (trial := self.next()) is not None:
                self.running.append(trial)
            if not self.running:
                break
            for trial in list(self.running):
                self.train(trial)
        return self.study

    def next(self) -> int | None:
        match self.study.due():
            case Resume(trial):
                return self.study.resume(trial).id
            case Replace(trial, parent):
                if trial is not None:
                    self.study.tell(trial, state=tp.TrialState.STOPPED)
                heir = self.study.ask(parent=parent).id
                self.states[heir] = self.states[parent]
                return heir
        if not self.study.wants_more:
            return None
        trial = self.study.ask().id
        self.states[trial] = 0, self.begin
        return trial

    def train(self, trial: int) -> None:
        steps, state = self.states[trial]
        loss, state = self.step(self.study.trial(trial).parameters, state, steps + 1)
        self.states[trial] = steps + 1, state
        self.spent += 1
        decision = self.study.report(trial, {"loss": loss}, step=steps + 1)
        if steps + 1 == self.most:
            self.study.tell(trial)
        elif decision is Decision.PAUSE:
            self.study.pause(trial)
        elif decision is Decision.STOP:
            self.study.tell(trial, state=tp.TrialState.STOPPED)
        else:
            return
        self.running.remove(trial)


# ---- halving --------------------------------------------------------------------------------------------------------

SPACE = [tp.Float(name, 0, 1) for name in "abcd"]
BEST = {"a": 0.7, "b": 0.3, "c": 0.55, "d": 0.8}


def truth(parameters: Mapping[str, float]) -> float:
    return sum((parameters[name] - best) ** 2 for name, best in BEST.items())


def curve(parameters: Mapping[str, float], _: object, step: int, *, crossing: bool) -> tuple[float, None]:
    """The true loss, and what is left to learn of it; where curves cross, the better half of the space begins worse."""
    late = crossing and parameters["a"] > 0.5
    return truth(parameters) + (1.0 if late else 0.4) * (1 / step - 1 / MOST), None


def halved(algorithm: tp.Bayesian | tp.Random | tp.Tpe, form: str, seed: int, *, crossing: bool) -> tuple[float, int]:
    """True loss of the best complete trial, and how many were complete."""
    rule = tp.Asha(max_resource=MOST, form=form)
    spec = tp.StudySpec(parameters=SPACE, objectives=[tp.minimize("loss")], algorithm=algorithm, early_stopping=rule)
    trials = Trials(tp.Study(spec, seed=seed), None, lambda *them: curve(*them, crossing=crossing), MOST)
    done = [one for one in trials.run(SPENT).trials if len(one.measurements) == MOST]
    return min(truth(one.parameters) for one in done), len(done)


# ---- populations ----------------------------------------------------------------------------------------------------

CURVATURES = np.geomspace(1, 100, 20)
UPDATES = 20
RATE = [tp.Float("rate", 1e-4, 1e-1, scale="log")]


def descend(parameters: Mapping[str, float], weights: np.ndarray, step: int) -> tuple[float, np.ndarray]:
    """Some noisy updates; the loss is that of the weights themselves."""
    rng = np.random.default_rng([step, int(parameters["rate"] * 1e12)])
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(UPDATES):
            noise = rng.normal(size=len(weights)) * np.sqrt(CURVATURES)
            weights = weights - parameters["rate"] * (CURVATURES * weights + noise)
        return float((CURVATURES * weights**2).sum()), weights


def annealed(algorithm: tp.Pbt | tp.Random | tp.Bayesian, seed: int, spent: int) -> float:
    """The least loss after all steps."""
    spec = tp.StudySpec(parameters=RATE, objectives=[tp.minimize("loss")], algorithm=algorithm)
    study = Trials(tp.Study(spec, seed=seed), np.ones(len(CURVATURES)), descend, LENGTH).run(spent)
    whole = [one for one in study.trials if one.state is tp.TrialState.SUCCEEDED]
    return min(one.metrics["loss"] for one in whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = range(parser.parse_args().seeds)
    print(f"true loss of the best complete trial (complete trials), mean of {len(seeds)} seeds")
    for algorithm in (tp.Random(), tp.Tpe(), tp.Bayesian()):
        for form in ("stopping", "promotion"):
            row = []
            for crossing in (False, True):
                found = [halved(algorithm, form, seed, crossing=crossing) for seed in seeds]
                losses, complete = np.mean(found, axis=0)
                row.append(f"{losses:.2g} ({complete:.0f})")
            print(f"{algorithm.kind:10} {form:10} parallel {row[0]:16} crossing {row[1]}", flush=True)
    print(f"least loss of an annealed descent after {LENGTH} steps, mean of {len(seeds)} seeds")
    for population in (8, 16):
        spent = population * LENGTH
        for algorithm in (tp.Pbt(population=population), tp.Random(), tp.Bayesian()):
            losses = [annealed(algorithm, seed, spent) for seed in seeds]
            print(f"{spent} steps: {algorithm.kind:10} {np.mean(losses):.3g}", flush=True)
    luckiest = min(constant_rate(rate) for rate in np.geomspace(1e-4, 1e-1, 301))
    print(f"the best constant of 301: {luckiest:.3g}")


def constant_rate(rate: float) -> float:
    """The loss after all steps with one rate."""
    weights, loss = np.ones(len(CURVATURES)), np.inf
    for step in range(1, LENGTH + 1):
        loss, weights = descend({"rate": rate}, weights, step)
    return loss if np.isfinite(loss) else np.inf


if __name__ == "__main__":
    main()
