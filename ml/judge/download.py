"""Fetch what is measured into the judge's work folder: the one step that holds keys to store and holdout.

Everything is read by digest and within bounds: the candidate from where runs can write, so that only its
id is trusted; the champion from where they cannot.
"""

from pathlib import Path
from urllib.parse import urlparse

from ml.core.canonical import digest, parse
from ml.core.errors import EvidenceError
from ml.core.files import file_digest, write_bytes, write_json
from ml.data.manifests import HOLDOUT_FILES, Holdout
from ml.data.splits import read_examples, read_labels
from ml.gate.candidate import manifest_of
from ml.gate.evidence import Subject, read_evidence
from ml.gate.statement import Claimed
from ml.judge.features import write_features
from ml.judge.holdout_data import CHAMPION_PROFILE
from ml.judge.work import ASKED, Asked
from ml.release.attestations import statement_of
from ml.release.log import Promotion
from ml.release.objects import Objects
from ml.release.promotion import production_of
from ml.release.store import ModelStore
from ml.storage.s3 import endpoint_url, region

LARGEST_MANIFEST = 1 << 20
LARGEST_HOLDOUT_FILE = 2 << 30
"""Bytes of a manifest and of a file of the sealed holdout."""


def download(
    work: Path,
    store_uri: str,
    holdout_uri: str,
    candidate: str,
    version: str,
    claimed: Claimed | None,
    run: str = "",
) -> Asked:
    """Fill the work folder for a candidate, and return what is asked.

    Args:
        work: the work folder; it is made.
        store_uri: candidates and promoted models.
        holdout_uri: the sealed holdouts.
        candidate: the candidate's id, or the beginning of it.
        version: the data version to measure on.
        claimed: what the run says of itself; None takes it from the report beside the candidate.
        run: whose report; "" for the newest.

    Raises:
        EvidenceError: a part is missing, too large, or not what its digest says.
        UsageError: a place cannot be opened.
        PlatformError: a place cannot be read.
    """
    store, holdouts = ModelStore(store_uri), Objects(holdout_uri)
    candidate = store.find_candidate(candidate)
    files = store.read_candidate(candidate)
    for name, data in files.items():
        write_bytes(work / "model" / name, data)
    sealed, labels = _read_holdout(holdouts, version)
    for name, data in labels.items():
        write_bytes(work / "labels" / name, data)
    examples, named = (
        read_examples(work / "labels/examples.parquet"),
        read_labels(work / "labels/labels.json"),
    )
    write_features(work / "features/features.parquet", named.features, examples.features)
    log = store.log()
    production = production_of(log)
    profile = b""
    if production.kind == "attested":
        champion = store.read_promoted(production.champion)
        write_bytes(work / "champion/model.onnx", champion["model.onnx"])
        profile = _champion_profile(store, holdouts, log[-1])
    write_bytes(work / "labels" / CHAMPION_PROFILE, profile)
    parts = [
        path for path in sorted(work.glob("*/*")) if path.parent.name in ("champion", "features", "labels")
    ]
    asked = Asked(
        candidate=candidate,
        model=manifest_of(files).files,
        champion=production.champion,
        champion_kind=production.kind,
        holdout=sealed.reference,
        claimed=claimed or claimed_by(store, candidate, run),
        files={f"{path.parent.name}/{path.name}": file_digest(path) for path in parts},
        store=address(store_uri),
    )
    write_json(work / ASKED, asked)
    return asked


def _read_holdout(holdouts: Objects, version: str) -> tuple[Holdout, dict[str, bytes]]:
    """Return the manifest of a sealed holdout, and its files, each checked against it."""
    data = holdouts.get(f"{version}/holdout.json", LARGEST_MANIFEST)
    where = f"{holdouts.uri}/{version}"
    remedy = "`jukebox judge holdout` seals one"
    if data is None:
        raise EvidenceError(f"there is no holdout {version} in {holdouts.uri}; {remedy}")
    try:
        sealed = Holdout.load(parse(data))
    except (TypeError, ValueError) as error:
        raise EvidenceError(f"{where}/holdout.json: {error}; {remedy}") from error
    if sealed.version != version or set(sealed.files) != set(HOLDOUT_FILES):
        raise EvidenceError(f"{where}/holdout.json is of another version; {remedy}")
    files = {}
    for name, entry in sealed.files.items():
        content = holdouts.get(f"{version}/{name}", min(entry.size, LARGEST_HOLDOUT_FILE))
        if content is None or digest(content) != entry.digest:
            raise EvidenceError(f"{where}/{name} is missing or was changed; {remedy}")
        files[str(name)] = content
    return sealed, files


def _champion_profile(store: ModelStore, holdouts: Objects, entry: Promotion) -> bytes:
    """Return the profile of the holdout that the champion was attested on, b"" where that is gone."""
    statement = statement_of(store, entry)
    version = statement.predicate.measured.holdout.version
    return holdouts.get(f"{version}/profile.json", LARGEST_HOLDOUT_FILE) or b""


def claimed_by(store: ModelStore, candidate: str, run: str) -> Claimed:
    """Return what a run says of itself, in the report that it left beside its candidate.

    Raises:
        EvidenceError: there is no such report that can be read; those that cannot are passed over.
        PlatformError: the store cannot be read.
    """
    matches = [
        (name, reports["evidence.json"])
        for name, reports in store.read_reports(candidate, run).items()
        if "evidence.json" in reports
    ]
    passed_over = ""
    for name, data in matches:
        try:
            evidence = read_evidence(data)
        except ValueError as error:
            passed_over = passed_over or f" (that of run {name} cannot be used: {error})"
            continue
        if evidence.candidate == candidate:
            return _claimed(evidence.subject)
        passed_over = passed_over or f" (that of run {name} is about another candidate)"
    whose = f"run {run}" if run else "any run"
    raise EvidenceError(
        f"there is no report of {whose} beside candidate {candidate[:12]}{passed_over}; name a run with "
        "--run, or say with --claims what it is"
    )


def _claimed(about: Subject) -> Claimed:
    return Claimed(
        run_id=about.run_id,
        commit=about.commit,
        dirty=about.dirty,
        image=about.image,
        pipeline_digest="",
        data_version=about.data_version,
        model_name=about.model_name,
        model_version=about.model_version,
    )


def address(store_uri: str) -> str:
    """Return host and port of the object store, "" for a folder."""
    if urlparse(store_uri).scheme != "s3":
        return ""
    parsed = urlparse(endpoint_url() or f"https://s3.{region()}.amazonaws.com")
    host = f"[{parsed.hostname}]" if ":" in (parsed.hostname or "") else parsed.hostname
    return f"{host}:{parsed.port or (80 if parsed.scheme == 'http' else 443)}"
