"""What was measured is decided on and signed: by the policy, about these bytes, on no word of the run."""

import datetime
import json
import shutil

import pytest
from attestations import holdout_ref, trust_file
from command import called
from judged import CLAIMED, FILES, refused, write_answers, write_asked
from processes import assert_one_line
from reports import DATA_VERSION, POLICY

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, GateBlocked
from ml.core.files import read_json, write_json
from ml.forge.outcomes import TaskOutcome
from ml.gate.candidate import manifest_of
from ml.gate.evidence import policy_digest
from ml.judge.attest import sign
from ml.judge.score import score
from ml.judge.work import MEASURED
from ml.release.signing import verify_envelope
from ml.release.trust import read_trust

SIGNED = POLICY, "localhost/judge@" + digest(b"judge"), lambda statement: b"signed " + statement.to_bytes()


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A work folder in which everything but the signature is done."""
    folder = tmp_path_factory.mktemp("measured")
    write_answers(folder, write_asked(folder, "self-checked"))
    score(folder)
    return folder


@pytest.fixture
def work(measured, tmp_path):
    return shutil.copytree(measured, tmp_path / "work")


def test_the_statement_says_what_was_measured_decided_and_claimed(measured):
    found = sign(measured, *SIGNED)
    about = found.statement.predicate.measured
    assert found.envelope == b"signed " + found.statement.to_bytes()
    assert found.statement.candidate == manifest_of(FILES).id
    assert about.reports == read_json(measured / MEASURED)["reports"]
    assert about.holdout == holdout_ref()
    assert about.isolation == {"dns": "Network is unreachable"}
    assert (about.policy_digest, about.judge_image) == (policy_digest(POLICY), SIGNED[1])
    assert datetime.datetime.now(datetime.UTC) - about.at < datetime.timedelta(minutes=5)
    assert found.statement.predicate.claimed == CLAIMED
    # Sixty examples are too few, and the labels are noise; a self-checked champion is not compared with.
    failed = {check.name for check in found.verdict.failures}
    assert {"evaluation.examples", "evaluation.gain_over_prior.low"} <= failed
    assert not [one for one in found.verdict.checks if one.reason.startswith("the report is about")]
    assert (about.champion, about.champion_kind) == ("c" * 64, "self-checked")
    champions = {check.name for check in about.verdict.checks if check.name.startswith("champion.")}
    assert champions <= {"champion.subject"}


@pytest.mark.parametrize("name", ["asked", "measured"])
def test_what_was_not_handed_over_or_measured_for_something_else_is_refused(work, name):
    refused(EvidenceError, rf"{name}\.json: its digest is", sign, work, *SIGNED, **{f"{name}_digest": "x"})
    write_json(work / "asked.json", {**read_json(work / "asked.json"), "store": "elsewhere:1"})
    refused(EvidenceError, "is about another candidate or holdout", sign, work, *SIGNED)
    (work / f"{name}.json").unlink()
    refused(EvidenceError, rf"{name}\.json: No such file", sign, work, *SIGNED)


def test_the_verbs_of_the_steps_hand_over_by_digest(work, tmp_path):
    key, trust = trust_file(tmp_path / "keys")
    (tmp_path / "results").mkdir()
    (work / MEASURED).unlink()
    words = ["--work", work, "--asked", digest((work / "asked.json").read_bytes())]
    done = called("judge", "score", *words, "--results-dir", "results", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    handed = (tmp_path / "results/MEASURED").read_text()
    assert handed == digest((work / MEASURED).read_bytes())
    words += ["--measured", handed, "--key-file", key, "--out", "a.json", "--outcome", "judge.json"]
    done = called("judge", "sign", *words, "--json", cwd=tmp_path)
    assert done.returncode == GateBlocked.exit_code
    outcome = TaskOutcome.load(json.loads((tmp_path / "judge.json").read_bytes()))
    assert (outcome.exit_code, outcome.commit, outcome.dirty) == (10, CLAIMED.commit, False)
    failing = [check.name for check in outcome.checks if not check.passed and check.level == "block"]
    assert f"({', '.join(failing)})" in outcome.error
    statement = verify_envelope((tmp_path / "a.json").read_bytes(), read_trust(trust))
    assert not statement.predicate.measured.verdict.passed
    assert json.loads(done.stdout)["candidate"] == statement.candidate


def test_a_key_or_claims_that_cannot_be_read_are_told_before_anything_is_measured(tmp_path):
    key, _ = trust_file(tmp_path / "keys")
    (tmp_path / "claims.json").write_text('{"run_id": "r"}')
    words = ["judge", "attest", "abc", "--holdout", "h", "--version", DATA_VERSION, "--key-file"]
    done = called(*words, "none.pem", cwd=tmp_path)
    assert "--key-file none.pem is not there; `jukebox judge keys` makes a pair" in assert_one_line(done, 2)
    done = called(*words, key, "--claims", "claims.json", cwd=tmp_path)
    assert "--claims claims.json: " in assert_one_line(done, 2)
