"""What a person sees: progress, tables, one line for an error. Plain text where there is no terminal."""

import os
import re
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ml.core.errors import ReaderGone

WORD = re.compile(r"\s*(?:`[^`]*`|\S)+")
"""What is not broken over two lines: a word, or a command in backticks."""


class _Console(Console):
    """A console that breaks lines for a terminal only, and between words only: ids and commands stay whole.

    When its reader goes away, as `head` does, it stops the command.
    """

    @property
    def folds(self) -> bool:
        """Whether lines end at the width of a terminal; a pipe or a file has no width."""
        return self.file.isatty()

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a text, and break it for a terminal."""
        rendered = super().render_str(text, **options)
        return fold(rendered, self.width) if self.folds else rendered

    def on_broken_pipe(self) -> None:
        """Stop, and clean up; rich would end the process at once."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
        raise ReaderGone("the reader of the output is gone")


out = _Console(highlight=False, soft_wrap=True, emoji=False)
err = _Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def fold(text: Text, width: int) -> Text:
    """Break a text into lines of a width, between words; what is longer than a line has one of its own."""
    lines: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        breaks, length = [], 0
        for word in WORD.finditer(line.plain):
            length += cell_len(word[0])
            if length > width and word.start():
                breaks.append(word.end() - len(word[0].lstrip()))
                length = cell_len(word[0].lstrip())
        pieces = line.divide(breaks)
        for piece in pieces[:-1]:
            piece.rstrip()
        lines.extend(pieces)
    return Text("\n").join(lines)


def tame(text: str) -> str:
    """Make one printable line of foreign text: some characters control a terminal."""
    return " ".join(printable(text).split())


def printable(line: str) -> str:
    """Replace control characters by blanks; blanks stay."""
    return "".join(c if c.isprintable() else " " for c in line)
