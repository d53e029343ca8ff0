"""The smallest number of classes, under names that no identifier could be, from the tables to the gate."""

from types import SimpleNamespace

import numpy as np
import pytest
from spam import definition, policy, solution
from spam.tables import random_entries, sample, votes, write

from ml.core.files import file_digest, read_json
from ml.data.preprocess import make_splits
from ml.data.splits import SPLITS, read_examples
from ml.gate.policy import default_policy
from ml.gate.subjects.evaluation import Evaluation, evaluation_checks
from ml.gate.subjects.parity import Parity, agreement_checks, parity_checks
from ml.gate.subjects.slices import slice_checks
from ml.measure.champion import Champion, compare_answers
from ml.measure.evaluation import class_prior, logistic, score_evaluation
from ml.onnx.conversion import convert
from ml.onnx.inputs import UNANSWERED
from ml.onnx.parity import check_parity

POLICY = default_policy(policy.THRESHOLDS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A trained and exported model of the sample: its files and splits."""
    folder = tmp_path_factory.mktemp("made")
    paths = write(folder, sample(1200))
    found = {name: folder / f"{name}.split" for name in SPLITS}
    make_splits(definition, paths, found, folder / "labels.json")
    splits = {name: read_examples(path) for name, path in found.items()}
    files = {name: folder / name for name in ("model.skops", "model.onnx", "reference", "served.json")}
    trained = solution.train(splits["train"], splits["val"], solution.Hyperparameters(), files["model.skops"])
    assert trained.headline == f"validation loss {trained.losses['val_loss'][0]:.3f}"
    model, *targets = files.values()
    convert(solution, model, found["test"], folder / "labels.json", *targets, {"made": "by a test"})
    return SimpleNamespace(folder=folder, tables=paths, files=files, paths=found, **splits)


@pytest.fixture(scope="module")
def parity(made) -> Parity:
    where = (
        made.files["reference"],
        made.paths["test"],
        made.folder / "labels.json",
        made.files["served.json"],
    )
    check_parity(made.files["model.onnx"], *where, made.folder / "parity.json")
    return Parity.load(read_json(made.folder / "parity.json"))


def evaluated(made, probabilities) -> Evaluation:
    prior = class_prior(made.train)
    baselines = prior, logistic(made.train, made.test.features, prior)
    champion = Champion(
        list(definition.FEATURES), list(made.test.classes), probabilities[:, ::-1].astype("float64")
    )
    compared = compare_answers(
        "c" * 64, "sha256:" + "0" * 64, champion, made.test.counts, made.test.classes, probabilities
    )
    digests = {
        "model_digest": file_digest(made.files["model.skops"]),
        "test_digest": file_digest(made.paths["test"]),
    }
    return score_evaluation(probabilities, *baselines, made.test, definition.NOUNS, compared, digests)


def unmet(checks) -> list[str]:
    return [check.name for check in checks if not check.passed]


def test_the_tables_keep_to_the_contract(made):
    checks, aside = definition.check_contents(made.tables)
    assert {check.passed for check in checks} == {True}
    assert aside["votes without a verdict"] > 0


def test_an_example_is_a_message_with_the_votes_on_it(tmp_path):
    entries = random_entries(3)
    table = entries.rename(columns={"id": "message", "title": "subject"}).assign(language=["de", None, "sv"])
    rows = votes([("m2", "späm", 2), ("m2", "not spam", 1), ("m0", "späm", 1), ("m1", None, 4)])
    paths = write(tmp_path, {"votes": rows, "messages": table})
    found = definition.make_examples(paths, definition.read_entries(paths), None)
    assert (found.ids, found.classes) == (["m0", "m2"], ("not spam", "späm"))
    assert found.counts.tolist() == [[0, 1], [1, 2]]
    assert found.slices["language"].tolist() == ["de", "sv"]


def test_the_splits_hold_both_classes(made):
    for split in (made.train, made.val, made.test):
        assert split.classes == ("not spam", "späm")
        assert (split.counts.sum(axis=0) > 0).all()
    assert not {*made.train.ids} & {*made.test.ids}


def test_every_runtime_gives_two_probabilities_as_the_trained_model_does(parity):
    assert (parity.reference, parity.interface_problems) == ("self-reported", ())
    assert [runtime.name for runtime in parity.runtimes] == ["served", "onnxruntime", "openvino"]
    # OpenVINO as it comes may warn: it computes with fewer digits on some machines.
    assert [check.name for check in parity_checks(parity, POLICY.parity) if check.blocks] == []
    for family in parity.runtimes[0].families:
        assert family.unanswered == (family.rows if family.name in UNANSWERED else 0)


def test_the_model_is_worth_more_than_the_prior_and_agrees_with_what_was_exported(made, parity):
    probabilities = solution.predict(made.files["model.skops"], made.test.features)
    assert probabilities.shape == (len(made.test.ids), 2)
    report = evaluated(made, probabilities)
    assert (report.labels, set(report.classes)) == (2, {"not spam", "späm"})
    assert report.gain_over_prior.low > 0.1
    # One of two classes is named: that is the most probable one.
    assert report.model.top5_mass == report.model.top1_mass
    assert report.model.hit_at_5.value < 1
    families = {part.name.partition("=")[0] for part in report.slices.slices}
    assert families == {"verdict", "language"}
    assert unmet(evaluation_checks(report, POLICY.evaluation, definition.NOUNS)) == []
    assert unmet(slice_checks(report.slices, POLICY.slices, definition.NOUNS)) == []
    assert unmet(agreement_checks(report.model, parity, POLICY.parity)) == []


def test_a_champion_that_says_the_opposite_is_worse(made):
    probabilities = solution.predict(made.files["model.skops"], made.test.features)
    shared = evaluated(made, probabilities).champion.shared
    assert (shared.shared_labels, shared.examples) == (2, len(made.test.ids))
    assert shared.log_loss.difference.low > 0


@pytest.mark.parametrize("answers", [(0.5, 0.5), (0.0, 1.0), (1.0, 0.0)])
def test_a_model_that_always_says_the_same_is_blocked(made, answers):
    same = np.tile(np.float32(answers), (len(made.test.ids), 1))
    failed = unmet(evaluation_checks(evaluated(made, same), POLICY.evaluation, definition.NOUNS))
    assert "evaluation.gain_over_prior.low" in failed
