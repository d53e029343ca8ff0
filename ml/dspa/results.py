"""Write Tekton results: one small file each, together below the 4 KB that all steps of a pod share."""

import datetime
import json
from pathlib import Path
from typing import Any

from ml.core.errors import GateBlocked, JukeboxError
from ml.core.files import write_bytes

MOST = 3000
"""Most bytes of all results: less than 4 KB, because Tekton adds to each."""

ARTIFACT = "model-ARTIFACT_OUTPUTS"
"""The result that Tekton Chains reads as the output of a TaskRun, and signs."""


def write_results(folder: Path, known: dict[str, Any], error: BaseException | None) -> None:
    """Write RUN_ID, VERDICT, CANDIDATE, MODEL_URI, MODEL_DIGEST, EVIDENCE_DIGEST and TEST_OUTPUT.

    A pass also has Tekton Chains' ``model-ARTIFACT_OUTPUTS``: only a model that passed is an output.

    Args:
        folder: the folder of the results.
        known: the fields of `RunOutcome.to_json` that are known.
        error: the failure, None for a pass.

    Raises:
        OSError: they cannot be written.
    """
    blocked = isinstance(error, GateBlocked)
    verdict = "block" if blocked else "error" if error else "pass"
    values = {
        "RUN_ID": str(known.get("run_id", "")),
        "VERDICT": verdict,
        # Only a candidate that passed is named.
        "CANDIDATE": "" if error else str(known["candidate"]),
        "MODEL_URI": "" if error else str(known["model_uri"]),
        "MODEL_DIGEST": "" if error else str(known["model_digest"]),
        "EVIDENCE_DIGEST": str(known.get("evidence_digest", "")),
    }
    checks = known.get("checks", [])
    passed = sum(check["passed"] for check in checks)
    accepted = sum(
        not check["passed"] and (check.get("level") == "warn" or bool(check.get("waiver")))
        for check in checks
    )
    output = {
        "result": {"pass": "SUCCESS", "block": "FAILURE", "error": "ERROR"}[verdict],
        "timestamp": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "note": "",
        "namespace": "jukebox",
        "successes": passed,
        "failures": max(len(checks) - passed - accepted, 0 if verdict == "pass" else 1),
        "warnings": accepted,
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
