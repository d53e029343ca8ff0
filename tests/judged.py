"""A sealed holdout, and what a candidate answers about it, made by hand: a matrix and a softmax, no run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from attestations import holdout_ref
from onnx_models import softmax
from reports import BAD_REQUESTS, DATA_VERSION, SERVED, data_report

from ml.core.canonical import canonical_bytes, digest
from ml.core.files import file_digest, write_bytes, write_json
from ml.problems.songs.columns import FEATURES, RANGES
from ml.data.manifests import Amount, Holdout, LeftOut
from ml.data.profile import Profile, make_profile
from ml.data.splits import Examples, write_examples
from ml.gate.candidate import FileEntry, manifest_of
from ml.gate.statement import Claimed
from ml.judge.answered import ANSWERED, Answered, ChampionFacts
from ml.judge.answers import write_arrays
from ml.judge.features import write_features
from ml.judge.work import ASKED, Asked
from ml.onnx import serving_scores
from ml.onnx.inputs import input_families
from ml.onnx.runtime_comparison import answer_family

COUNTRIES = ["AR", "BR", "DE", "FR", "IN", "JP", "SE", "US"]
SONGS = 60
LONELY = "US"
"""One sealed song charts here."""

FILES = {"model.keras": b"weights", "model.onnx": b"graph", "served.json": canonical_bytes(SERVED)}
CHAMPION = "c" * 64
CLAIMED = Claimed(
    run_id="r1",
    commit="c0ffee",
    dirty=False,
    image="image",
    pipeline_digest="",
    data_version=DATA_VERSION,
    model_name="jukebox",
    model_version="1",
)


def _features(songs: int) -> np.ndarray:
    low, high = np.array(list(RANGES.values()), "float64").T
    low[1], high[1] = 90_000, 400_000
    return np.random.default_rng(7).uniform(low, high, (songs, len(FEATURES))).astype("float32")


def _examples() -> Examples:
    rng = np.random.default_rng(8)
    counts = rng.integers(1, 9, (SONGS, len(COUNTRIES))).astype("int32")
    counts[1:, COUNTRIES.index(LONELY)] = 0
    ids = [f"song{index:018}" for index in range(SONGS)]
    return Examples(ids, _features(SONGS), counts, np.full(SONGS, 2020, "int16"))


SEALED = _examples()
SCALE = np.array([high - low for low, high in RANGES.values()], "float32")
WEIGHTS = np.random.default_rng(9).normal(size=(len(FEATURES), len(COUNTRIES))).astype("float32")


def model(rows: np.ndarray) -> np.ndarray:
    """Answer as a network does: probabilities, and NaN for what no feature can be."""
    with np.errstate(invalid="ignore", over="ignore"):
        sound = (np.abs(rows) <= 1e15).all(axis=1, keepdims=True)
        answers = softmax(np.clip(np.nan_to_num(rows) / SCALE, -9, 9) @ WEIGHTS)
    return np.where(sound, answers, np.nan).astype("float32")


def profile(shift: float = 0.0) -> Profile:
    """Make the profile of tables of the sealed songs."""
    songs = pd.DataFrame(SEALED.features.astype("float64"), columns=list(FEATURES))
    songs["spotify_id"], songs["energy"] = SEALED.ids, songs["energy"] * (1 - shift)
    charts = pd.DataFrame({"spotify_id": SEALED.ids, "country": "BR", "snapshot_date": "2026-08-01"})
    return make_profile(charts, songs, DATA_VERSION, synthetic=False)


def write_sealed(folder: Path) -> None:
    """Write the files of the sealed holdout."""
    folder.mkdir(parents=True, exist_ok=True)
    write_examples(folder / "examples.parquet", SEALED)
    labels = {"schema": "jukebox.labels/v1", "countries": COUNTRIES, "features": list(FEATURES)}
    write_json(folder / "labels.json", labels)
    write_json(folder / "data_report.json", data_report(""))
    write_json(folder / "profile.json", profile())
    prior = SEALED.counts.sum(axis=0) + 1.0
    table = np.tile(prior / prior.sum(), (SONGS, 1))
    lists = pa.FixedSizeListArray.from_arrays(pa.array(table.ravel()), len(COUNTRIES))
    pq.write_table(pa.table({"prior": lists, "logistic": lists}), folder / "baselines.parquet")


def write_holdout(folder: Path) -> Holdout:
    """Write the sealed holdout with its manifest, as `jukebox judge holdout` does."""
    write_sealed(folder / DATA_VERSION)
    files = {path.name: FileEntry.of(path.read_bytes()) for path in (folder / DATA_VERSION).iterdir()}
    found = Holdout(
        **{name: getattr(holdout_ref(), name) for name in type(holdout_ref()).model_fields},
        snapshot_digest=digest(b"snapshot"),
        sealed=Amount(songs=SONGS, rows=int(SEALED.counts.sum())),
        left_out=LeftOut(both_sides=0, near_copies=0),
        files=files,
    )
    write_json(folder / DATA_VERSION / "holdout.json", found)
    return found


def write_asked(work: Path, kind: str = "", store: str = "", **files: bytes) -> Asked:
    """Write a work folder as download leaves it, beside a champion of a kind."""
    for name, data in {**FILES, **files}.items():
        write_bytes(work / "model" / name, data)
    write_sealed(work / "labels")
    write_features(work / "features/features.parquet", SEALED.features)
    attested = kind == "attested"
    if attested:
        write_bytes(work / "champion/model.onnx", b"champion")
    champion = canonical_bytes(profile(0.5).to_json()) if attested else b""
    write_bytes(work / "labels/champion_profile.json", champion)
    parts = [path for path in work.glob("*/*") if path.parent.name != "model"]
    asked = Asked(
        candidate=manifest_of({**FILES, **files}).id,
        model=dict(manifest_of({**FILES, **files}).files),
        champion=CHAMPION if kind else "",
        champion_kind=kind,
        holdout=holdout_ref(),
        claimed=CLAIMED,
        files={f"{path.parent.name}/{path.name}": file_digest(path) for path in parts},
        store=store,
    )
    write_json(work / ASKED, asked)
    return asked


def runtime_facts(name: str) -> dict[str, Any]:
    """Say what a runtime is."""
    engine, settings = ("openvino", SERVED["settings"]) if name == "served" else (name, {})
    return {
        "name": name,
        "engine": engine,
        "version": "1",
        "precision": "float32",
        "settings": settings,
        "layouts": {"fortran": "same", "strided": "same", "reversed": "same"},
        "threads": {"threads": 4, "calls": 100, "different": 0},
    }


def write_answers(work: Path, /, asked_of: Asked, answers: Mapping[str, Any] = {}, **facts: Any) -> None:
    """Write what infer writes.

    Args:
        work: the work folder.
        asked_of: what is asked.
        answers: other functions than `model`, by "keras", the name of a runtime, "server", or "champion".
        facts: other fields of `Answered`.
    """
    inputs = input_families(SEALED.features)
    folder = work / "answers"
    folder.mkdir(exist_ok=True)
    keras = answers.get("keras", model)
    write_arrays(folder / "keras.npz", {name: keras(rows) for name, rows in inputs.items()})
    for name in ("served", "onnxruntime", "openvino"):
        run = answers.get(name, model)
        found = {family: answer_family(run, rows) for family, rows in inputs.items()}
        arrays = {f"{family}.{size}": one for family, sizes in found.items() for size, one in sizes.items()}
        write_arrays(folder / f"{name}.npz", arrays)
    server = answers.get("server", model)
    arrays = {
        f"batch.{size}": server(SEALED.features[serving_scores.asked_rows(size, SONGS)])
        for size in serving_scores.batch_sizes(SONGS)
    }
    arrays |= {f"after.{index}": server(SEALED.features[:1]) for index in range(len(BAD_REQUESTS))}
    write_arrays(folder / "server.npz", arrays)
    champion = None
    if asked_of.champion_kind == "attested":
        found = answers.get("champion", model)(SEALED.features).astype("float64")
        write_arrays(folder / "champion.npz", {"probabilities": found})
        champion = ChampionFacts(features=FEATURES, labels=tuple(COUNTRIES), incomparable="").to_json()
    latency = {"p50_ms": 0.1, "p99_ms": 0.2, "calls": 1000}
    tensor = {"name": "features", "datatype": "FP32", "shape": [-1, 13]}
    stated = {
        "schema": "jukebox.answers/v1",
        "asked": file_digest(work / ASKED),
        "isolation": {"dns": "Network is unreachable"},
        "served": SERVED,
        "model": {
            "opset": 18,
            "inputs": [{"name": "features", "type": "tensor(float)", "shape": [13]}],
            "outputs": [{"name": "probabilities", "type": "tensor(float)", "shape": [len(COUNTRIES)]}],
            "metadata": {
                "features": canonical_bytes(list(FEATURES)).decode(),
                "labels": canonical_bytes(COUNTRIES).decode(),
            },
            "model_bytes": 1000,
            "latency": latency,
        },
        "runtimes": [runtime_facts(name) for name in ("served", "onnxruntime", "openvino")],
        "server": {
            "server": "kserve",
            "version": "1",
            "metadata": {
                "name": "jukebox",
                "inputs": [tensor],
                "outputs": [{**tensor, "name": "probabilities", "shape": [-1, len(COUNTRIES)]}],
            },
            "ready_seconds": 1.0,
            "bad_requests": [{"name": name, "status": 400} for name in BAD_REQUESTS],
            "latency": {**latency, "calls": 300},
            "peak_memory_mb": 200.0,
            "ended_cleanly": True,
            "processes_left": 0,
        },
        "champion": champion,
    }
    write_json(work / ANSWERED, Answered.load({**stated, **facts}))
