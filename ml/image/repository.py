"""A repository of a registry: read its blobs and manifests, and push to it what it lacks.

Everything is named by its digest, and checked against it here when it is read and by the registry when it is
written. What is there already is not sent again; what another repository of the registry has, is mounted.
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
"""Bytes of a manifest or a configuration: what registries take at most."""

CHUNK = 1 << 20
BLOB = {"Content-Type": "application/octet-stream"}


class _Sized:
    """Pieces of a known size in all; requests sends others in chunks, which not every registry takes."""

    def __init__(self, pieces: Iterable[bytes], size: int) -> None:
        self._pieces, self._size = pieces, size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)


class Repository:
    """A repository that images are read from or pushed to.

    Args:
        registry: how it is reached.
        name: with its registry, as ``registry.example/team/jukebox/component``.
        doing: what an error says cannot be done, as "push registry.example/…:tag".
    """

    def __init__(self, registry: Registry, name: str, doing: str) -> None:
        self.name, self.doing = name, doing
        self._session = Session(registry, name, doing)

    def manifest(self, which: str) -> dict[str, Any]:
        """Return the manifest under a digest or a tag.

        Raises:
            PlatformError: there is none, it is not what the digest says, or no JSON object.
        """
        return self._checked(which, self._small(f"manifests/{which}", {"Accept": MANIFESTS}))

    def config(self, digest: str) -> dict[str, Any]:
        """Return the configuration of an image.

        Raises:
            PlatformError: as for `manifest`.
        """
        return self._checked(digest, self._small(f"blobs/{digest}", {}))

    def has(self, digest: str) -> bool:
        """Ask whether a blob is there."""
        answer = self._session.ask("HEAD", f"blobs/{digest}")
        if answer.status_code not in (requests.codes.ok, requests.codes.not_found):
            raise self._refused(answer)
        return bool(answer.status_code == requests.codes.ok)

    def push(self, digest: str, size: int, opened: Callable[[], Iterable[bytes]], source: str = "") -> bool:
        """Push a blob that is not there; returns whether its bytes were sent.

        Args:
            digest: of the blob.
            size: its bytes.
            opened: gives the blob from its start, in pieces.
            source: a repository that has it: if it is of the same registry, the blob is mounted from there.

        Raises:
            PlatformError: the registry cannot be reached, or refuses: also bytes that are not of the digest.
        """
        if self.has(digest):
            return False
        host, _, path = source.partition("/")
        mount = f"?mount={digest}&from={quote(path, safe='')}" if host == self.name.partition("/")[0] else ""
        answer = self._session.ask("POST", f"blobs/uploads/{mount}")
        if answer.status_code == requests.codes.created and mount:
            return False
        if answer.status_code != requests.codes.accepted:
            raise self._refused(answer)
        place = self._session.there(answer.headers.get("Location", ""))
        place += f"{'&' if '?' in place else '?'}digest={digest}"
        answer = self._session.ask("PUT", place, BLOB, lambda: _Sized(opened(), size))
        if answer.status_code != requests.codes.created:
            raise self._refused(answer)
        return True

    def push_manifest(self, tag: str, manifest: bytes) -> str:
        """Push a manifest under a tag, and return its digest.

        Raises:
            PlatformError: the registry cannot be reached, or refuses.
        """
        headers = {"Content-Type": str(json.loads(manifest)["mediaType"])}
        answer = self._session.ask("PUT", f"manifests/{tag}", headers, lambda: manifest)
        if answer.status_code != requests.codes.created:
            raise self._refused(answer)
        return digest_of(manifest)

    def stream(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes of a blob.

        Raises:
            PlatformError: it is not there, or another one.
        """
        yield from self._read(f"blobs/{digest}", {}, digest)

    def _small(self, place: str, headers: dict[str, str]) -> bytes:
        found = b""
        for piece in self._read(place, headers, ""):
            found += piece
            if len(found) > LARGEST:
                raise PlatformError(f"cannot {self.doing}: more than {LARGEST} bytes of {place}")
        return found

    def _read(self, place: str, headers: dict[str, str], digest: str) -> Iterator[bytes]:
        answer, hashed = self._session.ask("GET", place, headers, stream=True), hashlib.sha256()
        if answer.status_code != requests.codes.ok:
            raise self._refused(answer)
        try:
            for piece in answer.iter_content(CHUNK):
                hashed.update(piece)
                yield piece
        except (requests.RequestException, OSError) as error:
            raise PlatformError(f"cannot {self.doing}: {place} ends too early") from error
        if digest and digest != f"sha256:{hashed.hexdigest()}":
            raise PlatformError(f"cannot {self.doing}: what the registry has as {digest} is another blob")

    def _checked(self, which: str, data: bytes) -> dict[str, Any]:
        if which.startswith("sha256:") and which != digest_of(data):
            raise PlatformError(f"cannot {self.doing}: what the registry has as {which} is something else")
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise PlatformError(f"cannot {self.doing}: {which} is no JSON object")
        return found

    def _refused(self, answer: requests.Response) -> PlatformError:
        status = answer.status_code
        answer.close()
        return PlatformError(f"cannot {self.doing}: the registry answers {status}")
