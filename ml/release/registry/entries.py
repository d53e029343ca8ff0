"""What the registry is told about a promoted candidate: version, artifact and their custom properties."""

from typing import Any

from ml.core.canonical import digest
from ml.gate.evidence import Subject, read_evidence
from ml.gate.statement import Claimed
from ml.release.attestations import statement_of
from ml.release.log import Promotion
from ml.release.store import ModelStore

Json = dict[str, Any]

LIVE, ARCHIVED = "LIVE", "ARCHIVED"

NUMBERS = ("log_loss", "top5_mass", "hit_at_5")
"""The metrics of the evaluation that are shown, by their names in the report."""


def version_name(candidate: str) -> str:
    """Return the name of a candidate's version: the beginning of its id, as every verb takes it."""
    return candidate[:12]


def model_body(entry: Promotion) -> Json:
    """Return the registered model of an entry of the log."""
    return {"name": entry.model_name, "owner": entry.who or "unknown", "state": LIVE}


def version_body(entry: Promotion, parent: str, lineage: Json, state: str) -> Json:
    """Return the version of an entry's candidate.

    Args:
        entry: the entry that promoted it.
        parent: the id of the registered model.
        lineage: the result of `lineage_of`.
        state: LIVE for the candidate in production, otherwise ARCHIVED.
    """
    return {
        "name": version_name(entry.candidate),
        "registeredModelId": parent,
        "author": entry.who or "unknown",
        "state": state,
        "customProperties": {
            **{name: typed(value) for name, value in lineage.items()},
            **in_force(entry),
            "candidate": typed(entry.candidate),
            "policyDigest": typed(entry.policy_digest),
            "waived": typed(", ".join(entry.waived)),
            "synthetic": typed(entry.synthetic),
            "commit": typed(entry.commit),
            "dirty": typed(entry.dirty),
            "basis": typed(entry.promoted_as),
            "attestation": typed(entry.attestation),
            "verdict": typed("PASS"),
        },
    }


def in_force(entry: Promotion) -> Json:
    """Return the properties that change when a rollback restores a candidate."""
    return {
        "promotion": typed(entry.number),
        "promotedAt": typed(entry.at),
        "promotedBy": typed(entry.who or "unknown"),
        "reason": typed(entry.why),
    }


def artifact_body(store: ModelStore, entry: Promotion, lineage: Json, group: str) -> Json:
    """Return the artifact of an entry's version: where the model is, and which run made it.

    Args:
        store: the store.
        entry: the entry that promoted the candidate.
        lineage: the result of `lineage_of`.
        group: the namespace of the run, "" if it is not known.
    """
    run = str(lineage.get("runId", ""))
    return {
        "artifactType": "model-artifact",
        "name": entry.model_name,
        "uri": f"{store.uri}/promoted/{entry.candidate}/model.onnx",
        "state": LIVE,
        "modelFormatName": "onnx",
        "modelFormatVersion": "1",
        "modelSourceKind": "kfp",
        "modelSourceClass": "pipelinerun",
        **({"modelSourceGroup": group} if group else {}),
        **({"modelSourceId": run} if run else {}),
        "modelSourceName": f"{entry.model_name} {entry.commit[:12] or 'unknown'}",
        "customProperties": {"digest": typed(entry.model_digest)},
    }


def lineage_of(store: ModelStore, entry: Promotion) -> Json:
    """Return what the attestation, or the report of its own run, says of an entry's candidate.

    Raises:
        EvidenceError: the attestation is missing from the store, or was changed.
        PlatformError: the store cannot be read.
    """
    if entry.attestation:
        predicate = statement_of(store, entry).predicate
        measured, claimed = predicate.measured, predicate.claimed
        judged = {"judgeImage": measured.judge_image, "holdout": measured.holdout.version}
        return {**_numbers(measured.reports), **_run(claimed), **judged}
    for reports in store.read_reports(entry.candidate).values():
        data = reports.get("evidence.json", b"")
        if digest(data) == entry.evidence_digest:
            evidence = read_evidence(data)
            return {**_numbers(evidence.reports), **_run(evidence.subject)}
    return {}


def _run(about: Claimed | Subject) -> Json:
    """Return which run made the candidate, and of what."""
    return {
        "runId": about.run_id,
        "dataVersion": about.data_version,
        "image": about.image,
        "modelVersion": about.model_version,
    }


def _numbers(reports: Json) -> Json:
    """Return the metrics of the model in an evaluation report, those that are there."""
    model = (reports.get("evaluation") or {}).get("model") or {}
    return {name: float(model[name]["value"]) for name in NUMBERS if name in model}


def typed(value: str | int | float | bool) -> Json:
    """Return a value as a custom property with its type; integers must fit into 9 digits for the client."""
    if isinstance(value, bool):
        return {"metadataType": "MetadataBoolValue", "bool_value": value}
    if isinstance(value, int):
        return {"metadataType": "MetadataIntValue", "int_value": str(value)}
    if isinstance(value, float):
        return {"metadataType": "MetadataDoubleValue", "double_value": value}
    return {"metadataType": "MetadataStringValue", "string_value": value}
