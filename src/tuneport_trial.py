"""The trainer's side of a tuning job: read parameters, report metrics, the same way on every host.

One file, standard library only, Python 3.7 or later: copy it next to your training code, or install tuneport. ::

    import tuneport_trial as trial

    p = trial.params()                                  # {"lr": 0.01, "layers": 3, "opt": "sgd"}, with types
    model = build(p["layers"], data=trial.data_dir("train"))
    for epoch in range(20):
        loss, accuracy = model.fit_one_epoch(p["lr"])
        model.save(trial.checkpoint_dir())              # before the report, so that it is there when the trial pauses
        trial.report(step=epoch, accuracy=accuracy, loss=loss)
        if trial.should_stop():                         # somebody asked this trial to end: leave cleanly
            break
    model.save(trial.model_dir())

A plain function can be a trial as well: ``python -m tuneport_trial package.module:function`` calls it with the
parameters and reports what it returns: a number is the primary objective, a mapping is metrics by name. If it
yields, every value is reported as a step.

The host is found by its environment, at first use: tuneport on this machine, Vertex AI, SageMaker, ModelArts, or none
(then parameters are read from the command line and metrics are printed). docs/trial-protocol.md says what is read and
written on each; optional variables fill in what a host does not say:

- ``TUNEPORT_SPACE``: JSON object, parameter name to "float", "int", "bool" or "text". Where values arrive as text it
  decides their types, and command-line flags that it does not name are no parameters. Or the hints of a job that was
  translated to a host with fewer kinds of parameters; then they restore what the job means.
- ``TUNEPORT_OBJECTIVE``: name of the primary objective, for functions that return a number.
- ``TUNEPORT_INPUTS``: JSON object, input name to directory, for ``data_dir``.
- ``TUNEPORT_REPORT``: "print" where nobody but the reader of the output waits for metrics, whatever the host.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import time

TYPE_CHECKING = False  # typing's own constant would cost the import of typing
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Callable, Generator

__all__ = ["checkpoint_dir", "data_dir", "host", "model_dir", "params", "pattern", "report", "reset", "should_stop"]

PROTOCOL = 1
"""Version of the files that tuneport and this module exchange on this machine."""
RESERVED = frozenset({"checkpoint_path", "global_step", "timestamp", "trial"})
"""Names that Vertex's report file needs for itself: a metric of such a name would be lost there."""

HINTS = 1
"""Version of the hints in TUNEPORT_SPACE that restore what a job means."""
_MARK = ""
"""The key under which hints say their version; it tells them from types, since no parameter is called so."""
_SAGEMAKER_HINTS = ("sagemaker_tuneport_space", "tuneport_space")
"""Hyperparameters that bring hints on SageMaker, where variables are limited to 512 characters."""
_MODELARTS_HINTS = "tuneport_space"
"""The flag that brings hints on ModelArts where a stored algorithm, which has no variables, is run."""

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")


def params() -> dict[str, Any]:
    """This trial's parameters, searched and fixed, with their types: float, int, bool or str."""
    return dict(_host().params())


def report(step: int | None = None, **metrics: Any) -> None:
    """Tell the host the newest values of some metrics.

    Args:
        step: epoch or iteration that they belong to, counted from 0 or 1; None: reports are counted.
        metrics: numbers of any kind: Python's, numpy's, tensors with one element. Booleans become 1.0 and 0.0.

    Raises:
        TypeError: a metric or the step is not a number.
        ValueError: there is no metric, a name cannot be written down, or the step is negative or not whole.
    """
    if not metrics:
        raise ValueError("report() needs at least one metric, such as report(step=3, accuracy=0.9)")
    for name in metrics:
        if not name or name in RESERVED or re.search(r"[\s=\ud800-\udfff]", name):
            raise ValueError(
                "%r cannot name a metric: white space, '=', surrogates and %s are not allowed"
                % (name, sorted(RESERVED))
            )
    values = {name: _number("metric %r" % name, value) for name, value in metrics.items()}
    _host().report(None if step is None else _whole(step), values)


