"""Wishes to stop that wait for a moment: a process that is being started must be known to whoever ends it."""

import contextlib
import signal
from collections.abc import Iterator

WISHES = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a cancelled CI job, a closed terminal."""


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let a wish to stop wait until the end of the block, and come true there.

    Only wishes that somebody handles in Python are held: what is ignored stays ignored, also by processes
    that are started meanwhile. To be used in the main thread, as `signal.signal`.
    """
    came: list[int] = []
    handlers = {wish: signal.getsignal(wish) for wish in WISHES}
    held = {wish: handler for wish, handler in handlers.items() if callable(handler)}
    for wish in held:
        signal.signal(wish, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for wish, handler in held.items():
            signal.signal(wish, handler)
    for number in came[:1]:
        signal.raise_signal(number)
