"""Canonical JSON: each JSON value has one sequence of bytes. All digests of the project are made of it.

Keys are sorted, there is no white space, and the encoding is UTF-8. NaN and infinity are refused when a value
is written, so that no reader meets them.
"""

import hashlib
import json
import math
from collections import Counter
from typing import Any


def canonical_bytes(value: Any) -> bytes:
    """Serialise a JSON value to its canonical bytes, ending in a newline.

    Raises:
        ValueError: the value contains NaN or infinity.
        TypeError: the value is not JSON.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def parse(data: bytes) -> Any:
    """Parse JSON strictly: UTF-8, no NaN or infinity, no key twice in one object.

    Raises:
        ValueError: the bytes are not strict JSON; the message says why.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a number")

    def finite(number: str) -> float:
        value = float(number)
        if math.isinf(value):
            raise ValueError(f"{number} is too large a number")
        return value

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counts = Counter(key for key, _ in pairs)
        twice = sorted(key for key, count in counts.items() if count > 1)
        if twice:
            raise ValueError(f"key {twice[0]!r} stands twice in one object")
        return dict(pairs)

    try:
        return json.loads(data.decode(), parse_constant=refuse, parse_float=finite, object_pairs_hook=unique)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def digest(data: bytes) -> str:
    """Return the digest of bytes as ``sha256:<hex>``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
