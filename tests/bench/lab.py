"""The baseline of the benchmark: the training algorithm of the RHOAI jukebox lab, written anew.

One process a step, files between the steps, and the lab's costs on purpose: a merged CSV, a row an example,
one-hot labels, batches of 32, an assertion a row. Left out, because they are not the algorithm: pip freeze,
the registry, uploads. Two more differences: columns without any value are dropped before dropna(), which
would otherwise keep no row of tables whose album columns are empty; and a low accuracy is recorded, not
raised. How good the network is on songs that it has never seen: `lab_score.py`.

    python tests/bench/lab.py fetch --work DIR --rankings F --songs F
    python tests/bench/lab.py {preprocess,train,convert,evaluate,parity} --work DIR
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


def load(path: Path) -> Any:
    """Read what a step before wrote."""
    with path.open("rb") as file:
        return pickle.load(file)


def save(path: Path, value: Any) -> None:
    """Write what a later step reads."""
    with path.open("wb") as file:
        pickle.dump(value, file)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a result."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


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


def train(work: Path, epochs: int) -> None:
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


def columns(x: Any) -> dict[str, Any]:
    """Return the inputs of the network, one a feature."""
    return {name: x[[name]].to_numpy() for name in x.columns}


def evaluate(work: Path) -> None:
    """Write lab_metrics.json: top-1 accuracy and confusion matrix (true, predicted) on the rows."""
    import keras
    import numpy as np
    from sklearn.metrics import confusion_matrix

    model = keras.saving.load_model(work / "model.keras")
    x, y = load(work / "test.pkl")
    predicted = np.argmax(model.predict(columns(x)), axis=1)
    actual = np.argmax(y, axis=1)
    accuracy = float(np.mean(predicted == actual))
    metrics = {
        "accuracy": accuracy,
        "passed": accuracy > ACCURACY_FLOOR,
        "rows": len(actual),
        "labels": load(work / "label_encoder.pkl").classes_.tolist(),
        "confusion_matrix": confusion_matrix(actual, predicted, labels=range(y.shape[1])).tolist(),
    }
    write_json(work / "lab_metrics.json", metrics)


def parity(work: Path) -> None:
    """Compare ONNX Runtime with Keras, row by row.

    Raises:
        AssertionError: if a row differs by more than 1e-5, absolute plus relative.
    """
    import keras
    import numpy as np
    import onnxruntime

    x, _ = load(work / "test.pkl")
    load(work / "scaler.pkl")  # as in `train`
    model = keras.saving.load_model(work / "model.keras")
    providers = onnxruntime.get_available_providers()
    session = onnxruntime.InferenceSession(work / "model.onnx", providers=providers)
    inputs = columns(x)
    (onnx_rows,) = session.run([session.get_outputs()[0].name], inputs)
    for onnx_row, keras_row in zip(onnx_rows, model(inputs), strict=False):
        np.testing.assert_allclose(onnx_row, keras_row, rtol=1e-5, atol=1e-5)


def main() -> None:
    """Run one step of the lab's pipeline."""
    parser = argparse.ArgumentParser(description="One step of the jukebox lab's training pipeline.")
    steps = {step.__name__: step for step in (fetch, preprocess, train, convert, evaluate, parity)}
    parser.add_argument("step", choices=steps)
    parser.add_argument("--work", type=Path, required=True, help="folder of the files between")
    parser.add_argument("--rankings", type=Path, help="chart rows, parquet (fetch needs it)")
    parser.add_argument("--songs", type=Path, help="song features, parquet (fetch needs it)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="(train)")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    extra = {"fetch": (args.rankings, args.songs), "train": (args.epochs,)}
    steps[args.step](args.work, *extra.get(args.step, ()))


if __name__ == "__main__":
    main()
