"""Tekton results: one small file each, together below the 4 KB that all steps of a pod share."""

import datetime
import json
from pathlib import Path
from typing import Any

from ml.core.errors import GateBlocked, JukeboxError
from ml.core.files import write_bytes

MOST = 3000
"""Bytes of all results together: the longest name of a model is there twice, and Tekton adds to each."""

ARTIFACT = "model-ARTIFACT_OUTPUTS"
"""What Tekton Chains takes for the output of a TaskRun, and signs."""


def write_results(folder: Path, found: dict[str, Any], error: BaseException | None) -> None:
    """Write RUN_ID, VERDICT, CANDIDATE, MODEL_URI, MODEL_DIGEST, EVIDENCE_DIGEST and TEST_OUTPUT.

    For a pass, Tekton Chains' ``model-ARTIFACT_OUTPUTS`` besides: a model that did not pass is no output.

    Args:
        folder: where Tekton looks for them.
        found: as `RunOutcome.to_json`, as far as it is known.
        error: what went wrong, None for a pass.

    Raises:
        OSError: they cannot be written.
    """
    blocked = isinstance(error, GateBlocked)
    verdict = "block" if blocked else "error" if error else "pass"
    values = {
        "RUN_ID": str(found.get("run_id", "")),
        "VERDICT": verdict,
        # What did not pass is no model to point at.
        "CANDIDATE": "" if error else str(found["candidate"]),
        "MODEL_URI": "" if error else str(found["model_uri"]),
        "MODEL_DIGEST": "" if error else str(found["model_digest"]),
        "EVIDENCE_DIGEST": str(found.get("evidence_digest", "")),
    }
    checks = found.get("checks", [])
    passed = sum(check["passed"] for check in checks)
    aside = sum(
        not check["passed"] and (check.get("level") == "warn" or bool(check.get("waiver")))
        for check in checks
    )
    output = {
        "result": {"pass": "SUCCESS", "block": "FAILURE", "error": "ERROR"}[verdict],
        "timestamp": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "note": "",
        "namespace": "jukebox",
        "successes": passed,
        "failures": max(len(checks) - passed - aside, 0 if verdict == "pass" else 1),
        "warnings": aside,
    }
    note = (
        str(error) if isinstance(error, JukeboxError) else "all checks passed" if error is None else "stopped"
    )
    if error is None:
        artifact = {"uri": values["MODEL_URI"], "digest": values["MODEL_DIGEST"]}
        values[ARTIFACT] = json.dumps(artifact, ensure_ascii=False)
    else:
        (folder / ARTIFACT).unlink(missing_ok=True)
    used = sum(len(value.encode()) for value in values.values()) + len(json.dumps(output))
    # JSON escapes what is not ASCII, to at most twelve bytes a character.
    values["TEST_OUTPUT"] = json.dumps({**output, "note": note[: max(0, min(300, (MOST - used) // 12))]})
    for name, value in values.items():
        write_bytes(folder / name, value.encode())
