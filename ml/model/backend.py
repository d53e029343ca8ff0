"""Load Keras on TensorFlow without what it does not need here.

Keras imports scikit-learn, SciPy and pandas when it finds them, for wrappers and data adapters that this
project does not use: 1 second and 130 MB in every step that touches a model. They are hidden while Keras
loads (it then goes without, by its own design) and found again afterwards.
"""

import importlib
import os
import sys
from types import ModuleType

HIDDEN = ("sklearn", "scipy", "pandas")


def load_keras() -> ModuleType:
    """Return Keras on TensorFlow, quiet and reproducible on one kind of machine."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # TensorFlow logs notes about itself as errors; its real errors are exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # oneDNN picks kernels by CPU model, and so the last digits; the networks here are too small to gain.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    hidden = [] if "keras" in sys.modules else [name for name in HIDDEN if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("keras")
    finally:
        for name in hidden:
            del sys.modules[name]
