"""The page of the exit codes, from the errors that carry them."""

import ml.dspa.failures
import ml.dspa.timeouts  # noqa: F401 - they have errors of their own
from ml.cli.main import app
from ml.core.errors import JukeboxError

from .markdown import page, sentence, table


def words() -> dict[int, str]:
    """Return each exit code with what it means in a few words, from the command's own help."""
    entries = str(app.info.epilog).partition(": ")[2].split("·")
    pairs = (entry.strip().partition(" ") for entry in entries)
    return {int(number): text for number, _, text in pairs}


def exit_codes_page() -> str:
    """Return docs/reference/exit-codes.md."""
    kinds = sorted(_below(JukeboxError), key=lambda kind: kind.__name__)
    parts = []
    for number in words():
        mine = [(f"`{kind.__name__}`", sentence(kind.__doc__)) for kind in kinds if kind.exit_code == number]
        parts += [f"## {number}", table(("error", "what happened"), mine)] if mine else []
    assert {kind.exit_code for kind in kinds} <= words().keys(), "an exit code is not in the help"
    return page(
        "Exit codes",
        "Every verb ends with one of these. An error is one line on stderr; with `--json` it is also an "
        "object on stdout, with `error` and `exit_code`.",
        table(("code", "meaning"), words().items()),
        "The errors of the code that end with each:",
        *parts,
    )


def _below(kind: type[JukeboxError]) -> set[type[JukeboxError]]:
    direct = kind.__subclasses__()
    return {each for each in direct if each.__module__.startswith("ml.")}.union(*map(_below, direct))
