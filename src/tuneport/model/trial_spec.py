"""What one trial runs, on what, with which data, and how its metrics are found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StringConstraints

from tuneport.model.parameters import Name, When
from tuneport.model.word import Flaw, Integer, Number, Scalar, Str, Text, Word, short, value_error

_UNITS = {"": 1, "b": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("kmgtp", start=1)
    for suffix, base in (("", 1000), ("b", 1000), ("i", 1024), ("ib", 1024))
}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE | re.ASCII)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])\s*", re.IGNORECASE | re.ASCII)
AUTO = "auto"
"""In the place of an amount: as much as is found to be needed."""
_LONGEST = 100
"""Characters that a size or a duration may have; what follows makes it neither."""
MAX_PATTERN = 1000
"""Characters that a pattern may have; making one ready can take milliseconds for a few of them."""

SECRET = re.compile(
    r"A[KS]IA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----|\bhf_[A-Za-z0-9]{30,}|\bgh[pousr]_[A-Za-z0-9]{36,}"
    r"|\bsk-[A-Za-z0-9_-]{32,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bAIza[0-9A-Za-z_-]{35}\b|\bya29\.[0-9A-Za-z_-]{20,}"
)
"""What well-known credentials look like: AWS, private keys, Hugging Face, GitHub, OpenAI-style, Slack, Google."""

SECRET_NAME = re.compile(
    r"(?:^|[_.-])(?:passwords?|passwd|passphrase|secrets?|(?:api|access|private|secret)[_.-]?key"
    r"|(?:auth|access|refresh|bearer)token"
    r"|(?!(?:pad|eos|bos|unk|sep|cls|mask|oov|blank|image|audio|video|text|word|class|task|lang|language|time|start|begin"
    r"|end|stop|prefix|suffix|special|first|last|next|prev|per|by|new|placeholder|initializer|instance|trigger|register"
    r"|dist|distillation|memory|query|prompt|system|assistant|think|source|target|sentinel|extra)[_.-])"
    r"[a-z0-9]+[_.-]token)$",
    re.IGNORECASE | re.ASCII,
)
"""What credentials are called, in words of one name; tokens of a text, such as pad_token, are none."""
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FLAG = re.compile(r"--?([^=\s]+)=(.*)", re.DOTALL)
_NO_SECRET = re.compile(r"\s*|true|false|yes|no|none|null|[01]|\$\w+|\$?\$\{.*\}|\$\(.*\)", re.IGNORECASE)
"""Values that are no secrets, whatever their name: nothing, switches, and references such as ${TOKEN}."""
_WAY_FOR_SECRETS = "export it in the environment in which tuneport runs; trials on this machine inherit it"


def parse_size(value: Any) -> Any:
    """Bytes of a size such as 1073741824, "64GiB", "1.5 GB" or "512Mi"."""
    amount = value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value[:_LONGEST])) and match[2].lower() in _UNITS:
        amount = float(match[1]) * _UNITS[match[2].lower()]
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise value_error(f"must be a size such as 64GiB or 500MB, not {short(value)}")
    if not 0 < amount < 2**63 or amount != int(amount):
        raise value_error(f"must be a positive whole number of bytes, not {short(value)}")
    return int(amount)


def _parse_size_or_auto(value: Any) -> Any:
    return value if value == AUTO else parse_size(value)


def size_text(size: int | str) -> str | int:
    """The shortest exact spelling of a number of bytes: "64GiB", or the number itself. What is no number stays."""
    if isinstance(size, str):
        return size
    for power, letter in reversed(list(enumerate("KMGTP", start=1))):
        if size % 1024**power == 0:
            return f"{size // 1024**power}{letter}iB"
    return size


def about(size: float) -> str:
    """A number of bytes as people read it: "12.1 GiB"."""
    power = min((max(1, int(size)).bit_length() - 1) // 10, 5)
    unit = f"{'KMGTP'[power - 1]}iB" if power else "B"
    return f"{size / 1024**power:.1f}".removesuffix(".0") + f" {unit}"


def parse_seconds(value: Any) -> Any:
    """Seconds of a duration such as 90, 0.5, "90s", "2h" or "1h30m"."""
    amount = value
    if isinstance(value, str):
        parts = _DURATION.findall(value[:_LONGEST])
        if not parts or _DURATION.sub("", value[:_LONGEST]).strip():
            raise value_error(f"must be seconds or a duration such as 2h or 1h30m, not {short(value)}")
        amount = sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 < amount < 1e10:
        raise value_error(f"must be a positive number of seconds, not {short(value)}")
    return float(amount)


def _whole_if_it_is(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _function_path(value: Any) -> Any:
    """A module-level function stands for its "module:name"."""
    if not callable(value):
        return value
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if module in {None, "__main__"} or not all(part.isidentifier() for part in name.split(".")):
        raise value_error(
            f"{name or value!r} cannot be imported by another process; "
            "move it to a module, or tune it in this process with tuneport.tune"
        )
    return f"{module}:{name}"


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise value_error(f"is not a regular expression: {error}") from None
    return value


Size: TypeAlias = Annotated[
    int,
    BeforeValidator(parse_size, json_schema_input_type=int | str),
    PlainSerializer(size_text, return_type=int | str, when_used="json"),
]
"""Bytes; written as a number or as text such as 64GiB."""
SizeOrAuto: TypeAlias = Annotated[
    int | Literal["auto"],
    BeforeValidator(_parse_size_or_auto, json_schema_input_type=int | str),
    PlainSerializer(size_text, return_type=int | str, when_used="json"),
]
"""Bytes, or auto: as many as are found to be needed."""
Seconds: TypeAlias = Annotated[
    float,
    BeforeValidator(parse_seconds, json_schema_input_type=float | str),
    PlainSerializer(_whole_if_it_is, return_type=float | int, when_used="json"),
]
"""Seconds; written as a number or as text such as 2h."""
Amount: TypeAlias = Annotated[Number, PlainSerializer(_whole_if_it_is, return_type=float | int, when_used="json")]
"""A number of things, mostly whole."""
FunctionPath: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"),
    BeforeValidator(_function_path, json_schema_input_type=str),
]
"""A Python function as "package.module:function"."""
Patterns: TypeAlias = dict[Name, Annotated[Str, Field(min_length=1, max_length=MAX_PATTERN), AfterValidator(_pattern)]]
"""Metric name to a regular expression."""
ToldBy: TypeAlias = Literal["flag", "variable"]
"""A command-line flag, or an environment variable, of the channel's name."""
Module: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
"""A Python module, by its full name."""
ChannelName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=64)]
EnvName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Input(Word):
    """Data that a trial reads; it finds the directory with ``tuneport_trial.data_dir(name)``."""

    name: ChannelName
    """Name of the channel."""
    uri: Annotated[Str, Field(min_length=1)]
    """Where the data is: s3://, gs://, obs://, a file system such as nfs://server/path, or a path of this machine."""
    content_type: Str | None = None
    """MIME type or name of its format, for trainers that ask for it."""
    mode: Literal["copy", "stream", "mount"] | None = None
    """How it gets to the trial: copied before the start, streamed through a pipe, or mounted; None: as usual there."""
    sharded: bool = False
    """Each replica gets its own share instead of everything."""
    writable: bool = False
    """Trials may change it; for file systems."""
    path: Str | None = None
    """Where the trial finds it, if that is not left to the backend."""
    told_by: ToldBy | None = None
    """How the trial is told where it is; None: as is usual there."""
    description: Str | None = None
    """What it is, for people."""


