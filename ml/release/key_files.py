"""Read keys from PEM files, as keys of securesystemslib; an error is one line.

Keys are ECDSA P-256. A key's id is the SHA-256 of its public part in DER, 64 hexadecimal digits:
``openssl pkey -pubin -in trust.pem -outform DER | sha256sum`` prints the same.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from ml.core.canonical import digest
from ml.core.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from securesystemslib.signer import SSlibKey

LARGEST_FILE = 1_000_000
"""Bytes of a key file or trust file."""

MAKE_KEYS = "`jukebox judge keys` makes a pair"


def read_text(path: str | Path, where: str, remedy: str = MAKE_KEYS) -> str:
    """Return the text of a small file.

    Args:
        path: the file.
        where: its name in messages.
        remedy: what to do about a file that cannot be used.

    Raises:
        UsageError: it cannot be read, is too large, or is not text.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror}; {remedy}") from error
    if len(data) > LARGEST_FILE:
        raise UsageError(f"{where} has more than {LARGEST_FILE} bytes; {remedy}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{where} is not text; {remedy}") from error


def private_key(path: str | Path) -> "EllipticCurvePrivateKey":
    """Return the signing key in a file: PKCS #8 in PEM, without a password.

    Raises:
        UsageError: it cannot be read or used; the message does not contain its content.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    where = f"the signing key {path}"
    text = read_text(path, where)
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError as error:
        raise UsageError(f"{where} is encrypted; give a key without a password, in a Secret") from error
    except (UnsupportedAlgorithm, ValueError) as error:
        raise UsageError(f"{where} is not a private key in PEM; {MAKE_KEYS}") from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise UsageError(f"{where} is not an ECDSA P-256 key; {MAKE_KEYS}")
    return key


def public_key(pem: str, where: str) -> "SSlibKey":
    """Return a public key from PEM.

    Args:
        pem: one block.
        where: its name in messages.

    Raises:
        UsageError: it is not an ECDSA P-256 key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem.encode())
    except (UnsupportedAlgorithm, ValueError) as error:
        raise UsageError(f"{where} is not a public key; {MAKE_KEYS}") from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise UsageError(f"{where} is not an ECDSA P-256 key; {MAKE_KEYS}")
    return identified(key)


def identified(key: "EllipticCurvePublicKey") -> "SSlibKey":
    """Return a public key with its id: the digest of its DER form."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from securesystemslib.signer import SSlibKey

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return SSlibKey.from_crypto(key, keyid=digest(der).removeprefix("sha256:"))
