"""A sealed holdout, and what a candidate answers about it, made by hand: a matrix and a softmax, no run."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from attestations import holdout_ref
from onnx_models import softmax
from reports import BAD_REQUESTS, DATA_VERSION, SERVED

from ml.core.canonical import canonical_bytes, digest
from ml.core.files import file_digest, write_bytes, write_json
from ml.data.manifests import Amount, Holdout, LeftOut
from ml.data.profile import Profile, make_profile
from ml.data.splits import Labels, as_lists, write_examples
from ml.gate.candidate import NATIVE, FileEntry, manifest_of
from ml.gate.nouns import PLAIN
from ml.gate.statement import Claimed
from ml.gate.subjects.data import DataReport
from ml.judge.answered import ANSWERED, Answered, ChampionFacts
from ml.judge.answers import write_arrays
from ml.judge.features import write_features
from ml.judge.work import ASKED, Asked
from ml.onnx import serving_scores
from ml.onnx.inputs import input_families
from ml.onnx.runtime_comparison import answer_family
from ml.problem import Examples

FEATURES = ("size", "age", "width", "weight", "flag")
CLASSES = ("a", "b", "c", "d", "e", "f", "g", "h")
EXAMPLES = 60
LONELY = "h"
"""One sealed example is of this class."""

FILES = {NATIVE: b"weights", "model.onnx": b"graph", "served.json": canonical_bytes(SERVED)}
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
SCALE = np.array([1, 100, 1, 0.1, 1], "float32")
LABELS = Labels(definition="things/v1", nouns=PLAIN, features=FEATURES, classes=CLASSES)
METADATA = {"features": list(FEATURES), "labels": list(CLASSES), "definition": LABELS.definition}


def _examples() -> Examples:
    rng = np.random.default_rng(8)
    counts = rng.integers(1, 9, (EXAMPLES, len(CLASSES))).astype("int32")
    counts[1:, CLASSES.index(LONELY)] = 0
    features = (rng.uniform(0.1, 9, (EXAMPLES, len(FEATURES))) * SCALE).astype("float32")
    ids = [f"thing{index:018}" for index in range(EXAMPLES)]
    halves = np.array(["upper" if index % 2 else "lower" for index in range(EXAMPLES)], dtype=object)
    return Examples(ids, features, counts, CLASSES, {"half": halves})


SEALED = _examples()
WEIGHTS = np.random.default_rng(9).normal(size=(len(FEATURES), len(CLASSES))).astype("float32")


def model(rows: np.ndarray) -> np.ndarray:
    """Answer as a model does: probabilities, and NaN for what no feature can be."""
    with np.errstate(invalid="ignore", over="ignore"):
        sound = (np.abs(rows) <= 1e15).all(axis=1, keepdims=True)
        answers = softmax(np.clip(np.nan_to_num(rows) / SCALE, -9, 9) / 3 @ WEIGHTS)
    return np.where(sound, answers, np.nan).astype("float32")


def profile(shift: float = 0.0) -> Profile:
    """Make the profile of tables of the sealed examples."""
    features = SEALED.features.copy()
    features[:, 1] *= 1 - shift
    return make_profile(replace(SEALED, features=features), FEATURES, DATA_VERSION, synthetic=False)


def write_sealed(folder: Path) -> None:
    """Write the files of the sealed holdout."""
    folder.mkdir(parents=True, exist_ok=True)
    write_examples(folder / "examples.parquet", SEALED)
    write_json(folder / "labels.json", LABELS)
    about = {
        "definition": "things/v1",
        "nouns": PLAIN,
        "data_version": DATA_VERSION,
        "examples_table": "things",
    }
    counts = {"rows": {"things": EXAMPLES}, "set_aside": {}, "both_sides": 0, "near_copies": 0}
    report = DataReport(**about, **counts, synthetic=False, tables="source", checks=(), drift=None)
    write_json(folder / "data_report.json", report)
    write_json(folder / "profile.json", profile())
    prior = SEALED.counts.sum(axis=0) + 1.0
    lists = as_lists(np.tile(prior / prior.sum(), (EXAMPLES, 1)))
    pq.write_table(pa.table({"prior": lists, "logistic": lists}), folder / "baselines.parquet")


def write_holdout(folder: Path) -> None:
    """Write the sealed holdout with its manifest, as `jukebox judge holdout` does."""
    write_sealed(folder / DATA_VERSION)
    found = Holdout(
        **holdout_ref().to_json(),
        snapshot_digest=digest(b"snapshot"),
        sealed=Amount(examples=EXAMPLES, rows=int(SEALED.counts.sum())),
        left_out=LeftOut(both_sides=0, near_copies=0),
        files={path.name: FileEntry.of(path.read_bytes()) for path in (folder / DATA_VERSION).iterdir()},
    )
    write_json(folder / DATA_VERSION / "holdout.json", found)


def write_asked(
    work: Path, kind: str = "", store: str = "", native: bool = True, files: Mapping[str, bytes] = {}
) -> Asked:
    """Write a work folder as download leaves it, beside a champion of a kind.

    Args:
        work: the work folder.
        kind: of the champion, "" for none.
        store: the address of the store.
        native: whether the trained model is in the candidate.
        files: the bytes of some of the candidate's files.
    """
    files = {name: data for name, data in {**FILES, **files}.items() if native or name != NATIVE}
    for name, data in files.items():
        write_bytes(work / "model" / name, data)
    write_sealed(work / "labels")
    write_features(work / "features/features.parquet", FEATURES, SEALED.features)
    attested = kind == "attested"
    if attested:
        write_bytes(work / "champion/model.onnx", b"champion")
    write_bytes(work / "labels/champion_profile.json", profile(0.5).to_bytes() if attested else b"")
    parts = [path for path in work.glob("*/*") if path.parent.name != "model"]
    manifest = manifest_of(files)
    asked = Asked(
        candidate=manifest.id,
        model=dict(manifest.files),
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


def write_answers(work: Path, /, asked: Asked, answers: Mapping[str, Any] = {}, **facts: Any) -> None:
    """Write what infer writes.

    Args:
        work: the work folder.
        asked: what is asked.
        answers: other functions than `model`, by "native", the name of a runtime, "server", or "champion".
        facts: other fields of `Answered`.
    """
    inputs = input_families(SEALED.features)
    folder = work / "answers"
    folder.mkdir(exist_ok=True)
    if NATIVE in asked.model:
        run = answers.get("native", model)
        write_arrays(folder / "native.npz", {name: run(rows) for name, rows in inputs.items()})
    for name in ("served", "onnxruntime", "openvino"):
        run = answers.get(name, model)
        found = {family: answer_family(run, rows) for family, rows in inputs.items()}
        arrays = {f"{family}.{size}": one for family, sizes in found.items() for size, one in sizes.items()}
        write_arrays(folder / f"{name}.npz", arrays)
    server = answers.get("server", model)
    arrays = {
        f"batch.{size}": server(SEALED.features[serving_scores.asked_rows(size, EXAMPLES)])
        for size in serving_scores.batch_sizes(EXAMPLES)
    }
    arrays |= {f"after.{index}": server(SEALED.features[:1]) for index in range(len(BAD_REQUESTS))}
    write_arrays(folder / "server.npz", arrays)
    champion = None
    if asked.champion_kind == "attested":
        found = answers.get("champion", model)(SEALED.features).astype("float64")
        write_arrays(folder / "champion.npz", {"probabilities": found})
        champion = ChampionFacts(features=FEATURES, labels=CLASSES, incomparable="").to_json()
    latency = {"p50_ms": 0.1, "p99_ms": 0.2, "calls": 1000}
    tensor = {"name": "features", "datatype": "FP32", "shape": [-1, len(FEATURES)]}
    outputs = {**tensor, "name": "probabilities", "shape": [-1, len(CLASSES)]}
    stated = {
        "schema": "jukebox.answers/v1",
        "asked": file_digest(work / ASKED),
        "isolation": {"dns": "Network is unreachable"},
        "served": SERVED,
        "model": {
            "opset": 18,
            "inputs": [{"name": "features", "type": "tensor(float)", "shape": [len(FEATURES)]}],
            "outputs": [{"name": "probabilities", "type": "tensor(float)", "shape": [len(CLASSES)]}],
            "metadata": {
                name: value if isinstance(value, str) else canonical_bytes(value).decode()
                for name, value in METADATA.items()
            },
            "model_bytes": 1000,
            "latency": latency,
        },
        "runtimes": [runtime_facts(name) for name in ("served", "onnxruntime", "openvino")],
        "server": {
            "server": "kserve",
            "version": "1",
            "metadata": {"name": "jukebox", "inputs": [tensor], "outputs": [outputs]},
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