class Output(Word):
    """Where a trial's results are kept."""

    uri: Annotated[Str, Field(min_length=1)]
    """A prefix: s3://, gs://, obs:// or a directory of this machine; each trial writes below it."""
    name: ChannelName | None = None
    """The flag or variable by which the trial is told where it is; None: as is usual there."""
    told_by: ToldBy | None = None
    """How the trial is told where it is; None: as is usual there."""
    description: Str | None = None
    """What it is, for people."""


class Resources(Word):
    """What one trial needs of the machine that runs it."""

    gpus: Annotated[Amount, Field(ge=0)] = 0
    """GPUs per replica: whole numbers, or a share of one below 1 (several trials then run on one GPU)."""
    gpu_type: Str | None = None
    """Kind of GPU, such as a100-40gb; None: any."""
    gpu_memory: SizeOrAuto | None = None
    """GPU memory that the trial needs; trials are packed on a GPU while it has this much left. auto: it is measured."""
    cpus: Annotated[Amount, Field(gt=0)] | None = None
    """Processor cores per replica."""
    memory: Size | None = None
    """Main memory per replica; on this machine, a trial that has more is ended."""
    disk: Size | None = None
    """Disk per replica."""
    replicas: Annotated[Integer, Field(ge=1)] = 1
    """Machines that one trial spans."""
    machine: Str | None = None
    """A machine type in one cloud's own words; wins over the rest on that cloud."""
    pool: Str | None = None
    """Reserved machines that it runs on, in one cloud's own words: a dedicated pool or a persistent resource."""

    @property
    def least_gpu_memory(self) -> int:
        """Bytes of GPU memory that are asked for; 0 if nothing is, or if it is measured."""
        return self.gpu_memory if isinstance(self.gpu_memory, int) else 0

    @classmethod
    def _flaws(cls, fields: Mapping[str, Any]) -> Iterator[Flaw]:
        gpus = fields.get("gpus") or 0
        if gpus > 1 and gpus != int(gpus):
            yield Flaw(f"above 1 must be a whole number of GPUs, not {gpus!r}", "gpus")
        if fields.get("gpu_memory") is not None and gpus > 1:
            yield Flaw("is for trials that share one GPU; leave it out with several GPUs", "gpu_memory")


