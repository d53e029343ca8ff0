"""`jukebox gate` and `jukebox promote` on what is missing, garbage, tampered with, or not good enough."""

import json

import pytest
from candidates import candidate_files, store_run
from mutations import MUTATIONS
from processes import assert_one_line, call_at, fill, small_disk
from reports import DAY, MANIFEST, POLICY, edited, passing_evidence, passing_reports, subject

from ml.core.canonical import canonical_bytes
from ml.gate.evidence import make_evidence
from ml.release.store import ModelStore

PASSING = passing_evidence().to_json()


def _gate(home, data: bytes | None, *options):
    if data is not None:
        (home / "evidence.json").write_bytes(data)
    return call_at(home, "gate", "evidence.json", *options)


def test_good_evidence_passes(tmp_path):
    done = _gate(tmp_path, canonical_bytes(PASSING))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(None, "No such file or directory", id="missing"),
        pytest.param(b"", "not evidence", id="empty"),
        pytest.param(b"\x89PNG\r\n\x1a\n\xff", "not evidence", id="garbage"),
        pytest.param(b'{"schema": "jukebox.evidence/v3"}', "missing", id="not-all-of-it"),
        pytest.param(canonical_bytes(PASSING)[:-100], "not evidence", id="cut-off"),
        pytest.param(json.dumps(PASSING, indent=2).encode(), "canonical", id="laid-out"),
        pytest.param(canonical_bytes({**PASSING, "note": "hello"}), "note: unknown key", id="unknown-key"),
        pytest.param(
            canonical_bytes({**PASSING, "schema": "jukebox.evidence/v1"}), "schema", id="unknown-schema"
        ),
        pytest.param(
            canonical_bytes(PASSING).replace(b'"examples":128', b'"examples":NaN'), "not evidence", id="NaN"
        ),
    ],
)
def test_evidence_that_proves_nothing(tmp_path, data, message):
    line = assert_one_line(_gate(tmp_path, data), 40)
    assert "evidence.json" in line
    assert message in line


@pytest.mark.parametrize("check", ["evaluation.examples", "parity", "data.songs.unique"])
def test_a_model_that_is_not_good_enough(tmp_path, check):
    reports = edited(passing_reports(), MUTATIONS[check].edits)
    found = make_evidence(subject(), MANIFEST, reports, POLICY, DAY)
    line = assert_one_line(_gate(tmp_path, found.to_bytes()), 10)
    assert check in line


def test_a_stricter_policy_blocks(tmp_path):
    (tmp_path / "strict.yaml").write_text(POLICY.replace('"min_examples":100', '"min_examples":1000'))
    line = assert_one_line(_gate(tmp_path, canonical_bytes(PASSING), "--policy", "strict.yaml"), 10)
    assert "evaluation.examples" in line


@pytest.mark.parametrize("text", ["", POLICY.replace("min_examples", "min_song")])
def test_a_policy_that_cannot_be_read_blocks(tmp_path, text):
    (tmp_path / "policy.yaml").write_text(text)
    assert_one_line(_gate(tmp_path, canonical_bytes(PASSING), "--policy", "policy.yaml"), 10)


def test_a_policy_that_is_not_there_is_wrong_use(tmp_path):
    line = assert_one_line(_gate(tmp_path, canonical_bytes(PASSING), "--policy", "none.yaml"), 2)
    assert "none.yaml" in line


def test_promotion_into_a_store_on_a_full_disk_promotes_nothing(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        store = ModelStore(str(disk / "store"), create=True)
        candidate = store_run(store, candidate_files())
        fill(disk)
        line = assert_one_line(call_at(tmp_path, "promote", candidate, "--store", disk / "store"), 30)
        assert "No space left on device" in line
        assert store.log() == []
        assert [path for path in disk.glob("store/promotions/*") if path.is_file()] == []


def test_promotion_of_what_is_not_there(tmp_path):
    (tmp_path / "store").mkdir()
    assert_one_line(call_at(tmp_path, "promote", "abc", "--store", tmp_path / "store"), 40)


def test_a_store_that_is_not_there(tmp_path):
    assert_one_line(call_at(tmp_path, "models", "--store", tmp_path / "none"), 2)
    assert not (tmp_path / "none").exists()
