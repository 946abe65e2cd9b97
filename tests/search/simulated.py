"""Trials that pause, without processes: a run of a study as the engine would drive it, in simulated time."""

import heapq
import random

from tuneport.model.job import Budget
from tuneport.model.results import TrialState
from tuneport.search.protocols import Decision, Replace, Resume
from tuneport.search.study import Study


class Simulation:
    """A run. A trial is at a step, which is its checkpoint; an heir begins at the step of its parent.

    Args:
        spec: the study.
        loss: a trial's loss, by the parameters that it had at each step so far.
        max_trials: of the budget.
        parallel: trials at a time.
        steps: after which a trial ends by itself.
        seed: of the study, and of how long steps take.
        failing: whether a trial fails now, by its number and step.
    """

    def __init__(self, spec, loss, *, max_trials, parallel=4, steps=None, seed=1, failing=lambda *_: False):
        self.events = []
        self.spec, self.budget, self.seed = spec, Budget(max_trials=max_trials), seed
        self.study = Study(spec, seed=seed, budget=self.budget, on_event=self.events.append)
        self.schedules = {}
        self.spent = 0
        self.promoted = []
        self.replaced = []
        self._loss, self._parallel, self._steps, self._failing = loss, parallel, steps, failing
        self._chance = random.Random(seed)
        self._queue = []
        self._now = 0.0

    def run(self, spend=None):
        while spend is None or self.spent < spend:
            while len(self._queue) < self._parallel and (trial := self._next()) is not None:
                self._step(trial)
            if not self._queue:
                break
            self._now, trial = heapq.heappop(self._queue)
            self._report(trial)
        return self

    def _next(self):
        study = self.study
        match study.due():
            case Resume(trial):
                self.promoted.append((trial, len(self.events)))
                study.resume(trial)
                return trial
            case Replace(trial, parent):
                self.replaced.append((trial, parent, {one.id: one for one in study.trials}))
                if trial is not None:
                    study.tell(trial, state=TrialState.STOPPED)
                heir = study.ask(parent=parent).id
                self.schedules[heir] = list(self.schedules[parent])
                return heir
        if not study.wants_more or len(study.trials) >= self.budget.max_trials:
            return None
        trial = study.ask().id
        self.schedules[trial] = []
        return trial

    def _step(self, trial):
        if len(self.schedules[trial]) == self._steps:
            self.study.tell(trial)  # it paused after its last step
            return
        self.schedules[trial].append(self.study.trial(trial).parameters)
        heapq.heappush(self._queue, (self._now + self._chance.uniform(0.9, 1.1), trial))

    def _report(self, trial):
        self.spent += 1
        schedule = self.schedules[trial]
        if self._failing(trial, len(schedule)):
            self.study.tell(trial, state=TrialState.FAILED)
            return
        decision = self.study.report(trial, {"loss": self._loss(schedule)}, step=len(schedule))
        if decision is Decision.PAUSE:
            self.study.pause(trial)
        elif decision is Decision.STOP:
            self.study.tell(trial, state=TrialState.STOPPED)
        elif decision is Decision.COMPLETE:
            self.study.tell(trial)
        else:
            self._step(trial)
