"""A repository of a registry: read its blobs and manifests, and push the blobs that it lacks.

Every blob and manifest is named by its digest. This module checks the digest on reading, the registry on
writing. A blob that exists is not sent again; a blob of another repository of the registry is mounted.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

import requests

from ml.core.canonical import digest as digest_of
from ml.core.errors import PlatformError
from ml.image.registry import MANIFESTS, Registry, Session

LARGEST = 4 << 20
"""The largest manifest or configuration in bytes: the limit of registries."""

CHUNK = 1 << 20
BLOB = {"Content-Type": "application/octet-stream"}


class _Sized:
    """Chunks with a known total size.

    Without a size requests uses chunked encoding, which some registries refuse.
    """

    def __init__(self, chunks: Iterable[bytes], size: int) -> None:
        self._chunks, self._size = chunks, size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


class Repository:
    """A repository that images are read from or pushed to.

    Args:
        registry: how it is reached.
        name: with its registry, as ``registry.example/team/jukebox/component``.
        action: what an error message says cannot be done, as "push registry.example/…:tag".
    """

    def __init__(self, registry: Registry, name: str, action: str) -> None:
        self.name, self.action = name, action
        self._session = Session(registry, name, action)

    def manifest(self, reference: str) -> dict[str, Any]:
        """Return the manifest under a digest or a tag.

        Raises:
            PlatformError: it does not exist, differs from its digest, or is not a JSON object.
        """
        return self._checked(reference, self._small(f"manifests/{reference}", {"Accept": MANIFESTS}))

    def config(self, digest: str) -> dict[str, Any]:
        """Return the configuration of an image.

        Raises:
            PlatformError: as for `manifest`.
        """
        return self._checked(digest, self._small(f"blobs/{digest}", {}))

    def has(self, digest: str) -> bool:
        """Return whether a blob exists.

        Raises:
            PlatformError: the registry cannot be reached, or refuses.
        """
        answer = self._session.request("HEAD", f"blobs/{digest}")
        if answer.status_code not in (requests.codes.ok, requests.codes.not_found):
            raise self._refused(answer)
        return bool(answer.status_code == requests.codes.ok)

    def push(self, digest: str, size: int, opened: Callable[[], Iterable[bytes]], source: str = "") -> bool:
        """Push a blob unless it exists; returns whether its bytes were sent.

        Args:
            digest: the digest of the blob.
            size: its size in bytes.
            opened: returns the blob from its start, in chunks.
            source: a repository that has the blob; if its registry is the same, the blob is mounted.

        Raises:
            PlatformError: the registry cannot be reached, or refuses, for example bytes that differ from the
                digest.
        """
        if self.has(digest):
            return False
        host, _, path = source.partition("/")
        mount = f"?mount={digest}&from={quote(path, safe='')}" if host == self.name.partition("/")[0] else ""
        answer = self._session.request("POST", f"blobs/uploads/{mount}")
        if answer.status_code == requests.codes.created and mount:
            return False
        if answer.status_code != requests.codes.accepted:
            raise self._refused(answer)
        address = self._session.own_address(answer.headers.get("Location", ""))
        address += f"{'&' if '?' in address else '?'}digest={digest}"
        answer = self._session.request("PUT", address, BLOB, lambda: _Sized(opened(), size))
        if answer.status_code != requests.codes.created:
            raise self._refused(answer)
        return True

    def push_manifest(self, tag: str, manifest: bytes) -> str:
        """Push a manifest under a tag, and return its digest.

        Raises:
            PlatformError: the registry cannot be reached, or refuses.
        """
        headers = {"Content-Type": str(json.loads(manifest)["mediaType"])}
        answer = self._session.request("PUT", f"manifests/{tag}", headers, lambda: manifest)
        if answer.status_code != requests.codes.created:
            raise self._refused(answer)
        return digest_of(manifest)

    def stream(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes of a blob.

        Raises:
            PlatformError: it does not exist, or differs from its digest.
        """
        yield from self._read(f"blobs/{digest}", {}, digest)

    def _small(self, path: str, headers: dict[str, str]) -> bytes:
        data = b""
        for chunk in self._read(path, headers, ""):
            data += chunk
            if len(data) > LARGEST:
                raise PlatformError(f"cannot {self.action}: {path} has more than {LARGEST} bytes")
        return data

    def _read(self, path: str, headers: dict[str, str], digest: str) -> Iterator[bytes]:
        answer, hashed = self._session.request("GET", path, headers, stream=True), hashlib.sha256()
        if answer.status_code != requests.codes.ok:
            raise self._refused(answer)
        try:
            for chunk in answer.iter_content(CHUNK):
                hashed.update(chunk)
                yield chunk
        except (requests.RequestException, OSError) as error:
            raise PlatformError(f"cannot {self.action}: the download of {path} broke off") from error
        if digest and digest != f"sha256:{hashed.hexdigest()}":
            raise PlatformError(f"cannot {self.action}: the content of {digest} has another digest")

    def _checked(self, reference: str, data: bytes) -> dict[str, Any]:
        if reference.startswith("sha256:") and reference != digest_of(data):
            raise PlatformError(f"cannot {self.action}: the content of {reference} has another digest")
        try:
            document = json.loads(data)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise PlatformError(f"cannot {self.action}: {reference} is not a JSON object")
        return document

    def _refused(self, answer: requests.Response) -> PlatformError:
        status = answer.status_code
        answer.close()
        return PlatformError(f"cannot {self.action}: the registry answers {status}")
