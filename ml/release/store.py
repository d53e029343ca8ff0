"""The model store: candidates by the digest of their content, promotions as an append-only log.

Layout, the same in a folder and in a bucket:

    candidates/<id>/{manifest.json, model.keras, model.onnx, served.json}    <id> is the manifest's digest
    candidates/<id>/reports/<run id>/evidence.json …   reports of runs: shown, but not trusted
    promoted/<id>/…                    the same files; runs cannot write here
    promoted/<id>/attestations/<sha256 of the envelope>.json
    promotions/00000017.json           `ml.release.log`
    serving/<name>/17/model.onnx       what a model server reads: the highest number is in production
    serving/<name>/17/served.json      the settings of that server
    registered/00000017.json           `ml.release.registry.registration`
    decisions/<inputs>.json            `ml.release.decisions`
"""

import os
import re
import shlex
from collections.abc import Mapping

from ml.core.errors import EvidenceError
from ml.release import candidates, promoted
from ml.release.head import NOT_CHECKED, VARIABLE, Head, head_of, keep_head, read_head, require_head
from ml.release.listing import Listing, list_candidates
from ml.release.log import Promotion, path_of, read_log
from ml.release.objects import Objects

SHORTEST = 8
"""The fewest characters of an id that name a candidate, so that an empty shell variable names none."""


class ModelStore:
    """Candidates, promoted models and the promotion log in a folder or a bucket."""

    def __init__(self, uri: str, *, create: bool = False, head: str | None = None) -> None:
        """Open the store.

        Args:
            uri: a folder, or s3://bucket/prefix.
            create: create a folder that is missing.
            head: where the log's head is stored (`ml.release.head`), "" for nowhere; None is JUKEBOX_HEAD.

        Raises:
            UsageError: the folder is missing or cannot be created.
        """
        self.objects = Objects(uri, create=create)
        self.uri = self.objects.uri
        self.head_at = os.environ.get(VARIABLE, "") if head is None else head

    @property
    def listed(self) -> str:
        """The command that lists this store, for messages."""
        return f"`{shlex.join(('jukebox', 'models', '--store', self.uri))}` lists what is there"

    def put_candidate(self, files: Mapping[str, bytes], run_id: str, reports: Mapping[str, bytes]) -> str:
        """Store a candidate with its run's reports and return its id: `candidates.put_candidate`."""
        return candidates.put_candidate(self.objects, files, run_id, reports)

    def read_candidate(self, candidate: str) -> dict[str, bytes]:
        """Return the checked files of a candidate: `candidates.read_candidate`."""
        return candidates.read_candidate(self.objects, candidate, self.listed)

    def read_reports(self, candidate: str, run_id: str = "") -> dict[str, dict[str, bytes]]:
        """Return the reports of runs about a candidate: `candidates.read_reports`."""
        return candidates.read_reports(self.objects, candidate, run_id)

    def listing(self) -> Listing:
        """List the candidates, newest first, and what was skipped: `listing.list_candidates`."""
        return list_candidates(self.objects)

    def candidates(self) -> list[str]:
        """List the ids of all candidates, newest first.

        Raises:
            PlatformError: the store cannot be read.
        """
        return list(self.listing().candidates)

    def find_candidate(self, prefix: str) -> str:
        """Return the candidate whose id has a prefix; a full id is returned without a search.

        Raises:
            EvidenceError: no id has the prefix, or several have.
            PlatformError: the store cannot be read.
        """
        if candidates.ID.fullmatch(prefix):
            return prefix
        if len(prefix) < SHORTEST or not re.fullmatch("[0-9a-f]*", prefix):
            raise EvidenceError(
                f"candidate {prefix!r}: give {SHORTEST} characters of its id, or more; {self.listed}"
            )
        known = {*self.candidates(), *(entry.candidate for entry in self.log())}
        matching = sorted(candidate for candidate in known if candidate.startswith(prefix))
        if len(matching) != 1:
            raise EvidenceError(
                f"{len(matching)} candidates in {self.uri} start with {prefix!r}; {self.listed}"
            )
        return matching[0]

    def is_promoted(self, candidate: str) -> bool:
        """Return whether a candidate is in promoted/: `promoted.is_promoted`."""
        return promoted.is_promoted(self.objects, candidate)

    def put_promoted(self, candidate: str, files: Mapping[str, bytes], attestation: bytes | None) -> None:
        """Copy a candidate to promoted/: `promoted.put_promoted`."""
        manifest = promoted.manifest_bytes(files)
        promoted.put_promoted(self.objects, candidate, files, manifest, attestation)

    def read_promoted(self, candidate: str) -> dict[str, bytes]:
        """Return the checked files of a promoted model: `promoted.read_promoted`."""
        return promoted.read_promoted(self.objects, candidate)

    def log(self) -> list[Promotion]:
        """Return all promotions, oldest first, checked against the head if it is stored.

        Raises:
            EvidenceError: an entry is missing, damaged or changed.
            UsageError: the stored head is malformed.
            PlatformError: store or head cannot be read.
        """
        # The head is read first: a promotion between the two reads only makes the log longer.
        head = read_head(self.head_at)
        log = read_log(self.objects)
        if head:
            require_head(log, head, self.uri, self.head_at)
        return log

    def head_state(self) -> str:
        """Return against which head the log was checked, in a few words.

        Raises:
            UsageError, PlatformError: as `log`.
        """
        head = read_head(self.head_at)
        return f"head {head.number} of {self.head_at}" if head else NOT_CHECKED

    def keep_head(self, log: list[Promotion]) -> Head:
        """Store the log's head, and return it.

        Raises:
            UsageError, PlatformError: it cannot be stored.
        """
        head = head_of(log)
        keep_head(self.head_at, head)
        return head

    def append(self, promotion: Promotion) -> bool:
        """Append an entry to the log; return False if another entry has its number.

        Raises:
            PlatformError: the store cannot be written.
        """
        return self.objects.put(path_of(promotion.number), promotion.to_bytes())

    def is_served(self, promotion: Promotion) -> bool:
        """Return whether a promotion's model is where a model server reads it.

        Raises:
            PlatformError: the store cannot be read.
        """
        return self.objects.exists(_served(promotion))

    def publish(self, promotion: Promotion, files: Mapping[str, bytes]) -> str:
        """Write a promoted model and its settings to where a model server reads them; return the URI.

        Args:
            promotion: the entry in force.
            files: the result of `read_promoted`; an old model may have no ``served.json``.

        Raises:
            PlatformError: the store cannot be written.
        """
        path = _served(promotion)
        # The log decides what is served, so other bytes are replaced. The model is written last, so that a
        # server that sees it also sees its settings.
        if "served.json" in files:
            folder = path.rpartition("/")[0]
            self.objects.put(f"{folder}/served.json", files["served.json"], mode="overwrite")
        self.objects.put(path, files["model.onnx"], mode="overwrite")
        return f"{self.uri}/{path}"


def _served(promotion: Promotion) -> str:
    return f"serving/{promotion.model_name}/{promotion.number}/model.onnx"
