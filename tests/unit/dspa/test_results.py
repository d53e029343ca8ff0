"""Tekton results: all seven whatever happened, small together, and what Chains and Conforma read."""

import json
import re

import pytest
from dspa_server import Dspa, serving
from processes import assert_one_line, run_at

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
CONFORMA = {"result", "timestamp", "note", "namespace", "successes", "failures", "warnings"}


def written(folder, found, error) -> dict[str, str]:
    """Write results and read them; TEST_OUTPUT is checked for its shape."""
    write_results(folder, found, error)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(files) == (NAMES if error else NAMES | {ARTIFACT})
    assert sum(map(len, files.values())) < MOST
    values = {name: data.decode() for name, data in files.items()}
    output = json.loads(values["TEST_OUTPUT"])
    assert set(output) == CONFORMA
    assert output["result"] in {"SUCCESS", "FAILURE", "ERROR"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", output["timestamp"])
    assert all(isinstance(output[name], int) for name in ("successes", "failures", "warnings"))
    return values


def test_a_pass(tmp_path):
    found = written(tmp_path, PASSED, None)
    assert found["VERDICT"] == "pass"
    plain = ("RUN_ID", "CANDIDATE", "MODEL_URI", "MODEL_DIGEST", "EVIDENCE_DIGEST")
    assert {name: found[name] for name in plain} == {
        "RUN_ID": PASSED["run_id"],
        "CANDIDATE": PASSED["candidate"],
        "MODEL_URI": PASSED["model_uri"],
        "MODEL_DIGEST": PASSED["model_digest"],
        "EVIDENCE_DIGEST": PASSED["evidence_digest"],
    }
    assert json.loads(found[ARTIFACT]) == {"uri": PASSED["model_uri"], "digest": PASSED["model_digest"]}
    output = json.loads(found["TEST_OUTPUT"])
    assert (output["result"], output["successes"], output["failures"]) == ("SUCCESS", 80, 0)


@pytest.mark.parametrize(
    ("checks", "successes", "failures"),
    [([True] * 78 + [False] * 2, 78, 2), ([True] * 80, 80, 1), ([], 0, 1)],
)
def test_a_block(tmp_path, checks, successes, failures):
    details = {**PASSED, "checks": [{"passed": passed} for passed in checks]}
    found = written(tmp_path, details, GateBlocked("the gate blocked the model (merit)", details))
    assert (found["VERDICT"], found["CANDIDATE"]) == ("block", "")
    assert (found["MODEL_URI"], found["MODEL_DIGEST"]) == ("", "")
    assert (found["RUN_ID"], found["EVIDENCE_DIGEST"]) == (PASSED["run_id"], PASSED["evidence_digest"])
    output = json.loads(found["TEST_OUTPUT"])
    assert output["result"] == "FAILURE"
    assert (output["successes"], output["failures"]) == (successes, failures)
    assert output["note"] == "the gate blocked the model (merit)"


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
    found = written(tmp_path, known, error)
    assert (found["VERDICT"], found["CANDIDATE"]) == ("error", "")
    assert (found["MODEL_URI"], found["MODEL_DIGEST"]) == ("", "")
    assert found["RUN_ID"] == known.get("run_id", "")
    output = json.loads(found["TEST_OUTPUT"])
    assert (output["result"], output["note"]) == ("ERROR", note)
    assert output["failures"] >= 1


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f3b5", "\n", "\x00", '"', "\ud800"])
def test_a_long_note_is_cut(tmp_path, letter):
    error = GateBlocked(letter * 100_000)
    note = json.loads(written(tmp_path, PASSED, error)["TEST_OUTPUT"])["note"]
    assert 20 < len(note) <= 300
    assert set(note) == {letter}


@pytest.mark.parametrize("letter", ["x", "é"])
def test_the_longest_key_of_s3_fits(tmp_path, letter):
    uri = f"s3://{'b' * 63}/{letter * (1024 // len(letter.encode()))}"
    assert written(tmp_path, {**PASSED, "model_uri": uri}, None)["MODEL_URI"] == uri


def test_results_of_an_earlier_try_are_replaced(tmp_path):
    written(tmp_path, PASSED, None)
    assert written(tmp_path, {}, PlatformError("later"))["MODEL_URI"] == ""
    assert written(tmp_path, PASSED, None)["CANDIDATE"] == PASSED["candidate"]


def test_a_folder_is_made(tmp_path):
    require_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("below", ["file", "file/folder"])
def test_a_file_is_no_folder(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--results-dir"):
        require_folder(tmp_path / below)


@pytest.mark.parametrize("verb", ["submit", "follow"])
def test_a_folder_that_cannot_be_written_comes_before_any_request(tmp_path, verb):
    results = tmp_path / "results"
    results.mkdir()
    results.chmod(0o500)
    with serving(Dspa()) as dspa:
        arguments = ["pipeline.yaml", "--evidence", "s3://b/e", "--store", "s3://b/s"]
        arguments = arguments if verb == "submit" else ["r1"]
        done = run_at(tmp_path, verb, *arguments, "--host", dspa.url, "--results-dir", results)
        assert dspa.requests == []
    assert "--results-dir" in assert_one_line(done, 2)
    assert list(results.iterdir()) == []


@pytest.mark.parametrize("option", ["--results-dir", "--outcome"])
def test_an_option_that_cannot_be_used_is_named(tmp_path, option):
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "x"
    arguments = ["pipeline.yaml", "--evidence", "s3://b/e", "--store", "s3://b/s", option, place]
    assert f"{option} {tmp_path}/file" in assert_one_line(run_at(tmp_path, "submit", *arguments), 2)


def test_a_promotion_without_room_for_its_results_does_not_begin(tmp_path):
    (tmp_path / "results").write_text("")
    done = run_at(tmp_path, "promote", "1a2b", "--store", "none", "--results-dir", tmp_path / "results")
    assert "--results-dir" in assert_one_line(done, 2)
