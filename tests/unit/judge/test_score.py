"""What infer wrote is scored as the run's steps score it; whatever it should not have written is one line."""

import json
import os
import re
import shutil

import judged
import numpy as np
import pytest
from judged import EXAMPLES, RUNTIMES, SEALED, model, refused, runtime_facts, write_answers, write_asked
from reports import edited

from ml.core.errors import EvidenceError, GateBlocked
from ml.core.files import file_digest, read_json, write_json
from ml.data.drift import measure_drift
from ml.judge.aggregates import FURTHEST, LONGEST, up
from ml.judge.answered import ANSWERED
from ml.judge.score import score
from ml.measure.metrics import score_examples
from ml.onnx import runtime_comparison


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """Return a function that writes a work folder, scores it, and reads what was measured."""
    monkeypatch.setattr(runtime_comparison, "BATCH_SIZES", (1, 7))

    def run(kind="", answers=(), native=True, **facts):
        write_answers(tmp_path, write_asked(tmp_path, kind, native=native), dict(answers), **facts)
        # Neither the model nor the features are read.
        for name in ("model", "features"):
            shutil.rmtree(tmp_path / name)
        score(tmp_path)
        return read_json(tmp_path / "measured.json")["reports"]

    return run


def other(rows):
    """Answer as another model."""
    return model(rows)[:, ::-1].copy()


def points(answer) -> dict[str, float]:
    return score_examples(answer(SEALED.features), SEALED.counts).points()


@pytest.mark.parametrize(("native", "file"), [(True, "model.keras"), (False, "model.onnx")])
def test_an_honest_model_scores_what_its_probabilities_are_worth(scored, tmp_path, native, file):
    reports = scored(native=native)
    evaluation, parity, serving = (reports[name] for name in ("evaluation", "parity", "serving"))
    alone = {name: evaluation["model"][name]["value"] for name in points(model)}
    assert alone == pytest.approx(points(model), abs=1e-5)
    assert (evaluation["examples"], evaluation["rows"]) == (EXAMPLES, SEALED.counts.sum())
    assert [runtime["name"] for runtime in parity["runtimes"]] == list(RUNTIMES)
    families = [family for runtime in parity["runtimes"] for family in runtime["families"]]
    assert all(family["violations"] == family["nonfinite"] == 0 for family in families)
    assert {size for family in families for size in family["batch_sizes"]} >= {1, 7, EXAMPLES}
    assert all(batch["violations"] == 0 for batch in serving["batches"])
    assert serving["rows"] == EXAMPLES
    # The reports are about what was asked.
    asked = read_json(tmp_path / "asked.json")["model"]
    for report in (evaluation, parity, serving):
        assert report["model_digest"] == asked[file]["digest"]
        assert report["test_digest"] == file_digest(tmp_path / "labels/examples.parquet")
    assert parity["onnx_digest"] == asked["model.onnx"]["digest"]
    assert serving["served_digest"] == asked["served.json"]["digest"]


@pytest.mark.parametrize(
    ("native", "answers", "reference", "wrong"),
    [
        (True, {"served": other}, "native", [True, False, False, False]),
        (True, {"native": other}, "native", [True, True, True, True]),
        (True, {"server": other}, "native", [False, False, False, True]),
        (False, {"served": other}, "self-reported", [True, False, False, False]),
        (False, {"onnxruntime": other}, "self-reported", [True, False, True, True]),
    ],
)
def test_runtimes_are_compared_with_the_trained_model_or_without_one_with_onnxruntime(
    scored, native, answers, reference, wrong
):
    reports = scored(answers=answers, native=native)
    parity, serving = reports["parity"], reports["serving"]
    assert parity["reference"] == reference
    compared = [*(runtime["families"] for runtime in parity["runtimes"]), serving["batches"]]
    assert [first["violations"] > 0 for first, *_ in compared] == wrong
    assert serving["wrong_after_bad"] == (len(serving["bad_requests"]) if wrong[-1] else 0)
    # It is the served runtime that is scored.
    expected = points(answers.get("served", model))["log_loss"]
    assert reports["evaluation"]["model"]["log_loss"]["value"] == pytest.approx(expected, abs=1e-5)


