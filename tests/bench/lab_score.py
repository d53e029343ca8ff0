"""How good the lab's network is on songs that it has never seen; for comparing quality, not cost.

The lab splits by row, so its own test songs are also training songs. Here the same rows, scaling and
network are split by song, in the lab's order of work:

    python tests/bench/lab.py fetch --work DIR --rankings F --songs F
    python tests/bench/lab_score.py split --work DIR        (in place of lab.py preprocess)
    python tests/bench/lab.py train --work DIR
    python tests/bench/lab_score.py score --work DIR [--test-split F]
"""

import argparse
from hashlib import sha256
from pathlib import Path

from lab import columns, encode, load, save, write_json, write_splits

SMALLEST = 1e-12
"""Where probabilities are clipped; the pipeline's own evaluation does it here too."""


def song_split(spotify_id: str) -> str:
    """Return the split ("train", "val" or "test") of a song: 70, 10 and 20 of 100 hash buckets."""
    bucket = int(sha256(spotify_id.encode()).hexdigest()[:8], 16) % 100
    return "train" if bucket < 70 else "val" if bucket < 80 else "test"


def split(work: Path) -> None:
    """Encode, split by song, and scale; keep the songs of the test rows for `score`."""
    data, x, y = encode(work)
    where = data["spotify_id"].map(song_split)
    parts = {name: (x[where == name], y[where == name]) for name in ("train", "val", "test")}
    write_splits(work, **parts)
    save(work / "test_songs.pkl", data.loc[where == "test", "spotify_id"].to_numpy(dtype=object))


def score(work: Path, test_split: Path | None) -> None:
    """Write lab_score.json: quality on the test songs, each weighted by its chart rows.

    `log_loss` is in nats, -sum(c * log p) / sum(c) over songs and countries, where c counts rows and p
    are the served sigmoids divided by their sum. `softmax_log_loss` takes the softmax of the logits
    instead, which is what Keras trains and the lab does not serve. `topk_mass` is the share of rows
    whose country is among the song's k likeliest. `left_out` counts songs that are not in `test_split`.

    Args:
        work: the folder of the files between.
        test_split: a parquet file with the `id` of the songs to score; None scores them all.

    Raises:
        FileNotFoundError: the rows were not split by song.
    """
    import keras
    import numpy as np
    import pandas as pd

    songs = load(work / "test_songs.pkl")
    x, y = load(work / "test.pkl")
    counts, features = pd.DataFrame(y).groupby(songs).sum(), x.groupby(songs).first()
    chosen = np.full(len(counts), True)
    if test_split is not None:
        chosen = counts.index.isin(pd.read_parquet(test_split, columns=["id"])["id"])
    c = counts[chosen].to_numpy()

    model = keras.saving.load_model(work / "model.keras", compile=False)
    model.layers[-1].activation = keras.activations.linear
    logits = model.predict(columns(features[chosen]), verbose=0).astype("float64")
    sigmoids = 1 / (1 + np.exp(-logits))
    softmax = np.exp(logits - logits.max(axis=1, keepdims=True))

    def log_loss(positive: np.ndarray) -> float:
        p = np.maximum(positive / positive.sum(axis=1, keepdims=True), SMALLEST)
        return float(-(c * np.log(p)).sum() / c.sum())

    by_rank = np.take_along_axis(c, np.argsort(-logits, axis=1, kind="stable"), axis=1)
    result = {
        "log_loss": log_loss(sigmoids),
        "softmax_log_loss": log_loss(softmax),
        "top1_mass": float(by_rank[:, :1].sum() / c.sum()),
        "top5_mass": float(by_rank[:, :5].sum() / c.sum()),
        "songs": len(c),
        "rows": int(c.sum()),
        "left_out": int((~chosen).sum()),
    }
    write_json(work / "lab_score.json", result)


def main() -> None:
    """Split or score."""
    parser = argparse.ArgumentParser(description="Quality of the lab's network on unseen songs.")
    parser.add_argument("step", choices=["split", "score"])
    parser.add_argument("--work", type=Path, required=True, help="folder of the files between")
    parser.add_argument("--test-split", type=Path, help="parquet file of the songs to score (score)")
    args = parser.parse_args()
    if args.step == "split":
        split(args.work)
    else:
        score(args.work, args.test_split)


if __name__ == "__main__":
    main()