class Network(Word):
    """How a trial is connected."""

    name: Str | None = None
    """The private network that it joins."""
    subnets: tuple[Str, ...] = ()
    """Subnets of it that may be used."""
    security_groups: tuple[Str, ...] = ()
    """Firewall rules that apply, where networks have them by groups."""
    isolated: bool = False
    """No connections to the outside."""
    encrypted: bool = False
    """Traffic between replicas is encrypted."""


class Encryption(Word):
    """Keys by which a cloud encrypts what it keeps; None: its own."""

    key: Str | None = None
    """For results and all that the cloud stores of the job."""
    disk_key: Str | None = None
    """For disks of the machines."""


WAYS_TO_RUN = ("command", "image", "module", "function", "algorithm")
TOGETHER = ({"image", "command"}, {"image", "module"})
"""Ways to run that complete each other: what is started, and inside of which image."""
_OF_PACKAGE = {"command", "module"}
"""Ways to run that find their code in a package."""


class Variant(Word):
    """What one trial runs instead where its condition holds. A field that is given replaces the trial's as a whole.

    Ways to run that do not go together with the one that is given here, such as a stored algorithm with an image, give
    way to it.
    """

    when: When
    """The condition: a parameter, and those of its values for which this applies."""
    metric: Name | None = None
    """What the trainer calls the primary metric here, if it is not the objective's name."""
    command: tuple[Text, ...] | None = None
    """Program and first arguments."""
    image: Annotated[Str, Field(min_length=1)] | None = None
    """Container image for clouds."""
    package: Annotated[Str, Field(min_length=1)] | None = None
    """Archive or directory with the code: `command` runs inside of it, or the trial's `module` is found in it."""
    algorithm: Annotated[Str, Field(min_length=1)] | None = None
    """An algorithm that is stored or sold in a cloud, by its name or id there."""
    args: tuple[Text, ...] | None = None
    """Arguments before those of the parameters."""
    parameters: dict[Name, Scalar] | None = None
    """Fixed values."""
    env: dict[EnvName, Text] | None = None
    """Environment variables."""
    inputs: tuple[Input, ...] | None = None
    """Data that it reads."""
    output: Output | None = None
    """Where its results go."""
    resources: Resources | None = None
    """What it needs of a machine."""
    timeout: Seconds | None = None
    """Seconds after which one trial is stopped and has failed; written as a number or as 2h."""
    retries: Annotated[Integer, Field(ge=0, le=100)] | None = None
    """More attempts after a crash, a pre-emption, lack of memory or a failure of the machine."""
    spot: bool | None = None
    """On cheaper capacity that may be taken away."""
    max_wait: Seconds | None = None
    """Seconds that one trial may wait for capacity; written as a number or as 2h."""
    identity: Str | None = None
    """Whom trials run as in a cloud: a service account or a role."""
    network: Network | None = None
    """How trials are connected."""
    encryption: Encryption | None = None
    """Keys for what is kept of them."""
    metrics: Patterns | None = None
    """Metric name, as the trainer has it here, to a regular expression over the trial's output."""

    def changes(self) -> Iterator[tuple[str, Any]]:
        """Fields of TrialSpec that it replaces, with their new values."""
        given = ((name, getattr(self, name)) for name in type(self).model_fields if name not in {"when", "metric"})
        return ((name, value) for name, value in given if value is not None)

    @classmethod
    def _flaws(cls, fields: Mapping[str, Any]) -> Iterator[Flaw]:
        yield from _way_flaws(fields)
        yield from _spec_flaws(fields)