def test_an_attested_champion_is_compared_with_and_so_is_its_holdout_and_a_self_checked_is_not(scored):
    reports = scored("attested", {"champion": other})
    shared = reports["evaluation"]["champion"]["shared"]
    assert shared["examples"] == EXAMPLES
    assert shared["log_loss"]["champion"] == pytest.approx(points(other)["log_loss"], abs=1e-5)
    difference = shared["log_loss"]["champion"] - shared["log_loss"]["challenger"]
    assert shared["log_loss"]["difference"]["value"] == pytest.approx(difference)
    drift = measure_drift(judged.profile(0.5), judged.profile())
    assert reports["data_report"]["drift"]["measured"] == drift.to_json()
    reports = scored("self-checked")
    assert reports["evaluation"]["champion"] is reports["data_report"]["drift"] is None
    # Why one is incomparable is kept.
    reports = scored("attested", champion={"features": [], "labels": [], "incomparable": "x" * 999})
    assert reports["evaluation"]["champion"]["incomparable"] == "x" * 300
    reports = scored("attested", {"champion": lambda rows: np.ones_like(model(rows))})
    assert "not probabilities" in reports["evaluation"]["champion"]["incomparable"]


def test_no_number_about_a_handful_of_examples_leaves_and_none_has_digits_to_write_one_into(scored):
    """A model chooses its answers: of what they come to, only so many digits leave."""
    reports = scored(answers={"served": other})
    evaluation, (first, *_) = reports["evaluation"], reports["parity"]["runtimes"]
    assert evaluation["classes"] == {}
    slices = {part["name"]: part["gain"] for part in evaluation["slices"]["slices"]}
    # The class "h" alone would be the total less the others: the smallest of these is not told either.
    assert len([name for name in slices if name.startswith("class=")]) == len(judged.CLASSES) - 2
    assert "class=h" not in slices
    assert {"half=upper", "half=lower"} <= set(slices)
    assert all(gain == round(gain, 3) for gain in slices.values())
    assert not re.search(r"\.\d{6}", json.dumps([evaluation, first["metrics"]]))
    families = {family["name"]: family for family in first["families"]}
    assert families["test"]["worst_row"] == ""
    assert families["extremes"]["worst_row"].startswith("row ")
    for one in (
        *(families["test"][name] for name in FURTHEST),
        reports["serving"]["batches"][0]["max_difference"],
    ):
        assert one == float(f"{one:.1e}")
    assert not any(one in json.dumps(reports) for one in SEALED.ids)


@pytest.mark.parametrize(("value", "told"), [(0.0, 0.0), (1.0, 1.0), (1.0001, 1.1), (9.91e-7, 1e-6)])
def test_a_number_of_two_digits_is_never_better_than_the_number(value, told):
    assert up(value) == pytest.approx(told, rel=1e-12)


