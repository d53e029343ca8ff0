"""The model store: candidates by the digest of their content, promotions as an append-only log.

Layout, the same in a folder and in a bucket:

    candidates/<id>/manifest.json      names, sizes and digests of the files; <id> is its own digest
    candidates/<id>/model.onnx …
    promotions/00000017.json           create-if-absent: two promotions cannot both win
    serving/<name>/17/model.onnx       what a model server reads: the highest number is in production
    serving/<name>/17/served.json      what that server has to be told
"""

import datetime
import re
import shlex
from collections.abc import Mapping
from typing import Literal

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore
from pydantic import Field

from ml.errors import EvidenceError, PlatformError
from ml.gate.canonical import canonical_bytes, digest, parse
from ml.gate.evidence import ModelName
from ml.gate.records import Count, Digest, Record
from ml.objects import ObjectError, open_folder
from ml.s3 import explain

SHORTEST = 8
"""Characters of a candidate's id that name it: an empty shell variable must not."""

AGAIN = "run the pipeline again for a new candidate"
RESTORE = "restore the entry from a backup of the store"

CANDIDATE = re.compile("[0-9a-f]{64}")
ENTRY = re.compile("[0-9]{8}[.]json")


class FileEntry(Record):
    """One file of a candidate: its digest, and its size in bytes."""

    digest: Digest
    size: Count


class Manifest(Record):
    """What a candidate consists of. Its digest is the candidate's id."""

    schema_: Literal["jukebox.candidate/v1"] = Field("jukebox.candidate/v1", alias="schema")
    files: dict[str, FileEntry]

    @property
    def id(self) -> str:
        """The candidate's id: 64 hexadecimal digits."""
        return digest(canonical_bytes(self.to_json())).removeprefix("sha256:")


