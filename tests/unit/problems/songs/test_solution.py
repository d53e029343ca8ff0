"""Soft labels are the chart rows' own objective; normalisation is inside; training says what it did."""

import numpy as np
import pytest

from ml.onnx.keras_file import load_keras
from ml.problem import Examples
from ml.problems.songs.columns import FEATURES
from ml.problems.songs.hyperparameters import Hyperparameters
from ml.problems.songs.network import build_network
from ml.problems.songs.solution import predict, train

QUICK = Hyperparameters(epochs=3, hidden_units=8, batch_size=16)


def split_of(songs: int) -> Examples:
    """Examples whose countries follow the first feature."""
    rng = np.random.default_rng(songs)
    features = rng.normal(size=(songs, len(FEATURES))).astype("float32")
    counts = np.zeros((songs, 6), dtype="int32")
    counts[np.arange(songs), (features[:, 0] > 0).astype(int)] = rng.integers(1, 50, songs)
    return Examples([str(row) for row in range(songs)], features, counts, tuple("ABCDEF"))


SPLITS = split_of(80), split_of(20)


def test_training_writes_a_model_and_tells_its_losses(tmp_path):
    model = tmp_path / "model.keras"
    trained = train(*SPLITS, QUICK, model)
    losses = trained.losses["val_loss"]
    assert trained.headline == f"validation loss {losses[-1]:.4f} nats after 3 of 3 epochs"
    assert losses[-1] < losses[0]
    answers = predict(model, SPLITS[1].features)
    assert answers.sum(axis=1) == pytest.approx(1, abs=1e-5)
    # What came last is what the loss was of: the mean over songs, each weighted by its rows.
    shares, weights = SPLITS[1].counts / SPLITS[1].weights[:, None], SPLITS[1].weights
    expected = -(weights / weights.mean() * (shares * np.log(answers)).sum(axis=1)).mean()
    assert losses[-1] == pytest.approx(expected, abs=1e-5)


def test_a_loss_that_is_not_a_number_leaves_no_model(tmp_path):
    wild = QUICK.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(ValueError, match=r"the training diverged: .*; lower learning_rate"):
        train(*SPLITS, wild, tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []


def test_normalisation_lives_in_the_model():
    """Features in any unit give the same network: the scale is learned from them, inside."""
    features = SPLITS[0].features
    keras = load_keras()
    answers = []
    for scale in (1.0, 1000.0):
        keras.utils.set_random_seed(3)
        network = build_network(features * scale, 4, QUICK)
        answers.append(np.asarray(network(features * scale, training=False)))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)


@pytest.mark.slow
def test_the_same_training_gives_the_same_bytes(tmp_path):
    """Though Keras writes the time, and addresses of objects, which no two trainings share."""
    written = []
    for name in ("first", "second"):
        # As in a process of its own: Keras numbers the operations of all models of a process.
        load_keras().utils.clear_session()
        train(*SPLITS, QUICK, tmp_path / f"{name}.keras")
        written.append((tmp_path / f"{name}.keras").read_bytes())
    assert written[0] == written[1]
