"""The secret key that decides which new recordings are sealed: nobody without it can tell in advance."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from pathlib import Path

from ml.core.errors import UsageError

SEALED = 0.20
"""The share of recordings that are sealed."""

KEY = re.compile(rb"[0-9a-f]{64}\n?")


@dataclass(frozen=True)
class HoldoutKey:
    """The key. Its id is derived from it, and tells nothing about it."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """The key's name in ledger and manifests: 16 hexadecimal digits."""
        return hashlib.sha256(self._code("id")).hexdigest()[:16]

    def seals(self, recording: str) -> bool:
        """Tell whether a recording that was never seen before is sealed."""
        return int.from_bytes(self._code(f"recording:{recording}")[:8], "big") < SEALED * 2**64

    def _code(self, message: str) -> bytes:
        return hmac.new(self.secret, message.encode(), "sha256").digest()


def read_key(path: Path) -> HoldoutKey:
    """Read the key from its file: 32 random bytes as hexadecimal digits.

    Raises:
        UsageError: it cannot be read, or is not such a key.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--key-file {path}: {error.strerror}; `jukebox judge keys` makes one") from error
    if not KEY.fullmatch(data):
        raise UsageError(
            f"--key-file {path} holds no key of 64 hexadecimal digits; `jukebox judge keys` makes one"
        )
    return HoldoutKey(bytes.fromhex(data.decode().strip()))
