"""Keras models as files: load one, have it answer, and write one so that the same model is the same bytes.

The ``.keras`` file is the one native format that the judge loads, once `ml.judge.allowed_keras` has checked
it. Keras writes the time of saving into the file, and the addresses of shared objects in this process's
memory. A candidate's id is the digest of its files, so either would make another candidate of the same
training.
"""

import importlib
import io
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.core.files import write_bytes
from ml.core.lean_imports import hidden

if TYPE_CHECKING:
    import keras

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP can hold."""

SHARED = "shared_object_id"

BATCH = 4096
"""Rows that go through a network at once when it only answers."""


def load_keras() -> ModuleType:
    """Return Keras on TensorFlow, quiet and reproducible on one kind of machine."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # TensorFlow logs notes about itself as errors; its real errors are exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # oneDNN picks kernels by CPU model, and so the last digits; the networks here are too small to gain.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    if "keras" in sys.modules:
        return sys.modules["keras"]
    with hidden("sklearn", "pandas"):
        return importlib.import_module("keras")


def load_network(model: str | Path) -> "keras.Model":
    """Load a ``.keras`` file, without what it was trained with, and in Keras's safe mode."""
    return load_keras().saving.load_model(model, compile=False, safe_mode=True)


def answer(network: "keras.Model", features: np.ndarray) -> np.ndarray:
    """Return the probabilities of a loaded model, in batches that bound the memory."""
    batches = [features[start : start + BATCH] for start in range(0, len(features), BATCH)]
    return np.concatenate([network(batch, training=False).numpy() for batch in batches])


def save_network(network: "keras.Model", path: str | Path) -> None:
    """Save a model to a ``.keras`` file, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    fixed = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "model.keras"
        network.save(raw)
        with zipfile.ZipFile(raw) as source, zipfile.ZipFile(fixed, "w") as target:
            for name in sorted(source.namelist()):
                entry = zipfile.ZipInfo(name, EPOCH)
                entry.external_attr = 0o644 << 16
                target.writestr(entry, _fixed(name, source.read(name)))
    write_bytes(path, fixed.getvalue())


def _fixed(name: str, data: bytes) -> bytes:
    """Return an entry of the file without the time, and with its shared objects numbered in their order."""
    if name == "metadata.json":
        value = json.loads(data)
        return json.dumps({"keras_version": value["keras_version"]}).encode()
    if name == "config.json":
        return json.dumps(_numbered(json.loads(data), {})).encode()
    return data


def _numbered(value: Any, known: dict[int, int]) -> Any:
    if isinstance(value, list):
        return [_numbered(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: known.setdefault(item, len(known) + 1) if key == SHARED else _numbered(item, known)
        for key, item in value.items()
    }
