"""The command `jukebox`: its verbs (one module for each group), its signals, and how it ends.

Exit codes: 0 pass, 2 wrong use, 10 the gate blocked, 20 the run failed
or was cancelled, 30 a service could not be reached, 40 evidence is missing, stale or not ours.
As any command, 141 when its reader goes away, as in `jukebox models | head -1`: that is not an error.
"""

import inspect
import signal
import sys
from typing import Annotated, Any, NoReturn

import typer

from ml import __version__
from ml.cli import (
    admission,
    answer,
    assembly,
    compilation,
    doctor,
    dspa,
    image,
    init,
    judge,
    logs,
    models,
    policy,
    registry,
    release,
    runs,
    status,
    store,
    train,
    verify,
)
from ml.cli.console import err, out, tame
from ml.cli.results import print_json
from ml.core.environment import clean_environment
from ml.core.errors import Interrupted, JukeboxError, ReaderGone, RunFailed, UsageError
from ml.core.signals import STOP_SIGNALS
from ml.core.version import UNKNOWN, code_version

app = typer.Typer(
    name="jukebox",
    help="Continuous training whose releases can be trusted: run the pipeline, gate the model, promote it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 pass · 2 wrong use · 10 the gate blocked · 20 the run failed or was cancelled · "
    "30 a service could not be reached · 40 evidence missing, stale or not ours",
)


def _show_version(wanted: bool) -> None:
    """Print which jukebox this is, and end."""
    if wanted:
        commit, dirty = code_version()
        known = "" if commit == UNKNOWN else f", commit {commit}{'+dirty' if dirty else ''}"
        out.print(f"jukebox {__version__}{known}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Take the options that stand before a verb; its help is the one above."""


for verb in (
    train.run,
    init.init,
    runs.runs,
    runs.compare,
    runs.gate,
    models.models,
    release.promote,
    release.rollback,
    verify.verify,
    compilation.compile,
    train.sample,
    admission.admit,
    dspa.submit,
    dspa.follow,
    logs.logs,
    doctor.doctor,
    image.image_key,
    image.image_build,
):
    app.command()(verb)

ci = typer.Typer(name="ci", help="What the Tasks of the Tekton pipeline call.", no_args_is_help=True)
for step in (
    answer.supersede,
    answer.answer,
    assembly.toolchain,
    assembly.toolchain_push,
    assembly.image_assemble,
    status.report,
    status.verdict,
):
    ci.command()(step)

for group in (policy.app, judge.app, store.app, registry.app, ci):
    app.add_typer(group)


def _flow(group: typer.Typer) -> None:
    """Make each paragraph of a verb's help one line: typer keeps the lines of the source, at any width."""
    for verb in group.registered_commands:
        paragraphs = inspect.cleandoc(verb.callback.__doc__ or "").split("\n\n") if verb.callback else []
        verb.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for inner in group.registered_groups:
        if inner.typer_instance:
            _flow(inner.typer_instance)


_flow(app)


def main() -> NoReturn:
    """Run the command; every known error is one line on stderr and its documented exit code."""
    for number in STOP_SIGNALS:
        # A signal that the caller ignores stays ignored, as under nohup.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    clean_environment()
    try:
        raise SystemExit(_run())
    except ReaderGone as gone:
        raise SystemExit(gone.exit_code) from None


def _run() -> int:
    """Run the command, say what went wrong, and return its exit code.

    Raises:
        ReaderGone: nobody reads what it prints.
    """
    try:
        return app(prog_name="jukebox", standalone_mode=False) or 0
    except typer.Exit as done:
        return done.exit_code
    except SystemExit as end:
        # typer ends the process itself when nobody reads its help.
        raise ReaderGone("the reader of the help is gone") from end
    except typer.exceptions.TyperException as error:
        # Without arguments it has printed the help already.
        message = getattr(error, "format_message", str)() if str(error) else ""
        verb = getattr(getattr(error, "ctx", None), "command_path", "jukebox")
        return _fail(message, UsageError.exit_code, hint=f"; see `{verb} --help`") if message else 2
    except ReaderGone:
        raise
    except Interrupted:
        return _fail("interrupted; `jukebox models` shows what is in production", RunFailed.exit_code)
    except JukeboxError as error:
        return _fail(str(error), error.exit_code, error.details)
    except (ModuleNotFoundError, OSError) as error:
        return _fail(*_mishap(error))


def _fail(line: str, code: int, details: dict[str, Any] | None = None, hint: str = "") -> int:
    """Say what went wrong, to a machine or a person, and return the exit code."""
    line = tame(line)
    if "--json" in sys.argv:
        print_json({**(details or {}), "error": line, "exit_code": code})
    err.print(f"jukebox: {line}{hint}", markup=False)
    return code


def _mishap(error: ModuleNotFoundError | OSError) -> tuple[str, int]:
    """Say in a line what is missing here: a package, space on a disk, a folder to write to."""
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename or 'while writing'}", RunFailed.exit_code
    name = error.name or ""
    if name.partition(".")[0] in ("", "ml"):
        raise error
    place = "of the images, `component` has what the steps need, `tools` what the other verbs need"
    return f"this needs {name}, which is not installed here; {place}", UsageError.exit_code


def _interrupt(*_: object) -> NoReturn:
    """Interrupt once; a second signal must not interrupt the clean-up."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted


if __name__ == "__main__":
    main()
