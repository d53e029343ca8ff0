"""Load Keras, and keep it from importing packages that no step uses.

Keras imports scikit-learn and pandas where it finds them, for wrappers and data adapters, and goes without
where it does not. Loading it takes 3.0 s of CPU and 640 MB with them, 2.0 s and 510 MB without, in each step
that trains, converts or evaluates. So `hidden` makes both seem not to be installed while Keras loads.
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
    """Make importing these packages fail inside the `with`, except those that are loaded already."""
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        # Python documents it: `import` of a name that is None here raises ModuleNotFoundError.
        sys.modules[name] = None  # type: ignore[assignment]
    # An import makes hardly any garbage; looking for it takes a tenth of the time.
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
    with hidden("sklearn", "pandas"):
        return importlib.import_module("keras")
