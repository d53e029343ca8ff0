"""What is submitted. Name, nonce and parameters are derived from commit, image, pipeline, data and attempt.

So a retry derives the same submission, finds its run by the name, and knows the nonce of the evidence.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pydantic import BaseModel, ConfigDict

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import EvidenceError, UsageError
from ml.core.settings import STORE_MOUNT
from ml.dspa.compiled import HYPERPARAMETERS, Pipeline
from ml.dspa.names import key_of, run_name
from ml.dspa.typed import typed
from ml.gate.evidence import MODEL_NAME, Subject
from ml.gate.policy import parse_policy
from ml.gate.statement import Claimed

DERIVED = ("nonce", "evidence_uri")
"""Parameters that follow from the others."""

LONGEST = 800
"""Most bytes of a place: a key in it must fit the 1,024 bytes of S3, and a Tekton result."""

LONGEST_NAME = 128
"""Most characters of an experiment's name; the API server refuses a longer one."""

PLACES = ("evidence_uri", "store_uri")
"""Parameters with the places of the evidence and the candidate."""


class Submission(BaseModel):
    """One run to submit.

    ``attempt`` is the caller's key: one key, one run. ``cause`` is for display. ``pipeline_run`` is the
    namespace and name of the PipelineRun that submits, "" outside Tekton. ``service_accounts`` are those that
    the run may have beside the DSPA's own. ``policy_text`` is our policy: the run gets its digest as a
    parameter, and the text as a file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: Pipeline
    experiment: str
    attempt: str
    cause: str = ""
    pipeline_run: str = ""
    service_accounts: tuple[str, ...] = ()
    policy_text: str
    parameters: dict[str, Any]

    @property
    def key(self) -> str:
        """The key in the names of all runs of this attempt."""
        return key_of(self.attempt)

    @property
    def name(self) -> str:
        """The run's name; its end depends on commit, image, pipeline, data and attempt only."""
        about = {
            "attempt": self.attempt,
            "commit": self.parameters["commit"],
            "data_version": self.parameters["data_version"],
            "image": self.pipeline.image,
            "pipeline": self.pipeline.digest,
        }
        about_digest = digest(canonical_bytes(about)).removeprefix("sha256:")
        model, commit = self.parameters["model_name"], self.parameters["commit"]
        return run_name(model, commit, self.cause, self.attempt, about_digest)

    def claims(self, run_id: str) -> Claimed:
        """Return what an attestation of the run's candidate lists as claimed: what was submitted."""
        names = ("commit", "dirty", "image", "data_version", "model_name", "model_version")
        about = {name: self.parameters[name] for name in names}
        return Claimed(run_id=run_id, pipeline_digest=self.pipeline.digest, **about)

    def body(self, experiment_id: str) -> dict[str, Any]:
        """Return the body of the POST."""
        nested = {"pipeline_spec": self.pipeline.spec, "platform_spec": self.pipeline.platform}
        return {
            "display_name": self.name,
            "description": "".join(
                (
                    f"jukebox submit, attempt {self.attempt}",
                    f", PipelineRun {self.pipeline_run}" if self.pipeline_run else "",
                    f": {self.cause}" if self.cause else "",
                )
            ),
            "experiment_id": experiment_id,
            "pipeline_spec": nested if self.pipeline.platform else self.pipeline.spec,
            "runtime_config": {"parameters": self.parameters},
        }


