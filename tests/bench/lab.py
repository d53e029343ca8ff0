"""The baseline of the benchmark: the training algorithm of the RHOAI jukebox lab, written anew.

One process a step, files between the steps, and the lab's costs on purpose: a merged CSV, a row an example,
one-hot labels, batches of 32, an assertion a row. Left out, because they are not the algorithm: pip freeze,
the registry, uploads. Two more differences: columns without any value are dropped before dropna(), which
would otherwise keep no row of tables whose album columns are empty; a low accuracy is recorded, not raised.

    python tests/bench/lab.py fetch --work DIR --rankings F --songs F
    python tests/bench/lab.py {preprocess,train,convert,evaluate,parity} --work DIR

The lab splits by row, so its own test songs are also training songs. How good its network is on songs that it
has never seen is told by the same rows, scaling and network, on the splits of a run of the pipeline; this is
about quality, not cost:

    python tests/bench/lab.py split --work DIR --splits DIR
    python tests/bench/lab.py {train,score} --work DIR
"""

import argparse
import json
import pickle
from pathlib import Path
from typing import Any

FEATURES = [
    "is_explicit", "duration_ms", "danceability", "energy", "key", "loudness", "mode",
    "speechiness", "acousticness", "instrumentalness", "liveness", "valence", "tempo",
]  # fmt: skip
SEED = 42
EPOCHS = 3  # what the lab's default_parameters.json says
ACCURACY_FLOOR = 0.01
SMALLEST = 1e-12
"""Where `score` clips probabilities, as the pipeline's own evaluation does."""


def load(path: Path) -> Any:
    return pickle.loads(path.read_bytes())


def save(path: Path, value: Any) -> None:
    path.write_bytes(pickle.dumps(value))


def fetch(work: Path, rankings: Path, songs: Path) -> None:
    """Join both tables, a row a chart entry, and write them as CSV."""
    import pandas as pd

    data = pd.read_parquet(rankings).merge(pd.read_parquet(songs), on="spotify_id", how="left")
    data.to_csv(work / "dataset.csv", index=False, header=True)


def preprocess(work: Path) -> None:
    """Encode, split by row, and scale."""
    from sklearn.model_selection import train_test_split

    data, x, y = encode(work)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, shuffle=False)
    x_train, x_val, y_train, y_val = train_test_split(
        x_train, y_train, test_size=0.2, stratify=y_train, random_state=SEED
    )
    write_splits(work, train=(x_train, y_train), val=(x_val, y_val), test=(x_test, y_test))
    del data  # as in the lab, not before


def encode(work: Path) -> tuple[Any, Any, Any]:
    """Read the rows; return them whole, their features, and their countries one-hot."""
    import pandas as pd
    import tensorflow as tf
    from sklearn.preprocessing import LabelEncoder

    data = pd.read_csv(work / "dataset.csv").dropna(axis="columns", how="all").dropna()
    encoder = LabelEncoder()
    y = tf.keras.utils.to_categorical(encoder.fit_transform(data["country"]))
    save(work / "label_encoder.pkl", encoder)
    return data, data[FEATURES], y


def write_splits(work: Path, **splits: tuple[Any, Any]) -> None:
    """Scale the features to 0 to 1 by the training rows, and write the splits and the scaler."""
    import numpy as np
    import pandas as pd
    from sklearn.preprocessing import MinMaxScaler

    scaler = MinMaxScaler().fit(splits["train"][0])
    for name, (x, y) in splits.items():
        scaled = pd.DataFrame(scaler.transform(x), index=x.index, columns=x.columns)
        # Only these are narrowed, as in the lab: ONNX Runtime takes no float64 for a float32 input.
        save(work / f"{name}.pkl", (scaled.astype(np.float32) if name == "test" else scaled, y))
    save(work / "scaler.pkl", scaler)


