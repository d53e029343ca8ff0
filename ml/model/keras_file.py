"""Write a Keras model so that the same model is the same bytes.

Keras writes the time of saving into the file, and the addresses of shared objects in this process's memory. A
candidate's id is the digest of its files, so either would make another candidate of the same training.
"""

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.core.files import write_bytes

if TYPE_CHECKING:
    import keras

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP can hold."""

SHARED = "shared_object_id"


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
