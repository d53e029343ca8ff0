"""Tables that fit the terminal, and the table of a verdict."""

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.markup import escape
from rich.text import Text

from ml.cli.console import WORD, fold, out
from ml.gate.check import Check
from ml.gate.verdict import Verdict

GAP = 2
"""Blanks between two columns of a table."""


NARROWEST = 16
"""A column of a table is not made narrower than this, or than its longest word."""


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
        out.print(f"[bold green]PASS[/]: {count} checks passed{verdict.remarks}")
    else:
        out.print(f"[bold red]BLOCKED[/]: {len(verdict.failures)} of {total} checks failed{verdict.remarks}")


def _word(check: Check) -> str:
    """Return the result of a check, in its colour."""
    if check.passed:
        return "[green]pass[/]"
    if check.blocks:
        return "[red]BLOCK[/]"
    return "[yellow]waived[/]" if check.waiver else "[yellow]warn[/]"


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; a column that is empty throughout is left out.

    On a terminal that is too narrow the longest columns are broken between words. Where only a few rows
    are too wide, these are not aligned; otherwise each row is a block with a line for each column.
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
    """Return the least width of a table's column: its longest word, or the least that can be read."""
    words = [cell_len(word.strip()) for cell in column for word in WORD.findall(cell.plain)]
    return max(*words, min(width, NARROWEST))


def _usual(column: Sequence[Text]) -> int:
    """Return the width that nine in ten cells of a table's column need, and its name."""
    name, *cells = (cell.cell_len for cell in column)
    return max(name, sorted(cells)[len(cells) * 9 // 10])


def _show_ragged(columns: Sequence[Sequence[Text]], widths: Sequence[int]) -> None:
    """Print a table with a line for each row; a cell that is too wide moves the next ones to the right."""
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
