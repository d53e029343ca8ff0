"""The files of a model, wherever a user has them: a folder, one file, or a candidate in a store."""

from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.store import ObjectStore

from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.gate.candidate import CANDIDATE_FILES, FileName
from ml.storage.objects import ObjectError, open_folder
from ml.storage.s3 import explain

SHORTEST = 8
"""Characters of a candidate's id that name it."""

PLACES = ("promoted", "candidates")
"""Where a store has a candidate's files; what is promoted comes first, because no run writes there."""


@dataclass(frozen=True)
class Model:
    """The bytes to verify: a folder or prefix, and where each of the candidate's files is in it.

    ``where`` is how messages name it.
    """

    where: str
    objects: ObjectStore
    prefix: str
    files: dict[FileName, str]

    def read(self, path: str, most: int) -> bytes | None:
        """Return a file; None where there is none, and of a larger one no more than ``most + 1`` bytes.

        Raises:
            PlatformError: it cannot be read.
        """
        try:
            found = obstore.get(self.objects, f"{self.prefix}{path}")
            if found.meta["size"] > most:
                return bytes(
                    obstore.get_range(self.objects, f"{self.prefix}{path}", start=0, length=most + 1)
                )
            return bytes(found.bytes())
        except FileNotFoundError:
            return None
        except (ObjectError, OSError) as error:
            raise PlatformError(f"cannot read {self.where}/{path}: {explain(error)}") from error

    def below(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder, in order; none where there is no such folder.

        Raises:
            PlatformError: they cannot be listed.
        """
        try:
            pages = obstore.list(self.objects, f"{self.prefix}{folder}")
            return sorted(entry["path"].removeprefix(self.prefix) for page in pages for entry in page)
        except (ObjectError, OSError) as error:
            raise PlatformError(f"cannot list {self.where}/{folder}: {explain(error)}") from error


def find_model(named: str, store: str) -> Model:
    """Return the model that a user named.

    Args:
        named: a folder with a model, a file that is one, or the beginning of a candidate's id.
        store: the URI of the model store, for an id.

    Raises:
        UsageError: there is no such file, folder or store, or no model in it.
        EvidenceError: none or several candidates of the store have such an id.
        PlatformError: the store cannot be read.
    """
    path = Path(named)
    if path.is_file():
        (name,) = [name for name in CANDIDATE_FILES if name == path.name] or ["model.onnx"]
        return Model(str(path), open_folder(str(path.parent)), "", {name: path.name})
    if path.is_dir():
        objects = open_folder(str(path))
        files: dict[FileName, str] = {name: name for name in CANDIDATE_FILES if (path / name).is_file()}
        if "model.onnx" not in files:
            raise UsageError(f"{path} has no model.onnx; name the folder that holds a model")
        return Model(str(path), objects, "", files)
    if len(named) < SHORTEST or not set(named) <= set("0123456789abcdef"):
        raise UsageError(
            f"{named!r} is no file, no folder, and no candidate's id of {SHORTEST} characters or more"
        )
    return _candidate(named, store)


def _candidate(beginning: str, store: str) -> Model:
    """Return the files of the one candidate in a store whose id begins so."""
    store = store.rstrip("/")
    objects = open_folder(store)
    for place in PLACES:
        ids = [folder.rpartition("/")[2] for folder in _folders(objects, place, store)]
        found = [candidate for candidate in ids if candidate.startswith(beginning)]
        if len(found) > 1:
            raise EvidenceError(
                f"{len(found)} candidates in {store}/{place} start with {beginning}; give more of it"
            )
        if found:
            prefix = f"{place}/{found[0]}/"
            return Model(f"{store}/{prefix[:-1]}", objects, prefix, {name: name for name in CANDIDATE_FILES})
    raise EvidenceError(f"no candidate in {store} starts with {beginning}; is it the right --store?")


def _folders(objects: ObjectStore, prefix: str, store: str) -> list[str]:
    try:
        return list(obstore.list_with_delimiter(objects, prefix)["common_prefixes"])
    except (ObjectError, OSError) as error:
        raise PlatformError(f"cannot list {store}/{prefix}: {explain(error)}") from error
