"""What a person sees: progress, tables, one line for an error. Plain text where there is no terminal."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ml.core.errors import ReaderGone
from ml.gate.check import Check
from ml.gate.verdict import Verdict

GAP = 2
"""Blanks between two columns of a table."""

NARROWEST = 16
"""A column of a table is not made narrower than this, or than its longest word."""

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
        raise ReaderGone("nobody reads the output any more")


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
    """Make one printable line of what somebody else has written: a terminal obeys some characters."""
    return " ".join(printable(text).split())


def printable(line: str) -> str:
    """Replace by blanks what a terminal obeys; blanks stay."""
    return "".join(c if c.isprintable() else " " for c in line)


COLOURS = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "CANCELED": "red",
    "CANCELING": "red",
    "PENDING": "dim",
    "NOT STARTED": "dim",
}


class Steps:
    """Shows each step as it starts and ends: a spinner on a terminal, a line each elsewhere."""

    def __init__(self, live: Progress | None, width: int) -> None:
        """Show on the given live display, or in lines, with so many columns for a name."""
        self._live = live
        self._width = width
        self.finished: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any]) -> None:
        """Show one event of a step."""
        name = event["step"]
        shown = f"{name:<{self._width}}"
        if event["event"] == "start":
            if self._live:
                for task in self._live.task_ids:
                    self._live.remove_task(task)
                self._live.add_task(name)
            else:
                out.print(f"  {shown} started")
        elif event["event"] == "end":
            self.finished.append({key: value for key, value in event.items() if key != "event"})
            headline = escape(event["headline"])
            out.print(f"  {shown} [green]done[/] {event['seconds']:6.1f} s  {headline}")
        else:
            word = "blocked" if event["blocked"] else "failed"
            out.print(f"  {shown} [red]{word}[/]")


@contextmanager
def shown_steps(*, quiet: bool, width: int = 11) -> Iterator[Steps]:
    """Show the steps of a run, or of a build, or keep them only."""
    out.quiet = quiet
    try:
        if out.is_terminal and not quiet:
            columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
            with Progress(*columns, console=out, transient=True) as live:
                yield Steps(live, width)
        else:
            yield Steps(None, width)
    finally:
        out.quiet = False


class RunShown:
    """Shows a run of the DSPA as it moves: a live table on a terminal, a line for each change elsewhere."""

    def __init__(self, live: Live | None) -> None:
        """Show on the given live display, or in lines."""
        self._live = live
        self._seen: dict[str, str] = {}

    def say(self, line: str) -> None:
        """Print a line for the user."""
        out.print(escape(tame(line)))

    def show(self, state: str, tasks: Mapping[str, str]) -> None:
        """Show the state of the run, and of each of its tasks that has begun."""
        states = {tame(name): tame(word) for name, word in {"run": state, **tasks}.items()}
        if self._live:
            table = Table(box=None, pad_edge=False, show_header=False)
            for name, word in states.items():
                table.add_row(f"  {escape(name):<11}", f"[{COLOURS.get(word, 'yellow')}]{escape(word)}[/]")
            self._live.update(table, refresh=True)
            return
        for name, word in states.items():
            if self._seen.get(name) != word:
                out.print(f"  {escape(name):<11} {escape(word)}")
        self._seen = states


@contextmanager
def shown_run(*, quiet: bool) -> Iterator[RunShown]:
    """Show a run of the DSPA, or say nothing."""
    out.quiet = quiet
    try:
        if out.is_terminal and not quiet:
            with Live(console=out, auto_refresh=False) as live:
                yield RunShown(live)
        else:
            yield RunShown(None)
    finally:
        out.quiet = False


def show_verdict(verdict: Verdict, *, folded: bool = False, more: str = "`jukebox gate RUN`") -> None:
    """Print each check of a verdict, and the verdict.

    Args:
        verdict: what was decided.
        folded: count the checks that pass by subject, instead of a line for each.
        more: the command that shows each, where they are folded.
    """
    rows = [
        (
            check.name,
            _shown(check.value),
            f"{check.relation} {_shown(check.bound)}",
            _word(check),
            escape("; ".join(filter(None, (check.reason, check.waiver)))),
        )
        for check in verdict.checks
        if not (folded and check.passed)
    ]
    if rows:
        show_table(("check", "value", "bound", "verdict", "reason"), rows)
    if folded:
        subjects = Counter(check.name.partition(".")[0] for check in verdict.checks if check.passed)
        counted = ", ".join(f"{name} {count}" for name, count in subjects.items()) or "none"
        out.print(f"passed: {counted}; {more} shows each", markup=False)
    total = len(verdict.checks)
    if verdict.passed:
        passed = sum(check.passed for check in verdict.checks)
        count = f"all {total}" if passed == total else f"{passed} of {total}"
        out.print(f"[bold green]PASS[/]: {count} checks passed{verdict.aside}")
    else:
        out.print(f"[bold red]BLOCKED[/]: {len(verdict.failures)} of {total} checks failed{verdict.aside}")


def _word(check: Check) -> str:
    """Say what became of a check, in its colour."""
    if check.passed:
        return "[green]pass[/]"
    if check.blocks:
        return "[red]BLOCK[/]"
    return "[yellow]waived[/]" if check.waiver else "[yellow]warn[/]"


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; a column that is empty throughout is left out.

    On a terminal that is too narrow the longest columns are broken between words. Where that does not do
    because of a few rows, these are out of line; otherwise each row is a block with a line for each column.
    """
    kept = [index for index in range(len(header)) if any(row[index] for row in rows)]
    names = [header[index] for index in kept]
    cells = [[Text.from_markup(row[index], emoji=False) for index in kept] for row in rows]
    columns = [[Text(name), *column] for name, column in zip(names, zip(*cells, strict=True), strict=True)]
    widths = [max(cell.cell_len for cell in column) for column in columns]
    if out.folds:
        room = out.width - GAP * (len(widths) - 1)
        least = [_least(column, width) for column, width in zip(columns, widths, strict=True)]
        if sum(least) > room:
            usual = [_usual(column) for column in columns]
            if sum(usual) <= room:
                _show_ragged(columns, usual)
            else:
                _show_blocks(names, cells)
            return
        while sum(widths) > room:
            spare = [width - few for width, few in zip(widths, least, strict=True)]
            index = max(range(len(widths)), key=lambda index: (spare[index] > 0, widths[index]))
            widths[index] -= 1
    for row in [[Text(name, "bold") for name in names], *cells]:
        folded = [fold(cell, width).split("\n") for cell, width in zip(row, widths, strict=True)]
        for parts in zip_longest(*folded, fillvalue=Text()):
            line = Text(" " * GAP).join(
                part + Text(" " * (width - part.cell_len)) for part, width in zip(parts, widths, strict=True)
            )
            line.rstrip()
            out.print(line)


