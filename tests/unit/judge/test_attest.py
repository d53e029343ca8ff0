"""What was measured is decided on and signed: by the policy, about these bytes, on no word of the run."""

import datetime
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attestations import holdout_ref, trust_file
from command import UNHURRIED, called
from judged import CLAIMED, FILES, write_answers, write_asked, write_manifest
from reports import DATA_VERSION, POLICY
from tiers import SLOW

from ml.core.canonical import canonical_bytes, digest, parse
from ml.core.errors import EvidenceError, GateBlocked
from ml.core.files import read_json, write_json
from ml.data.splits import as_lists, read_examples
from ml.forge.summary import TaskOutcome
from ml.gate.candidate import CANDIDATE_FILES, manifest_of
from ml.gate.evidence import policy_digest
from ml.judge.attest import sign
from ml.judge.score import score
from ml.judge.work import MEASURED
from ml.measure.evaluation import class_prior, logistic
from ml.release.promotion import promote
from ml.release.signing import verify_envelope
from ml.release.store import ModelStore
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


def seal(finished_run, folder) -> None:
    """Make a sealed holdout of the test examples of a finished run."""
    target = folder / DATA_VERSION
    target.mkdir(parents=True)
    for name, step, artifact in (
        ("examples.parquet", "preprocess", "test_split.parquet"),
        ("labels.json", "preprocess", "labels.json"),
        ("data_report.json", "validate", "data_report.json"),
        ("profile.json", "validate", "profile.json"),
    ):
        shutil.copy(finished_run.artifact(step, artifact), target / name)
    training = read_examples(finished_run.artifact("preprocess", "train_split.parquet"))
    test = read_examples(target / "examples.parquet")
    prior = class_prior(training)
    answers = np.tile(prior, (len(test.ids), 1)), logistic(training, test.features, prior)
    columns = dict(zip(("prior", "logistic"), map(as_lists, answers), strict=True))
    pq.write_table(pa.table(columns), target / "baselines.parquet")
    write_manifest(target, test)


@SLOW
def test_the_candidate_of_a_real_run_is_attested_and_promoted_and_then_it_is_the_champion(
    finished_run, tmp_path
):
    seal(finished_run, tmp_path / "holdout")
    (tmp_path / "policy.yaml").write_text(UNHURRIED)
    key, trust = trust_file(tmp_path / "keys")
    store = ModelStore(str(tmp_path / "store"), create=True, head="")
    places = {"model.keras": ("train", "model.keras"), "model.onnx": ("convert", "onnx_model.onnx")}
    places["served.json"] = ("convert", "served.json")
    files = {name: finished_run.artifact(*places[name]).read_bytes() for name in CANDIDATE_FILES}
    evidence = finished_run.evidence.read_bytes()
    candidate = store.put_candidate(files, "r1", {"evidence.json": evidence})

    def attest(which: str) -> tuple[int, str]:
        words = ["--store", tmp_path / "store", "--holdout", tmp_path / "holdout", "--version", DATA_VERSION]
        words += ["--key-file", key, "--policy", tmp_path / "policy.yaml", "--out", tmp_path / "a.json"]
        done = called("judge", "attest", which, *words, cwd=tmp_path)
        return done.returncode, done.stdout + done.stderr

    code, text = attest(candidate[:12])
    assert code == 0, text
    envelope = (tmp_path / "a.json").read_bytes()
    statement = verify_envelope(envelope, read_trust(trust))
    about = statement.predicate.measured
    assert statement.candidate == candidate
    # The judge scores the ONNX model in the served runtime; the run scored Keras.
    run = read_json(finished_run.artifact("evaluate", "evaluation.json"))
    loss = about.reports["evaluation"]["model"]["log_loss"]["value"]
    assert loss == pytest.approx(run["model"]["log_loss"]["value"], abs=1e-5)
    assert about.isolation["store"] == "no address known here"
    assert statement.predicate.claimed.commit == read_json(finished_run.evidence)["subject"]["commit"]
    promote(store, candidate, UNHURRIED, attestation=envelope, trust=read_trust(trust))

    # Its twin, which is served otherwise, is compared with it.
    files["model.onnx"] = relabelled(files["model.onnx"])
    twin = store.put_candidate(files, "r2", {"evidence.json": told_of(files, evidence)})
    code, text = attest(twin)
    statement = verify_envelope((tmp_path / "a.json").read_bytes(), read_trust(trust))
    about = statement.predicate.measured
    assert (about.champion, about.champion_kind) == (candidate, "attested")
    shared = about.reports["evaluation"]["champion"]["shared"]
    assert shared["log_loss"]["difference"]["value"] == pytest.approx(0, abs=1e-5)
    assert about.reports["data_report"]["drift"]["measured"]["class_shift"] == 0
    assert code == 0, text

    # And text as a model is one line.
    files["model.onnx"] = b"trust me\n"
    text_model = store.put_candidate(files, "r3", {"evidence.json": told_of(files, evidence)})
    code, text = attest(text_model)
    assert code == GateBlocked.exit_code
    assert text.splitlines()[-1] == "jukebox: model.onnx is not an ONNX model"


def told_of(files: dict[str, bytes], evidence: bytes) -> bytes:
    """Return a run's report, about another candidate."""
    return canonical_bytes({**parse(evidence), "files": manifest_of(files).to_json()["files"]})


def relabelled(data: bytes) -> bytes:
    """Return the same model with one more entry of metadata."""
    import onnx

    model = onnx.load_from_string(data)
    model.metadata_props.add(key="twin", value="yes")
    return model.SerializeToString(deterministic=True)
