"""Import a library without optional packages that it would load and this project does not use.

Keras and scikit-learn import pandas, SciPy and each other where they are installed, for wrappers and
adapters: seconds and a hundred megabytes in every step that touches a model. While they are imported these
packages are hidden, which both libraries support by their own design; afterwards they can be imported again.
"""

import contextlib
import gc
import sys
from collections.abc import Iterator


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
