"""Calls with a time limit, for libraries that have none: the call runs in a thread."""

import functools
import queue
import threading
from collections.abc import Callable
from typing import NoReturn, TypeVar

T = TypeVar("T")


class NotInTime(Exception):
    """A call did not return in time; its thread goes on in the background."""


def call_within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns, or raise after so many seconds.

    The timeout of a socket limits neither a DNS lookup nor an answer that arrives byte by byte; this does.
    The main thread only waits, so a signal reaches it at once.

    Raises:
        NotInTime: the call has not returned.
        Exception: whatever the call raises.
    """
    answers: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()

    def work() -> None:
        try:
            value = call()
        except Exception as error:
            answers.put(functools.partial(_raise, error))
        else:
            answers.put(lambda: value)

    threading.Thread(target=work, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise NotInTime from None
    return answer()


def _raise(error: Exception) -> NoReturn:
    raise error
