"""Defer signals that stop the command, while a child process is being started."""

import contextlib
import signal
from collections.abc import Iterator

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a cancelled CI job, a closed terminal."""


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Defer SIGINT, SIGTERM and SIGHUP until the end of the block.

    Only signals with a Python handler are deferred: an ignored signal stays ignored, also in child processes
    that are started in the block. Like `signal.signal`, this works in the main thread only.
    """
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    deferred = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in deferred:
        signal.signal(number, lambda sent, _: received.append(sent))
    try:
        yield
    finally:
        for number, handler in deferred.items():
            signal.signal(number, handler)
    for first in received[:1]:
        signal.raise_signal(first)
