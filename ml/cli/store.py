"""Verbs about the store itself: migrate one of an older jukebox."""

from typing import Annotated

import typer
from rich.markup import escape

from ml.cli.console import out
from ml.cli.options import STORE, AsJson, Head, Store, open_store
from ml.cli.results import command, print_json
from ml.cli.tables import show_table
from ml.core.errors import EvidenceError

app = typer.Typer(
    name="store", help="Maintain a model store: migrate one of an older jukebox.", no_args_is_help=True
)


@app.callback()
def store() -> None:
    """Take the options that stand before a verb of the store."""


@app.command()
def migrate(
    store: Store = STORE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")
    ] = False,
    head: Head = None,
    as_json: AsJson = False,
) -> None:
    """Copy every model that was ever promoted to promoted/, which runs cannot write.

    Promotion, rollback and serving read from there. The log stays as it is, and its entries can be rolled
    back to. Nothing is deleted or overwritten; after an interruption, run it again. Ends with 40 where a
    model of the log is gone; all others are copied.

    Example: jukebox store migrate --store s3://models/jukebox --dry-run
    """
    from ml.release.migrate import migrate as bring_over

    opened = open_store(store, head)
    brought = bring_over(opened, dry_run=dry_run)
    result = {"dry_run": dry_run, "models": [one.to_json() for one in brought]}
    lost = [one for one in brought if one.state == "lost"]
    if not as_json:
        rows = [
            (", ".join(map(str, one.numbers)), one.candidate[:12], one.state, escape(one.why))
            for one in brought
        ]
        show_table(("promotions", "candidate", "", "why"), rows)
        out.print(f"{opened.uri}: {len(brought)} models in the log, {len(lost)} lost; {opened.head_state()}")
    if lost:
        raise EvidenceError(
            f"{opened.uri}: {len(lost)} of {len(brought)} models in the log are lost; restore their files "
            f"from a backup of the store and run {command('store', 'migrate', '--store', opened.uri)} again",
            result,
        )
    if as_json:
        print_json(result)
