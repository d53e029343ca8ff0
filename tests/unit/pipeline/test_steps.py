"""A step says when it starts, how it ended and why it failed; a report it cannot read blocks."""

import json
from pathlib import Path

import pytest
from candidates import candidate_files, model_of, store_run
from reports import POLICY, STRICT, parity, removed, subject

from ml.core.canonical import canonical_bytes
from ml.gate.candidate import CANDIDATE_FILES, manifest_of
from ml.gate.evidence import policy_digest
from ml.gate.registry import REPORTS
from ml.pipeline import model_steps, release_steps
from ml.release.policy_file import leave_policy
from ml.release.store import ModelStore

SUBJECT = subject(run_id="run", champion="").to_json()


class File:
    """An artifact on this disk, as KFP hands it to a step."""

    def __init__(self, path):
        self.path = str(path)
        self.metadata = {}


@pytest.mark.parametrize("profile", [b'{"schema":"a profile"}', None])
def test_the_champions_model_and_profile_come_from_the_store(tmp_path, events, profile):
    store = ModelStore(str(tmp_path / "store"), create=True)
    files = removed(candidate_files(), ("profile.json",)) | ({"profile.json": profile} if profile else {})
    candidate = store_run(store, files)
    store.put_promoted(candidate, model_of(files), None)
    release_steps.champion(candidate, store.uri, File(tmp_path / "model"), File(tmp_path / "profile"))
    assert (tmp_path / "model.onnx").read_bytes() == files["model.onnx"]
    assert (tmp_path / "profile.json").read_bytes() == (profile or b"")
    said = f"champion {candidate[:12]}" + ("" if profile else ", which has no profile")
    assert events()[-1]["headline"] == said


def test_without_a_champion_both_are_empty_and_no_store_is_needed(tmp_path, events):
    nowhere = tmp_path / "nowhere"
    release_steps.champion("", str(nowhere), File(tmp_path / "model"), File(tmp_path / "profile"))
    assert [(tmp_path / name).read_bytes() for name in ("model.onnx", "profile.json")] == [b"", b""]
    assert events()[-1]["headline"] == "no champion: absolute checks only"
    assert not nowhere.exists()


def test_a_champion_that_is_not_whole_in_the_store_ends_the_run(tmp_path):
    store = ModelStore(str(tmp_path / "store"), create=True)
    candidate = store_run(store, candidate_files())
    with pytest.raises(SystemExit, match=r"champion: .*is not in .*/promoted"):
        release_steps.champion(candidate, store.uri, File(tmp_path / "model"), File(tmp_path / "profile"))
    assert not (tmp_path / "model.onnx").exists()


def test_numbers_that_decide_nothing_say_so_where_they_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "ml.onnx.parity.check_parity", lambda *files: Path(files[-1]).write_bytes(canonical_bytes(parity()))
    )
    shown, names = File(tmp_path / "metrics"), ("onnx", "reference", "test", "labels", "served", "report")
    shown.log_metric = shown.metadata.__setitem__
    model_steps.parity(*(File(tmp_path / name) for name in names), shown)
    advisory = {name for name in shown.metadata if "openvino" in name}
    assert advisory == {f"advisory_openvino{more}" for more in ("", "_max_difference", "_violations")}
    assert "decides nothing" in shown.metadata["advisory_openvino"]


def gate(tmp_path, reports: dict[str, bytes | None], asked: str = policy_digest(POLICY)) -> tuple[bytes, str]:
    """Run the gate step on report files with this content; return the evidence and the verdict in words."""
    artifacts = {name: File(tmp_path / name) for name in REPORTS}
    for name in REPORTS:
        content = reports.get(name, b"{}")
        if content is not None:
            (tmp_path / name).write_bytes(content)
    for name in CANDIDATE_FILES:
        (tmp_path / name).write_bytes(name.encode())
    files = [File(tmp_path / name) for name in CANDIDATE_FILES]
    target = tmp_path / "asked" / "evidence.json"
    own = File(tmp_path / "own"), File(tmp_path / "verdict")
    leave_policy(str(target), POLICY)
    release_steps.gate(SUBJECT, asked, str(target), artifacts, files, *own)
    assert target.read_bytes() == (tmp_path / "own.json").read_bytes()
    return target.read_bytes(), (tmp_path / "verdict.md").read_text()


def test_a_policy_with_another_digest_ends_the_gate_before_it_decides(tmp_path, events):
    with pytest.raises(SystemExit, match=r"^gate: \S+/asked/policy.yaml is not the policy of this run"):
        gate(tmp_path, {}, asked=policy_digest(STRICT))
    assert not (tmp_path / "asked" / "evidence.json").exists()
    assert events()[-1]["permanent"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "FileNotFoundError"),
        (b"", "JSONDecodeError"),
        (b"{}", "missing"),
    ],
)
def test_a_report_that_cannot_be_read_blocks_and_the_verdict_is_left(tmp_path, events, content, reason):
    data, words = gate(tmp_path, {"evaluation": content})
    evidence = json.loads(data)
    assert evidence["verdict"]["passed"] is False
    (check,) = [check for check in evidence["verdict"]["checks"] if check["name"] == "evaluation"]
    assert reason in check["reason"]
    assert evidence["subject"] == SUBJECT
    assert events()[-1]["headline"].startswith("self-check blocked: 4 of 4 checks failed: ")
    assert words.startswith("# Self-check: blocked")
    assert "| evaluation | " in words


def save(tmp_path, files: dict[str, bytes]) -> ModelStore:
    """Run the save step on the files that a run leaves."""
    artifacts = {name: File(tmp_path / name) for name in files}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    model = [artifacts.pop(name) for name in CANDIDATE_FILES]
    store = ModelStore(str(tmp_path / "store"), create=True)
    release_steps.save(store.uri, artifacts.pop("evidence.json"), model, artifacts)
    return store


def test_what_passes_the_self_check_is_saved_with_its_reports_beside_it(tmp_path):
    files = candidate_files()
    store = save(tmp_path, files)
    (candidate,) = store.candidates()
    assert candidate == manifest_of(files).id
    assert store.read_candidate(candidate) == model_of(files)
    assert store.read_reports(candidate)["run-of-A"]["evidence.json"] == files["evidence.json"]


def test_a_trained_model_that_the_judge_cannot_load_is_no_part_of_the_candidate(tmp_path):
    artifacts = [File(tmp_path / name) for name in ("trained.skops", "exported.onnx", "how.json")]
    for artifact in artifacts:
        Path(artifact.path).write_bytes(artifact.path.encode())
    assert set(release_steps._candidate_files(artifacts)) == {"model.onnx", "served.json"}


def test_what_the_self_check_blocks_is_not_saved_and_the_reason_is_one_line(tmp_path, events):
    with pytest.raises(
        SystemExit, match=r"^save: the self-check blocked: 1 of \d+ checks failed: evaluation"
    ):
        save(tmp_path, candidate_files(broken="evaluation.examples"))
    assert events()[-1]["blocked"] is True
    assert not list((tmp_path / "store").rglob("*.onnx"))
