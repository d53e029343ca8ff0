"""Tekton results: all of them whatever happened, small together, and what Chains and Conforma read."""

import json
import re

import pytest

from ml.core.errors import EvidenceError, GateBlocked, Interrupted, PlatformError, UsageError
from ml.core.files import require_folder
from ml.dspa.results import ARTIFACT, MOST, write_results

NAMES = {"RUN_ID", "VERDICT", "CANDIDATE", "MODEL_URI", "MODEL_DIGEST", "EVIDENCE_DIGEST", "TEST_OUTPUT"}
PASSED = {
    "run_id": "5ca5967e-091b-49bb-8186-524639fff7fc",
    "candidate": "c" * 64,
    "model_uri": "s3://bucket/store/candidates/abc/model.onnx",
    "model_digest": f"sha256:{'a' * 64}",
    "evidence_digest": f"sha256:{'b' * 64}",
    "checks": [{"passed": True}] * 80,
}


def written(folder, known, error):
    """Write results and return them by name, and TEST_OUTPUT, whose shape is checked."""
    write_results(folder, known, error)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(files) == (NAMES if error else NAMES | {ARTIFACT})
    assert sum(map(len, files.values())) < MOST
    values = {name: data.decode() for name, data in files.items()}
    output = json.loads(values["TEST_OUTPUT"])
    assert set(output) == {"result", "timestamp", "note", "namespace", "successes", "failures", "warnings"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", output["timestamp"])
    return values, output


def test_a_pass_names_the_model_which_results_of_a_later_try_replace(tmp_path):
    values, output = written(tmp_path, PASSED, None)
    plain = ("run_id", "candidate", "model_uri", "model_digest", "evidence_digest")
    assert {name: values[name.upper()] for name in plain} == {name: PASSED[name] for name in plain}
    assert (values["VERDICT"], output["note"]) == ("pass", "all checks passed")
    assert json.loads(values[ARTIFACT]) == {"uri": PASSED["model_uri"], "digest": PASSED["model_digest"]}
    assert (output["result"], output["successes"], output["failures"]) == ("SUCCESS", 80, 0)
    assert written(tmp_path, {}, PlatformError("later"))[0]["MODEL_URI"] == ""


YES, NO = {"passed": True}, {"passed": False}
ACCEPTED = [{**NO, "level": "warn"}, {**NO, "waiver": "w"}]
MIXED = [*[YES] * 78, NO, NO, *ACCEPTED]


@pytest.mark.parametrize(
    ("error", "known", "ends_as", "note", "counts"),
    [
        (GateBlocked("blocked (merit)"), {**PASSED, "checks": MIXED}, "block", "blocked (merit)", (78, 2, 2)),
        (GateBlocked("blocked"), PASSED, "block", "blocked", (80, 1, 0)),
        (GateBlocked("blocked"), {}, "block", "blocked", (0, 1, 0)),
        (EvidenceError("no evidence"), {}, "error", "no evidence", (0, 1, 0)),
        (PlatformError("no answer"), {"run_id": "r1"}, "error", "no answer", (0, 1, 0)),
        (Interrupted(), PASSED, "error", "stopped", (80, 1, 0)),
        (KeyError("something else"), {}, "error", "stopped", (0, 1, 0)),
    ],
)
def test_any_other_end_names_no_model(tmp_path, error, known, ends_as, note, counts):
    values, output = written(tmp_path, known, error)
    empty = [values[name] for name in ("CANDIDATE", "MODEL_URI", "MODEL_DIGEST")]
    assert (values["VERDICT"], empty, values["RUN_ID"]) == (ends_as, ["", "", ""], known.get("run_id", ""))
    assert values["EVIDENCE_DIGEST"] == known.get("evidence_digest", "")
    result = {"block": "FAILURE", "error": "ERROR"}[ends_as]
    assert (output["result"], output["note"]) == (result, note)
    assert tuple(output[name] for name in ("successes", "failures", "warnings")) == counts


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f3b5", "\n", "\x00", '"', "\ud800"])
def test_a_long_note_is_cut_and_the_longest_key_of_s3_is_not(tmp_path, letter):
    uri = f"s3://{'b' * 63}/{('é' if letter == 'é' else 'x') * (512 if letter == 'é' else 1024)}"
    assert written(tmp_path, {**PASSED, "model_uri": uri}, None)[0]["MODEL_URI"] == uri
    _, output = written(tmp_path, PASSED, GateBlocked(letter * 100_000))
    assert (20 < len(output["note"]) <= 300, set(output["note"])) == (True, {letter})


def test_a_results_folder_that_cannot_be_used_is_refused(tmp_path, monkeypatch):
    require_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"^--results-dir .*file: "):
        require_folder(tmp_path / "file")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UsageError, match=r"^--results-dir .*a: cannot be written"):
        require_folder(tmp_path / "a")
