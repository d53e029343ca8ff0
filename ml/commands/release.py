"""Judge and release a model: decide again, look at the store, promote, go back."""

from pathlib import Path
from typing import Annotated

import typer

from ml.clock import today
from ml.commands.options import FOLDER, AsJson, PolicyFile, Store, absolute, policy_text_of, print_json, say
from ml.console import out, show_table, show_verdict
from ml.errors import EvidenceError, GateBlocked, UsageError
from ml.gate.evidence import decide_again, policy_digest, read_evidence
from ml.gate.policy import default_policy


def gate(
    evidence: Annotated[Path, typer.Argument(help="An evidence.json that a run has written.")],
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Decide again, from the raw numbers in a file, under the given policy."""
    try:
        found = read_evidence(evidence.read_bytes())
    except OSError as error:
        raise EvidenceError(f"cannot read {evidence}: {error.strerror}") from error
    except ValueError as error:
        raise EvidenceError(f"{evidence}: {error}") from error
    try:
        text = policy.read_text(encoding="utf-8") if policy else default_policy().text
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the policy {policy}: {error}") from error
    verdict = decide_again(found, text, today())
    same_policy = found.policy_digest == policy_digest(text)
    result = {**verdict.to_json(), "same_policy": same_policy}
    if not as_json:
        show_verdict(verdict)
        if not same_policy:
            out.print("note: the run was judged under another policy than this one")
    if same_policy and decide_again(found, text, found.decided_on) != found.verdict:
        raise EvidenceError(f"{evidence}: the stated verdict is not what its own numbers give", result)
    if not verdict.passed:
        raise GateBlocked(f"blocked: {', '.join(check.name for check in verdict.failures)}", result)
    if as_json:
        print_json(result)


def models(store: Store = str(FOLDER / "store"), as_json: AsJson = False) -> None:
    """Show the store's promotion log and its candidates, newest first."""
    from ml.release.store import ModelStore

    opened = ModelStore(absolute(store))
    log, candidates = opened.log(), opened.candidates()
    if as_json:
        print_json({"promotions": [entry.to_json() for entry in log], "candidates": candidates})
        return
    if not candidates:
        out.print(f"{opened.uri}: no candidates yet; `jukebox run` makes one")
        return
    rows = [
        (
            str(entry.number),
            entry.action + (f" of {entry.restores}" if entry.restores else ""),
            entry.at,
            entry.model_name,
            entry.candidate[:12],
            entry.policy_digest[7:19],
            ", ".join(entry.waived),
            "synthetic data" if entry.synthetic else "",
            "in production" if entry is log[-1] else "",
        )
        for entry in reversed(log)
    ]
    show_table(("number", "action", "at", "model", "candidate", "policy", "waived", "data", ""), rows)
    used = {entry.candidate: entry.number for entry in log}
    out.print()
    show_table(
        ("candidate", "promoted"),
        [(entry[:12], f"number {used[entry]}" if entry in used else "never") for entry in candidates],
    )


def promote(
    candidate: Annotated[str, typer.Argument(help="A candidate's id, or the beginning of it.")],
    store: Store = str(FOLDER / "store"),
    policy: PolicyFile = None,
    results_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="JUKEBOX_RESULTS_DIR", help="Write the Tekton results PROMOTION and SERVED_AT there."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a candidate from its evidence, and put it into production."""
    from ml.files import require_folder, write_bytes
    from ml.release.promotion import promote as promote_candidate
    from ml.release.store import ModelStore

    if results_dir:
        require_folder(results_dir)
    opened = ModelStore(absolute(store))
    outcome = promote_candidate(opened, opened.find_candidate(candidate), policy_text_of(policy))
    if results_dir:
        write_bytes(results_dir / "PROMOTION", str(outcome.promotion.number).encode())
        write_bytes(results_dir / "SERVED_AT", outcome.served_at.encode())
    say(outcome, as_json=as_json)


def rollback(store: Store = str(FOLDER / "store"), as_json: AsJson = False) -> None:
    """Put the model back into production that the present one replaced."""
    from ml.release.promotion import rollback as roll_back
    from ml.release.store import ModelStore

    say(roll_back(ModelStore(absolute(store))), as_json=as_json)
