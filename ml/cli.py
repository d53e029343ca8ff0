"""The command `jukebox`: its verbs (`ml.commands`), its signals, and how it ends.

Exit codes: 0 pass, 2 wrong use, 10 the gate blocked, 20 the run failed
or was cancelled, 30 a service could not be reached, 40 evidence is missing, stale or not ours.
"""

import signal
import sys
from typing import NoReturn

import typer

from ml.commands import dspa, image, policy, release, runs, status, train
from ml.commands.options import print_json
from ml.console import err, tame
from ml.errors import Interrupted, JukeboxError, RunFailed, UsageError
from ml.signals import WISHES

app = typer.Typer(
    name="jukebox",
    help="Continuous training whose releases can be trusted: run the pipeline, gate the model, promote it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 pass · 2 wrong use · 10 the gate blocked · 20 the run failed or was cancelled · "
    "30 a service could not be reached · 40 evidence missing, stale or not ours",
)

for verb in (
    train.run,
    train.compile,
    train.sample,
    dspa.submit,
    dspa.follow,
    dspa.doctor,
    runs.runs,
    runs.compare,
    runs.gate,
    release.models,
    release.promote,
    release.rollback,
    status.report,
    image.toolchain,
    image.image_key,
    image.image_build,
):
    app.command()(verb)
app.add_typer(policy.app)


def main() -> NoReturn:
    """Run the command; every known error is one line on stderr and its documented exit code."""
    for wish in WISHES:
        # What the caller has silenced stays silent: nohup means it.
        if signal.getsignal(wish) is not signal.SIG_IGN:
            signal.signal(wish, _interrupt)
    try:
        code = app(standalone_mode=False)
    except typer.Exit as done:
        raise SystemExit(done.exit_code) from None
    except typer.exceptions.TyperException as error:
        # Asked for nothing, it has printed the help already.
        message = getattr(error, "format_message", str)() if str(error) else ""
        if message and "--json" in sys.argv:
            print_json({"error": " ".join(message.split()), "exit_code": 2})
        if message:
            err.print(f"jukebox: {' '.join(message.split())}; see `jukebox --help`", markup=False)
        raise SystemExit(2) from None
    except Interrupted:
        line = "interrupted; `jukebox models` shows what is in production"
        if "--json" in sys.argv:
            print_json({"error": line, "exit_code": RunFailed.exit_code})
        err.print(f"jukebox: {line}")
        raise SystemExit(RunFailed.exit_code) from None
    except JukeboxError as error:
        if "--json" in sys.argv:
            print_json({**error.details, "error": str(error), "exit_code": error.exit_code})
        err.print(f"jukebox: {tame(str(error))}", markup=False)
        raise SystemExit(error.exit_code) from None
    except (ModuleNotFoundError, OSError) as error:
        line, code = _mishap(error)
        if "--json" in sys.argv:
            print_json({"error": line, "exit_code": code})
        err.print(f"jukebox: {line}", markup=False)
        raise SystemExit(code) from None
    raise SystemExit(code or 0)


def _mishap(error: ModuleNotFoundError | OSError) -> tuple[str, int]:
    """Say in a line what this place lacks: a package, room on a disk, a folder to write to."""
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename or 'while writing'}", RunFailed.exit_code
    name = error.name or ""
    if name.partition(".")[0] in ("", "ml"):
        raise error
    place = "of the images, `component` has what the steps need, `tools` what the other verbs need"
    return f"this needs {name}, which is not installed here; {place}", UsageError.exit_code


def _interrupt(*_: object) -> NoReturn:
    """Interrupt once; an impatient second wish must not break off the cleaning up."""
    for wish in WISHES:
        signal.signal(wish, signal.SIG_IGN)
    raise Interrupted


if __name__ == "__main__":
    main()
