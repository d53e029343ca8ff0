"""Run the pipeline on OpenShift AI: submit it once, follow it, find out why it does not work."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ml.cli.console import out
from ml.cli.dspa_options import (
    Admission,
    Ca,
    ComponentImage,
    Dashboard,
    DecidedOk,
    Dspa,
    Evidence,
    Host,
    Namespace,
    OutcomeFile,
    PipelineRoot,
    RemoteStore,
    ResultsDir,
    Stuck,
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
    print_json,
    table_uris_of,
)
from ml.cli.progress import shown_run
from ml.cli.reporting import reporting
from ml.core.errors import PlatformError, UsageError


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
    attempt: Annotated[
        str | None,
        typer.Option(
            envvar="JUKEBOX_ATTEMPT",
            help="One key, one run: a retry with the same key adopts it. In Tekton the PipelineRun's uid; "
            "a new one by default.",
        ),
    ] = None,
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
    task_run: Annotated[
        str,
        typer.Option(
            envvar="JUKEBOX_TASK_RUN",
            help="In Tekton this TaskRun's name: where only its pod is removed, as by a drain, the run is "
            "left to the Task's retry.",
        ),
    ] = "",
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
    leave_running: Annotated[
        bool,
        typer.Option(
            "--leave-running",
            help="Do not terminate the run when interrupted, at the deadline, or when it is stuck.",
        ),
    ] = False,
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

    Where evidence and store are, and what the evidence has to be about, says the run's own record at the
    DSPA. An interruption leaves the run alone.
    """
    from ml.dspa.client import Client
    from ml.dspa.connection import connect
    from ml.dspa.run import follow_run
    from ml.dspa.timeouts import Timeouts

    with reporting(results_dir, as_json=as_json, verbose=verbose) as known:
        policy_text = policy_text_of(policy)
        connection = connect(host, dspa, namespace, ca, token_file, dashboard, pipeline_root)
        timeouts = Timeouts(deadline=timeout, stuck=stuck)
        with shown_run(quiet=as_json) as shown:
            client = Client(connection, timeouts)
            found = follow_run(client, run_id, policy_text, timeouts=timeouts, say=shown.say, show=shown.show)
        known.update(found.to_json())


def doctor(
    evidence: Annotated[
        str,
        typer.Option(envvar="JUKEBOX_EVIDENCE", help="Where runs leave evidence; not checked if left out."),
    ] = "",
    store: Annotated[
        str, typer.Option(envvar="JUKEBOX_STORE", help="The model store; not checked if left out.")
    ] = "",
    runs_key: Annotated[
        bool,
        typer.Option(
            "--runs-key",
            help="The AWS_* variables hold the key that runs get: also try what it must not reach.",
        ),
    ] = False,
    holdout: Annotated[
        str, typer.Option(envvar="JUKEBOX_HOLDOUT", help="The judge's place; for --runs-key.")
    ] = "",
    data: Data = None,
    problem: Problem = "",
    host: Host = None,
    dspa: Dspa = "dspa",
    namespace: Namespace = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Check everything that `jukebox submit` needs, and say for each failure what to change.

    In the buckets a small object is written, read, and deleted where the key may do that. With --runs-key it
    must be denied to write promoted models or the log, and to read the holdout or the source tables.
    """
    from ml.dspa.connection import connect
    from ml.dspa.doctor import examine

    connection = connect(host, dspa, namespace, ca, token_file)
    closed = {"holdout": holdout, **table_uris_of(problem, data, "")} if runs_key else None
    checks = examine(connection, {"evidence": evidence, "store": store}, closed=closed)
    if not as_json:
        out.print(f"{connection.host}, namespace {connection.namespace or 'unknown'}")
        words = {"ok": "[green]ok[/]", "failed": "[red]FAILED[/]", "skipped": "[dim]skipped[/]"}
        width = max(len(check.name) for check in checks)
        for check in checks:
            out.print(f"{check.name:<{width}}  {words[check.result]}  {escape(check.detail)}")
            if check.remedy:
                out.print(f"{'':<{width}}  to do: {escape(check.remedy)}")
    failed = [check.name for check in checks if check.result == "failed"]
    result = {"host": connection.host, "checks": [check.model_dump() for check in checks]}
    if failed:
        raise PlatformError(f"{', '.join(failed)}: see above what to change", result)
    if as_json:
        print_json(result)


def _require_plain(commit: str | None, cause: str) -> None:
    """Refuse a commit that is cut short, and a cause that is more than a line."""
    if commit is not None and not COMMIT.fullmatch(commit):
        raise UsageError(f"--commit {commit}: give all 40 or 64 hexadecimal digits")
    if len(cause) > 500 or not cause.isprintable():
        raise UsageError("--cause: give one line of at most 500 characters")
