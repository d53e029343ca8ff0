"""The baseline of the benchmark: the training algorithm of the RHOAI jukebox lab, written anew.

One process a step, files between the steps, and the lab's costs on purpose: a merged CSV, a row an
example, one-hot labels, batches of 32, an assertion a row. Left out, because they are not the
algorithm: pip freeze, the registry, uploads. Two differences besides: columns without any value
are dropped before dropna(), which would otherwise keep no row of a table whose album columns are
empty, and a low accuracy is recorded, not raised.

    python tests/bench/lab.py fetch --work DIR --rankings F --songs F
    python tests/bench/lab.py {preprocess,train,convert,evaluate,parity} --work DIR

`preprocess --split song` and `score` are for comparing quality, not cost: the lab splits by row,
so its own test songs are also training songs.
"""

import argparse
import json
import pickle
from hashlib import sha256
from pathlib import Path
from typing import Any

FEATURES = [
    "is_explicit", "duration_ms", "danceability", "energy", "key", "loudness", "mode",
    "speechiness", "acousticness", "instrumentalness", "liveness", "valence", "tempo",
]  # fmt: skip
SEED = 42
EPOCHS = 3  # what the lab's default_parameters.json says
ACCURACY_FLOOR = 0.01


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file)  # written by the step before, on this machine


def _save(path: Path, value: Any) -> None:
    with path.open("wb") as file:
        pickle.dump(value, file)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def song_split(spotify_id: str) -> str:
    """Return the split ("train", "val" or "test") of a song: 70, 10 and 20 of 100 hash buckets."""
    bucket = int(sha256(spotify_id.encode()).hexdigest()[:8], 16) % 100
    return "train" if bucket < 70 else "val" if bucket < 80 else "test"


def fetch(work: Path, rankings: Path, songs: Path) -> None:
    """Join both tables, a row a chart entry, and write them as CSV."""
    import pandas as pd

    data = pd.read_parquet(rankings).merge(pd.read_parquet(songs), on="spotify_id", how="left")
    data.to_csv(work / "dataset.csv", index=False, header=True)


