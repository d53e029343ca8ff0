"""Tekton results: all of them whatever happened, small together, and what Chains and Conforma read."""

import json
import re

import pytest
from dspa_server import Dspa, serving
from processes import assert_one_line, call_at, run_at

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
SUBMIT = ("submit", "pipeline.yaml", "--evidence", "s3://b/e", "--store", "s3://b/s")


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


def test_a_pass(tmp_path):
    values, output = written(tmp_path, PASSED, None)
    plain = ("run_id", "candidate", "model_uri", "model_digest", "evidence_digest")
    assert {name: values[name.upper()] for name in plain} == {name: PASSED[name] for name in plain}
    assert values["VERDICT"] == "pass"
    assert json.loads(values[ARTIFACT]) == {"uri": PASSED["model_uri"], "digest": PASSED["model_digest"]}
    assert (output["result"], output["successes"], output["failures"]) == ("SUCCESS", 80, 0)


YES, NO, WARNED, WAIVED = (
    {"passed": True},
    {"passed": False},
    {"passed": False, "level": "warn"},
    {"passed": False, "waiver": "w"},
)


@pytest.mark.parametrize(
    ("checks", "successes", "failures", "warnings"),
    [([*[YES] * 78, NO, NO, WARNED, WAIVED], 78, 2, 2), ([YES] * 80, 80, 1, 0), ([], 0, 1, 0)],
)
def test_a_block(tmp_path, checks, successes, failures, warnings):
    details = {**PASSED, "checks": checks}
    values, output = written(tmp_path, details, GateBlocked("the gate blocked the model (merit)", details))
    empty = ("CANDIDATE", "MODEL_URI", "MODEL_DIGEST")
    assert [values[name] for name in ("VERDICT", *empty)] == ["block", "", "", ""]
    assert (values["RUN_ID"], values["EVIDENCE_DIGEST"]) == (PASSED["run_id"], PASSED["evidence_digest"])
    assert (output["result"], output["note"]) == ("FAILURE", "the gate blocked the model (merit)")
    assert [output[name] for name in ("successes", "failures", "warnings")] == [successes, failures, warnings]


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (EvidenceError("no evidence"), "no evidence"),
        (PlatformError("no answer"), "no answer"),
        (Interrupted(), "stopped"),
        (KeyError("something else"), "stopped"),
    ],
)
@pytest.mark.parametrize("known", [{}, {"run_id": "r1"}, PASSED])
def test_an_error(tmp_path, error, note, known):
    values, output = written(tmp_path, known, error)
    named = [values[name] for name in ("VERDICT", "CANDIDATE", "MODEL_URI", "MODEL_DIGEST")]
    assert named == ["error", "", "", ""]
    assert values["RUN_ID"] == known.get("run_id", "")
    assert (output["result"], output["note"], output["failures"] >= 1) == ("ERROR", note, True)


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f3b5", "\n", "\x00", '"', "\ud800"])
def test_a_long_note_is_cut(tmp_path, letter):
    _, output = written(tmp_path, PASSED, GateBlocked(letter * 100_000))
    assert (20 < len(output["note"]) <= 300, set(output["note"])) == (True, {letter})


@pytest.mark.parametrize("letter", ["x", "é"])
def test_the_longest_key_of_s3_fits(tmp_path, letter):
    uri = f"s3://{'b' * 63}/{letter * (1024 // len(letter.encode()))}"
    assert written(tmp_path, {**PASSED, "model_uri": uri}, None)[0]["MODEL_URI"] == uri


def test_results_of_an_earlier_try_are_replaced(tmp_path):
    written(tmp_path, PASSED, None)
    assert written(tmp_path, {}, PlatformError("later"))[0]["MODEL_URI"] == ""
    assert written(tmp_path, PASSED, None)[0]["CANDIDATE"] == PASSED["candidate"]


def test_a_folder_is_made_and_a_file_is_none(tmp_path):
    require_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    for below in ("file", "file/folder"):
        with pytest.raises(UsageError, match="--results-dir"):
            require_folder(tmp_path / below)


@pytest.mark.parametrize("verb", [SUBMIT, ("follow", "r1")])
def test_a_folder_that_cannot_be_written_is_refused_before_any_request(tmp_path, verb):
    results = tmp_path / "results"
    results.mkdir()
    results.chmod(0o500)
    with serving(Dspa()) as dspa:
        # In a process without root's right to write everywhere.
        done = run_at(tmp_path, *verb, "--host", dspa.url, "--results-dir", results)
        assert dspa.requests == []
    assert "--results-dir" in assert_one_line(done, 2)
    assert list(results.iterdir()) == []


def test_an_option_that_cannot_be_used_is_named_before_anything_begins(tmp_path):
    (tmp_path / "file").write_text("")
    for option in ("--results-dir", "--outcome"):
        done = call_at(tmp_path, *SUBMIT, option, tmp_path / "file" / "x")
        assert f"{option} {tmp_path}/file" in assert_one_line(done, 2)
    done = call_at(tmp_path, "promote", "1a2b", "--store", "none", "--results-dir", tmp_path / "file")
    assert "--results-dir" in assert_one_line(done, 2)
