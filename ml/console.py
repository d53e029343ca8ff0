"""What a person sees: progress, tables, one line for an error. Plain text where there is no terminal."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.table import Table

from ml.gate.verdict import Verdict

# A log has no width: rich would take 80 columns and fold every table.
WIDTH = None if sys.stdout.isatty() else 200
out = Console(highlight=False, soft_wrap=True, width=WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Progress:
    """Shows each step as it starts and ends: a spinner on a terminal, a line each elsewhere."""

    def __init__(self, status: Status | None) -> None:
        """Show on the given spinner, or in lines."""
        self._status = status
        self.steps: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any]) -> None:
        """Show one event of a step."""
        name = event["step"]
        if event["event"] == "start":
            if self._status:
                self._status.update(f"{name} …")
            else:
                out.print(f"  {name:<11} started")
        elif event["event"] == "end":
            self.steps.append({key: event[key] for key in ("step", "seconds", "peak_mb", "headline")})
            out.print(f"  {name:<11} [green]done[/] {event['seconds']:6.1f} s  ", end="")
            out.print(event["headline"], markup=False)
        else:
            word = "blocked" if event["blocked"] else "failed"
            out.print(f"  {name:<11} [red]{word}[/]")


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """Show the steps of a run, or keep them only."""
    if quiet:
        out.quiet = True
    try:
        if out.is_terminal and not quiet:
            with out.status("starting …") as status:
                yield Progress(status)
        else:
            yield Progress(None)
    finally:
        out.quiet = False


def show_verdict(verdict: Verdict) -> None:
    """Print every check of a verdict, and the verdict."""
    rows = [
        (
            check.name,
            _shown(check.value),
            f"{check.relation} {_shown(check.bound)}",
            "[green]pass[/]" if check.passed else "[red]BLOCK[/]",
            check.reason,
        )
        for check in verdict.checks
    ]
    show_table(("check", "value", "bound", "", "reason"), rows)
    failed = len(verdict.failures)
    total = len(verdict.checks)
    if verdict.passed:
        out.print(f"[bold green]PASS[/]: all {total} checks passed")
    else:
        out.print(f"[bold red]BLOCKED[/]: {failed} of {total} checks failed")


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; a column that is empty throughout is left out."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    kept = [index for index in range(len(header)) if any(row[index] for row in rows)]
    for index in kept:
        table.add_column(header[index], overflow="fold")
    for row in rows:
        table.add_row(*(row[index] for index in kept))
    out.print(table, soft_wrap=False)


def _shown(value: float | str) -> str:
    if isinstance(value, str):
        return value if len(value) <= 24 else f"{value[:19]}…"
    return f"{value:.6g}"
