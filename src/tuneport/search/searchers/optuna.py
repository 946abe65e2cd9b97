"""Any sampler of Optuna that needs only options, as a searcher: the worked example of a plug-in.

`{kind: plugin, name: optuna, options: {sampler: TPESampler}}` asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from tuneport.errors import MissingExtraError, SearchError
from tuneport.model.parameters import Categorical, Float, Int
from tuneport.model.word import Json, Scalar
from tuneport.search.dimensions import Array, Dimension
from tuneport.search.protocols import Observation
from tuneport.search.searchers.novelty import Followed, Novelty
from tuneport.search.space import Space

_DRAWS = 64
"""Random draws in place of a point that the sampler repeats."""


class OptunaSearcher:
    """Asks a sampler of Optuna.

    Optuna sees coordinates of the unit cube instead of values, so that every scale, step and type is ours; parameters
    are asked for in the order of their conditions, so that samplers that know of conditions see them.

    A sampler is made anew for each suggestion, from the seed and the number of the trial, and gets all trials. What it
    notes down with trials (as CMA-ES and the genetic samplers do) lives as long as this searcher: after a resume,
    these begin with a new population; all others go on as if nothing had happened.

    Args:
        space: what is searched.
        seed: makes the suggestions repeatable.
        options: `sampler` is the name of a class of `optuna.samplers`, TPESampler by default; all others are given to
            it, besides `seed`. So it must take a seed, and need no objects and no names of Optuna's own.
    """

    adaptive = True
    packages = ("optuna",)

    def __init__(self, space: Space, seed: int, options: Mapping[str, Json]) -> None:
        try:
            import optuna  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtraError("this searcher needs Optuna", hint="pip install 'tuneport[optuna]'") from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # else it speaks at every suggestion
        self._optuna = optuna
        self._space = space
        self._seed = seed
        self._options = dict(options)
        name = str(self._options.pop("sampler", "TPESampler"))
        if not hasattr(optuna.samplers, name):
            raise ValueError(f"Optuna has no sampler {name}")
        self._kind: Any = getattr(optuna.samplers, name)
        self._sampler(0)  # wrong options are told at once
        self._novelty = Novelty(space)
        self._notes: dict[int, dict[str, Any]] = {}
        self._told = Followed(self._frozen)

    def suggest(
        self, number: int, finished: Sequence[Observation], pending: Sequence[Mapping[str, Scalar]]
    ) -> dict[str, Scalar]:
        """What the sampler says next; see `Searcher.suggest`."""
        seen = self._novelty.seen(finished, pending)
        objectives = max((len(one.losses) for one in finished if one.losses is not None), default=1)
        study = self._optuna.create_study(directions=["minimize"] * objectives, sampler=self._sampler(number))
        running = [self._trial(parameters, state=self._optuna.trial.TrialState.RUNNING) for parameters in pending]
        study.add_trials([*self._told.follow(finished), *running])
        trial, vector = self._ask(study)
        self._notes[number] = study.get_trials(deepcopy=False)[trial.number].system_attrs
        rng = np.random.default_rng([self._seed, number])
        others = (rng.random(len(self._space)) for _ in range(_DRAWS))
        return self._novelty.first_new(chain([vector], others), seen, rng)

    def _sampler(self, number: int) -> Any:
        seed = int(np.random.default_rng([self._seed, number]).integers(2**31))
        return self._kind(seed=seed, **self._options)

    def _ask(self, study: Any) -> tuple[Any, Array]:
        """A new trial of a study of Optuna, and its point of the cube.

        Only now does a sampler look at what it is to search, and for what, and load what it stands on.
        """
        try:
            trial = study.ask()
            return trial, self._asked(trial)
        except ImportError as error:
            hint = "install what it needs beside Optuna, or choose another sampler"
            raise MissingExtraError(f"Optuna's {self._kind.__name__} cannot be used: {error}", hint=hint) from error
        except ValueError as error:
            message = f"Optuna's {self._kind.__name__} cannot search this study: {error}"
            raise SearchError(message, hint="choose another sampler") from error

    def _asked(self, trial: Any) -> Array:
        """The point of the cube that a trial of Optuna suggests, parameter by parameter, parents first."""
        vector = np.full(len(self._space), np.nan)
        for index, dimension in enumerate(self._space.dimensions):
            if self._space.active(vector[None])[0, index]:
                name = f"{index} {dimension.parameter.name}"
                answer = trial._suggest(name, self._distribution(dimension))  # noqa: SLF001 - as all suggest_* do
                vector[index] = answer if _measured(dimension) else dimension.middle(np.asarray(float(answer)))
        return vector

    def _distribution(self, dimension: Dimension) -> Any:
        distributions = self._optuna.distributions
        if isinstance(dimension.parameter, Categorical):
            return distributions.CategoricalDistribution(tuple(range(dimension.count or 1)))
        if _measured(dimension):
            return distributions.FloatDistribution(0.0, 1.0)
        return distributions.IntDistribution(0, (dimension.count or 1) - 1)

    def _frozen(self, observation: Observation) -> Any:
        """An ended trial as Optuna keeps it."""
        states = self._optuna.trial.TrialState
        notes = self._notes.get(observation.number, {})
        if observation.losses is None or not observation.legal or not np.isfinite(observation.losses).all():
            return self._trial(observation.parameters, state=states.FAIL, system_attrs=notes)
        return self._trial(observation.parameters, values=list(observation.losses), system_attrs=notes)

    def _trial(self, parameters: Mapping[str, Scalar], **more: Any) -> Any:
        vector = self._space.encode(parameters)
        params, distributions = {}, {}
        for index, dimension in enumerate(self._space.dimensions):
            if not np.isnan(vector[index]):
                name, u = f"{index} {dimension.parameter.name}", vector[index]
                params[name] = float(u) if _measured(dimension) else int(dimension.code(u))
                distributions[name] = self._distribution(dimension)
        return self._optuna.trial.create_trial(params=params, distributions=distributions, **more)


def _measured(dimension: Dimension) -> bool:
    """Whether Optuna gets the place on a scale; a whole number of its own would lose a logarithmic one."""
    return dimension.count is None or (
        isinstance(dimension.parameter, (Float, Int)) and dimension.parameter.scale in {"log", "reverse_log"}
    )
