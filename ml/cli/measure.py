"""The judge's verbs about one candidate: attest it, in one go or a step at a time."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.cli.console import out
from ml.cli.dspa_options import DecidedOk, OutcomeFile
from ml.cli.judge_options import (
    LOCAL,
    AskedDigest,
    Candidate,
    Claims,
    Envelope,
    Holdout,
    IdentityToken,
    JudgeImage,
    KeyFile,
    Keyless,
    MeasuredDigest,
    ResultsDir,
    Run,
    Version,
    Work,
    claimed_in,
    signer_of,
)
from ml.cli.options import STORE, AsJson, PolicyFile, Problem, Store, absolute, policy_text_of
from ml.cli.reporting import outcome_in
from ml.cli.results import command, near, print_json, problem_option, write_results
from ml.cli.tables import show_verdict
from ml.core.errors import GateBlocked

if TYPE_CHECKING:
    from ml.judge.attest import Attested


def attest(
    candidate: Candidate,
    holdout: Holdout,
    version: Version,
    store: Store = STORE,
    key_file: KeyFile = None,
    keyless: Keyless = None,
    identity_token: IdentityToken = None,
    policy: PolicyFile = None,
    problem: Problem = "",
    claims: Claims = None,
    run: Run = "",
    judge_image: JudgeImage = LOCAL,
    out_file: Envelope = Path("attestation.json"),
    as_json: AsJson = False,
) -> None:
    """Measure a candidate on the sealed holdout, and sign what was measured.

    The model runs in a sandbox without network, credentials or labels; another process scores
    what it answered. A candidate that the policy blocks is attested too, and says so: exit code 10.

    Example: jukebox judge attest 83ea999f70a3 --holdout s3://judge/holdout --version 1f6d… --key-file key.pem
    """
    import tempfile

    from ml.judge.attest import Places, attest

    places = Places(absolute(store), absolute(holdout))
    text, claimed = policy_text_of(policy, problem), claimed_in(claims)
    signer = signer_of(key_file, keyless, identity_token)

    def say(line: str) -> None:
        if not as_json:
            out.print(line, markup=False)

    # It holds the sealed examples: only its owner may read it, and it is always removed.
    with tempfile.TemporaryDirectory(prefix="judge-") as folder:
        work = Path(folder).resolve()
        attested = attest(work, places, candidate, version, text, judge_image, signer, claimed, run, say)
    place = (*(() if store == STORE else ("--store", store)), *problem_option(problem))
    _finish(attested, out_file, place, as_json=as_json)


def download(
    candidate: Candidate,
    holdout: Holdout,
    version: Version,
    work: Work,
    store: Store = STORE,
    claims: Claims = None,
    run: Run = "",
    results_dir: ResultsDir = None,
) -> None:
    """Fetch candidate, champion and sealed holdout into a work folder: the first step of attest.

    The result ASKED is the digest of asked.json, which the later steps take.

    Example: jukebox judge download 83ea999f70a3 --holdout s3://judge/holdout --version 1f6d… --work /work
    """
    from ml.core.files import file_digest, require_folder
    from ml.judge.attest import beside
    from ml.judge.download import download
    from ml.judge.work import ASKED

    if results_dir:
        require_folder(results_dir)
    claimed = claimed_in(claims)
    asked = download(work, absolute(store), absolute(holdout), candidate, version, claimed, run)
    write_results(results_dir, {"ASKED": file_digest(work / ASKED)})
    out.print(f"candidate {asked.candidate[:12]}, holdout {version}, {beside(asked)}", markup=False)


def infer(work: Work, asked: AskedDigest = "") -> None:
    """Ask the model about the sealed examples: the second step of attest, which needs no key and no network.

    It refuses to begin where the API server, the DNS or the store answers, or a credential is in reach.

    Example: jukebox judge infer --work /work
    """
    from ml.judge.infer import infer

    out.print(infer(work, asked), markup=False)


def score(work: Work, asked: AskedDigest = "", results_dir: ResultsDir = None) -> None:
    """Score what the model answered, with the labels and without the model: the third step of attest.

    The result MEASURED is the digest of measured.json, which the last step takes.

    Example: jukebox judge score --work /work
    """
    from ml.core.files import file_digest, require_folder
    from ml.judge.score import score
    from ml.judge.work import MEASURED

    if results_dir:
        require_folder(results_dir)
    out.print(score(work, asked), markup=False)
    write_results(results_dir, {"MEASURED": file_digest(work / MEASURED)})


def sign(
    work: Work,
    key_file: KeyFile = None,
    keyless: Keyless = None,
    identity_token: IdentityToken = None,
    policy: PolicyFile = None,
    problem: Problem = "",
    judge_image: JudgeImage = LOCAL,
    out_file: Envelope = Path("attestation.json"),
    asked: AskedDigest = "",
    measured: MeasuredDigest = "",
    outcome: OutcomeFile = None,
    decided_ok: DecidedOk = False,
    as_json: AsJson = False,
) -> None:
    """Decide by the policy on what was measured, and sign it: the last step of attest.

    Example: jukebox judge sign --work /work --key-file /keys/key.pem --out /work/attestation.json
    """
    from ml.judge.attest import sign

    with outcome_in(outcome, decided_ok=decided_ok) as known:
        signer = signer_of(key_file, keyless, identity_token)
        attested = sign(work, policy_text_of(policy, problem), judge_image, signer, asked, measured)
        claimed, proven = attested.statement.predicate.claimed, attested.statement.predicate.measured
        known.update(commit=claimed.commit, dirty=claimed.dirty, checks=_checks(attested))
        known.update(champion=proven.champion, judged_by=proven.policy_digest)
        _finish(attested, out_file, (), as_json=as_json)


def _checks(attested: "Attested") -> list[Any]:
    return [check.to_json() for check in attested.verdict.checks]


def _finish(attested: "Attested", path: Path, place: tuple[str, ...], *, as_json: bool) -> None:
    """Write the attestation, show the verdict, and exit by it.

    Args:
        attested: what was attested.
        path: the file to write.
        place: the options that name the store and the problem, for the command that comes next.
        as_json: print JSON instead of text.
    """
    from ml.core.files import write_bytes

    write_bytes(path, attested.envelope)
    statement, verdict = attested.statement, attested.verdict
    result = {
        "candidate": statement.candidate,
        "attestation": str(path),
        "digest": attested.digest,
        "passed": verdict.passed,
        "checks": _checks(attested),
    }
    if not as_json:
        show_verdict(verdict, folded=True, more="`jukebox verify --json`")
        out.print(f"attestation: {near(path)} ({attested.digest[7:19]})", markup=False)
    if not verdict.passed:
        names = ", ".join(check.name for check in verdict.failures)
        raise GateBlocked(f"candidate {statement.candidate[:12]} does not pass ({names})", result)
    if as_json:
        print_json(result)
        return
    signed = ("--attestation", str(path), "--trust", "trust.pem")
    promote = command("promote", statement.candidate[:12], *place, *signed)
    out.print(f"next:        {promote} promotes it", markup=False)