def preprocess(work: Path, split: str) -> None:
    """Encode, split and scale; `split` is "row" as in the lab, or "song" for `score`."""
    import numpy as np
    import pandas as pd
    import tensorflow as tf
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import LabelEncoder, MinMaxScaler

    data = pd.read_csv(work / "dataset.csv").dropna(axis="columns", how="all").dropna()
    x = data[FEATURES]
    encoder = LabelEncoder()
    y = tf.keras.utils.to_categorical(encoder.fit_transform(data["country"]))

    test_songs = work / "test_songs.pkl"
    test_songs.unlink(missing_ok=True)  # those of an earlier split would let `score` cheat
    if split == "song":
        where = data["spotify_id"].map(song_split)
        (x_train, y_train), (x_val, y_val), (x_test, y_test) = (
            (x[where == name], y[where == name]) for name in ("train", "val", "test")
        )
        _save(test_songs, data.loc[where == "test", "spotify_id"].to_numpy(dtype=object))
    else:
        x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, shuffle=False)
        x_train, x_val, y_train, y_val = train_test_split(
            x_train, y_train, test_size=0.2, stratify=y_train, random_state=SEED
        )

    scaler = MinMaxScaler().fit(x_train)

    def scaled(part: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(scaler.transform(part), index=part.index, columns=part.columns)

    _save(work / "train.pkl", (scaled(x_train), y_train))
    _save(work / "val.pkl", (scaled(x_val), y_val))
    # Only these are narrowed, as in the lab: ONNX Runtime takes no float64 for a float32 input.
    _save(work / "test.pkl", (scaled(x_test).astype(np.float32), y_test))
    _save(work / "scaler.pkl", scaler)
    _save(work / "label_encoder.pkl", encoder)


def train(work: Path, epochs: int) -> None:
    """Train the network, an input a feature, on rows in batches of 32."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    x_train, y_train = _load(work / "train.pkl")
    x_val, y_val = _load(work / "val.pkl")
    _load(work / "scaler.pkl")  # never used, but the lab pays for it: it imports scikit-learn

    inputs = [keras.Input(shape=(1,), name=name) for name in x_train.columns]
    hidden = layers.Concatenate()(inputs)
    for units in (32, 64, 128, 256):
        hidden = layers.Dense(units, activation="relu")(hidden)
    output = layers.Dense(y_train.shape[1], activation="sigmoid")(hidden)
    model = keras.Model(inputs=inputs, outputs=output)
    metrics = ["accuracy", "Precision", "Recall"]
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=metrics)

    def rows(x: Any, y: Any) -> tf.data.Dataset:
        columns = [tf.data.Dataset.from_tensor_slices(x[[name]].to_numpy()) for name in x.columns]
        labels = tf.data.Dataset.from_tensor_slices(y)
        return tf.data.Dataset.zip((tf.data.Dataset.zip(tuple(columns)), labels))

    # Every epoch in the same order, over a buffer of all the rows: the lab's choice.
    shuffled = rows(x_train, y_train).shuffle(len(y_train), SEED, reshuffle_each_iteration=False)
    model.fit(shuffled.batch(32), validation_data=rows(x_val, y_val).batch(32), epochs=epochs)
    model.save(work / "model.keras")


def convert(work: Path) -> None:
    """Convert the Keras model to ONNX."""
    import keras
    import onnx
    import tensorflow as tf
    import tf2onnx

    model = keras.saving.load_model(work / "model.keras")
    signature = [tf.TensorSpec(i.shape, i.dtype, i.name) for i in model.inputs]
    model.output_names = ["output"]  # tf2onnx asks for it, Keras 3 no longer has it
    proto, _ = tf2onnx.convert.from_keras(model, signature)
    onnx.save(proto, work / "model.onnx")


def _columns(x: Any) -> dict[str, Any]:
    return {name: x[[name]].to_numpy() for name in x.columns}


def evaluate(work: Path) -> None:
    """Write lab_metrics.json: top-1 accuracy and confusion matrix (true, predicted) on the rows."""
    import keras
    import numpy as np
    from sklearn.metrics import confusion_matrix

    model = keras.saving.load_model(work / "model.keras")
    x, y = _load(work / "test.pkl")
    encoder = _load(work / "label_encoder.pkl")
    predicted = np.argmax(model.predict(_columns(x)), axis=1)
    actual = np.argmax(y, axis=1)
    accuracy = float(np.mean(predicted == actual))
    metrics = {
        "accuracy": accuracy,
        "passed": accuracy > ACCURACY_FLOOR,
        "rows": len(actual),
        "labels": encoder.classes_.tolist(),
        "confusion_matrix": confusion_matrix(actual, predicted, labels=range(y.shape[1])).tolist(),
    }
    _write_json(work / "lab_metrics.json", metrics)


def parity(work: Path) -> None:
    """Compare ONNX Runtime with Keras, row by row.

    Raises:
        AssertionError: if a row differs by more than 1e-5, absolute plus relative.
    """
    import keras
    import numpy as np
    import onnxruntime

    x, _ = _load(work / "test.pkl")
    _load(work / "scaler.pkl")  # as in `train`
    model = keras.saving.load_model(work / "model.keras")
    providers = onnxruntime.get_available_providers()
    session = onnxruntime.InferenceSession(work / "model.onnx", providers=providers)
    inputs = _columns(x)
    (onnx_rows,) = session.run([session.get_outputs()[0].name], inputs)
    for onnx_row, keras_row in zip(onnx_rows, model(inputs), strict=False):
        np.testing.assert_allclose(onnx_row, keras_row, rtol=1e-5, atol=1e-5)


def score(work: Path) -> None:
    """Write lab_score.json: quality on the test songs, each weighted by its chart rows.

    `log_loss` is in nats, -sum(c * log p) / sum(c) over songs and countries, where c counts rows
    and p are the sigmoids divided by their sum; `topk_mass` is the share of rows whose country is
    among the song's k likeliest.

    Raises:
        FileNotFoundError: if `preprocess` split by row.
    """
    import keras
    import numpy as np
    import pandas as pd

    songs = _load(work / "test_songs.pkl")
    x, y = _load(work / "test.pkl")
    counts = pd.DataFrame(y).groupby(songs).sum().to_numpy()
    sigmoids = keras.saving.load_model(work / "model.keras").predict(_columns(x.groupby(songs).first()))
    wide = sigmoids.astype(np.float64)
    p = np.clip(wide / wide.sum(axis=1, keepdims=True), 1e-15, 1.0)
    by_rank = np.take_along_axis(counts, np.argsort(-p, axis=1, kind="stable"), axis=1)
    rows = counts.sum()
    result = {
        "log_loss": float(-(counts * np.log(p)).sum() / rows),
        "top1_mass": float(by_rank[:, :1].sum() / rows),
        "top5_mass": float(by_rank[:, :5].sum() / rows),
        "songs": len(counts),
        "rows": int(rows),
    }
    _write_json(work / "lab_score.json", result)


def main() -> None:
    """Run one step of the lab's pipeline."""
    parser = argparse.ArgumentParser(description="One step of the jukebox lab's training pipeline.")
    steps = {
        "fetch": lambda a: fetch(a.work, a.rankings, a.songs),
        "preprocess": lambda a: preprocess(a.work, a.split),
        "train": lambda a: train(a.work, a.epochs),
        "convert": lambda a: convert(a.work),
        "evaluate": lambda a: evaluate(a.work),
        "parity": lambda a: parity(a.work),
        "score": lambda a: score(a.work),
    }
    parser.add_argument("step", choices=steps)
    parser.add_argument("--work", type=Path, required=True, help="folder of the files between")
    parser.add_argument("--rankings", type=Path, help="chart rows, parquet (fetch)")
    parser.add_argument("--songs", type=Path, help="song features, parquet (fetch)")
    parser.add_argument("--split", choices=["row", "song"], default="row", help="(preprocess)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="(train)")
    args = parser.parse_args()
    if args.step == "fetch" and not (args.rankings and args.songs):
        parser.error("fetch needs --rankings and --songs")
    args.work.mkdir(parents=True, exist_ok=True)
    steps[args.step](args)


if __name__ == "__main__":
    main()
