"""Show what a model store has."""

from typing import TYPE_CHECKING

from rich.markup import escape

from ml.cli.console import out, tame
from ml.cli.options import STORE, AsJson, Head, Store, next_store, open_store
from ml.cli.results import command, print_json
from ml.cli.tables import show_table
from ml.core.version import short_commit

if TYPE_CHECKING:
    from ml.release.log import Promotion


def models(store: Store = STORE, head: Head = None, as_json: AsJson = False) -> None:
    """Show the store's promotion log and its candidates, newest first.

    Each entry says who promoted which candidate, on what, and made from which commit; +dirty marks a work
    tree with changes that were not committed. Objects of runs that are not candidates are skipped and
    listed. `jukebox rollback --to NUMBER` puts an entry in force again.
    """
    from ml.release.production import unpublished

    opened = open_store(store, head)
    log, listing = opened.log(), opened.listing()
    missing, checked = unpublished(opened, log), opened.head_state()
    unmigrated = bool(log) and not opened.is_promoted(log[-1].candidate)
    if as_json:
        print_json(
            {
                "promotions": [entry.to_json() for entry in log],
                "candidates": list(listing.candidates),
                "skipped": list(listing.skipped),
                "checked": checked,
            }
        )
        return
    if log:
        _show_log(log, missing)
        out.print(f"{len(log)} promotions, {checked}", markup=False)
    if missing:
        promote_it = command("promote", log[-1].candidate[:12])
        out.print(f"promotion {missing} was interrupted; {promote_it} publishes it")
    if unmigrated:
        bring = command("store", "migrate", *(() if store == STORE else ("--store", store)))
        out.print(f"promoted by an older jukebox; {bring} brings it over", markup=False)
    if log:
        out.print()
    used = {entry.candidate: entry.number for entry in log}
    if listing.candidates:
        show_table(
            ("candidate", "promoted"),
            [(one[:12], f"number {used[one]}" if one in used else "never") for one in listing.candidates],
        )
    else:
        out.print(f"{opened.uri}: no candidates yet; {next_store(store)}")
    for line in listing.skipped:
        out.print(f"skipped:   {tame(line)}", markup=False)


def _show_log(log: "list[Promotion]", missing: int) -> None:
    """Print the entries of the log, newest first."""
    rows = [
        (
            str(entry.number),
            entry.action + (f" of {entry.restores}" if entry.restores else ""),
            entry.promoted_as,
            entry.at,
            escape(entry.who),
            entry.model_name,
            entry.candidate[:12],
            escape(short_commit(entry.commit, dirty=entry.dirty)),
            entry.policy_digest[7:19],
            ", ".join(entry.waived),
            "synthetic data" if entry.synthetic else "",
            escape(entry.why),
            "" if entry is not log[-1] else "not published yet" if missing else "in production",
        )
        for entry in reversed(log)
    ]
    columns = (
        "number",
        "action",
        "basis",
        "at",
        "by",
        "model",
        "candidate",
        "commit",
        "policy",
        "waived",
        "data",
        "why",
    )
    show_table((*columns, ""), rows)
