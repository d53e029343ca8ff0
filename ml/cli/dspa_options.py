"""What `submit`, `follow` and `doctor` have in common: where the DSPA is, who asks, where results go."""

from pathlib import Path
from typing import Annotated

import typer

Host = Annotated[
    str | None,
    typer.Option(envvar="JUKEBOX_HOST", help="The DSPA's route; in a pod its service in this namespace."),
]
Dspa = Annotated[str, typer.Option(envvar="JUKEBOX_DSPA", help="The DSPA's name.")]
Namespace = Annotated[
    str | None, typer.Option(envvar="JUKEBOX_NAMESPACE", help="Its namespace; in a pod the pod's own.")
]
Ca = Annotated[
    Path | None,
    typer.Option(envvar="JUKEBOX_CA", help="PEM file of the CA to trust; in a pod OpenShift's service CA."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        envvar="JUKEBOX_TOKEN_FILE",
        help="File with the token, read for every request; else the variable JUKEBOX_TOKEN, or the pod's.",
    ),
]
Dashboard = Annotated[
    str,
    typer.Option(
        envvar="JUKEBOX_DASHBOARD",
        help="Any page of the dashboard of OpenShift AI 2.x or 3.x, for links to runs; that to which "
        "OpenShift's console links by default.",
    ),
]
PipelineRoot = Annotated[
    str,
    typer.Option(
        envvar="JUKEBOX_PIPELINE_ROOT",
        help="The DSPA's place for artifacts, s3://bucket/prefix: logs are read there where pods cannot.",
    ),
]
Timeout = Annotated[float, typer.Option(envvar="JUKEBOX_TIMEOUT", min=1, help="Most seconds for all of it.")]
Stuck = Annotated[
    float,
    typer.Option(
        envvar="JUKEBOX_STUCK",
        min=1,
        help="Most seconds that a step may wait for an image that cannot be pulled, or a node that has room.",
    ),
]
ResultsDir = Annotated[
    Path | None, typer.Option(envvar="JUKEBOX_RESULTS_DIR", help="Write Tekton results into this folder.")
]
OutcomeFile = Annotated[
    Path | None,
    typer.Option(
        envvar="JUKEBOX_OUTCOME",
        dir_okay=False,
        help="Write the outcome to this file, for `jukebox ci report`.",
    ),
]
DecidedOk = Annotated[
    bool,
    typer.Option(
        "--decided-ok",
        help="With --outcome: exit with 0 on every error except those of the platform (30), so that Tekton "
        "does not retry a decision. `jukebox ci verdict` exits with the code of the outcome.",
    ),
]
Evidence = Annotated[
    str,
    typer.Option(
        envvar="JUKEBOX_EVIDENCE", help="Where runs leave evidence: s3://bucket/prefix, or on the claim."
    ),
]
RemoteStore = Annotated[
    str,
    typer.Option(
        "--store", envvar="JUKEBOX_STORE", help="The model store: s3://bucket/prefix, or on the claim."
    ),
]
ComponentImage = Annotated[
    str,
    typer.Option(
        "--image",
        envvar="JUKEBOX_IMAGE",
        help="This commit's component by digest, REF@sha256:…, as the build gave it.",
    ),
]
Admission = Annotated[
    Path | None,
    typer.Option(
        "--admission",
        envvar="JUKEBOX_ADMISSION",
        dir_okay=False,
        help="What a pipeline may ask of the cluster; the package's own admission.yaml by default.",
    ),
]
Attempt = Annotated[
    str | None,
    typer.Option(
        envvar="JUKEBOX_ATTEMPT",
        help="One key, one run: a retry with the same key adopts it. In Tekton the PipelineRun's uid; "
        "a new one by default.",
    ),
]
TaskRunName = Annotated[
    str,
    typer.Option(
        envvar="JUKEBOX_TASK_RUN",
        help="In Tekton this TaskRun's name: where only its pod is removed, as by a drain, the run is "
        "left to the Task's retry.",
    ),
]
LeaveRunning = Annotated[
    bool,
    typer.Option(
        "--leave-running",
        help="Do not terminate the run when interrupted, at the deadline, or when it is stuck.",
    ),
]