def should_stop() -> bool:
    """Whether this trial was asked to end (SIGTERM). Cheap enough for every iteration.

    The first call in the main thread starts to listen; a handler that was there before is still called. A trial that
    never asks is ended by the signal itself, as ever.
    """
    if not _Stop.listening:
        _Stop.listen()
    return _Stop.asked


def checkpoint_dir() -> str:
    """A directory for checkpoints, the same for every attempt of this trial; it is made if need be.

    Look there first and go on from what is found, with the parameters of now: a trial that was cut off or paused finds
    its own checkpoint, and in population-based training a new one begins with a copy of another's.
    """
    return _made(_host().checkpoint_dir())


def model_dir() -> str:
    """The directory whose content is kept as this trial's result; it is made if need be."""
    return _made(_host().model_dir())


def data_dir(name: str) -> str:
    """Where the input called `name` is: a directory, or the URI itself where the host brings no data to the trial.

    Raises:
        LookupError: there is no such input.
    """
    return _host().data_dir(name)


def host() -> str:
    """Who runs this trial: "local", "vertex", "sagemaker", "modelarts" or "none"."""
    return _host().name


def pattern(metric: str) -> str:
    """A regular expression that finds `metric` in the lines that report() prints; group 1 is the number."""
    return r"tuneport:.* %s=(\S+)" % re.escape(metric)


def reset() -> None:
    """Forget the host; the next call looks at the environment again."""
    _Found.host = None


class _NoHost:
    """Nobody: flags of the command line in, printed lines out, directories below the current one."""

    name = "none"

    def __init__(self) -> None:
        self.flags = _flags(sys.argv[1:])

    def params(self) -> dict[str, Any]:
        space = self._space()
        if _MARK in space:
            return _restored(self.flags, space, lambda name, text: _typed(name, text, None))
        names = [name for name in self.flags if not space or name in space]
        return {name: _typed(name, self.flags[name], space.get(name)) for name in names}

    def _space(self) -> dict[str, Any]:
        return _json_variable("TUNEPORT_SPACE")

    def objective(self) -> str:
        return os.environ.get("TUNEPORT_OBJECTIVE") or "objective"

    def report(self, step: int | None, metrics: dict[str, float]) -> None:
        words = ["tuneport:"] if step is None else ["tuneport:", "step=%d" % step]
        words += ["%s=%r" % metric for metric in metrics.items()]
        sys.stdout.write(" ".join(words) + "\n")
        sys.stdout.flush()

    def checkpoint_dir(self) -> str:
        return os.path.abspath("checkpoints")

    def model_dir(self) -> str:
        return os.path.abspath("model")

    def data_dir(self, name: str) -> str:
        places = _json_variable("TUNEPORT_INPUTS")
        path = places.get(name) or self.flags.get(name) or os.environ.get(name)
        if not path:
            raise LookupError(
                "no input %r: neither TUNEPORT_INPUTS, nor a flag --%s=<directory>, nor a variable says where it is"
                % (name, name)
            )
        return _mounted(path)


