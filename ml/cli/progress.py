"""Progress of what takes long: the steps of a run on this machine, the tasks of a run of the DSPA."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.live import Live
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ml.cli.console import out, tame

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
