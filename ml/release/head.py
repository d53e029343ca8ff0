"""The head of the promotion log: number and digest of the newest entry, stored outside of the model store.

The chain of digests reveals an entry that was changed or removed in the middle. That the newest entries were
removed is visible only from a copy of the head elsewhere: in a file (which may be a mounted ConfigMap), or
in a ConfigMap through the Kubernetes API.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ml.core.canonical import parse
from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.core.files import write_bytes
from ml.core.records import Count, Digest, Record
from ml.release.log import RESTORE, Promotion

VARIABLE = "JUKEBOX_HEAD"
"""The variable that says where the head is, for verbs without an option for it."""

CONFIG_MAP = "configmap:"
NOT_CHECKED = "head not checked"


class Head(Record):
    """Number and digest of the newest entry of a log; 0 and "" for an empty log."""

    number: Count
    digest: Digest | Literal[""]

    @property
    def text(self) -> str:
        """The head on one line of JSON."""
        return self.to_bytes().decode().strip()


def head_of(log: Sequence[Promotion]) -> Head:
    """Return the head of a log."""
    return Head(number=len(log), digest=log[-1].digest if log else "")


def require_head(log: Sequence[Promotion], head: Head, store: str, where: str) -> None:
    """Check that a log still has the entry that the head names.

    It may have newer entries: an interruption after a promotion leaves the older head.

    Args:
        log: the entries.
        head: the stored head.
        store: the store's URI, for messages.
        where: where the head is stored, for messages.

    Raises:
        EvidenceError: entries are missing, or were changed.
    """
    if len(log) < head.number:
        raise EvidenceError(
            f"{store}: the promotion log ends with {len(log)}, but {where} says that promotion {head.number} "
            f"was made: the newest entries were removed; {RESTORE}"
        )
    if head.number and log[head.number - 1].digest != head.digest:
        raise EvidenceError(
            f"{store}: promotion {head.number} has another digest than in {where}: it was changed; {RESTORE}"
        )


def read_head(where: str) -> Head | None:
    """Return the stored head, None if none is stored yet.

    Args:
        where: a file, ``configmap:NAME``, or "" for nowhere.

    Raises:
        UsageError: there is no such ConfigMap, or its content is not a head.
        PlatformError: it cannot be read.
    """
    if not where:
        return None
    if where.startswith(CONFIG_MAP):
        from ml.release.config_map import read_key

        text = read_key(where.removeprefix(CONFIG_MAP))
    else:
        try:
            text = Path(where).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise PlatformError(f"--head {where}: cannot be read: {error}") from error
    return _parsed(text, where)


def keep_head(where: str, head: Head) -> None:
    """Store the head, unless a newer one is stored or the file is mounted read-only.

    Raises:
        UsageError: as `read_head`.
        PlatformError: it cannot be stored.
    """
    if where.startswith(CONFIG_MAP):
        from ml.release.config_map import replace_key

        replace_key(where.removeprefix(CONFIG_MAP), lambda text: _newer(text, where, head))
    elif where and _writable(Path(where)):
        kept = read_head(where)
        if kept is None or kept.number < head.number:
            try:
                write_bytes(where, f"{head.text}\n".encode())
            except OSError as error:
                raise PlatformError(f"--head {where}: cannot be written: {error.strerror}") from error


def _newer(text: str, where: str, head: Head) -> str | None:
    """Return the text that replaces a stored one, None if that is not older."""
    kept = _parsed(text, where)
    return head.text if kept is None or kept.number < head.number else None


def _parsed(text: str, where: str) -> Head | None:
    if not text.strip():
        return None
    try:
        return Head.load(parse(text.encode()))
    except (TypeError, ValueError) as error:
        raise UsageError(f"--head {where}: not the head of a log: {error}; see `jukebox models`") from error


def _writable(path: Path) -> bool:
    """Return whether a file can be replaced; a mounted ConfigMap cannot."""
    return os.access(path.parent, os.W_OK | os.X_OK) and not path.is_symlink()