def test_no_text_of_the_measured_process_is_longer_than_a_line(scored, tmp_path):
    """Texts are signed: one that holds the sealed features would carry them out."""
    runtimes = [{**runtime_facts(name), "version": "x" * 9999} for name in RUNTIMES]
    reports = scored(runtimes=runtimes, isolation={"dns": "x" * 9999})
    assert reports["parity"]["runtimes"][0]["version"] == "x" * LONGEST
    assert read_json(tmp_path / "measured.json")["isolation"] == {"dns": "x" * LONGEST}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda rows: np.ones_like(model(rows)), "negative or do not sum to one"),
        (lambda rows: model(rows) + np.float32([-1] + 7 * [1 / 7]), "negative or do not sum to one"),
        (lambda rows: model(rows) * np.float32(np.nan), "not numbers"),
        (lambda rows: model(rows)[:, 1:], r"answers float32 \[.*, 7\] where float32 \[.*, 8\] is due"),
    ],
)
@pytest.mark.parametrize("native", [True, False])
def test_what_is_no_probability_of_each_label_is_blocked(scored, tmp_path, answer, message, native):
    """A model that gives one to every class would have no loss at all."""
    every = dict.fromkeys(("native", *RUNTIMES, "server"), answer)
    refused(GateBlocked, message, scored, answers=every, native=native)
    assert not (tmp_path / "measured.json").exists()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A work folder with all that score reads, beside an attested champion."""
    folder = tmp_path_factory.mktemp("written")
    write_answers(folder, write_asked(folder, "attested"))
    return folder


def answered(**edits):
    """Return a function that lets infer say something else."""
    return lambda work: write_json(work / ANSWERED, edited(read_json(work / ANSWERED), edits))


def holds(name, data=b"{}"):
    return lambda work: (work / name).write_bytes(data)


def sealed(name):
    """Return a function that lets a file of the holdout be no such file, as its digest says."""

    def spoil(work):
        (work / name).write_bytes(b"{}")
        asked = read_json(work / "asked.json")
        write_json(work / "asked.json", asked | {"files": asked["files"] | {name: file_digest(work / name)}})
        answered(asked=file_digest(work / "asked.json"))(work)

    return spoil


def pipe(work):
    """A pipe would be read for ever."""
    (work / "answers/native.npz").unlink()
    os.mkfifo(work / "answers/native.npz")


def link(work):
    """A link may lead to what infer cannot see."""
    (work / ANSWERED).rename(work / "elsewhere")
    (work / ANSWERED).symlink_to(work / "elsewhere")


ANOTHER = {"schema": "jukebox.served/v1", "runtime": "onnxruntime", "settings": {}}
MADE_UP = "names settings or requests that infer does not make; attest again"
SEAL_AGAIN = "; seal the holdout again with `jukebox judge holdout`"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (answered(asked="sha256:" + "0" * 64), "json is about another candidate or holdout; attest again"),
        (answered(served=ANOTHER), "is about another candidate or holdout"),
        (answered(runtimes=[runtime_facts("served")] * 3), "is not about served, onnxruntime, openvino"),
        (answered(champion=None), "does not mention the champion"),
        # Texts of its own could hold the sealed examples.
        (answered(**{"runtimes.2.settings": {"an example": "0.7"}}), MADE_UP),
        (answered(**{"server.bad_requests.0.name": "an example"}), MADE_UP),
        (holds(ANSWERED), r"answers\.json: .*; attest again"),
        (holds(ANSWERED, b"[" * 99_999), r"answers\.json: .*; attest again"),
        (pipe, "native.npz: it is a link, or no file"),
        (link, "answers.json: it is a link, or no file"),
        (holds("labels/labels.json"), r"labels\.json is missing or was changed"),
        (sealed("labels/data_report.json"), SEAL_AGAIN),
        (sealed("labels/profile.json"), SEAL_AGAIN),
        (sealed("labels/baselines.parquet"), SEAL_AGAIN),
    ],
)
def test_what_is_about_something_else_or_not_as_infer_writes_it_is_refused(written, tmp_path, spoil, message):
    spoil(shutil.copytree(written, tmp_path / "work"))
    refused(EvidenceError, message, score, tmp_path / "work")


def test_what_was_scored_is_said_and_an_oversized_or_another_record_is_not_used(written, monkeypatch):
    assert score(written) == f"log loss {points(model)['log_loss']:.3f} on 60 sealed examples"
    refused(EvidenceError, "asked.json: its digest is .*, not another", score, written, "another")
    monkeypatch.setattr("ml.judge.work.LARGEST", 10)
    refused(EvidenceError, "more than 10 bytes", score, written)
