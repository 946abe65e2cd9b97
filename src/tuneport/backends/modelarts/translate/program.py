"""What a trial runs: a stored algorithm, a script on OBS under a preset engine, or a command in an image."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from tuneport.backends.modelarts.translate.places import OBS, read_obs, write_obs
from tuneport.engine.launch import PYTHON
from tuneport.model.trial_spec import TrialSpec

Json: TypeAlias = dict[str, Any]

_SHELL: Final = ("bash", "-c")
_PLAIN = re.compile(r"[A-Za-z0-9@%+=:,./_ -]+")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_LONGEST = 10_000
"""Longest command that is taken apart."""


def write_program(trial: TrialSpec) -> Json:
    """The parts of `algorithm`, or of a stored algorithm's `job_config`, that say what runs."""
    if trial.algorithm is not None:
        return write_algorithm_id(trial.algorithm)
    part: Json = {} if trial.image is None else {"engine": write_engine(trial.image)}
    package = None if trial.package is None else write_obs(trial.package)
    if package is not None:
        part["code_dir"] = package
    boot_file = None if "image_url" in part.get("engine", {}) else _boot_file(trial, package)
    if boot_file is not None:
        part["boot_file"] = boot_file
    elif trial.command is not None or trial.module is not None:
        part["command"] = write_command(trial, package)
    return part


def read_program(part: Json) -> Json:
    """The words of a trial that say what runs; empty if nothing does.

    Replies about a job that was made of a stored algorithm say all that the algorithm is; so it can run elsewhere.
    """
    stored, image = read_algorithm_id(part), read_engine(part.get("engine", {}))
    package, boot_file, command = part.get("code_dir"), part.get("boot_file"), part.get("command")
    if stored is not None and (image is None or (boot_file is None and command is None)):
        return {"algorithm": stored}
    found: Json = {"image": image}
    if boot_file is not None:
        inside = package is not None and boot_file.startswith(_folder(package))
        found["command"] = ["python", boot_file.removeprefix(_folder(package)) if inside else read_obs(boot_file)]
    elif command is not None:
        found |= read_command(command, package)
    if package is not None and not found.keys().isdisjoint({"command", "module"}):
        found["package"] = read_obs(package)
    return {name: value for name, value in found.items() if value is not None}


def _folder(package: str | None) -> str:
    return f"{package}/" if package and not package.endswith("/") else package or ""


def _boot_file(trial: TrialSpec, package: str | None) -> str | None:
    """The Python file that is started, if that is what the trial does. Arguments have no place beside it."""
    if trial.module is not None:
        return None if package is None else f"{_folder(package)}{trial.module.replace('.', '/')}.py"
    program, script, *_ = *(trial.command or ()), "", ""
    if program not in PYTHON or not script or script.startswith(("-", "/")):
        return None
    if script.startswith((OBS, "${")):
        return write_obs(script)
    return None if package is None else f"{_folder(package)}{script}"


# ---- stored algorithms ----------------------------------------------------------------------------------------------


def write_algorithm_id(algorithm: str) -> Json:
    """A stored algorithm by its id, or one from the gallery by subscription and version."""
    subscription, mark, version = algorithm.partition("/")
    if mark and "/" not in version and ":" not in algorithm:
        return {"subscription_id": subscription, "item_version_id": version}
    return {"id": algorithm}


def read_algorithm_id(part: Json) -> str | None:
    """The inverse of `write_algorithm_id`; None if there is none."""
    if part.get("id"):
        return str(part["id"])
    subscription, version = part.get("subscription_id"), part.get("item_version_id")
    return f"{subscription}/{version}" if subscription and version else None


# ---- images ---------------------------------------------------------------------------------------------------------


def write_engine(image: str) -> Json:
    """An image of SWR has a slash; a preset engine has an id or, in older lists, a name and a version."""
    if "/" in image:
        return {"image_url": image}
    name, _, version = image.partition(":")
    if name and version and "${" not in image:
        return {"engine_name": name, "engine_version": version}
    return {"engine_id": image}


def read_engine(engine: Json) -> str | None:
    """The inverse of `write_engine`; None if nothing is said."""
    name, version = engine.get("engine_name"), engine.get("engine_version")
    named = f"{name}:{version}" if name and version else None
    return engine.get("image_url") or engine.get("engine_id") or named


# ---- commands -------------------------------------------------------------------------------------------------------


def write_command(trial: TrialSpec, package: str | None) -> str:
    """The line that starts the trial; in the folder of its code, where there is one."""
    words = ["python", "-m", trial.module] if trial.module is not None else list(trial.command or ())
    words += trial.args
    if tuple(words[:2]) == _SHELL and len(words) == 3 and words[2].strip():
        return words[2]
    return f"{_entering(package)}{shlex.join(words)}"


def read_command(line: str, package: str | None) -> Json:
    """The inverse of `write_command`; a line that needs a shell gets one."""
    entering = _entering(package)
    words = _words(line.removeprefix(entering)) if line.startswith(entering) else None
    if words is None:
        return {"command": [*_SHELL, line]}
    if words[:2] == ["python", "-m"] and len(words) > 2 and _MODULE.fullmatch(words[2]):
        return {"module": words[2], "args": words[3:]}
    options = [index for index, word in enumerate(words) if index and word.startswith("--")]
    end = options[0] if options else len(words)
    return {"command": words[:end], "args": words[end:]}


def _entering(package: str | None) -> str:
    """Goes to where the service puts the code."""
    if package is None:
        return ""
    return f"cd ${{MA_JOB_DIR}}/{shlex.quote(posixpath.basename(package.rstrip('/')))} && "


def _words(line: str) -> Sequence[str] | None:
    """The words of a line that means the same without a shell."""
    if _PLAIN.fullmatch(line):
        words = line.split(" ")
        return words if all(words) and "=" not in words[0] else None
    try:
        words = shlex.split(line) if len(line) <= _LONGEST else []
    except ValueError:
        return None
    return words if words and words[0] and shlex.join(words) == line else None