class Promotion(Record):
    """One entry of the log: from here on, this candidate is in production.

    ``replaces`` is the number of the promotion that was in force before (0: none). A rollback also
    ``restores`` the number of an earlier promotion. ``champion`` is the candidate in
    production when this one's run began ("": none). ``waived`` are the checks that it failed and that the
    policy waives; entries of the first version say nothing of them. ``commit`` is what the candidate was made
    from, and ``dirty`` whether the work tree had changes; ``who`` promoted it, and ``why`` if they said so:
    entries before the third version say nothing of these four.
    """

    schema_: Literal["jukebox.promotion/v1", "jukebox.promotion/v2", "jukebox.promotion/v3"] = Field(
        "jukebox.promotion/v3", alias="schema"
    )
    number: Count
    action: Literal["promote", "rollback"]
    candidate: str
    model_name: ModelName
    synthetic: bool
    model_digest: Digest
    evidence_digest: Digest
    policy_digest: Digest
    champion: str
    replaces: Count
    restores: Count
    at: str
    waived: tuple[str, ...] = ()
    commit: str = ""
    dirty: bool = False
    who: str = ""
    why: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether it refers to earlier promotions only, and a rollback to one."""
        earlier = max(self.replaces, self.restores) < self.number
        return earlier and (self.restores > 0) == (self.action == "rollback")


class ModelStore:
    """Candidates and promotions in a folder or a bucket."""

    def __init__(self, uri: str, *, create: bool = False) -> None:
        """Open the store.

        Raises:
            UsageError: the folder is not there (and not to be made), or cannot be.
        """
        self.uri = uri.rstrip("/")
        self._objects: ObjectStore = open_folder(self.uri, create=create)

    @property
    def listed(self) -> str:
        """The command that lists what is in this store, for messages."""
        return f"`{shlex.join(('jukebox', 'models', '--store', self.uri))}` lists what is there"

    def put_candidate(self, files: Mapping[str, bytes]) -> str:
        """Store files as a candidate and return its id; the manifest comes last, and makes it one.

        Raises:
            EvidenceError: other bytes stand where the candidate's would.
            PlatformError: the store cannot be written.
        """
        entries = {name: FileEntry(digest=digest(data), size=len(data)) for name, data in files.items()}
        manifest = Manifest(files=entries)
        for name, data in files.items():
            self._put_same(f"candidates/{manifest.id}/{name}", data)
        self._put_same(f"candidates/{manifest.id}/manifest.json", canonical_bytes(manifest.to_json()))
        return manifest.id

    def candidates(self) -> list[str]:
        """List the ids of all candidates, newest first.

        Raises:
            PlatformError: the store cannot be read.
        """
        return [candidate for _, candidate in self._candidates()]

    def _candidates(self) -> list[tuple[datetime.datetime, str]]:
        """List when each candidate was stored, and its id, newest first."""
        found = [
            (entry["last_modified"], entry["path"].split("/")[-2])
            for entry in self._list("candidates")
            if entry["path"].endswith("/manifest.json")
        ]
        return sorted(found, reverse=True)

    def read_candidate(self, candidate: str) -> dict[str, bytes]:
        """Return all files of a candidate, each checked against the manifest, and that against the id.

        Raises:
            EvidenceError: there is no such candidate, or a byte of it has changed.
            PlatformError: the store cannot be read.
        """
        manifest = self._manifest(candidate)
        files = {}
        for name, entry in manifest.files.items():
            content = self._get(f"candidates/{candidate}/{name}")
            if content is None or digest(content) != entry.digest:
                raise EvidenceError(
                    f"candidate {candidate}: {name} is missing or was changed after the gate; {AGAIN}"
                )
            files[name] = content
        return files

    def _manifest(self, candidate: str) -> Manifest:
        """Return the manifest of a candidate, checked against its id."""
        known = CANDIDATE.fullmatch(candidate)
        data = self._get(f"candidates/{candidate}/manifest.json") if known else None
        if data is None:
            raise EvidenceError(f"there is no candidate {candidate} in {self.uri}; {self.listed}")
        try:
            manifest = Manifest.load(parse(data))
        except (TypeError, ValueError) as error:
            raise EvidenceError(
                f"candidate {candidate}: its manifest is damaged: {error}; {AGAIN}"
            ) from error
        if manifest.id != candidate or canonical_bytes(manifest.to_json()) != data:
            raise EvidenceError(f"candidate {candidate}: its manifest was changed; {AGAIN}")
        return manifest

    def file_digest(self, candidate: str, name: str) -> str:
        """Return the digest that a candidate's manifest states of a file, or that of nothing.

        Raises:
            EvidenceError: there is no such candidate, or its manifest was changed.
            PlatformError: the store cannot be read.
        """
        entry = self._manifest(candidate).files.get(name)
        return entry.digest if entry else digest(b"")

    def find_candidate(self, prefix: str) -> str:
        """Return the one candidate whose id starts with a prefix.

        Raises:
            EvidenceError: none or several do.
        """
        if len(prefix) < SHORTEST:
            raise EvidenceError(
                f"candidate {prefix!r}: give {SHORTEST} characters of its id, or more; {self.listed}"
            )
        found = [candidate for candidate in self.candidates() if candidate.startswith(prefix)]
        if len(found) != 1:
            raise EvidenceError(f"{len(found)} candidates in {self.uri} start with {prefix!r}; {self.listed}")
        return found[0]

    def find_by_evidence(self, evidence: bytes) -> str:
        """Return the one candidate that was stored with this evidence.

        Raises:
            EvidenceError: there is none, or several: then one is a copy with something else in it.
            PlatformError: the store cannot be read.
        """
        wanted = digest(evidence)
        found: list[str] = []
        oldest = datetime.datetime.min.replace(tzinfo=datetime.UTC)
        for modified, candidate in self._candidates():
            if modified < oldest:
                break
            if self._evidence_of(candidate) == wanted:
                found.append(candidate)
                # A copy is younger than the run; so only its own day has to be looked through.
                oldest = modified - datetime.timedelta(days=1)
        if len(found) > 1:
            raise EvidenceError(
                f"{self.uri}: several candidates have the evidence {wanted}: {', '.join(found)}"
            )
        if not found:
            raise EvidenceError(
                f"{self.uri} holds no candidate with the evidence {wanted}; is it the run's --store?"
            )
        return found[0]

    def _evidence_of(self, candidate: str) -> str:
        """Return the digest of the evidence that a candidate's manifest names, "" for none."""
        try:
            manifest = Manifest.load(parse(self._get(f"candidates/{candidate}/manifest.json") or b""))
        except (TypeError, ValueError):
            return ""
        entry = manifest.files.get("evidence.json")
        return entry.digest if entry else ""

    def log(self) -> list[Promotion]:
        """Return all promotions, oldest first.

        Raises:
            EvidenceError: the log has a gap, or an entry is damaged.
            PlatformError: the store cannot be read.
        """
        names = sorted(entry["path"].rpartition("/")[2] for entry in self._list("promotions"))
        strange = [name for name in names if not ENTRY.fullmatch(name)]
        if strange:
            raise EvidenceError(f"{self.uri}/promotions/{strange[0]} is no promotion; remove it")
        numbers = [int(name.removesuffix(".json")) for name in names]
        if numbers != list(range(1, len(numbers) + 1)):
            raise EvidenceError(f"{self.uri}: the promotion log has a gap: {numbers}; {RESTORE}")
        promotions = []
        for number in numbers:
            try:
                promotion = Promotion.load(parse(self._get(_entry(number)) or b""))
            except (TypeError, ValueError) as error:
                raise EvidenceError(
                    f"{self.uri}: promotion {number} is damaged: {error}; {RESTORE}"
                ) from error
            if promotion.number != number or not promotion.is_sound:
                raise EvidenceError(f"{self.uri}: promotion {number} does not fit into the log; {RESTORE}")
            promotions.append(promotion)
        return promotions

    def append(self, promotion: Promotion) -> bool:
        """Append to the log; False when another promotion has taken the number.

        Raises:
            PlatformError: the store cannot be written.
        """
        return self._put(_entry(promotion.number), canonical_bytes(promotion.to_json()))

    def is_served(self, promotion: Promotion) -> bool:
        """Tell whether a promotion's model lies where a model server reads it.

        Raises:
            PlatformError: the store cannot be read.
        """
        path = _served(promotion)
        try:
            obstore.head(self._objects, path)
        except FileNotFoundError:
            return False
        except (ObjectError, OSError) as error:
            raise PlatformError(f"cannot read {self.uri}/{path}: {explain(error)}") from error
        return True

    def publish(self, promotion: Promotion, files: Mapping[str, bytes]) -> str:
        """Put a promoted model where a model server reads it, with what to tell the server; return the URI.

        Args:
            promotion: the entry in force.
            files: as `read_candidate` returns them; one from before there was ``served.json`` goes without.

        Raises:
            PlatformError: the store cannot be written.
        """
        path = _served(promotion)
        # The log says what is served; whatever else stood here was not it. The model comes last: a server
        # that sees it finds the rest.
        if "served.json" in files:
            folder = path.rpartition("/")[0]
            self._put(f"{folder}/served.json", files["served.json"], mode="overwrite")
        self._put(path, files["model.onnx"], mode="overwrite")
        return f"{self.uri}/{path}"

    def _put(self, path: str, data: bytes, mode: Literal["create", "overwrite"] = "create") -> bool:
        """Put an object; False when it is to be created and is there already."""
        try:
            obstore.put(self._objects, path, data, mode=mode)
        except AlreadyExistsError:
            return False
        except (ObjectError, OSError) as error:
            raise PlatformError(f"cannot write {self.uri}/{path}: {explain(error)}") from error
        return True

    def _put_same(self, path: str, data: bytes) -> None:
        """Create an object, or find that it is there with just these bytes."""
        if not self._put(path, data) and self._get(path) != data:
            raise EvidenceError(f"{self.uri}/{path} is there already, with other bytes; remove it")

    def _get(self, path: str) -> bytes | None:
        try:
            return bytes(obstore.get(self._objects, path).bytes())
        except FileNotFoundError:
            return None
        except (ObjectError, OSError) as error:
            raise PlatformError(f"cannot read {self.uri}/{path}: {explain(error)}") from error

    def _list(self, prefix: str) -> "list[obstore.ObjectMeta]":
        try:
            return [entry for page in obstore.list(self._objects, prefix) for entry in page]
        except (ObjectError, OSError) as error:
            raise PlatformError(f"cannot list {self.uri}/{prefix}: {explain(error)}") from error


def _served(promotion: Promotion) -> str:
    return f"serving/{promotion.model_name}/{promotion.number}/model.onnx"


def _entry(number: int) -> str:
    return f"promotions/{number:08}.json"
