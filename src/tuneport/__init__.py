"""Portable hyperparameter tuning: one job, run here, on Ray, on Vertex AI, on SageMaker or on ModelArts.

Every public name is loaded when it is first used, so that `import tuneport` costs next to nothing.
"""

TYPE_CHECKING = False  # type checkers know this name; importing `typing` for it would double our start-up

if TYPE_CHECKING:
    from tuneport import errors
    from tuneport.api import attach, resume, run, runs, submit
    from tuneport.handle import Run
    from tuneport.migration import migrate
    from tuneport.model.job import Budget, TuningJob, WarmStart
    from tuneport.model.parameters import Categorical, Discrete, Float, Int, When, when
    from tuneport.model.results import Failure, FailureKind, Measurement, RunState, StudyResult, Trial, TrialState
    from tuneport.model.study import (
        Anneal,
        Asha,
        Auto,
        AutoStopping,
        Bayesian,
        CmaEs,
        Constraint,
        CurveStopping,
        Grid,
        Hyperband,
        MedianStopping,
        Objective,
        Pbt,
        Plugin,
        Random,
        Sobol,
        StudySpec,
        Tpe,
        maximize,
        minimize,
    )
    from tuneport.model.trial_spec import Input, Output, Resources, TrialSpec
    from tuneport.search.study import Study
    from tuneport.translating import import_job, translate
    from tuneport.tuning import tune

    __version__: str

__all__ = [
    "Anneal",
    "Asha",
    "Auto",
    "AutoStopping",
    "Bayesian",
    "Budget",
    "Categorical",
    "CmaEs",
    "Constraint",
    "CurveStopping",
    "Discrete",
    "Failure",
    "FailureKind",
    "Float",
    "Grid",
    "Hyperband",
    "Input",
    "Int",
    "Measurement",
    "MedianStopping",
    "Objective",
    "Output",
    "Pbt",
    "Plugin",
    "Random",
    "Resources",
    "Run",
    "RunState",
    "Sobol",
    "Study",
    "StudyResult",
    "StudySpec",
    "Tpe",
    "Trial",
    "TrialSpec",
    "TrialState",
    "TuningJob",
    "WarmStart",
    "When",
    "__version__",
    "attach",
    "errors",
    "import_job",
    "maximize",
    "migrate",
    "minimize",
    "resume",
    "run",
    "runs",
    "submit",
    "translate",
    "tune",
    "when",
]

_ROOMS = {
    "api": "attach resume run runs submit",
    "handle": "Run",
    "model.job": "Budget TuningJob WarmStart",
    "model.parameters": "Categorical Discrete Float Int When when",
    "model.results": "Failure FailureKind Measurement RunState StudyResult Trial TrialState",
    "model.study": "Anneal Asha Auto AutoStopping Bayesian CmaEs Constraint CurveStopping Grid Hyperband "
    "MedianStopping Objective Pbt Plugin Random Sobol StudySpec Tpe maximize minimize",
    "model.trial_spec": "Input Output Resources TrialSpec",
    "search.study": "Study",
    "migration": "migrate",
    "translating": "import_job translate",
    "tuning": "tune",
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names.split()}

if not TYPE_CHECKING:  # a checker that saw __getattr__ would believe in every name

    def __getattr__(name):
        from importlib import import_module  # noqa: PLC0415 - only the first use of a name pays for it

        if name == "errors":
            return import_module("tuneport.errors")
        if name == "__version__":
            value = import_module("importlib.metadata").version("tuneport")
        elif room := _ROOM_OF.get(name):
            value = getattr(import_module(f"tuneport.{room}"), name)
        else:
            msg = f"module 'tuneport' has no attribute {name!r}"
            raise AttributeError(msg)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