def train(work: Path) -> None:
    """Train the network, an input a feature, on rows in batches of 32."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    x_train, y_train = load(work / "train.pkl")
    x_val, y_val = load(work / "val.pkl")
    load(work / "scaler.pkl")  # never used, but the lab pays for it: it imports scikit-learn

    inputs = [keras.Input(shape=(1,), name=name) for name in x_train.columns]
    hidden = layers.Concatenate()(inputs)
    for units in (32, 64, 128, 256):
        hidden = layers.Dense(units, activation="relu")(hidden)
    model = keras.Model(inputs, layers.Dense(y_train.shape[1], activation="sigmoid")(hidden))
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy", "Precision", "Recall"])

    def rows(x: Any, y: Any) -> tf.data.Dataset:
        columns = [tf.data.Dataset.from_tensor_slices(x[[name]].to_numpy()) for name in x.columns]
        labels = tf.data.Dataset.from_tensor_slices(y)
        return tf.data.Dataset.zip((tf.data.Dataset.zip(tuple(columns)), labels))

    # Every epoch in the same order, over a buffer of all the rows: the lab's choice.
    shuffled = rows(x_train, y_train).shuffle(len(y_train), SEED, reshuffle_each_iteration=False)
    model.fit(shuffled.batch(32), validation_data=rows(x_val, y_val).batch(32), epochs=EPOCHS)
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


def columns(x: Any) -> dict[str, Any]:
    return {name: x[[name]].to_numpy() for name in x.columns}


def evaluate(work: Path) -> None:
    """Write lab_metrics.json: top-1 accuracy and confusion matrix (true, predicted) on the rows."""
    import keras
    import numpy as np
    from sklearn.metrics import confusion_matrix

    model = keras.saving.load_model(work / "model.keras")
    x, y = load(work / "test.pkl")
    predicted, actual = np.argmax(model.predict(columns(x)), axis=1), np.argmax(y, axis=1)
    accuracy = float(np.mean(predicted == actual))
    matrix = confusion_matrix(actual, predicted, labels=range(y.shape[1])).tolist()
    labels = load(work / "label_encoder.pkl").classes_.tolist()
    metrics = {"accuracy": accuracy, "passed": accuracy > ACCURACY_FLOOR, "labels": labels, "matrix": matrix}
    (work / "lab_metrics.json").write_text(json.dumps(metrics))


def parity(work: Path) -> None:
    """Compare ONNX Runtime with Keras, row by row: a difference above 1e-5 is an error."""
    import keras
    import numpy as np
    import onnxruntime

    x, _ = load(work / "test.pkl")
    load(work / "scaler.pkl")  # as in `train`
    model = keras.saving.load_model(work / "model.keras")
    providers = onnxruntime.get_available_providers()
    session = onnxruntime.InferenceSession(work / "model.onnx", providers=providers)
    (onnx_rows,) = session.run([session.get_outputs()[0].name], columns(x))
    for onnx_row, keras_row in zip(onnx_rows, model(columns(x)), strict=False):
        np.testing.assert_allclose(onnx_row, keras_row, rtol=1e-5, atol=1e-5)


def split(work: Path, splits: Path) -> None:
    """Encode, split by the songs of the pipeline's splits, and scale; keep the songs of the test rows."""
    import pandas as pd

    data, x, y = encode(work)
    parts = {}
    for name in ("train", "val", "test"):
        ids = pd.read_parquet(splits / f"{name}_split.parquet", columns=["id"])["id"]
        parts[name] = data["spotify_id"].isin(ids)
    write_splits(work, **{name: (x[where], y[where]) for name, where in parts.items()})
    save(work / "test_songs.pkl", data.loc[parts["test"], "spotify_id"].to_numpy(dtype=object))


def score(work: Path) -> None:
    """Write lab_score.json: quality on the test songs, each weighted by its chart rows.

    `log_loss` is in nats, -sum(c * log p) / sum(c) over songs and countries, where c counts rows and p
    are the served sigmoids divided by their sum. `topk_mass` is the share of rows whose country is among the
    song's k likeliest.
    """
    import keras
    import numpy as np
    import pandas as pd

    songs = load(work / "test_songs.pkl")
    x, y = load(work / "test.pkl")
    c, features = pd.DataFrame(y).groupby(songs).sum().to_numpy(), x.groupby(songs).first()
    model = keras.saving.load_model(work / "model.keras", compile=False)
    sigmoids = model.predict(columns(features), verbose=0).astype("float64")
    p = np.maximum(sigmoids / sigmoids.sum(axis=1, keepdims=True), SMALLEST)
    by_rank = np.take_along_axis(c, np.argsort(-p, axis=1, kind="stable"), axis=1)
    result = {
        "log_loss": float(-(c * np.log(p)).sum() / c.sum()),
        "top1_mass": float(by_rank[:, :1].sum() / c.sum()),
        "top5_mass": float(by_rank[:, :5].sum() / c.sum()),
        "songs": len(c),
        "rows": int(c.sum()),
    }
    (work / "lab_score.json").write_text(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description="One step of the jukebox lab's training pipeline.")
    steps = (fetch, preprocess, train, convert, evaluate, parity, split, score)
    by_name = {step.__name__: step for step in steps}
    parser.add_argument("step", choices=by_name)
    parser.add_argument("--work", type=Path, required=True, help="folder of the files between")
    parser.add_argument("--rankings", type=Path, help="chart rows, parquet (fetch needs it)")
    parser.add_argument("--songs", type=Path, help="song features, parquet (fetch needs it)")
    parser.add_argument("--splits", type=Path, help="folder of the pipeline's splits (split needs it)")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    extra = {"fetch": (given.rankings, given.songs), "split": (given.splits,)}
    by_name[given.step](given.work, *extra.get(given.step, ()))


if __name__ == "__main__":
    main()
