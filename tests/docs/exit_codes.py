"""The page of the exit codes, from the errors that carry them."""

import ml.dspa.failures
import ml.dspa.timeouts  # noqa: F401 - they have errors of their own
from ml.core.errors import JukeboxError

from .markdown import page, paragraphs, table


def words() -> dict[int, str]:
    """Return each exit code with what it means in a few words, from the command's own help."""
    from ml.cli.main import app

    _, _, listed = str(app.info.epilog).partition(": ")
    pairs = [entry.strip().partition(" ")[::2] for entry in listed.split("·")]
    return {int(number): text for number, text in pairs}


def exit_codes_page() -> str:
    """Return docs/reference/exit-codes.md."""
    below: dict[int, list[type[JukeboxError]]] = {number: [] for number in words()}
    for kind in _all(JukeboxError):
        below[kind.exit_code].append(kind)
    parts = []
    for number, kinds in below.items():
        rows = ((f"`{kind.__name__}`", paragraphs(kind.__doc__).partition("\n\n")[0]) for kind in kinds)
        parts += [f"## {number}", table(("error", "what happened"), rows)] if kinds else []
    return page(
        "Exit codes",
        "Every verb ends with one of these. An error is one line on stderr; with `--json` it is also an "
        "object on stdout, with `error` and `exit_code`.",
        table(("code", "meaning"), words().items()),
        "The errors of the code that end with each:",
        *parts,
    )


def _all(kind: type[JukeboxError]) -> list[type[JukeboxError]]:
    found = [below for each in kind.__subclasses__() for below in (each, *_all(each))]
    return sorted(
        {each for each in found if each.__module__.startswith("ml.")}, key=lambda each: each.__name__
    )
