"""The steps that know the store: fetch the champion, decide about the candidate, save it.

Nothing heavy is imported before the step that needs it runs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml.core.errors import GateBlocked
from ml.core.files import read_json, write_bytes
from ml.pipeline.artifacts import Artifact, output_file
from ml.pipeline.step import step

STEMS = ("model", "model", "served")
"""What a candidate calls its files: the trained model, the exported one, and how that is to be served."""


@step
def champion(champion: str, store_uri: str, champion_model: Artifact, champion_profile: Artifact) -> str:
    """Fetch the model that is in production, and the profile of its training data, if it has one."""
    from ml.release.store import ModelStore

    store = ModelStore(store_uri) if champion else None
    files = store.read_promoted(champion) if store else {}
    profile = files.get("profile.json", b"")
    if store and not profile:
        reports = store.read_reports(champion).values()
        profile = next((beside["profile.json"] for beside in reports if "profile.json" in beside), b"")
    write_bytes(output_file(champion_model, ".onnx"), files.get("model.onnx", b""))
    write_bytes(output_file(champion_profile, ".json"), profile)
    if not champion:
        return "no champion: absolute checks only"
    return f"champion {champion[:12]}" + ("" if profile else ", which has no profile")


@step
def gate(
    subject: dict[str, Any],
    policy: str,
    evidence_uri: str,
    reports: dict[str, Artifact],
    files: Sequence[Artifact],
    evidence: Artifact,
    verdict: Artifact,
) -> str:
    """Decide, and leave the evidence and the verdict; a verdict that blocks ends the run in `save`."""
    from ml.core.clock import today
    from ml.gate.candidate import manifest_of
    from ml.gate.evidence import Subject, make_evidence
    from ml.release.policy_file import read_policy
    from ml.storage.objects import put_object

    made = make_evidence(
        Subject(**subject),
        manifest_of(_candidate_files(files)),
        {name: _report(artifact.path) for name, artifact in reports.items()},
        read_policy(evidence_uri, policy),
        today(),
    )
    data = made.to_bytes()
    write_bytes(output_file(evidence, ".json"), data)
    write_bytes(output_file(verdict, ".md"), made.verdict.to_markdown().encode())
    put_object(evidence_uri.replace("{run_id}", made.subject.run_id), data)
    return f"self-check {made.verdict.summary}"


def _candidate_files(artifacts: Sequence[Artifact]) -> dict[str, bytes]:
    """Return the bytes of a candidate's files; a trained model is one only where the judge can load it."""
    from ml.gate.candidate import CANDIDATE_FILES

    paths = {f"{stem}{path.suffix}": path for stem, path in zip(STEMS, map(_path, artifacts), strict=True)}
    return {name: path.read_bytes() for name, path in paths.items() if name in CANDIDATE_FILES}


def _path(artifact: Artifact) -> Path:
    return Path(artifact.path)


def _report(path: str) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        return {"unreadable": f"{type(error).__name__}: {error}"}


@step
def save(store_uri: str, evidence: Artifact, files: Sequence[Artifact], reports: dict[str, Artifact]) -> str:
    """Store the model as a candidate with the reports beside it; refuse what the self-check blocks."""
    from ml.gate.evidence import read_evidence
    from ml.release.store import ModelStore

    data = Path(evidence.path).read_bytes()
    kept = read_evidence(data)
    if not kept.verdict.passed:
        raise GateBlocked(f"the self-check {kept.verdict.summary}")
    contents = _candidate_files(files)
    beside = {name: Path(artifact.path).read_bytes() for name, artifact in reports.items()}
    store = ModelStore(store_uri, create=True)
    return (
        f"candidate {store.put_candidate(contents, kept.subject.run_id, {**beside, 'evidence.json': data})}"
    )