def make_submission(
    pipeline: Pipeline,
    experiment: str,
    attempt: str,
    evidence: str,
    decided: Mapping[str, Any],
    chosen: Mapping[str, str],
    policy_text: str,
) -> Submission:
    """Return the submission of a run with all its parameters.

    Args:
        pipeline: the pipeline to run.
        experiment: the name of the experiment.
        attempt: the caller's key.
        evidence: the folder or prefix for evidence.
        decided: parameters that jukebox sets: data, code, champion, store.
        chosen: hyperparameters as a user typed them.
        policy_text: our policy, which is valid.

    Raises:
        UsageError: a parameter is unknown, invalid or missing.
    """
    _require_names(attempt, experiment, str(decided["model_name"]))
    known = pipeline.parameters
    decided = {**decided, "image": pipeline.image, "policy": parse_policy(policy_text).digest}
    parameters = {**decided, HYPERPARAMETERS: typed(chosen, pipeline.hyperparameters)}
    missing = [
        name
        for name, kind in known.items()
        if name not in {*parameters, *DERIVED} and "defaultValue" not in kind and not kind.get("isOptional")
    ]
    unknown = sorted({*parameters, *DERIVED} - known.keys())
    if missing or unknown:
        what = f"needs {', '.join(missing)}" if missing else f"does not know {', '.join(unknown)}"
        raise UsageError(f"the pipeline {what}: compile it with this version of jukebox")
    places = {"--evidence": evidence, "--store": parameters["store_uri"]}
    if snapshot := parameters.get("snapshot_uri"):
        places |= {"--snapshot": snapshot}
    else:
        places |= {f"--data {name}": uri for name, uri in parameters["table_uris"].items()}
    for flag, uri in places.items():
        try:
            scheme, place = urlparse(uri).scheme, urlparse(uri).netloc
        except ValueError as error:
            raise UsageError(f"{flag}: not a URI: {error}") from error
        if "@" in place:
            raise UsageError(f"{flag}: a password in the URI would be logged; use the AWS_* variables")
        if len(uri.encode()) > LONGEST:
            raise UsageError(f"{flag}: more than {LONGEST} bytes")
        writes = flag in ("--evidence", "--store")
        if writes and (scheme not in ("", "file", "s3") or (scheme == "s3" and not place)):
            raise UsageError(f"{flag} {uri}: not writable; use s3://bucket/prefix")
        if scheme in ("", "file") and not (pipeline.mounts_store and _below_mount(uri)):
            raise UsageError(
                f"{flag} {uri} is on this machine, where steps cannot read it: use s3://, or compile with "
                f"--store-pvc and give a path below {STORE_MOUNT}"
            )
    submission = Submission(
        pipeline=pipeline,
        experiment=experiment,
        attempt=attempt,
        policy_text=policy_text,
        parameters=parameters,
    )
    nonce = digest(canonical_bytes({"name": submission.name, **parameters})).removeprefix("sha256:")[:32]
    # The gate replaces {run_id}, so two runs never write the same object.
    derived = {"nonce": nonce, "evidence_uri": f"{evidence.rstrip('/')}/{nonce}/{{run_id}}.json"}
    return submission.model_copy(update={"parameters": {**parameters, **derived}})


def subject_of(run_id: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Subject` that the evidence of a run must have.

    Raises:
        EvidenceError: the run lacks parameters, so `jukebox submit` did not start it.
    """
    about = {**parameters, "run_id": run_id}
    missing = [name for name in (*Subject.model_fields, *PLACES) if name not in about]
    if missing:
        raise EvidenceError(
            f"run {run_id} was not started by `jukebox submit`: it has no {', '.join(missing)}"
        )
    return {name: about[name] for name in Subject.model_fields}


def _below_mount(uri: str) -> bool:
    path = urlparse(uri).path if uri.startswith("file:") else uri
    return Path(path).is_relative_to(STORE_MOUNT) and ".." not in uri.split("/")


def _require_names(attempt: str, experiment: str, model: str) -> None:
    """Refuse names that the DSPA, the store or the model server would refuse later."""
    if not attempt.strip() or not attempt.isprintable() or len(attempt) > 200:
        raise UsageError(f"--attempt {attempt!r}: give 1 to 200 printable characters, as a PipelineRun's uid")
    if not experiment.strip() or not experiment.isprintable() or set("+%") & set(experiment):
        raise UsageError(
            f"--experiment {experiment!r}: give a name without + and %, which the DSPA cannot look up"
        )
    if len(experiment) > LONGEST_NAME:
        raise UsageError(f"--experiment: {len(experiment)} characters; a DSPA accepts at most {LONGEST_NAME}")
    if not re.fullmatch(MODEL_NAME, model):
        raise UsageError(f"--model-name {model!r}: use lower-case letters, digits, dots and dashes")
