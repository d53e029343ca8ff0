"""The trust root: who may sign attestations. It is given to the verifier, and never read from a store.

A trust file has one or more public keys in PEM; during a change of keys, it has the old and the new one. A
comment line just above a key is its name. Nothing else may be in the file:

    # platform team, 2026
    -----BEGIN PUBLIC KEY-----
    …
    -----END PUBLIC KEY-----

If attestations are signed keyless, it is JSON: the identities that may sign, each with the issuer of its
tokens, the site's Sigstore (`ml.release.keyless`), and in ``keys`` such public keys or "":

    {"schema": "jukebox.trust/v1", "keys": "", "identities": [{"identity": "…", "issuer": "…"}],
     "sigstore": {"mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json", …}}
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from ml.core.canonical import parse
from ml.core.errors import UsageError
from ml.core.records import Record
from ml.release.key_files import MAKE_KEYS, public_key, read_text
from ml.release.keyless import Identity, Sigstore, read_sigstore

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

PUBLIC_KEY = re.compile(
    r"(?:^#([^\n]*)\n)?^(-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+\n-----END PUBLIC KEY-----)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class TrustedKey:
    """A public key and its name, "" without one."""

    name: str
    key: "SSlibKey"


@dataclass(frozen=True)
class Trust:
    """The public keys, by key id, and the identities that may sign attestations.

    ``source`` is the path of the file, for messages. Without ``sigstore`` there are no identities.
    """

    source: str
    keys: dict[str, TrustedKey]
    identities: tuple[Identity, ...] = ()
    sigstore: Sigstore | None = None


class TrustDocument(Record):
    """A trust file in JSON."""

    schema_: Literal["jukebox.trust/v1"] = Field(alias="schema")
    keys: str = ""
    identities: Annotated[tuple[Identity, ...], Field(min_length=1)]
    sigstore: dict[str, Any]


def read_trust(path: str | Path) -> Trust:
    """Read a trust root from a file.

    Raises:
        UsageError: the file cannot be read, or is neither ECDSA P-256 public keys in PEM, each once, nor JSON
            of the schema ``jukebox.trust/v1``.
    """
    where = f"the trust file {path}"
    text = read_text(path, where).replace("\r\n", "\n")
    if "PRIVATE KEY" in text:
        raise UsageError(f"{where} contains a private key; replace it by the public key")
    if not text.lstrip().startswith("{"):
        return Trust(str(path), _read_keys(text, where))
    try:
        read = TrustDocument.load(parse(text.encode()))
    except (TypeError, ValueError, RecursionError) as error:
        brief = str(error)[:200]
        raise UsageError(f'{where}: {brief}; see "Sign keyless" in docs/how-to/attest.md') from error
    keys = _read_keys(read.keys, where) if read.keys else {}
    return Trust(str(path), keys, read.identities, read_sigstore(read.sigstore, where))


def _read_keys(text: str, where: str) -> dict[str, TrustedKey]:
    rest = [line for line in PUBLIC_KEY.sub("", text).splitlines() if line.strip() and line[0] != "#"]
    if rest:
        raise UsageError(f"{where} contains something else than public keys in PEM and # comments; remove it")
    keys: dict[str, TrustedKey] = {}
    for match in PUBLIC_KEY.finditer(text):
        name, pem = (match[1] or "").strip(), match[2]
        if not name.isprintable():
            raise UsageError(f"{where}: the name of key {len(keys) + 1} cannot be printed; give it another")
        key = public_key(pem, f"{where}: key {len(keys) + 1}")
        if key.keyid in keys:
            raise UsageError(f"{where} contains the key {key.keyid[:12]} twice; remove one")
        keys[key.keyid] = TrustedKey(name, key)
    if not keys:
        raise UsageError(f"{where} contains no public key in PEM; {MAKE_KEYS}")
    return keys
