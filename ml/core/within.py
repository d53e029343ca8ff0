"""Calls that end in time: what a library does not bound, a thread does."""

import functools
import queue
import threading
from collections.abc import Callable
from typing import NoReturn, TypeVar

T = TypeVar("T")


class NotInTime(Exception):
    """A call has not returned in its time; its thread is left behind."""


def call_within(seconds: float, call: Callable[[], T]) -> T:
    """Call in a thread and wait no longer than so many seconds.

    A socket's time-outs bound neither the look-up of a name nor an answer that drips; this does. And a
    signal reaches the waiting main thread at once.

    Raises:
        NotInTime: it has not returned.
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
