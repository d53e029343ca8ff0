"""Defer signals that stop the command, while a child process is being started."""

import contextlib
import signal
from collections.abc import Iterator

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a cancelled CI job, a closed terminal."""


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Defer SIGINT, SIGTERM and SIGHUP until the end of the block.

    Only signals with a handler in Python are deferred: an ignored one stays ignored, also by processes that
    are started meanwhile. To be used in the main thread, as `signal.signal`.
    """
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    held = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in held:
        signal.signal(number, lambda received, _: came.append(received))
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
    for first in came[:1]:
        signal.raise_signal(first)
