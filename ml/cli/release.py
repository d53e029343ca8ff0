"""Release a model: promote it, or go back to an earlier one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ml.cli.console import out
from ml.cli.dspa_options import DecidedOk, OutcomeFile
from ml.cli.options import STORE, AsJson, Head, PolicyFile, Problem, Store, open_store, policy_text_of
from ml.cli.registry import Ca, Group, TokenFile, Url, client_of, register
from ml.cli.reporting import outcome_in
from ml.cli.results import basis_of, print_json, say, write_results
from ml.core.errors import UsageError
from ml.core.version import short_commit

if TYPE_CHECKING:
    from ml.release.log import Promotion
    from ml.release.rollback import Plan

Reason = Annotated[str, typer.Option(help="Why, for the promotion log: one line of at most 200 characters.")]


def promote(
    candidate: Annotated[str, typer.Argument(help="A candidate's id, or the beginning of it.")],
    store: Store = STORE,
    policy: PolicyFile = None,
    problem: Problem = "",
    attestation: Annotated[
        Path | None, typer.Option(help="The attestation that `jukebox judge attest` has signed.")
    ] = None,
    trust: Annotated[
        Path | None,
        typer.Option(
            envvar="JUKEBOX_TRUST",
            help="Who may have signed it: public keys in PEM, or identities in JSON.",
        ),
    ] = None,
    run: Annotated[
        str, typer.Option(help="Without --trust: the run whose report to take; the newest by default.")
    ] = "",
    reason: Reason = "",
    head: Head = None,
    results_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="JUKEBOX_RESULTS_DIR",
            help="Write the Tekton results PROMOTION, SERVED_AT and HEAD there.",
        ),
    ] = None,
    outcome_file: OutcomeFile = None,
    decided_ok: DecidedOk = False,
    registry: Url = "",
    registry_token_file: TokenFile = None,
    registry_ca: Ca = None,
    registry_group: Group = "",
    as_json: AsJson = False,
) -> None:
    """Put a candidate into production, on an attestation of the trusted side.

    With --trust it must be attested: a valid signature, exactly these bytes, a verdict that passes under our
    policy, and the champion of now. Without, the report of its own run decides, where the policy allows
    that; the log then says self-checked. The log keeps who did it ($USER@host, or what JUKEBOX_ACTOR says)
    and, with --reason, why. Promoting the model that is in production changes
    nothing; if it was never published, it is now.

    Example: jukebox promote 83ea999f70a3 --attestation a.json --trust trust.pem --reason "better in BR"
    """
    from ml.core.files import require_folder
    from ml.release.promotion import promote as promote_candidate
    from ml.release.trust import read_trust

    if results_dir:
        require_folder(results_dir)
    # Tekton fails a run in which a successful Task did not write a result that another refers to.
    write_results(results_dir, dict.fromkeys(("PROMOTION", "SERVED_AT", "HEAD"), ""))
    client = client_of(registry, registry_token_file, registry_ca) if registry.strip() else None
    with outcome_in(outcome_file, decided_ok=decided_ok) as known:
        trusted = read_trust(trust) if trust else None
        envelope = _read(attestation) if attestation else None
        opened = open_store(store, head)
        outcome = promote_candidate(
            opened,
            opened.find_candidate(candidate),
            policy_text_of(policy, problem),
            attestation=envelope,
            trust=trusted,
            run=run,
            why=reason,
        )
        known["unchanged"] = not (outcome.new or outcome.unpublished)
        known["promotion"] = outcome.promotion.number
    results = {
        "PROMOTION": str(outcome.promotion.number),
        "SERVED_AT": outcome.served_at,
        "HEAD": outcome.head.text,
    }
    write_results(results_dir, results)
    say(outcome, register(opened, client, registry_group), as_json=as_json)


def _read(path: Path) -> bytes:
    """Return the bytes of an attestation."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"--attestation {path}: {error.strerror}") from error


def rollback(
    store: Store = STORE,
    to: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Restore promotion N; `jukebox models` shows them.")
    ] = None,
    reason: Reason = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")
    ] = False,
    head: Head = None,
    results_dir: Annotated[
        Path | None,
        typer.Option(envvar="JUKEBOX_RESULTS_DIR", help="Write the Tekton result HEAD there."),
    ] = None,
    registry: Url = "",
    registry_token_file: TokenFile = None,
    registry_ca: Ca = None,
    registry_group: Group = "",
    as_json: AsJson = False,
) -> None:
    """Put an earlier model back into production: the one that the present one replaced, or that of --to.

    A rollback is a new entry of the log, and restores only what was promoted once. A promotion that was
    interrupted before its model was published is passed over; a rollback that was, is finished.

    Example: jukebox rollback --to 3 --reason "4 is slow in BR" --dry-run
    """
    from ml.core.files import require_folder
    from ml.release.rollback import plan_rollback
    from ml.release.rollback import rollback as roll_back

    if results_dir:
        require_folder(results_dir)
    client = client_of(registry, registry_token_file, registry_ca) if registry.strip() else None
    opened = open_store(store, head)
    if dry_run:
        _show_plan(plan_rollback(opened, to, reason), as_json=as_json)
        return
    outcome = roll_back(opened, to, reason)
    write_results(results_dir, {"HEAD": outcome.head.text})
    say(outcome, register(opened, client, registry_group), as_json=as_json)


def _show_plan(plan: "Plan", *, as_json: bool) -> None:
    """Print what a rollback would do."""
    from ml.release.production import interrupted

    if as_json:
        entries = {"from": plan.present, "to": plan.target, "entry": plan.entry}
        print_json(
            {
                "dry_run": True,
                "new": plan.new,
                "unpublished": plan.unpublished,
                "checked": plan.checked,
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
    out.print(f"dry run: nothing was changed; {plan.checked}", markup=False)


def _told(entry: "Promotion") -> str:
    """Describe an entry of the log in a line."""
    commit = short_commit(entry.commit, dirty=entry.dirty) or "unknown"
    return (
        f"promotion {entry.number}, candidate {entry.candidate[:12]}, commit {commit}, "
        f"policy {entry.policy_digest[7:19]}, {basis_of(entry)}"
    )
