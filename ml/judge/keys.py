"""The judge's keys: the secret that decides what is sealed, and the key that signs attestations.

A key is made once, and renewed by hand: a lost signing key means that every attestation is made again, and
another holdout key seals only recordings that come later. So nothing here replaces a file.
"""

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ml.core.clock import today
from ml.core.errors import UsageError
from ml.core.files import require_folder
from ml.core.settings import LABEL
from ml.release.trust import read_trust

HOLDOUT, SIGNING, TRUST, MANIFEST = "holdout.key", "signing.pem", "trust.pem", "keys.yaml"
"""The files: two secret keys, the public part of the second, and all three for Kubernetes."""

PART_OF = {"app.kubernetes.io/part-of": "jukebox"}
PRIVATE, PUBLIC = 0o600, 0o644


@dataclass(frozen=True)
class Keys:
    """What was made: where it is, and what may be shown of it."""

    folder: Path
    files: tuple[str, ...]
    key_id: str


def make_keys(folder: Path, namespace: str = "") -> Keys:
    """Make both keys, write them into a folder, and return what may be shown of them.

    The files: ``holdout.key`` (32 random bytes as 64 hexadecimal digits), ``signing.pem`` (ECDSA P-256,
    PKCS #8), ``trust.pem`` (its public part), and ``keys.yaml`` (the Secrets ``jukebox-holdout-key`` and
    ``jukebox-signing-key`` and the ConfigMap ``jukebox-trust``). Only the owner reads them, but for
    ``trust.pem``.

    Args:
        folder: it is made where it is not there.
        namespace: that of the manifests; "" leaves it to kubectl.

    Raises:
        UsageError: one of the files is there already, the folder cannot be written, or the namespace is none.
            Nothing is left then.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    if not re.fullmatch(LABEL, namespace):
        raise UsageError(f"--namespace {namespace!r} is not a valid namespace: use a-z, 0-9 and -")
    require_folder(folder, "--out")
    private = generate_private_key(SECP256R1())
    signing = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    trust = f"# made on {today()}\n{public}"
    holdout = secrets.token_hex(32)
    files = {
        HOLDOUT: (holdout, PRIVATE),
        SIGNING: (signing, PRIVATE),
        TRUST: (trust, PUBLIC),
        MANIFEST: (manifests(holdout, signing, trust, namespace), PRIVATE),
    }
    try:
        _create(folder, files)
    except FileExistsError as error:
        raise UsageError(
            f"{error.filename} is there already, and a key is not replaced; name another folder with --out"
        ) from error
    except OSError as error:
        raise UsageError(f"--out {folder}: {error.strerror}") from error
    (key_id,) = read_trust(folder / TRUST).keys
    return Keys(folder, tuple(files), key_id)


def manifests(holdout: str, signing: str, trust: str, namespace: str) -> str:
    """Return the keys as Kubernetes manifests, in YAML.

    The Secrets are immutable: a key that is replaced by accident cannot be brought back. The trust root is
    not: keys are added to it.
    """
    return yaml.safe_dump_all(
        [
            _manifest(
                "Secret", "jukebox-holdout-key", namespace, stringData={"key": holdout}, immutable=True
            ),
            _manifest(
                "Secret", "jukebox-signing-key", namespace, stringData={"key.pem": signing}, immutable=True
            ),
            _manifest("ConfigMap", "jukebox-trust", namespace, data={"trust.pem": trust}),
        ],
        sort_keys=False,
    )


def _manifest(kind: str, name: str, namespace: str, **content: Any) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, **place, "labels": dict(PART_OF)},
        **content,
    }


def _create(folder: Path, files: dict[str, tuple[str, int]]) -> None:
    """Create all files, or none; what is there already stays as it is.

    Raises:
        OSError: one of them is there, or cannot be written.
    """
    made: list[Path] = []
    try:
        for name, (text, mode) in files.items():
            path = folder / name
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            made.append(path)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise
