"""Keras files made by hand, as Keras 3 writes them: JSON, HDF5 and ZIP, without TensorFlow."""

import copy
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

HISTORY = {"shape": [None, 13], "dtype": "float32", "keras_history": ["features", 0, 0]}
TENSOR = {"class_name": "__keras_tensor__", "config": HISTORY}


def layer(name: str, module: str = "keras.layers", **config: Any) -> dict[str, Any]:
    """Describe a layer as Keras does."""
    return {
        "module": module,
        "class_name": name,
        "config": {"name": name.lower(), "trainable": True, **config},
        "registered_name": None if module == "keras.layers" else name,
        "name": name.lower(),
        "inbound_nodes": [{"args": [copy.deepcopy(TENSOR)], "kwargs": {}}],
    }


ZEROS = {"module": "keras.initializers", "class_name": "Zeros", "config": {}, "registered_name": None}
DENSE = layer("Dense", units=4, activation="softmax", bias_initializer=ZEROS)


def functional(*layers: dict[str, Any]) -> dict[str, Any]:
    """Describe a model."""
    config = {"name": "jukebox", "layers": [layer("InputLayer"), *layers]}
    names = dict.fromkeys(("class_name", "registered_name"), "Functional")
    more = {"build_config": {"input_shape": None}, "compile_config": {}}
    return {"module": "keras.src.models.functional", **names, "config": config, **more}


def weights(fill: Callable[[h5py.File], None] = lambda file: None) -> bytes:
    """Write the weights of a model."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file["layers/dense/vars/0"] = np.ones((13, 4), "float32")
        fill(file)
    return memory.getvalue()


def write_keras(path: Path, model: Any, members: Mapping[str, bytes] = {}) -> Path:
    """Write a Keras file; ``members`` are other contents of its files, or more files."""
    config = json.dumps(model).encode()
    files = {"metadata.json": b"{}", "config.json": config, "model.weights.h5": weights(), **members}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
