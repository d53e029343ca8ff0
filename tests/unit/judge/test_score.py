"""What infer wrote is scored as the run's steps score it; whatever it should not have written is one line."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from judged import COUNTRIES, LONELY, SEALED, SONGS, model, profile, runtime_facts, write_answers, write_asked

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
from ml.onnx import runtime_comparison
from ml.measure.metrics import score_songs


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """Return a function that writes a work folder, scores it, and reads what was measured."""
    monkeypatch.setattr(runtime_comparison, "BATCH_SIZES", (1, 7))

    def run(kind="", answers=(), **facts):
        write_answers(tmp_path, write_asked(tmp_path, kind), dict(answers), **facts)
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


def test_an_honest_model_scores_what_its_probabilities_are_worth(honest):
    reports = reports_of(honest)
    evaluation = Evaluation.load(reports["evaluation"])
    alone = score_songs(model(SEALED.features), SEALED.counts).points()
    assert {name: getattr(evaluation.model, name).value for name in alone} == pytest.approx(alone, abs=1e-5)
    assert (evaluation.songs, evaluation.rows) == (SONGS, SEALED.counts.sum())
    assert evaluation.champion is None
    assert DataReport.load(reports["data_report"]).drift is None
    parity, serving = Parity.load(reports["parity"]), Serving.load(reports["serving"])
    assert [runtime.name for runtime in parity.runtimes] == ["served", "onnxruntime", "openvino"]
    families = [family for runtime in parity.runtimes for family in runtime.families]
    assert all(family.violations == family.nonfinite == 0 for family in families)
    assert {size for family in families for size in family.batch_sizes} >= {1, 7, 64, 10_000, SONGS}
    assert parity.interface_problems == serving.interface_problems == ()
    assert all(batch.violations == 0 for batch in serving.batches)
    assert serving.rows == SONGS


def test_the_reports_are_about_what_was_asked(honest):
    reports = reports_of(honest)
    asked = read_json(honest / "asked.json")
    test = file_digest(honest / "labels/examples.parquet")
    for name in ("evaluation", "parity", "serving"):
        assert reports[name]["keras_digest"] == asked["model"]["model.keras"]["digest"]
        assert reports[name]["test_digest"] == test
    assert reports["serving"]["served_digest"] == asked["model"]["served.json"]["digest"]


def other(rows):
    """Answer as another model."""
    return model(rows)[:, ::-1].copy()


def test_it_is_the_served_runtime_that_is_scored(scored):
    reports = scored(answers={"served": other})
    expected = score_songs(other(SEALED.features), SEALED.counts).points()["log_loss"]
    assert reports["evaluation"]["model"]["log_loss"]["value"] == pytest.approx(expected, abs=1e-5)
    served, onnxruntime, _ = reports["parity"]["runtimes"]
    assert served["families"][0]["violations"] > 0
    assert onnxruntime["families"][0]["violations"] == 0


def test_other_answers_over_http_are_violations(scored):
    reports = scored(answers={"server": other})
    assert all(batch["violations"] for batch in reports["serving"]["batches"])
    assert reports["serving"]["wrong_after_bad"] == len(reports["serving"]["bad_requests"])


def test_an_attested_champion_is_compared_with_and_so_is_its_holdout(scored):
    reports = scored("attested", {"champion": other})
    shared = reports["evaluation"]["champion"]["shared"]
    assert shared["songs"] == SONGS
    difference = shared["log_loss"]["champion"] - shared["log_loss"]["challenger"]
    assert shared["log_loss"]["difference"]["value"] == pytest.approx(difference)
    drift = reports["data_report"]["drift"]["measured"]
    assert drift == measure_drift(profile(0.5), profile()).to_json()


def test_a_self_checked_champion_is_not_compared_with(scored):
    reports = scored("self-checked")
    assert reports["evaluation"]["champion"] is None
    assert reports["data_report"]["drift"] is None


def test_why_a_champion_is_incomparable_is_kept(scored):
    facts = {"features": [], "labels": [], "incomparable": "its model does not load"}
    assert (
        scored("attested", champion=facts)["evaluation"]["champion"]["incomparable"] == facts["incomparable"]
    )


def test_no_number_about_a_handful_of_songs_leaves(honest):
    reports = reports_of(honest)
    evaluation = reports["evaluation"]
    assert evaluation["countries"] == {}
    told = [part for part in evaluation["slices"]["slices"] if part["name"].startswith("country=")]
    # One country alone would be the total less the others: the smallest of these is not told either.
    assert len(told) == len(COUNTRIES) - 2
    assert f"country={LONELY}" not in {part["name"] for part in told}
    for runtime in reports["parity"]["runtimes"]:
        worst = {family["name"]: family["worst_row"] for family in runtime["families"]}
        assert worst["test"] == ""
        assert worst["extremes"].startswith("row ")
    assert not any(song in json.dumps(reports) for song in SEALED.ids)


def test_no_number_has_digits_to_write_a_song_into(scored):
    """A model chooses its answers: of what they come to, only so many digits leave."""
    reports = scored(answers={"served": other})
    metrics = [*numbers(reports["evaluation"]), *numbers(reports["parity"]["runtimes"][0]["metrics"])]
    assert all(value == round(value, 5) for value in metrics)
    furthest = reports["parity"]["runtimes"][0]["families"][0]
    assert all(furthest[name] == float(f"{furthest[name]:.1e}") for name in FURTHEST)
    assert all(one["gain"] == round(one["gain"], 3) for one in reports["evaluation"]["slices"]["slices"])


def numbers(value) -> list[float]:
    if isinstance(value, dict):
        return [number for one in value.values() for number in numbers(one)]
    if isinstance(value, list | tuple):
        return [number for one in value for number in numbers(one)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize(("value", "told"), [(0.0, 0.0), (1.0, 1.0), (1.0001, 1.1), (9.91e-7, 1e-6)])
def test_a_number_of_two_digits_is_never_better_than_the_number(value, told):
    assert up(value) == pytest.approx(told, rel=1e-12)


def test_no_text_of_the_measured_process_is_longer_than_a_line(scored):
    runtimes = [
        {**runtime_facts(name), "version": "x" * 9999} for name in ("served", "onnxruntime", "openvino")
    ]
    reports = scored(runtimes=runtimes)
    assert reports["parity"]["runtimes"][0]["version"] == "x" * LONGEST


def test_what_infer_says_of_its_isolation_is_short(scored, tmp_path):
    """Its texts are signed: one that holds the sealed features would carry them out."""
    scored(isolation={"dns": "x" * 9999})
    assert read_json(tmp_path / "measured.json")["isolation"] == {"dns": "x" * LONGEST}


@pytest.mark.parametrize("place", ["settings", "requests"])
def test_texts_that_infer_makes_up_carry_no_song_out(folder, place):
    answered = read_json(folder / ANSWERED)
    if place == "settings":
        answered["runtimes"][2]["settings"] = {"a song": "0.7"}
    else:
        answered["server"]["bad_requests"][0]["name"] = "a song"
    write_json(folder / ANSWERED, answered)
    refused(EvidenceError, "names settings or requests that infer does not make", score, folder)


@pytest.mark.parametrize("name", ["answers.json", "keras.npz", "server.npz"])
@pytest.mark.parametrize("make", ["pipe", "link", "device"])
def test_an_answer_that_is_no_file_is_refused_at_once(folder, name, make):
    """A pipe would be read for ever, and a link lead to what infer cannot see."""
    path = folder / "answers" / name
    path.rename(folder / "elsewhere")
    targets = {"link": folder / "elsewhere", "device": "/dev/zero"}
    os.mkfifo(path) if make == "pipe" else path.symlink_to(targets[make])
    refused(EvidenceError, f"{name}: it is a link, or no file", score, folder)


def no_probabilities(rows):
    return np.ones_like(model(rows))


def negative(rows):
    answers = model(rows)
    answers[:, 0] -= 1
    answers[:, 1:] += 1 / (answers.shape[1] - 1)
    return answers


def not_a_number(rows):
    answers = model(rows)
    answers[:, 0] = np.nan
    return answers


def narrow(rows):
    return model(rows)[:, 1:]


def wide(rows):
    return model(rows).astype("float64")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (no_probabilities, "negative or do not sum to one"),
        (negative, "negative or do not sum to one"),
        (not_a_number, "not numbers"),
        (narrow, r"answers float32 \[.*, 7\] where float32 \[.*, 8\] is due"),
        (wide, "answers float64"),
    ],
)
def test_what_is_no_probability_of_each_label_is_blocked_in_one_line(scored, tmp_path, answer, message):
    """A model that gives one to every country would have no loss at all."""
    every = dict.fromkeys(("keras", "served", "onnxruntime", "openvino", "server"), answer)
    refused(GateBlocked, message, scored, answers=every)
    assert not (tmp_path / "measured.json").exists()


def test_champions_answers_that_are_no_probabilities_make_it_incomparable(scored):
    reports = scored("attested", {"champion": no_probabilities})
    assert "no probabilities" in reports["evaluation"]["champion"]["incomparable"]


@pytest.mark.parametrize("name", ["keras", "served", "server", "champion"])
def test_arrays_that_are_missing_are_one_line(folder, name):
    (folder / f"answers/{name}.npz").unlink()
    refused(EvidenceError, f"{name}.npz: No such file", score, folder)


@pytest.mark.parametrize(
    "facts",
    [
        {"asked": "sha256:" + "0" * 64},
        {"served": {"schema": "jukebox.served/v1", "runtime": "onnxruntime", "settings": {}}},
        {"runtimes": [runtime_facts("served")]},
        {"runtimes": [runtime_facts("served")] * 3},
    ],
)
def test_answers_about_something_else_are_refused(folder, facts):
    write_json(folder / ANSWERED, {**read_json(folder / ANSWERED), **facts})
    refused(EvidenceError, r"answers\.json is (not )?about", score, folder)


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"schema": "jukebox.answers/v1"}', b"[" * 99_999])
def test_a_record_that_infer_does_not_write_is_one_line(folder, text):
    (folder / "answers/answers.json").write_bytes(text)
    refused(EvidenceError, r"answers\.json: .*; attest again", score, folder)


def test_an_oversized_record_is_not_read(folder, monkeypatch):
    monkeypatch.setattr("ml.judge.work.LARGEST", 10)
    refused(EvidenceError, "more than 10 bytes", score, folder)


def test_labels_that_were_changed_are_refused(folder):
    (folder / "labels/labels.json").write_text("{}")
    refused(EvidenceError, r"labels\.json is missing or was changed", score, folder)


def test_another_asked_than_was_handed_over_is_refused(folder):
    digest = "sha256:" + "0" * 64
    refused(EvidenceError, f"asked.json: its digest is .*, not {digest}", score, folder, digest)


def test_the_model_is_not_read(folder):
    for path in (folder / "model").iterdir():
        path.unlink()
    (folder / "features/features.parquet").unlink()
    score(folder)
