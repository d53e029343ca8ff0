"""What infer wrote is scored as the run's steps score it; whatever it should not have written is one line."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from judged import (
    CLASSES,
    EXAMPLES,
    LONELY,
    SEALED,
    model,
    profile,
    runtime_facts,
    write_answers,
    write_asked,
)

from ml.core.errors import EvidenceError, GateBlocked
from ml.core.files import file_digest, read_json, write_json
from ml.data.drift import measure_drift
from ml.gate.subjects.data import DataReport
from ml.gate.subjects.evaluation import Evaluation
from ml.gate.subjects.parity import Parity
from ml.gate.subjects.serving import Serving
from ml.judge.aggregates import FURTHEST, LONGEST, up
from ml.judge.answered import ANSWERED
from ml.judge.score import score
from ml.judge.work import Measurement
from ml.measure.metrics import score_examples
from ml.onnx import runtime_comparison

RUNTIMES = ("served", "onnxruntime", "openvino")


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """Return a function that writes a work folder, scores it, and reads what was measured."""
    monkeypatch.setattr(runtime_comparison, "BATCH_SIZES", (1, 7))

    def run(kind="", answers=(), native=True, **facts):
        write_answers(tmp_path, write_asked(tmp_path, kind, native=native), dict(answers), **facts)
        score(tmp_path)
        return reports_of(tmp_path)

    return run


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A work folder with all that score reads, beside an attested champion."""
    folder = tmp_path_factory.mktemp("written")
    write_answers(folder, write_asked(folder, "attested"))
    return folder


