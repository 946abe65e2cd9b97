"""The command `tuneport`: its verbs, and what becomes of errors.

Starting is to cost next to nothing, so whatever is heavy is imported by the verbs that need it, not here.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated, NoReturn, TextIO

import typer

from tuneport.cli import backends, driving, emulate, machines, moving, project, runs
from tuneport.cli.output import note, say, say_error
from tuneport.errors import TuneportError

HELP = """Tune hyperparameters: one job, written once, run here or on a cloud.

Begin with `tuneport init`, then `tuneport run job.yaml`. If it is interrupted, `tuneport resume REF` goes on.
Results go to standard output, progress and messages to standard error."""

EPILOG = """Exit status: 0 ok, 1 unexpected, 2 usage, 3 invalid job or payload, 4 translation lossier than tolerated,
5 authentication, 6 quota or limit, 7 too many trials failed, 8 stopped, 9 budget spent without a result,
10 time-out while waiting, 130 interrupted. With --json an error is printed as {"error": {...}} on standard output;
the exit status stays the same."""

REPORT = "this is a fault of tuneport; please report it at https://github.com/tuneport/tuneport/issues"
INTERRUPTED = 130
UsageError: type[BaseException] = typer.BadParameter.__mro__[1]  # it has no public name in typer

app = typer.Typer(
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    project.init,
    driving.check,
    driving.run,
    driving.submit,
    driving.resume,
    runs.runs,
    runs.status,
    runs.follow,
    runs.trials,
    runs.best,
    runs.report,
    runs.logs,
    runs.stop,
    runs.delete,
    moving.translate,
    moving.import_,
    moving.migrate,
    moving.plan,
    moving.diff,
    backends.backends,
    backends.doctor,
    machines.machines,
    emulate.emulate,
    project.schema,
    project.vendor,
):
    app.command(verb.__name__.rstrip("_"))(verb)


def _version(wanted: bool) -> None:
    if wanted:
        from tuneport import __version__

        say(f"tuneport {__version__}")
        raise typer.Exit


@app.callback()
def _tuneport(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version


def main() -> NoReturn:
    """Run the command line with the arguments of this process, and end it."""
    for stream in (sys.stdout, sys.stderr):
        _never_fail_at_odd_characters(stream)
    sys.exit(_status(sys.argv[1:]))


def _status(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        return app(arguments, prog_name="tuneport", standalone_mode=False) or 0
    except UsageError as error:
        return _refuse(error, as_json)
    except TuneportError as error:
        if as_json:
            say_error(error.code, error.message, error.hint, error.problems)
        else:
            note(f"tuneport: {error}")
        return error.exit_code
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last place where anything can be caught
        return _apologise(error, as_json)


def _refuse(error: BaseException, as_json: bool) -> int:
    if as_json:
        say_error("usage", error.format_message(), None, ())  # type: ignore[attr-defined] # see UsageError
    else:
        error.show()  # type: ignore[attr-defined]
    return 2


def _apologise(error: Exception, as_json: bool) -> int:
    message = f"unexpected {type(error).__name__}: {error}"
    debug = os.environ.get("TUNEPORT_DEBUG", "") not in {"", "0"}
    hint = REPORT if debug else f"{REPORT}, with what TUNEPORT_DEBUG=1 shows"
    if debug:
        note("".join(traceback.format_exception(error)).rstrip())
    if as_json:
        say_error("unexpected", message, hint, ())
    else:
        note(f"tuneport: {message}\n  {hint}")
    return 1


def _never_fail_at_odd_characters(stream: TextIO) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
