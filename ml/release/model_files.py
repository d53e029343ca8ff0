"""Find the files of a model: in a folder, as one file, or as a candidate in a store."""

from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.store import ObjectStore

from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.gate.candidate import CANDIDATE_FILES, FileName
from ml.storage.explain import explain
from ml.storage.objects import ObjectError, open_folder

SHORTEST = 8
"""The fewest characters of an id that name a candidate."""

PLACES = ("promoted", "candidates")
"""Folders of a store with candidates; promoted/ comes first, because runs cannot write there."""


@dataclass(frozen=True)
class Model:
    """The files to verify: a folder or prefix, and the path of each file of the candidate in it.

    ``where`` is its name in messages.
    """

    where: str
    objects: ObjectStore
    prefix: str
    files: dict[FileName, str]

    def read(self, path: str, most: int) -> bytes | None:
        """Return a file, at most ``most + 1`` bytes of it; None if there is none.

        Raises:
            PlatformError: it cannot be read.
        """
        try:
            stored = obstore.get(self.objects, f"{self.prefix}{path}")
            if stored.meta["size"] > most:
                return bytes(
                    obstore.get_range(self.objects, f"{self.prefix}{path}", start=0, length=most + 1)
                )
            return bytes(stored.bytes())
        except FileNotFoundError:
            return None
        except (ObjectError, OSError) as error:
            raise PlatformError(f"cannot read {self.where}/{path}: {explain(error)}") from error

    def below(self, folder: str) -> list[str]:
        """Return the sorted paths of all files below a folder; none if it does not exist.

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
        named: a folder with a model, the file of a model, or the beginning of a candidate's id.
        store: the URI of the model store that has the candidate.

    Raises:
        UsageError: there is no such file, folder or store, or no model in it.
        EvidenceError: no candidate of the store has such an id, or several have.
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
    """Return the files of the candidate in a store whose id has this beginning."""
    store = store.rstrip("/")
    objects = open_folder(store)
    for place in PLACES:
        ids = [folder.rpartition("/")[2] for folder in _folders(objects, place, store)]
        matching = [candidate for candidate in ids if candidate.startswith(beginning)]
        if len(matching) > 1:
            raise EvidenceError(
                f"{len(matching)} candidates in {store}/{place} start with {beginning}; give more characters"
            )
        if matching:
            prefix = f"{place}/{matching[0]}/"
            return Model(f"{store}/{prefix[:-1]}", objects, prefix, {name: name for name in CANDIDATE_FILES})
    raise EvidenceError(f"no candidate in {store} starts with {beginning}; is it the right --store?")


def _folders(objects: ObjectStore, prefix: str, store: str) -> list[str]:
    try:
        return list(obstore.list_with_delimiter(objects, prefix)["common_prefixes"])
    except (ObjectError, OSError) as error:
        raise PlatformError(f"cannot list {store}/{prefix}: {explain(error)}") from error