@pytest.fixture
def folder(written, tmp_path):
    """A copy of it to spoil."""
    return Path(shutil.copytree(written, tmp_path / "work"))


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A work folder in which an honest model was scored."""
    folder = tmp_path_factory.mktemp("honest")
    write_answers(folder, write_asked(folder))
    score(folder)
    return folder


def reports_of(folder):
    return Measurement.load(read_json(folder / "measured.json")).reports


def refused(kind, message, run, *args, **kwargs):
    with pytest.raises(kind, match=message) as caught:
        run(*args, **kwargs)
    assert "\n" not in str(caught.value)


def other(rows):
    """Answer as another model."""
    return model(rows)[:, ::-1].copy()


def log_loss(answer) -> float:
    return score_examples(answer(SEALED.features), SEALED.counts).points()["log_loss"]


def test_an_honest_model_scores_what_its_probabilities_are_worth(honest):
    reports = reports_of(honest)
    evaluation = Evaluation.load(reports["evaluation"])
    alone = score_examples(model(SEALED.features), SEALED.counts).points()
    assert {name: getattr(evaluation.model, name).value for name in alone} == pytest.approx(alone, abs=1e-5)
    assert (evaluation.examples, evaluation.rows) == (EXAMPLES, SEALED.counts.sum())
    assert evaluation.champion is None
    assert DataReport.load(reports["data_report"]).drift is None
    parity, serving = Parity.load(reports["parity"]), Serving.load(reports["serving"])
    assert tuple(runtime.name for runtime in parity.runtimes) == RUNTIMES
    families = [family for runtime in parity.runtimes for family in runtime.families]
    assert all(family.violations == family.nonfinite == 0 for family in families)
    assert {size for family in families for size in family.batch_sizes} >= {1, 7, 64, 10_000, EXAMPLES}
    assert parity.interface_problems == serving.interface_problems == ()
    assert all(batch.violations == 0 for batch in serving.batches)
    assert serving.rows == EXAMPLES


def test_what_was_scored_is_said(folder):
    assert score(folder) == f"log loss {log_loss(model):.3f} on 60 sealed examples"


@pytest.mark.parametrize(("native", "file"), [(True, "model.keras"), (False, "model.onnx")])
def test_the_reports_are_about_what_was_asked(scored, tmp_path, native, file):
    reports = scored(native=native)
    asked = read_json(tmp_path / "asked.json")
    assert ("model.keras" in asked["model"]) == native
    test = file_digest(tmp_path / "labels/examples.parquet")
    for name in ("evaluation", "parity", "serving"):
        assert reports[name]["model_digest"] == asked["model"][file]["digest"]
        assert reports[name]["test_digest"] == test
    assert reports["parity"]["onnx_digest"] == asked["model"]["model.onnx"]["digest"]
    assert reports["serving"]["served_digest"] == asked["model"]["served.json"]["digest"]


def violations(reports) -> list[bool]:
    """Tell which runtimes, and then the server, answer otherwise than the reference."""
    runtimes = [runtime["families"][0]["violations"] for runtime in reports["parity"]["runtimes"]]
    return [bool(each) for each in (*runtimes, reports["serving"]["batches"][0]["violations"])]


@pytest.mark.parametrize(
    ("native", "answers", "reference", "wrong"),
    [
        (True, {"served": other}, "native", [True, False, False, False]),
        (True, {"native": other}, "native", [True, True, True, True]),
        (False, {}, "self-reported", [False, False, False, False]),
        (False, {"served": other}, "self-reported", [True, False, False, False]),
        (False, {"onnxruntime": other}, "self-reported", [True, False, True, True]),
    ],
)
def test_runtimes_are_compared_with_the_trained_model_or_where_it_is_not_there_with_onnxruntime(
    scored, native, answers, reference, wrong
):
    reports = scored(answers=answers, native=native)
    assert reports["parity"]["reference"] == reference
    assert violations(reports) == wrong
    # It is the served runtime that is scored.
    expected = log_loss(answers.get("served", model))
    assert reports["evaluation"]["model"]["log_loss"]["value"] == pytest.approx(expected, abs=1e-5)


def test_other_answers_over_http_are_violations(scored):
    reports = scored(answers={"server": other})
    assert all(batch["violations"] for batch in reports["serving"]["batches"])
    assert reports["serving"]["wrong_after_bad"] == len(reports["serving"]["bad_requests"])


def test_an_attested_champion_is_compared_with_and_so_is_its_holdout(scored):
    reports = scored("attested", {"champion": other})
    shared = reports["evaluation"]["champion"]["shared"]
    assert shared["examples"] == EXAMPLES
    difference = shared["log_loss"]["champion"] - shared["log_loss"]["challenger"]
    assert shared["log_loss"]["difference"]["value"] == pytest.approx(difference)
    drift = reports["data_report"]["drift"]["measured"]
    assert drift == measure_drift(profile(0.5), profile()).to_json()


def test_a_self_checked_champion_is_not_compared_with(scored):
    reports = scored("self-checked")
    assert reports["evaluation"]["champion"] is None
    assert reports["data_report"]["drift"] is None


@pytest.mark.parametrize(
    ("facts", "answer", "reason"),
    [
        ({"features": [], "labels": [], "incomparable": "it does not load"}, model, "^it does not load$"),
        ({"features": [], "labels": [], "incomparable": "x" * 999}, model, "^x{300}$"),
        (None, lambda rows: np.ones_like(model(rows)), "not probabilities"),
    ],
)
def test_why_a_champion_is_incomparable_is_kept(scored, facts, answer, reason):
    told = {"champion": facts} if facts else {}
    comparison = scored("attested", {"champion": answer}, **told)["evaluation"]["champion"]
    assert re.search(reason, comparison["incomparable"])


def numbers(value) -> list[float]:
    if isinstance(value, dict):
        return [number for one in value.values() for number in numbers(one)]
    if isinstance(value, list | tuple):
        return [number for one in value for number in numbers(one)]
    return [value] if isinstance(value, float) else []


def test_no_number_about_a_handful_of_examples_leaves(honest):
    reports = reports_of(honest)
    evaluation = reports["evaluation"]
    assert evaluation["classes"] == {}
    names = [part["name"] for part in evaluation["slices"]["slices"]]
    # One class alone would be the total less the others: the smallest of these is not told either.
    assert len([name for name in names if name.startswith("class=")]) == len(CLASSES) - 2
    assert f"class={LONELY}" not in names
    assert {"half=upper", "half=lower"} <= set(names)
    for runtime in reports["parity"]["runtimes"]:
        worst = {family["name"]: family["worst_row"] for family in runtime["families"]}
        assert worst["test"] == ""
        assert worst["extremes"].startswith("row ")
    assert not any(one in json.dumps(reports) for one in SEALED.ids)


def test_no_number_has_digits_to_write_an_example_into(scored):
    """A model chooses its answers: of what they come to, only so many digits leave."""
    reports = scored(answers={"served": other})
    metrics = [*numbers(reports["evaluation"]), *numbers(reports["parity"]["runtimes"][0]["metrics"])]
    assert all(value == round(value, 5) for value in metrics)
    furthest = reports["parity"]["runtimes"][0]["families"][0]
    assert all(furthest[name] == float(f"{furthest[name]:.1e}") for name in FURTHEST)
    assert all(one["gain"] == round(one["gain"], 3) for one in reports["evaluation"]["slices"]["slices"])


@pytest.mark.parametrize(("value", "told"), [(0.0, 0.0), (1.0, 1.0), (1.0001, 1.1), (9.91e-7, 1e-6)])
def test_a_number_of_two_digits_is_never_better_than_the_number(value, told):
    assert up(value) == pytest.approx(told, rel=1e-12)


def test_no_text_of_the_measured_process_is_longer_than_a_line(scored, tmp_path):
    """Texts are signed: one that holds the sealed features would carry them out."""
    runtimes = [{**runtime_facts(name), "version": "x" * 9999} for name in RUNTIMES]
    reports = scored(runtimes=runtimes, isolation={"dns": "x" * 9999})
    assert reports["parity"]["runtimes"][0]["version"] == "x" * LONGEST
    assert read_json(tmp_path / "measured.json")["isolation"] == {"dns": "x" * LONGEST}


@pytest.mark.parametrize("place", ["settings", "requests"])
def test_texts_that_infer_makes_up_carry_no_example_out(folder, place):
    answered = read_json(folder / ANSWERED)
    if place == "settings":
        answered["runtimes"][2]["settings"] = {"an example": "0.7"}
    else:
        answered["server"]["bad_requests"][0]["name"] = "an example"
    write_json(folder / ANSWERED, answered)
    refused(EvidenceError, "names settings or requests that infer does not make", score, folder)


@pytest.mark.parametrize("name", ["answers.json", "native.npz", "server.npz"])
@pytest.mark.parametrize("make", ["pipe", "link", "device"])
def test_an_answer_that_is_no_file_is_refused_at_once(folder, name, make):
    """A pipe would be read for ever, and a link lead to what infer cannot see."""
    path = folder / "answers" / name
    path.rename(folder / "elsewhere")
    targets = {"link": folder / "elsewhere", "device": "/dev/zero"}
    os.mkfifo(path) if make == "pipe" else path.symlink_to(targets[make])
    refused(EvidenceError, f"{name}: it is a link, or no file", score, folder)


def negative(rows):
    answers = model(rows)
    answers[:, 0] -= 1
    answers[:, 1:] += 1 / (answers.shape[1] - 1)
    return answers


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda rows: np.ones_like(model(rows)), "negative or do not sum to one"),
        (negative, "negative or do not sum to one"),
        (lambda rows: model(rows) * np.float32(np.nan), "not numbers"),
        (lambda rows: model(rows)[:, 1:], r"answers float32 \[.*, 7\] where float32 \[.*, 8\] is due"),
        (lambda rows: model(rows).astype("float64"), "answers float64"),
    ],
)
@pytest.mark.parametrize("native", [True, False])
def test_what_is_no_probability_of_each_label_is_blocked_in_one_line(
    scored, tmp_path, answer, message, native
):
    """A model that gives one to every class would have no loss at all."""
    every = dict.fromkeys(("native", *RUNTIMES, "server"), answer)
    refused(GateBlocked, message, scored, answers=every, native=native)
    assert not (tmp_path / "measured.json").exists()


@pytest.mark.parametrize("name", ["native", "served", "server", "champion"])
def test_arrays_that_are_missing_are_one_line(folder, name):
    (folder / f"answers/{name}.npz").unlink()
    refused(EvidenceError, f"{name}.npz: No such file", score, folder)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"asked": "sha256:" + "0" * 64}, "is about another candidate or holdout"),
        (
            {"served": {"schema": "jukebox.served/v1", "runtime": "onnxruntime", "settings": {}}},
            "is about another candidate or holdout",
        ),
        ({"runtimes": [runtime_facts("served")]}, "is not about served, onnxruntime, openvino"),
        ({"runtimes": [runtime_facts("served")] * 3}, "is not about served, onnxruntime, openvino"),
        ({"champion": None}, "does not mention the champion"),
    ],
)
def test_answers_about_something_else_are_refused(folder, facts, message):
    write_json(folder / ANSWERED, {**read_json(folder / ANSWERED), **facts})
    refused(EvidenceError, rf"answers\.json {message}; attest again", score, folder)


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"schema": "jukebox.answers/v1"}', b"[" * 99_999])
def test_a_record_that_infer_does_not_write_is_one_line(folder, text):
    (folder / "answers/answers.json").write_bytes(text)
    refused(EvidenceError, r"answers\.json: .*; attest again", score, folder)


def test_an_oversized_record_is_not_read(folder, monkeypatch):
    monkeypatch.setattr("ml.judge.work.LARGEST", 10)
    refused(EvidenceError, "more than 10 bytes", score, folder)


def test_labels_and_records_that_were_changed_are_refused(folder):
    digest = "sha256:" + "0" * 64
    refused(EvidenceError, f"asked.json: its digest is .*, not {digest}", score, folder, digest)
    (folder / "labels/labels.json").write_text("{}")
    refused(EvidenceError, r"labels\.json is missing or was changed", score, folder)


@pytest.mark.parametrize("name", ["data_report.json", "profile.json", "baselines.parquet"])
def test_a_holdout_whose_files_are_not_what_they_should_be_is_refused(folder, name):
    (folder / "labels" / name).write_bytes(b"{}")
    asked = read_json(folder / "asked.json")
    asked["files"][f"labels/{name}"] = file_digest(folder / "labels" / name)
    write_json(folder / "asked.json", asked)
    answered = {**read_json(folder / ANSWERED), "asked": file_digest(folder / "asked.json")}
    write_json(folder / ANSWERED, answered)
    refused(EvidenceError, "; seal the holdout again with `jukebox judge holdout`", score, folder)


def test_the_model_is_not_read(folder):
    for path in (folder / "model").iterdir():
        path.unlink()
    (folder / "features/features.parquet").unlink()
    score(folder)