class TrialSpec(Word):
    """What one trial runs. Searched and fixed parameters reach it as ``--name=value`` and through tuneport_trial."""

    command: tuple[Text, ...] | None = None
    """Program and first arguments; with `image`, its entry point. Never a shell line: ["python", "train.py"]."""
    image: Annotated[Str, Field(min_length=1)] | None = None
    """Container image for clouds; this machine runs `command` without it."""
    module: Module | None = None
    """Python module, run as ``python -m module``."""
    package: Annotated[Str, Field(min_length=1)] | None = None
    """Archive or directory with the code: `module` is found in it, `command` runs inside of it; None: all is there."""
    function: FunctionPath | None = None
    """Python function "package.module:function": gets the parameters, returns the metric or a dict of metrics."""
    algorithm: Annotated[Str, Field(min_length=1)] | None = None
    """An algorithm that is stored or sold in a cloud, by its name or id there."""
    args: tuple[Text, ...] = ()
    """Arguments before those of the parameters."""
    parameters: dict[Name, Scalar] = {}
    """Fixed values, passed like searched ones."""
    env: dict[EnvName, Text] = {}
    """Environment variables."""
    inputs: tuple[Input, ...] = ()
    """Data that it reads."""
    output: Output | None = None
    """Where its results go; None: the run's own folder."""
    resources: Resources = Resources()
    """What it needs of a machine."""
    timeout: Seconds | None = None
    """Seconds after which one trial is stopped and has failed; written as a number or as 2h."""
    retries: Annotated[Integer, Field(ge=0, le=100)] = 0
    """More attempts after a crash, a pre-emption, lack of memory or a failure of the machine."""
    spot: bool = False
    """On cheaper capacity that may be taken away."""
    max_wait: Seconds | None = None
    """Seconds that one trial may wait for capacity; written as a number or as 2h."""
    identity: Str | None = None
    """Whom trials run as in a cloud: a service account or a role."""
    network: Network = Network()
    """How trials are connected."""
    encryption: Encryption = Encryption()
    """Keys for what is kept of them."""
    metrics: Patterns = {}
    """Metric name to a regular expression over the trial's output; the number is group 1, or else the whole match.
    Empty: the trainer reports through tuneport_trial or its cloud's own way."""
    warm_workers: bool = False
    """Trials are forked from a process that has imported their modules, where that is safe: for many short trials."""
    preload: tuple[Module, ...] = ()
    """Modules that this process imports; empty: those that the first trial imports of installed packages."""
    resumable: bool = False
    """The trainer goes on from the newest checkpoint in ``tuneport_trial.checkpoint_dir()`` if there is one, and says
    the step in its reports; so that trials can pause, and attempts need not begin anew."""
    variants: tuple[Variant, ...] = ()
    """What some values of a parameter change of all this, such as an image for each of several models."""

    def under(self, parameters: Mapping[str, Any]) -> TrialSpec:
        """What a trial with these parameters runs: the variants whose conditions hold are applied in order."""
        if not self.variants:
            return self
        fields = {name: getattr(self, name) for name in type(self).model_fields} | {"variants": ()}
        for variant in self.variants:
            if variant.when.holds(parameters):
                fields = _varied(fields, variant)
        return type(self).model_validate(fields)

    @classmethod
    def _flaws(cls, fields: Mapping[str, Any]) -> Iterator[Flaw]:
        ways = _ways(fields)
        if not ways and all(way in fields for way in WAYS_TO_RUN):  # otherwise one was given, and is wrong by itself
            yield Flaw(f"says nothing to run: give one of {', '.join(WAYS_TO_RUN)}")
        yield from _way_flaws(fields)
        if fields.get("package") is not None and ways.isdisjoint(_OF_PACKAGE) and "module" in fields:
            yield Flaw(_UNUSED, "package")
        for index, variant in enumerate(fields.get("variants") or ()):
            packed = isinstance(variant, Variant) and variant.package is not None and "module" in fields
            if packed and _varied(fields, variant)["package"] is None:
                yield Flaw(_UNUSED, "variants", index, "package")
        yield from _spec_flaws(fields)