class _Local:
    """The engine of tuneport on this machine: parameters in trial.json, reports appended to a file of JSON lines."""

    name = "local"

    def __init__(self) -> None:
        path = os.environ["TUNEPORT_TRIAL"]
        with open(path, encoding="utf-8") as file:
            self.trial = json.load(file)
        if self.trial["protocol"] != PROTOCOL:
            raise RuntimeError(
                "%s speaks protocol %r, this tuneport_trial speaks %r: copy the one of your tuneport anew"
                % (path, self.trial["protocol"], PROTOCOL)
            )

    def params(self) -> dict[str, Any]:
        parameters: dict[str, Any] = self.trial["parameters"]
        return parameters

    def objective(self) -> str:
        return str(self.trial["objective"])

    def report(self, step: int | None, metrics: dict[str, float]) -> None:
        line = {"time": time.time(), "step": step, "metrics": {name: _plain(metrics[name]) for name in metrics}}
        # One write to a file opened for appending stays in one piece, whoever else writes to it.
        file = os.open(self.trial["report"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, (json.dumps(line) + "\n").encode())
        finally:
            os.close(file)

    def checkpoint_dir(self) -> str:
        return str(self.trial["checkpoint_dir"])

    def model_dir(self) -> str:
        return str(self.trial["model_dir"])

    def data_dir(self, name: str) -> str:
        data = self.trial["data"]
        if name not in data:
            raise LookupError("no input %r; this job has: %s" % (name, ", ".join(sorted(data)) or "none"))
        return str(data[name])


class _Vertex(_NoHost):
    """Vertex AI: flags in, the report file of cloudml-hypertune out, buckets below /gcs."""

    name = "vertex"
    kept = 100
    mounts = ("/mnt/nfs/", "/mnt/lustre/")

    def __init__(self) -> None:
        super().__init__()
        self.path = os.environ.get("CLOUD_ML_HP_METRIC_FILE") or "/tmp/hypertune/output.metrics"  # noqa: S108
        self.step = 0
        self.lines: list[str] = []

    def report(self, step: int | None, metrics: dict[str, float]) -> None:
        if os.environ.get("TUNEPORT_REPORT") == "print":  # a job of its own, not a trial of the service's tuner
            super().report(step, metrics)
            return
        # The service puts lines of one step together, so that reports without a step need one of their own.
        self.step = self.step + 1 if step is None else step
        for name, value in metrics.items():
            entry = {
                "checkpoint_path": "",
                "global_step": str(self.step),
                "timestamp": time.time(),
                "trial": os.environ.get("CLOUD_ML_TRIAL_ID", "0"),
                name: str(value),
            }
            self.lines.append(json.dumps(entry, sort_keys=True) + "\n")
        del self.lines[: -self.kept]
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        # In place, as cloudml-hypertune does it: how the service follows a file that is replaced is not documented.
        with open(self.path, "w", encoding="utf-8") as file:
            file.write("".join(self.lines))

    def checkpoint_dir(self) -> str:
        return _mounted(os.environ.get("AIP_CHECKPOINT_DIR") or super().checkpoint_dir())

    def model_dir(self) -> str:
        return _mounted(os.environ.get("AIP_MODEL_DIR") or super().model_dir())

    def data_dir(self, name: str) -> str:
        if name not in _json_variable("TUNEPORT_INPUTS"):
            for place in self.mounts:
                if os.path.isdir(place + name):
                    return place + name
        return super().data_dir(name)


class _SageMaker(_NoHost):
    """SageMaker: parameters in hyperparameters.json, printed lines out, directories below /opt/ml."""

    name = "sagemaker"

    def __init__(self) -> None:
        super().__init__()
        self.base = _sagemaker_base()
        with open(_hyperparameters(), encoding="utf-8") as file:
            self.hyperparameters = json.load(file)

    def params(self) -> dict[str, Any]:
        space = self._space()
        texts = {
            name: value
            for name, value in self.hyperparameters.items()
            if name not in ("_tuning_objective_metric", *_SAGEMAKER_HINTS) and not name.startswith("sagemaker_")
        }
        if _MARK in space:
            return _restored(texts, space, lambda name, text: _decoded(name, text, None))
        return {name: _decoded(name, value, space.get(name)) for name, value in texts.items()}

    def _space(self) -> dict[str, Any]:
        for name in _SAGEMAKER_HINTS:
            if name in self.hyperparameters:
                return _json_object("hyperparameter " + name, self.hyperparameters[name])
        return super()._space()

    def objective(self) -> str:
        return self.hyperparameters.get("_tuning_objective_metric") or super().objective()

    def checkpoint_dir(self) -> str:
        # All training jobs of a tuning job mirror their checkpoints to one place: each needs a folder of its own.
        return os.path.join(self.base, "checkpoints", os.environ.get("TRAINING_JOB_NAME", ""))

    def model_dir(self) -> str:
        return os.environ.get("SM_MODEL_DIR") or os.path.join(self.base, "model")

    def data_dir(self, name: str) -> str:
        channel = "SM_CHANNEL_" + name.upper()
        path = os.environ.get(channel) or os.path.join(self.base, "input", "data", name)
        if channel not in os.environ and not os.path.exists(path):
            raise LookupError("no input %r: neither %s nor %s is there" % (name, channel, path))
        return path


class _ModelArts(_NoHost):
    """ModelArts: flags in, printed lines out; inputs and the output `train_url` are flags or variables."""

    name = "modelarts"

    def __init__(self) -> None:
        super().__init__()
        self.hints = self.flags.pop(_MODELARTS_HINTS, None)

    def _space(self) -> dict[str, Any]:
        if self.hints is None:
            return super()._space()
        import base64  # noqa: PLC0415 - no other host needs it

        text = base64.urlsafe_b64decode(self.hints + "==").decode()
        return _json_object("flag --" + _MODELARTS_HINTS, text)

    def checkpoint_dir(self) -> str:
        return self._output("checkpoints") or super().checkpoint_dir()

    def model_dir(self) -> str:
        return self._output("model") or super().model_dir()

    def _output(self, folder: str) -> str | None:
        output = self.flags.get("train_url") or os.environ.get("train_url")  # noqa: SIM112 - its conventional name
        return os.path.join(output, folder) if output else None


class _Found:
    """The host, once somebody has asked."""

    host: _NoHost | _Local | None = None


def _host() -> _NoHost | _Local:
    if _Found.host is None:
        _Found.host = _detected()()
    return _Found.host


def _detected() -> type[_NoHost] | type[_Local]:
    def says(*names: str) -> bool:
        return any(os.environ.get(name) for name in names)

    if says("TUNEPORT_TRIAL"):
        return _Local
    alone = says("TUNEPORT_REPORT") and says("AIP_MODEL_DIR")
    if alone or says("CLOUD_ML_TRIAL_ID", "CLOUD_ML_HP_METRIC_FILE"):
        return _Vertex
    if says("SM_TRAINING_ENV", "TRAINING_JOB_NAME"):
        return _SageMaker
    if says("MA_JOB_DIR", "MA_VJ_NAME"):
        return _ModelArts
    return _SageMaker if os.path.exists(_hyperparameters()) else _NoHost


def _sagemaker_base() -> str:
    return os.environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml"


def _hyperparameters() -> str:
    return os.path.join(_sagemaker_base(), "input", "config", "hyperparameters.json")


class _Stop:
    """Whether SIGTERM came, and who else wants to know."""

    asked = False
    listening = False

    @classmethod
    def listen(cls) -> None:
        import signal  # noqa: PLC0415 - few trials need it

        before = signal.getsignal(signal.SIGTERM)

        def on_terminate(number: int, frame: FrameType | None) -> None:
            cls.asked = True
            if callable(before):
                before(number, frame)

        try:
            signal.signal(signal.SIGTERM, on_terminate)
        except ValueError:  # only the main thread may; a later call from there will
            return
        cls.listening = True


def _flags(argv: list[str]) -> dict[str, str]:
    """`--name=value` and `--name value` as a dict; a flag without a value is "true"; the last of several wins."""
    flags = {}
    for index, word in enumerate(argv):
        if not word.startswith("--") or word == "--":
            continue
        name, equals, value = word[2:].partition("=")
        if not equals:
            following = argv[index + 1 : index + 2]
            value = following[0] if following and not following[0].startswith("--") else "true"
        flags[name] = value
    return flags


def _json_variable(name: str) -> dict[str, Any]:
    text = os.environ.get(name)
    return _json_object(name, text) if text else {}


def _json_object(name: str, text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError("%s must be a JSON object, not %r" % (name, text))
    return value


def _typed(name: str, text: str, kind: str | None) -> Any:
    """The value that `text` spells, as the type that is asked for, or else as what it looks like."""
    kind = kind or _looks_like(text)
    try:
        return _READERS[kind](text)
    except (KeyError, ValueError, OverflowError):
        raise ValueError("parameter %r must be %s, not %r" % (name, kind, text)) from None


def _read_int(text: str) -> int:
    return int(text) if _INT.fullmatch(text) else round(float(text))  # some hosts know real numbers only


def _read_bool(text: str) -> bool:
    return {"true": True, "false": False, "1": True, "0": False}[text.lower()]


_READERS: dict[str, Callable[[str], Any]] = {"text": str, "int": _read_int, "float": float, "bool": _read_bool}


def _looks_like(text: str) -> str:
    if text in ("true", "True", "false", "False"):
        return "bool"
    if _INT.fullmatch(text):
        return "int"
    return "float" if _FLOAT.fullmatch(text) else "text"


def _decoded(name: str, value: Any, kind: str | None) -> Any:
    """A value of hyperparameters.json as SageMaker's training toolkit reads it: JSON, or else the text itself."""
    if not isinstance(value, str):
        return value
    if kind is not None:
        return _typed(name, _unquoted(value), kind)
    try:
        return json.loads(value)
    except ValueError:
        return value


def _unquoted(text: str) -> str:
    """The text that a JSON string spells; all other text as it is."""
    try:
        decoded = json.loads(text)
    except ValueError:
        return text
    return decoded if isinstance(decoded, str) else text


def _restored(texts: dict[str, str], space: dict[str, Any], read: Callable[[str, str], Any]) -> dict[str, Any]:
    """The parameters as the job means them, from those that a host with fewer kinds of parameters had words for.

    Args:
        texts: what the host says of each parameter, under the names that it has there.
        space: the hints: a version under the mark, and per name on the host what restores the meaning.
        read: takes name and text of a parameter that means what it says.
    """
    if space[_MARK] != HINTS:
        raise RuntimeError(
            "the hints of this job have version %r, this tuneport_trial reads %r: copy the one of your tuneport anew"
            % (space[_MARK], HINTS)
        )
    meant = []
    for name, text in texts.items():
        hint = space.get(name, {}) if name != _MARK else {}
        meant.append((hint.get("name", name), _meant(name, text, hint, read), hint.get("when")))
    existing: dict[str, Any] = {}
    for _ in meant:  # each time, one more link of every chain of conditions holds
        existing = {name: value for name, value, when in meant if when is None or _holds(when, existing)}
    return existing


def _holds(when: tuple[str, list[Any]], existing: dict[str, Any]) -> bool:
    """Whether the parent exists and has one of the values; numbers are compared by value, but true is not 1."""
    parent, values = when
    value = existing.get(parent)
    typed = isinstance(value, (bool, str))
    return any(value == one and typed == isinstance(one, (bool, str)) for one in values)


def _meant(name: str, text: str, hint: dict[str, Any], read: Callable[[str, str], Any]) -> Any:
    """The value that a parameter on the host stands for."""
    try:
        if "choices" in hint:
            return hint["choices"][text if text in hint["choices"] else _unquoted(text)]
        if "range" in hint:
            return _in_range(_read_number(_unquoted(text)), hint)
    except (KeyError, ValueError):
        raise ValueError("parameter %r cannot be %r" % (name, text)) from None
    return read(name, text)


def _read_number(text: str) -> float:
    number = int(text) if _INT.fullmatch(text) else float(text)
    if number - number != 0:
        raise ValueError("neither nan nor an infinity can be searched")
    return number


def _in_range(number: float, hint: dict[str, Any]) -> float:
    """A number of a range: its logarithm undone, in steps and whole as the job has it, and within its bounds."""
    low, high = hint["range"]
    if hint.get("log"):
        number = _power_of_ten(number)
    number = min(max(number, low), high)
    whole = hint["kind"] == "int"
    if hint.get("step"):
        number = _on_grid(number, low, high, hint["step"], whole)
    return round(number) if whole else min(float(number), float(high))


def _power_of_ten(exponent: float) -> float:
    try:
        return float(10.0**exponent)
    except OverflowError:  # rounding up took it beyond the largest number
        return sys.float_info.max


def _on_grid(number: float, low: float, high: float, step: float, whole: bool) -> Any:
    """The nearest of low, low + step, ... up to high, as the search has them: in decimals, where 0.1 + 0.2 is 0.3."""
    from fractions import Fraction  # noqa: PLC0415 - few trials need it

    exact, first, last, width = (Fraction(str(one)) for one in (number, low, high, step))
    most = (last - first) / width
    slack = 0 if whole else max(Fraction(1), most) / 10**9  # for bounds that were computed in binary
    return first + min(round((exact - first) / width), int(most + slack)) * width


def _number(what: str, value: Any) -> float:
    item = getattr(value, "item", None)  # numpy's and torch's way to a plain number
    try:
        plain = item() if callable(item) else value
        if not isinstance(plain, (str, bytes)):  # float() would read them
            return float(plain)
    except (TypeError, ValueError, OverflowError):
        pass
    raise TypeError("%s must be one number, not %.200r" % (what, value))


def _whole(step: Any) -> int:
    number = _number("step", step)
    if not number.is_integer() or number < 0:
        raise ValueError("step must be a whole number from 0, not %r" % (step,))
    return int(number)


def _plain(value: float) -> float | str:
    """JSON knows no NaN and no infinities."""
    return value if value - value == 0 else str(value)


def _mounted(path: str) -> str:
    """Vertex shows every bucket as a directory below /gcs."""
    return "/gcs/" + path[len("gs://") :] if path.startswith("gs://") else path


def _made(path: str) -> str:
    os.makedirs(path, exist_ok=True)
    return path


def _call(function: Callable[..., Any], values: dict[str, Any]) -> Any:
    """Call with keyword arguments, or with the whole dict if one argument is required that is no parameter."""
    import inspect  # noqa: PLC0415 - it takes longer to load than all the rest

    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [
        argument.name
        for argument in inspect.signature(function).parameters.values()
        if argument.kind in positional and argument.default is argument.empty
    ]
    if len(required) == 1 and required[0] not in values:
        return function(values)
    return function(**values)


def _report_each(values: Generator[Any, None, Any]) -> None:
    """Report what a generator yields as steps 1, 2, ..., until it ends or this trial was asked to end."""
    should_stop()  # from here on, the signal waits for the end of a step
    for step, value in enumerate(values, start=1):
        _report_result(value, step)
        if should_stop():
            values.close()
            return


def _report_result(result: Any, step: int | None = None) -> None:
    """Report metrics by name, or a number as the primary objective; None is nothing to report."""
    if result is not None:
        metrics = result if hasattr(result, "items") else {_host().objective(): result}
        report(**{"step": step, **metrics})


def _main(argv: list[str]) -> None:
    module, _, path = argv[0].partition(":") if argv else ("", "", "")
    if not module or not path:
        raise SystemExit("usage: python -m tuneport_trial package.module:function [--name=value ...]")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    function: Any = importlib.import_module(module)
    for name in path.split("."):
        function = getattr(function, name)
    result = _call(function, params())
    if hasattr(result, "send") and hasattr(result, "close"):
        _report_each(result)
    else:
        _report_result(result)


if __name__ == "__main__":
    # The function may import this module by its name: it must get this very one, with the reports made so far.
    sys.modules["tuneport_trial"] = sys.modules["__main__"]
    _main(sys.argv[1:])
