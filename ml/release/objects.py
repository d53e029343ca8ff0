"""The objects of a store: create, read and list them within limits. Every error has a message of one line."""

import uuid
from dataclasses import dataclass
from typing import Literal

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore

from ml.core.errors import EvidenceError, PlatformError
from ml.storage.explain import explain
from ml.storage.objects import ObjectError, open_folder

ILLEGAL = "invalid path"
"""What obstore says about a listed key that is not a path (an empty part, a dot, a control character)."""


@dataclass(frozen=True)
class Listed:
    """Objects below a prefix; ``stopped`` says why there may be more, "" if these are all."""

    entries: "tuple[obstore.ObjectMeta, ...]"
    stopped: str = ""


class Objects:
    """Objects in a folder or a bucket."""

    def __init__(self, uri: str, *, create: bool = False) -> None:
        """Open the folder or prefix.

        Raises:
            UsageError: the folder is missing or cannot be created.
        """
        self.uri = uri.rstrip("/")
        self._objects: ObjectStore = open_folder(self.uri, create=create)

    def put(self, path: str, data: bytes, mode: Literal["create", "overwrite"] = "create") -> bool:
        """Write an object; return False in mode "create" if it exists already.

        Raises:
            PlatformError: it cannot be written.
        """
        try:
            obstore.put(self._objects, path, data, mode=mode)
        except AlreadyExistsError:
            return False
        except (ObjectError, OSError) as error:
            raise PlatformError(f"cannot write {self.uri}/{path}: {explain(error)}") from error
        return True

    def put_same(self, path: str, data: bytes) -> None:
        """Create an object, unless it exists with the same bytes.

        Raises:
            EvidenceError: it exists with other bytes.
            PlatformError: it cannot be read or written.
        """
        if not self.put(path, data) and not self.holds(path, data):
            raise EvidenceError(f"{self.uri}/{path} is there already, with other bytes; remove it")

    def get(self, path: str, most: int) -> bytes | None:
        """Return an object of at most so many bytes, None if it does not exist.

        Raises:
            EvidenceError: it has more bytes; it is not read.
            PlatformError: it cannot be read.
        """
        try:
            stored = obstore.get(self._objects, path)
            size = stored.meta["size"]
            if size > most:
                raise EvidenceError(f"{self.uri}/{path} has {size} bytes, more than {most}")
            return bytes(stored.bytes())
        except FileNotFoundError:
            return None
        except (ObjectError, OSError) as error:
            raise PlatformError(f"cannot read {self.uri}/{path}: {explain(error)}") from error

    def holds(self, path: str, data: bytes) -> bool:
        """Return whether an object exists with exactly these bytes.

        Raises:
            PlatformError: it cannot be read.
        """
        try:
            return self.get(path, len(data)) == data
        except EvidenceError:
            return False

    def exists(self, path: str) -> bool:
        """Return whether an object exists.

        Raises:
            PlatformError: the store cannot be read.
        """
        try:
            obstore.head(self._objects, path)
        except FileNotFoundError:
            return False
        except (ObjectError, OSError) as error:
            raise PlatformError(f"cannot read {self.uri}/{path}: {explain(error)}") from error
        return True

    def listed(self, prefix: str, most: int) -> Listed:
        """List at most so many objects below a prefix; a key that is not a path ends the list.

        Raises:
            PlatformError: the store cannot be listed.
        """
        entries: list[obstore.ObjectMeta] = []
        try:
            for page in obstore.list(self._objects, prefix):
                entries += page
                if len(entries) > most:
                    return Listed(tuple(entries[:most]), f"there are more than {most} objects")
        except (ObjectError, OSError) as error:
            if ILLEGAL not in str(error):
                raise PlatformError(f"cannot list {self.uri}/{prefix}: {explain(error)}") from error
            return Listed(tuple(entries), f"the list ends early: {explain(error)}")
        return Listed(tuple(entries))

    def require_conditional_create(self) -> None:
        """Check that the store does not create an object twice, so that two promotions cannot both succeed.

        Raises:
            PlatformError: it does not refuse, or cannot be read or written.
        """
        path = f"probe/{uuid.uuid4().hex}"
        try:
            won = [self.put(path, data) for data in (b"first", b"second")]
            kept = self.get(path, 16)
        finally:
            self._discard(path)
        if won != [True, False] or kept != b"first":
            raise PlatformError(
                f"{self.uri} ignores conditional writes (If-None-Match: *), so one of two promotions at the "
                "same time would be lost; use a store that supports them (AWS S3, MinIO, Ceph 19 or later)"
            )

    def _discard(self, path: str) -> None:
        """Delete an object, if the credentials may do that."""
        try:
            obstore.delete(self._objects, path)
        except (ObjectError, OSError):
            return
