"""What was measured is decided on and signed: by the policy, about these bytes, on no word of the run."""

import datetime
import json
import shutil

import pytest
from attestations import holdout_ref, trust_file
from command import called
from judged import CLAIMED, FILES, write_answers, write_asked
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

IMAGE = "localhost/judge@" + digest(b"judge")


def signer(statement) -> bytes:
    """Stand in for a signature."""
    return b"signed " + statement.to_bytes()


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A work folder in which everything but the signature is done."""
    folder = tmp_path_factory.mktemp("measured")
    write_answers(folder, write_asked(folder, "self-checked"))
    score(folder)
    return folder


@pytest.fixture
def work(measured, tmp_path):
    """A copy of it to spoil."""
    return shutil.copytree(measured, tmp_path / "work")


def refused(message, *args, **kwargs):
    with pytest.raises(EvidenceError, match=message) as caught:
        sign(*args, POLICY, IMAGE, signer, **kwargs)
    assert "\n" not in str(caught.value)


def test_the_statement_says_what_was_measured_and_what_is_claimed(measured):
    found = sign(measured, POLICY, IMAGE, signer)
    about = found.statement.predicate.measured
    assert found.envelope == b"signed " + found.statement.to_bytes()
    assert found.statement.candidate == manifest_of(FILES).id
    assert about.reports == read_json(measured / MEASURED)["reports"]
    assert about.holdout == holdout_ref()
    assert about.isolation == {"dns": "Network is unreachable"}
    assert (about.policy_digest, about.judge_image) == (policy_digest(POLICY), IMAGE)
    assert datetime.datetime.now(datetime.UTC) - about.at < datetime.timedelta(minutes=5)
    assert found.statement.predicate.claimed == CLAIMED


def test_the_policy_decides_on_the_measured_numbers_and_of_a_self_checked_champion_on_absolute_ones(measured):
    found = sign(measured, POLICY, IMAGE, signer)
    failed = {check.name for check in found.verdict.failures}
    # Sixty examples are too few, and the labels are noise.
    assert {"evaluation.examples", "evaluation.gain_over_prior.low"} <= failed
    assert not [one for one in found.verdict.checks if one.reason.startswith("the report is about")]
    about = found.statement.predicate.measured
    assert (about.champion, about.champion_kind) == ("c" * 64, "self-checked")
    champions = {check.name for check in about.verdict.checks if check.name.startswith("champion.")}
    assert champions <= {"champion.subject"}


def test_what_was_measured_for_something_else_is_refused(work):
    asked = read_json(work / "asked.json")
    write_json(work / "asked.json", {**asked, "store": "elsewhere:1"})
    refused("is about another candidate or holdout", work)


@pytest.mark.parametrize("name", ["asked", "measured"])
def test_what_was_not_handed_over_is_refused(work, name):
    refused(rf"{name}\.json: its digest is", work, **{f"{name}_digest": digest(b"another")})
    (work / f"{name}.json").unlink()
    refused(rf"{name}\.json: No such file", work)


def test_the_verbs_of_the_steps_hand_over_by_digest(work, tmp_path):
    key, trust = trust_file(tmp_path / "keys")
    results = tmp_path / "results"
    results.mkdir()
    asked = digest((work / "asked.json").read_bytes())
    (work / MEASURED).unlink()
    done = called("judge", "score", "--work", work, "--asked", asked, "--results-dir", results, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    handed = (results / "MEASURED").read_text()
    assert handed == digest((work / MEASURED).read_bytes())
    words = ["judge", "sign", "--work", work, "--key-file", key, "--asked", asked, "--measured", handed]
    told = tmp_path / "judge.json"
    done = called(*words, "--out", tmp_path / "a.json", "--outcome", told, "--json", cwd=tmp_path)
    assert done.returncode == GateBlocked.exit_code
    outcome = TaskOutcome.load(json.loads(told.read_bytes()))
    assert (outcome.exit_code, outcome.commit, outcome.dirty) == (10, "c0ffee", False)
    failing = [check.name for check in outcome.checks if not check.passed and check.level == "block"]
    assert f"({', '.join(failing)})" in outcome.error
    statement = verify_envelope((tmp_path / "a.json").read_bytes(), read_trust(trust))
    assert not statement.predicate.measured.verdict.passed
    assert json.loads(done.stdout)["candidate"] == statement.candidate


def test_a_key_that_is_not_there_and_claims_that_are_none_are_told_before_anything_is_measured(tmp_path):
    key, _ = trust_file(tmp_path / "keys")
    (tmp_path / "claims.json").write_text('{"run_id": "r"}')
    words = ["judge", "attest", "abc", "--holdout", "h", "--version", DATA_VERSION, "--key-file"]
    for more, message in (
        (["none.pem"], "--key-file none.pem is not there; `jukebox judge keys` makes a pair"),
        ([key, "--claims", "claims.json"], "--claims claims.json: "),
    ):
        done = called(*words, *more, cwd=tmp_path)
        assert done.returncode == 2
        assert message in done.stderr
