"""A sealed holdout, and what a candidate answers about it, made by hand: a matrix and a softmax, no run."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attestations import holdout_ref, statement_about
from onnx_models import softmax
from reports import BAD_REQUESTS, DATA_VERSION, SERVED

from ml.core.canonical import canonical_bytes, digest
from ml.core.files import file_digest, write_bytes, write_json
from ml.data.manifests import Amount, Holdout, LeftOut
from ml.data.profile import Profile, make_profile
from ml.data.splits import Labels, as_lists, write_examples
from ml.gate.candidate import NATIVE, FileEntry, manifest_of
from ml.gate.nouns import PLAIN
from ml.gate.subjects.data import DataReport
from ml.judge.answered import ANSWERED, Answered
from ml.judge.answers import write_arrays
from ml.judge.features import write_features
from ml.judge.work import ASKED, Asked
from ml.onnx import serving_scores
from ml.onnx.inputs import input_families
from ml.onnx.runtime_comparison import answer_family
from ml.problem import Examples

FILES = {NATIVE: b"weights", "model.onnx": b"graph", "served.json": canonical_bytes(SERVED)}
CLAIMED = statement_about(FILES).predicate.claimed
FEATURES, CLASSES, EXAMPLES = ("size", "age", "width", "weight", "flag"), tuple("abcdefgh"), 60
LABELS = Labels(definition="things/v1", nouns=PLAIN, features=FEATURES, classes=CLASSES)
METADATA = {"features": list(FEATURES), "labels": list(CLASSES), "definition": LABELS.definition}
RUNTIMES = ("served", "onnxruntime", "openvino")
SCALE = np.float32([1, 100, 1, 0.1, 1])
RNG = np.random.default_rng(8)
WEIGHTS = RNG.normal(size=(len(FEATURES), len(CLASSES))).astype("float32")
COUNTS = RNG.integers(1, 9, (EXAMPLES, len(CLASSES))).astype("int32")
COUNTS[1:, -1] = 0  # One sealed example is of the last class.
SEALED = Examples(
    [f"thing{index:018}" for index in range(EXAMPLES)],
    (RNG.uniform(0.1, 9, (EXAMPLES, len(FEATURES))) * SCALE).astype("float32"),
    COUNTS,
    CLASSES,
    {"half": np.array(["lower", "upper"] * (EXAMPLES // 2), dtype=object)},
)


def refused(kind: type[Exception], message: str, run: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Check that a call is refused in one line that a pattern describes, and return the line."""
    with pytest.raises(kind, match=message) as caught:
        run(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def model(rows: np.ndarray) -> np.ndarray:
    """Answer as a model does: probabilities, and NaN for what no feature can be."""
    with np.errstate(invalid="ignore", over="ignore"):
        sound = (np.abs(rows) <= 1e15).all(axis=1, keepdims=True)
        answers = softmax(np.clip(np.nan_to_num(rows) / SCALE, -9, 9) / 3 @ WEIGHTS)
    return np.where(sound, answers, np.nan).astype("float32")


def profile(shift: float = 0.0) -> Profile:
    """Make the profile of tables of the sealed examples."""
    features = SEALED.features * np.float32([1, 1 - shift, 1, 1, 1])
    return make_profile(replace(SEALED, features=features), FEATURES, DATA_VERSION, synthetic=False)


def write_sealed(folder: Path) -> None:
    """Write the files of the sealed holdout."""
    folder.mkdir(parents=True, exist_ok=True)
    write_examples(folder / "examples.parquet", SEALED)
    write_json(folder / "labels.json", LABELS)
    about = {"definition": "things/v1", "nouns": PLAIN, "data_version": DATA_VERSION, "synthetic": False}
    counts = {"rows": {"things": EXAMPLES}, "set_aside": {}, "both_sides": 0, "near_copies": 0}
    report = DataReport(**about, **counts, examples_table="things", tables="source", checks=(), drift=None)
    write_json(folder / "data_report.json", report)
    write_json(folder / "profile.json", profile())
    prior = COUNTS.sum(axis=0) + 1.0
    lists = as_lists(np.tile(prior / prior.sum(), (EXAMPLES, 1)))
    pq.write_table(pa.table({"prior": lists, "logistic": lists}), folder / "baselines.parquet")


def write_holdout(folder: Path) -> None:
    """Write the sealed holdout with its manifest, as `jukebox judge holdout` does."""
    write_sealed(folder / DATA_VERSION)
    files = {path.name: FileEntry.of(path.read_bytes()) for path in (folder / DATA_VERSION).iterdir()}
    sealed = Amount(examples=EXAMPLES, rows=int(COUNTS.sum()))
    about = {"snapshot_digest": digest(b"snapshot"), "left_out": LeftOut(both_sides=0, near_copies=0)}
    manifest = Holdout(**holdout_ref().to_json(), **about, sealed=sealed, files=files)
    write_json(folder / DATA_VERSION / "holdout.json", manifest)


def write_asked(work: Path, kind="", store="", native=True, files=(), champion=b"champion") -> Asked:
    """Write a work folder as download leaves it, beside a champion of a kind ("" for none).

    ``native`` is whether the trained model is in the candidate, ``files`` are other bytes of its files.
    """
    files = {name: data for name, data in {**FILES, **dict(files)}.items() if native or name != NATIVE}
    for name, data in files.items():
        write_bytes(work / "model" / name, data)
    write_sealed(work / "labels")
    write_features(work / "features/features.parquet", FEATURES, SEALED.features)
    attested = kind == "attested"
    if attested:
        write_bytes(work / "champion/model.onnx", champion)
    write_bytes(work / "labels/champion_profile.json", profile(0.5).to_bytes() if attested else b"")
    parts = [path for path in work.glob("*/*") if path.parent.name != "model"]
    digests = {f"{path.parent.name}/{path.name}": file_digest(path) for path in parts}
    manifest = manifest_of(files)
    about = {"candidate": manifest.id, "model": dict(manifest.files), "files": digests, "store": store}
    about |= {"champion": "c" * 64 if kind else "", "champion_kind": kind}
    asked = Asked(**about, holdout=holdout_ref(), claimed=CLAIMED)
    write_json(work / ASKED, asked)
    return asked


def runtime_facts(name: str) -> dict[str, Any]:
    """Say what a runtime is."""
    engine, settings = ("openvino", SERVED["settings"]) if name == "served" else (name, {})
    facts = {"name": name, "engine": engine, "version": "1", "precision": "float32", "settings": settings}
    layouts = {"fortran": "same", "strided": "same", "reversed": "same"}
    return {**facts, "layouts": layouts, "threads": {"threads": 4, "calls": 100, "different": 0}}


LATENCY = {"p50_ms": 0.1, "p99_ms": 0.2, "calls": 300}
MODEL_FACTS = {"opset": 18, "inputs": [], "outputs": [], "metadata": {}, "model_bytes": 9, "latency": LATENCY}
SERVER_FACTS = {"server": "a test", "version": "1", "metadata": {}, "ready_seconds": 1.0, "latency": LATENCY}
SERVER_FACTS |= {"bad_requests": [{"name": name, "status": 400} for name in BAD_REQUESTS]}
SERVER_FACTS |= {"peak_memory_mb": 200.0, "ended_cleanly": True, "processes_left": 0}


def write_answers(work: Path, /, asked: Asked, answers: Mapping[str, Any] = {}, **facts: Any) -> None:
    """Write what infer writes.

    ``answers`` are other functions than `model`, by "native", the name of a runtime, "server", or "champion";
    ``facts`` are other fields of `Answered`.
    """
    runs = {name: answers.get(name, model) for name in ("native", *RUNTIMES, "server", "champion")}
    arrays = {name: {} for name in runs}
    for family, rows in input_families(SEALED.features).items():
        arrays["native"][family] = runs["native"](rows)
        for name in RUNTIMES:
            sizes = answer_family(runs[name], rows)
            arrays[name] |= {f"{family}.{size}": one for size, one in sizes.items()}
    for size in serving_scores.batch_sizes(EXAMPLES):
        rows = SEALED.features[serving_scores.asked_rows(size, EXAMPLES)]
        arrays["server"][f"batch.{size}"] = runs["server"](rows)
    for index in range(len(BAD_REQUESTS)):
        arrays["server"][f"after.{index}"] = runs["server"](SEALED.features[:1])
    arrays["champion"]["probabilities"] = runs["champion"](SEALED.features).astype("float64")
    left_out = {"native": NATIVE not in asked.model, "champion": not asked.is_compared}
    (work / "answers").mkdir(exist_ok=True)
    for name, found in arrays.items():
        if not left_out.get(name):
            write_arrays(work / f"answers/{name}.npz", found)
    champion = {"features": list(FEATURES), "labels": list(CLASSES), "incomparable": ""}
    stated = {
        "schema": "jukebox.answers/v1",
        "asked": file_digest(work / ASKED),
        "isolation": {"dns": "Network is unreachable"},
        "served": SERVED,
        "model": MODEL_FACTS,
        "runtimes": [runtime_facts(name) for name in RUNTIMES],
        "server": SERVER_FACTS,
        "champion": champion if asked.is_compared else None,
    }
    write_json(work / ANSWERED, Answered.load({**stated, **facts}))
