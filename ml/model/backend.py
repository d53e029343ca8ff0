"""Load Keras and scikit-learn without what they do not need here.

Keras imports scikit-learn, SciPy and pandas when it finds them, for wrappers and data adapters that this
project does not use: 1 second and 130 MB in every step that touches a model; scikit-learn imports pandas
likewise. They are hidden while the library loads (it then goes without, by its own design) and found again
afterwards.
"""

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType


@contextlib.contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Let the packages seem not to be installed, those that are not loaded yet."""
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]
    # Nothing that an import makes is garbage, so looking for some is half a second lost.
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        for name in absent:
            del sys.modules[name]


def load_keras() -> ModuleType:
    """Return Keras on TensorFlow, quiet and reproducible on one kind of machine."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # TensorFlow logs notes about itself as errors; its real errors are exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # oneDNN picks kernels by CPU model, and so the last digits; the networks here are too small to gain.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    if "keras" in sys.modules:
        return sys.modules["keras"]
    with hidden("sklearn", "scipy", "pandas"):
        return importlib.import_module("keras")
