"""Run the pipeline on OpenShift AI: submit it once, or follow a run that is there."""

from pathlib import Path
from typing import Annotated

import typer

from ml.cli.dspa_options import (
    Admission,
    Attempt,
    Ca,
    ComponentImage,
    Dashboard,
    DecidedOk,
    Dspa,
    Evidence,
    Host,
    LeaveRunning,
    Namespace,
    OutcomeFile,
    PipelineRoot,
    RemoteStore,
    ResultsDir,
    Stuck,
    TaskRunName,
    Timeout,
    TokenFile,
)
from ml.cli.judge_options import LOCAL
from ml.cli.options import (
    COMMIT,
    AsJson,
    Data,
    ModelName,
    ModelVersion,
    Param,
    PolicyFile,
    Problem,
    Snapshot,
    Verbose,
    policy_text_of,
    table_uris_of,
)
from ml.cli.progress import shown_run
from ml.cli.reporting import reporting
from ml.core.errors import UsageError


def submit(
    pipeline: Annotated[Path, typer.Argument(help="What `jukebox compile --image REF@sha256:…` wrote.")],
    evidence: Evidence,
    store: RemoteStore,
    experiment: Annotated[
        str,
        typer.Option(envvar="JUKEBOX_EXPERIMENT", help="The experiment; it is created if it is not there."),
    ] = "jukebox",
    data: Data = None,
    snapshot: Snapshot = "",
    problem: Problem = "",
    param: Param = None,
    model_name: ModelName = "jukebox",
    model_version: ModelVersion = "1",
    policy: PolicyFile = None,
    image: ComponentImage = "",
    admission: Admission = None,
    attempt: Attempt = None,
    judge_image: Annotated[
        str,
        typer.Option(envvar="JUKEBOX_JUDGE_IMAGE", help="What will judge the candidate: REF@sha256:…"),
    ] = LOCAL,
    commit: Annotated[
        str | None,
        typer.Option(
            help="The commit that the image and the pipeline were built from; this command's own by default."
        ),
    ] = None,
    task_run: TaskRunName = "",
    cause: Annotated[
        str, typer.Option(envvar="JUKEBOX_CAUSE", help="Why the run is started, for its description.")
    ] = "",
    host: Host = None,
    dspa: Dspa = "dspa",
    namespace: Namespace = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    dashboard: Dashboard = "",
    pipeline_root: PipelineRoot = "",
    timeout: Timeout = 7200,
    stuck: Stuck = 600,
    leave_running: LeaveRunning = False,
    results_dir: ResultsDir = None,
    outcome: OutcomeFile = None,
    decided_ok: DecidedOk = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Submit a compiled pipeline once, follow the run, and pass only what its evidence proves.

    Exactly one run belongs to an --attempt. The verdict is decided again here, from the evidence's raw
    numbers, under our policy; the candidate must be in the store byte for byte. Before anything is asked of
    the DSPA the pipeline must be admitted, as `jukebox admit` checks it.
    """
    from ml.core.kubernetes import Api
    from ml.core.pairs import split_pairs
    from ml.core.problems import problem_name
    from ml.core.version import code_version
    from ml.dspa.client import Client
    from ml.dspa.connection import connect, namespace_of
    from ml.dspa.run import submit as submit_run
    from ml.dspa.tekton import TaskRun
    from ml.dspa.timeouts import Deadline, Timeouts
    from ml.pipeline.remote import Order, admit, resolve

    with reporting(results_dir, outcome, as_json=as_json, verbose=verbose, decided_ok=decided_ok) as known:
        _require_plain(commit, cause)
        order = Order(
            pipeline=pipeline,
            image=image,
            admission=admission,
            experiment=experiment,
            attempt=attempt or "",
            evidence=evidence,
            store=store,
            problem=problem_name(problem),
            tables=table_uris_of(problem, data, snapshot),
            snapshot=snapshot,
            commit=(commit, False) if commit else code_version(),
            model=(model_name, model_version),
            policy_text=policy_text_of(policy, problem),
            judge_image=judge_image,
            params=split_pairs("--param", param or []),
        )
        admitted = admit(order)
        connection = connect(host, dspa, namespace, ca, token_file, dashboard, pipeline_root)
        deadline = Deadline(timeout)
        submission, inputs = resolve(admitted, deadline)
        known.update(inputs=inputs.key, policy_digest=inputs.policy_digest)
        caller = TaskRun(Api(namespace_of(None)), task_run) if task_run else None
        about_it = {
            "cause": cause,
            "pipeline_run": caller.pipeline_run() if caller else "",
            "service_accounts": admitted.rules.service_accounts,
        }
        timeouts = Timeouts(deadline=max(deadline.remaining, 1), stuck=stuck)
        with shown_run(quiet=as_json) as shown:
            if not image:
                named = submission.pipeline.image
                shown.say(f"note: without --image the image is the one that the pipeline names: {named}")
            ended = submit_run(
                Client(connection, timeouts),
                submission.model_copy(update=about_it),
                timeouts=timeouts,
                say=shown.say,
                show=shown.show,
                leave_running=leave_running,
                task_run=caller,
            )
        known.update(ended.to_json())


def follow(
    run_id: Annotated[str, typer.Argument(help="The id of a run that `jukebox submit` has started.")],
    policy: PolicyFile = None,
    problem: Problem = "",
    host: Host = None,
    dspa: Dspa = "dspa",
    namespace: Namespace = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    dashboard: Dashboard = "",
    pipeline_root: PipelineRoot = "",
    timeout: Timeout = 7200,
    stuck: Stuck = 600,
    results_dir: ResultsDir = None,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Pick up a run that is already there, follow it to its end, and decide as `jukebox submit` does.

    The run's own record at the DSPA names the places of evidence and store, and what the evidence has to
    be about. An interruption does not end the run.
    """
    from ml.dspa.client import Client
    from ml.dspa.connection import connect
    from ml.dspa.run import follow_run
    from ml.dspa.timeouts import Timeouts

    with reporting(results_dir, as_json=as_json, verbose=verbose) as known:
        policy_text = policy_text_of(policy, problem)
        connection = connect(host, dspa, namespace, ca, token_file, dashboard, pipeline_root)
        timeouts = Timeouts(deadline=timeout, stuck=stuck)
        with shown_run(quiet=as_json) as shown:
            client = Client(connection, timeouts)
            outcome = follow_run(
                client, run_id, policy_text, timeouts=timeouts, say=shown.say, show=shown.show
            )
        known.update(outcome.to_json())


def _require_plain(commit: str | None, cause: str) -> None:
    """Refuse a commit that is cut short, and a cause that is more than a line."""
    if commit is not None and not COMMIT.fullmatch(commit):
        raise UsageError(f"--commit {commit}: give all 40 or 64 hexadecimal digits")
    if len(cause) > 500 or not cause.isprintable():
        raise UsageError("--cause: give one line of at most 500 characters")
