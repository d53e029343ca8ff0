"""Verify an attestation, for an auditor: without cluster or run, and without trust in where the files are."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ml.cli.console import out, tame
from ml.cli.options import STORE, AsJson, Store, absolute
from ml.cli.results import print_json
from ml.core.errors import GateBlocked

if TYPE_CHECKING:
    from ml.gate.statement import Claimed
    from ml.release.verification import Verified

WIDTH = 11
"""Columns of a name in a list."""


def verify(
    model: Annotated[
        str,
        typer.Argument(
            metavar="CANDIDATE|MODEL|FOLDER",
            help="The beginning of a candidate's id in --store, a model.onnx, or a folder with one.",
        ),
    ],
    trust: Annotated[
        Path,
        typer.Option(help="Whose attestations count: public keys in PEM, or identities in JSON."),
    ],
    attestation: Annotated[
        Path | None,
        typer.Option(
            help="The attestation; without it, attestation.json beside the model, and attestations/*.json."
        ),
    ] = None,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Verify an attestation: who signed it, for which bytes, and what it says.

    The files that are there are compared with those that were measured. Then two lists are printed: what
    the judge has measured, and what the run claims about itself. The attestation's age is shown, not judged;
    of several attestations, the newest counts. No cluster is asked.

    Ends with 0 when the model passed, with 10 when the attestation is valid and says that it did not, and
    with 40 when there is none, no key in --trust has signed it, or it is about other bytes.

    Example: jukebox verify ./model --trust trust.pem
    """
    from ml.release.model_files import find_model
    from ml.release.trust import read_trust
    from ml.release.verification import verify as verify_model

    trusted = read_trust(trust)
    verified = verify_model(find_model(model, absolute(store)), trusted, attestation)
    measured, claimed = verified.statement.predicate.measured, verified.statement.predicate.claimed
    now = datetime.datetime.now(datetime.UTC)
    result = {
        "candidate": verified.statement.candidate,
        "attestation": verified.name,
        "attestation_digest": verified.digest,
        "key_id": verified.signed.key_id,
        "key_name": verified.signed.key_name,
        "checked": list(verified.checked),
        "passed": measured.verdict.passed,
        "age_days": round(verified.age(now) / datetime.timedelta(days=1), 3),
        "passed_over": list(verified.passed_over),
        "measured": measured.to_json(),
        "claimed": claimed.to_json(),
    }
    if not as_json:
        _show(verified, now)
    if not measured.verdict.passed:
        failed = ", ".join(check.name for check in measured.verdict.failures)
        raise GateBlocked(f"the attestation is valid, and says that the model is blocked: {failed}", result)
    if as_json:
        print_json(result)


def _show(verified: "Verified", now: datetime.datetime) -> None:
    """Print what was verified, and the two lists."""
    name = f" ({verified.signed.key_name})" if verified.signed.key_name else ""
    absent = f"; not here: {', '.join(verified.unchecked)}" if verified.unchecked else ""
    rows = [
        ("model", verified.where),
        ("candidate", verified.statement.candidate),
        ("files", f"{', '.join(verified.checked)}: as measured{absent}"),
        ("attestation", verified.name),
        ("signed by", f"key {verified.signed.key_id[:12]}{name}"),
        *(("passed over", line) for line in verified.passed_over),
    ]
    _list("verified", rows)
    _list("measured by the judge", _measured(verified, now))
    _list("claimed by the run, and not checked", _claimed(verified.statement.predicate.claimed))


def _measured(verified: "Verified", now: datetime.datetime) -> list[tuple[str, str]]:
    from ml.release.verification import headline

    measured = verified.statement.predicate.measured
    holdout, verdict = measured.holdout, measured.verdict
    passing = sum(check.passed for check in verdict.checks)
    word = "PASS" if verdict.passed else "BLOCKED"
    made = ", synthetic data" if holdout.synthetic else ""
    days = verified.age(now).days
    reached = "; ".join(f"{place}: {came}" for place, came in measured.isolation.items())
    return [
        ("verdict", f"{word}: {passing} of {len(verdict.checks)} checks passed{verdict.remarks}"),
        *(("verdict", f"{check.name}: {check.reason}") for check in verdict.failures),
        *(("waived", f"{check.name}: {check.reason}; {check.waiver}") for check in verdict.waived),
        *(("numbers", line) for line in headline(verified.statement)),
        ("champion", f"{measured.champion} ({measured.champion_kind})" if measured.champion else "none"),
        ("at", f"{measured.at.isoformat(' ')}, {f'{days} days ago' if days >= 0 else 'in the future'}"),
        ("holdout", f"{holdout.version}, source {holdout.source_version}{made}"),
        ("holdout", f"definition {holdout.definition}, splitter {holdout.splitter}, key {holdout.key_id}"),
        ("ledger", f"position {holdout.ledger}, {holdout.ledger_digest}"),
        ("policy", measured.policy_digest),
        ("judge", measured.judge_image),
        ("isolation", reached or "nothing was tried"),
    ]


def _claimed(claimed: "Claimed") -> list[tuple[str, str]]:
    return [
        ("run", claimed.run_id),
        ("commit", f"{claimed.commit}{'+dirty' if claimed.dirty else ''}"),
        ("image", claimed.image),
        ("pipeline", claimed.pipeline_digest),
        ("data", claimed.data_version),
        ("model", f"{claimed.model_name} {claimed.model_version}"),
    ]


def _list(title: str, rows: list[tuple[str, str]]) -> None:
    """Print a list, each name once; its values may come from a run."""
    out.print(f"{title}:", markup=False)
    before = ""
    for name, value in rows:
        out.print(f"  {name if name != before else '':<{WIDTH}} {tame(value)}", markup=False)
        before = name