def _least(column: Sequence[Text], width: int) -> int:
    """Return the columns that a table's column needs: its longest word, and as few as can be read."""
    words = [cell_len(word.strip()) for cell in column for word in WORD.findall(cell.plain)]
    return max(*words, min(width, NARROWEST))


def _usual(column: Sequence[Text]) -> int:
    """Return the columns that nine in ten cells of a table's column need, and its name."""
    name, *cells = (cell.cell_len for cell in column)
    return max(name, sorted(cells)[len(cells) * 9 // 10])


def _show_ragged(columns: Sequence[Sequence[Text]], widths: Sequence[int]) -> None:
    """Print a table with a line for each row, in which a cell that is too wide moves those behind it."""
    for number, row in enumerate(zip(*columns, strict=True)):
        cells = [cell + Text(" " * (width - cell.cell_len)) for cell, width in zip(row, widths, strict=True)]
        line = Text(" " * GAP).join(cells)
        line.rstrip()
        if not number:
            line.stylize("bold")
        first, *others = fold(line, out.width - GAP).split("\n")
        out.print(first)
        for other in others:
            out.print(Text.assemble(" " * GAP, other))


def _show_blocks(names: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
    """Print each row of a table as a block, with a line for each column that is not empty."""
    margin = max(map(cell_len, names)) + GAP
    for number, row in enumerate(rows):
        if number:
            out.print()
        for name, cell in zip(names, row, strict=True):
            if cell.plain:
                first, *others = fold(cell, max(out.width - margin, 1)).split("\n")
                out.print(Text.assemble((name.ljust(margin), "bold"), first))
                for line in others:
                    out.print(Text.assemble(" " * margin, line))


def _shown(value: float | str) -> str:
    if isinstance(value, str):
        return escape(value if len(value) <= 24 else f"{value[:19]}…")
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"
