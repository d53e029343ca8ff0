"""Release a model: look at the store, promote, go back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ml.commands.options import (
    STORE,
    AsJson,
    PolicyFile,
    Store,
    next_store,
    open_store,
    policy_text_of,
    print_json,
    say,
)
from ml.console import out, show_table
from ml.version import short_commit

if TYPE_CHECKING:
    from ml.release.rollback import Plan
    from ml.release.store import Promotion

Reason = Annotated[str, typer.Option(help="Why, for the promotion log: one line of at most 200 characters.")]


def models(store: Store = STORE, as_json: AsJson = False) -> None:
    """Show the store's promotion log and its candidates, newest first.

    Each entry says who promoted which candidate, made from which commit; +dirty marks a work tree with
    changes that were not committed. `jukebox rollback --to NUMBER` puts an entry in force again.
    """
    from ml.release.promotion import unpublished

    opened = open_store(store)
    log, candidates = opened.log(), opened.candidates()
    missing = unpublished(opened, log)
    if as_json:
        print_json({"promotions": [entry.to_json() for entry in log], "candidates": candidates})
        return
    if not candidates:
        out.print(f"{opened.uri}: no candidates yet; {next_store(store)}")
        return
    rows = [
        (
            str(entry.number),
            entry.action + (f" of {entry.restores}" if entry.restores else ""),
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
    if missing:
        out.print(
            f"promotion {missing} was interrupted; `jukebox promote {log[-1].candidate[:12]}` publishes it"
        )
    used = {entry.candidate: entry.number for entry in log}
    out.print()
    show_table(
        ("candidate", "promoted"),
        [(entry[:12], f"number {used[entry]}" if entry in used else "never") for entry in candidates],
    )


def promote(
    candidate: Annotated[str, typer.Argument(help="A candidate's id, or the beginning of it.")],
    store: Store = STORE,
    policy: PolicyFile = None,
    reason: Reason = "",
    results_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="JUKEBOX_RESULTS_DIR", help="Write the Tekton results PROMOTION and SERVED_AT there."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a candidate from its evidence, and put it into production.

    The log keeps who did it ($USER@host, or what JUKEBOX_ACTOR says) and, with --reason, why. Promoting the
    model that is in production changes nothing; if it was never published, it is now.

    Example: jukebox promote 83ea999f70a3 --reason "better in small markets"
    """
    from ml.files import require_folder, write_bytes
    from ml.release.promotion import promote as promote_candidate

    if results_dir:
        require_folder(results_dir)
    opened = open_store(store)
    outcome = promote_candidate(opened, opened.find_candidate(candidate), policy_text_of(policy), reason)
    if results_dir:
        write_bytes(results_dir / "PROMOTION", str(outcome.promotion.number).encode())
        write_bytes(results_dir / "SERVED_AT", outcome.served_at.encode())
    say(outcome, as_json=as_json)


def rollback(
    store: Store = STORE,
    to: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Restore promotion N; `jukebox models` shows them.")
    ] = None,
    reason: Reason = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put an earlier model back into production: the one that the present one replaced, or that of --to.

    A rollback is a new entry of the log, and restores only what passed the gate once. A promotion that was
    interrupted before its model was published is passed over; a rollback that was, is finished.

    Example: jukebox rollback --to 3 --reason "4 is slow in BR" --dry-run
    """
    from ml.release.rollback import plan_rollback
    from ml.release.rollback import rollback as roll_back

    opened = open_store(store)
    if dry_run:
        _show_plan(plan_rollback(opened, to, reason), as_json=as_json)
    else:
        say(roll_back(opened, to, reason), as_json=as_json)


def _show_plan(plan: "Plan", *, as_json: bool) -> None:
    """Print what a rollback would do."""
    from ml.release.promotion import interrupted

    if as_json:
        entries = {"from": plan.present, "to": plan.target, "entry": plan.entry}
        print_json(
            {
                "dry_run": True,
                "new": plan.new,
                "unpublished": plan.unpublished,
                **{name: entry.to_json() for name, entry in entries.items()},
            }
        )
        return
    if plan.unpublished:
        out.print(f"found:     {interrupted(plan.unpublished)}")
    if not plan.new:
        would = "publish it" if plan.unpublished else "do nothing: it is in force already"
        out.print(f"would {would} ({_told(plan.present)})", markup=False)
    else:
        out.print(f"from:      {_told(plan.present)}\nto:        {_told(plan.target)}", markup=False)
        out.print(f"would be:  promotion {plan.entry.number}, by {plan.entry.who}", markup=False)
    out.print("dry run: nothing was changed")


def _told(entry: "Promotion") -> str:
    """Describe an entry of the log in a line."""
    commit = short_commit(entry.commit, dirty=entry.dirty) or "unknown"
    return (
        f"promotion {entry.number}, candidate {entry.candidate[:12]}, commit {commit}, "
        f"policy {entry.policy_digest[7:19]}"
    )
