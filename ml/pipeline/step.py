"""What every step does around its own work: announce its start, its end and its failure.

A step writes these on stderr, and as events to the file that JUKEBOX_EVENTS names. In a pod its failure is
the container's termination message too, which `ml.dspa.pods` reads.
"""

import functools
import gc
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

from ml.core.environment import clean_environment
from ml.core.errors import GateBlocked, JukeboxError, PlatformError

EVENTS = "JUKEBOX_EVENTS"
"""Names the file to which each step appends its events, one JSON object a line."""


LAST_WORD = Path("/dev/termination-log")
"""Where Kubernetes reads a container's termination message; elsewhere the file does not exist."""


P = ParamSpec("P")


def _event(step: str, event: str, **values: Any) -> None:
    if path := os.environ.get(EVENTS):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "event": event, **values}) + "\n")


def step(body: Callable[P, str]) -> Callable[P, None]:
    """Wrap a step: log its start, its end with the headline that it returns, and its failure.

    A known error ends the process with its one line, any other with a traceback before
    it; in a pod the line is the container's termination message too, which `ml.dspa.pods` reads.
    """
    name = body.__name__.rstrip("_")

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        start = time.monotonic()
        clean_environment()
        _event(name, "start")
        print(f"{name}: started", file=sys.stderr, flush=True)
        try:
            headline = body(*args, **kwargs)
        except Exception as error:
            known = isinstance(error, JukeboxError)
            message = str(error) if known else f"{type(error).__name__}: {error}"
            message = " ".join(message.split())
            blocked, passing = isinstance(error, GateBlocked), isinstance(error, PlatformError)
            _event(name, "error", message=message, blocked=blocked, permanent=not passing)
            if not known:
                traceback.print_exc()
            if os.access(LAST_WORD, os.W_OK):
                word = f"{type(error).__name__}: {message}" if known else message
                LAST_WORD.write_text(word[:4000], encoding="utf-8")
            raise SystemExit(f"{name}: {message}") from None
        seconds = time.monotonic() - start
        peak = _peak_mb()
        # The process ends anyway: a last garbage collection would take a second with TensorFlow.
        # Only DuckDB needs one: it reports leaks without.
        if "tensorflow" in sys.modules and "duckdb" not in sys.modules:
            gc.freeze()
        _event(name, "end", headline=headline, seconds=seconds, peak_mb=peak)
        print(f"{name}: {headline} ({seconds:.1f} s, {peak} MB)", file=sys.stderr, flush=True)

    return run


def _peak_mb() -> int:
    """Return the peak resident size of this process in MiB: getrusage counts KiB, but bytes on macOS."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