def _ways(fields: Mapping[str, Any]) -> set[str]:
    return {way for way in WAYS_TO_RUN if fields.get(way) is not None}


_UNUSED = "needs `module` or `command`, what to run of it"


def _varied(fields: Mapping[str, Any], variant: Variant) -> dict[str, Any]:
    """The fields of a trial with what a variant changes; what it cannot be run together with gives way."""
    changes = dict(variant.changes())
    given = _ways(changes)
    gone = {way for way in _ways(fields) - given if given | {way} not in TOGETHER} if given else set()
    varied = {**fields, **dict.fromkeys(gone), **changes}
    return varied if not _ways(varied).isdisjoint(_OF_PACKAGE) else varied | {"package": None}


def _way_flaws(fields: Mapping[str, Any]) -> Iterator[Flaw]:
    ways = _ways(fields)
    if len(ways) > 1 and ways not in TOGETHER:
        named = ", ".join(way for way in WAYS_TO_RUN if way in ways)
        yield Flaw(f"only one of {named} can be run; image goes together with command or module")


def _spec_flaws(fields: Mapping[str, Any]) -> Iterator[Flaw]:
    """What trials and their variants have in common: a program with a name, inputs once each, no secrets."""
    command = fields.get("command")
    if command is not None and (not command or not command[0]):
        yield Flaw("names no program", "command")
    seen: set[str] = set()
    for index, channel in enumerate(fields.get("inputs") or ()):
        if isinstance(channel, Input) and channel.name in seen:
            yield Flaw(f"input '{channel.name}' is already there", "inputs", index, "name")
        seen.add(channel.name if isinstance(channel, Input) else "")
    yield from _secret_flaws(fields)


def _secret_flaws(fields: Mapping[str, Any]) -> Iterator[Flaw]:
    for location, name, value in _values(fields):
        if isinstance(value, str) and (SECRET.search(value) or _is_secret(name, value)):
            yield Flaw(f"looks like a credential; {_WAY_FOR_SECRETS}", *location)


def _values(fields: Mapping[str, Any]) -> Iterator[tuple[tuple[int | str, ...], str, Any]]:
    """Place, name and value of all that a trial is given; the name is empty where there is none."""
    for part in ("parameters", "env"):
        for name, value in (fields.get(part) or {}).items():
            yield (part, name), name, value
    for part in ("args", "command"):
        for index, word in enumerate(fields.get(part) or ()):
            flag = _FLAG.fullmatch(word) if isinstance(word, str) else None
            yield (part, index), flag[1] if flag else "", flag[2] if flag else word


def _is_secret(name: Any, value: str) -> bool:
    """Whether a name such as DB_PASSWORD, api-key or authToken says that the value is a credential."""
    named = isinstance(name, str) and SECRET_NAME.search(_HUMP.sub("_", name[-_LONGEST:]))
    return bool(named) and not _NO_SECRET.fullmatch(value)


MetricFunction: TypeAlias = Callable[..., Any]
"""A plain Python objective: gets parameters, returns the metric or a mapping of metrics."""
