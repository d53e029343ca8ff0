"""`jukebox gate` and `jukebox promote` on what is missing, garbage, tampered with, or not good enough."""

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
    [(None, "No such file or directory"), (b"\x89PNG\r\n\x1a\n\xff", "not evidence")],
)
def test_evidence_that_proves_nothing(tmp_path, data, message):
    line = assert_one_line(_gate(tmp_path, data), 40)
    assert "evidence.json" in line
    assert message in line


def test_a_model_that_is_not_good_enough(tmp_path):
    check = "evaluation.examples"
    reports = edited(passing_reports(), MUTATIONS[check].edits)
    found = make_evidence(subject(), MANIFEST, reports, POLICY, DAY)
    line = assert_one_line(_gate(tmp_path, found.to_bytes()), 10)
    assert check in line


@pytest.mark.parametrize("text", ["", POLICY.replace("min_examples", "min_song")])
def test_a_policy_that_cannot_be_read_blocks(tmp_path, text):
    (tmp_path / "policy.yaml").write_text(text)
    assert_one_line(_gate(tmp_path, canonical_bytes(PASSING), "--policy", "policy.yaml"), 10)


def test_promotion_into_a_store_on_a_full_disk_promotes_nothing(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        store = ModelStore(str(disk / "store"), create=True)
        candidate = store_run(store, candidate_files())
        fill(disk)
        line = assert_one_line(call_at(tmp_path, "promote", candidate, "--store", disk / "store"), 30)
        assert "No space left on device" in line
        assert store.log() == []
        assert [path for path in disk.glob("store/promotions/*") if path.is_file()] == []
