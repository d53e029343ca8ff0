"""Runs: what these calls ask for and what they answer."""

from collections.abc import Mapping
from typing import Any

from dspa_server import uploads
from dspa_server.errors import internal, invalid, malformed, not_found
from dspa_server.experiments import experiment_of, storage_state
from dspa_server.listing import Fields, select
from dspa_server.messages import read_body, read_message
from dspa_server.records import TERMINAL, Request, RunRecord, message, struct, timestamp
from dspa_server.specs import check_parameters, read_spec
from dspa_server.state import Dspa, new_id
from dspa_server.tasks import task_details, tasks

RUNS: Fields = {
    "id": lambda item: item.run_id,
    "run_id": lambda item: item.run_id,
    "name": lambda item: item.display_name,
    "display_name": lambda item: item.display_name,
    "created_at": lambda item: int(item.created_at.timestamp()),
    "finished_at": lambda item: int(item.finished_at.timestamp()),
    "state": lambda item: item.state or "",
    "storage_state": lambda item: item.storage_state,
    "experiment_id": lambda item: item.experiment_id,
}


def create_run(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Begin a run. Nothing here is idempotent: not a name, and an id even less."""
    given = read_body(request, dspa.version.run_fields, "Run")
    sources = [
        name
        for name in ("pipeline_spec", "pipeline_version_reference", "pipeline_version_id")
        if name in given
    ]
    if len(sources) > 1:
        raise malformed(
            f'proto: (line 1:2): parsing "{sources[1]}", oneof v2beta1.Run.pipeline_source is already set'
        )
    config = read_message(given.get("runtime_config", {}), ("parameters", "pipeline_root"), "RuntimeConfig")
    if not isinstance(config.get("parameters", {}), Mapping):
        raise malformed("proto: syntax error: unexpected token for parameters")
    name = given.get("display_name", "")
    if not name:
        raise internal(
            "Failed to convert a API run detail to its internal representation", "Run name cannot be empty"
        )
    context = "Failed to create a new run: Failed to create a run due to invalid experimentId"
    experiment_id = given.get("experiment_id") or dspa.default_experiment().experiment_id
    experiment_of(dspa, experiment_id, context)
    reference = _reference(dspa, given)
    if reference:
        spec, platform = dspa.versions[reference["pipeline_version_id"]].documents
    else:
        spec, platform = read_spec(given.get("pipeline_spec"), dspa.version)
    parameters = struct(config.get("parameters", {}))
    check_parameters(spec, parameters)
    run = RunRecord(
        given.get("run_id") or new_id(),
        name,
        experiment_id,
        parameters,
        spec,
        platform,
        dspa.now(),
        description=given.get("description", ""),
        pipeline_root=config.get("pipeline_root", ""),
        service_account=given.get("service_account") or "pipeline-runner-dspa",
        reference=reference,
    )
    if not dspa.start(run):
        raise internal(
            f"Failed to store run {name} to table", "Failed to create a new run: Failed to create a run"
        )
    return run_json(dspa, run)


def _reference(dspa: Dspa, given: Mapping[str, Any]) -> dict[str, str] | None:
    """Find the pipeline version that a run names, if it does; a pipeline alone names its latest."""
    asked = given.get(
        "pipeline_version_reference", {"pipeline_version_id": given.get("pipeline_version_id", "")}
    )
    asked = read_message(asked, ("pipeline_id", "pipeline_version_id"), "PipelineVersionReference")
    if not any(asked.values()):
        return None
    known = dspa.versions.get(asked.get("pipeline_version_id", ""))
    if known is None and not asked.get("pipeline_version_id"):
        known = next(reversed(uploads.versions_of(dspa, asked.get("pipeline_id", ""))), None)
    if known is None:
        raise internal("Failed to create a run due to error fetching manifest", "Failed to create a new run")
    return {"pipeline_id": known.pipeline_id, "pipeline_version_id": known.version_id}


def run_of(dspa: Dspa, request: Request, context: str = "") -> RunRecord:
    """Find the run that a request is about."""
    run = dspa.runs.get(request.ids[0])
    if run is None or run.vanished:
        raise not_found("Run", request.ids[0], context)
    return run


def get_run(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Answer with a run, which moves on by it."""
    run = run_of(dspa, request)
    view = request.query.get("view", "")
    if not dspa.version.task_details and view not in {"", "DEFAULT", "FULL", "RUN_VIEW_UNSPECIFIED"}:
        raise malformed(f"type mismatch, parameter: view, error: {view} is not valid")
    dspa.advance(run)
    return run_json(dspa, run, full=view == "FULL")


def list_runs(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Answer with a page of runs, archived ones included; new ones may be missing."""
    experiment_id = request.query.get("experiment_id", "")
    if experiment_id:
        experiment_of(
            dspa, experiment_id, "Failed to list runs due to error fetching namespace for experiment"
        )
    shown = [run for run in dspa.runs.values() if not run.hidden_lists and not run.vanished]
    for run in dspa.runs.values():
        run.hidden_lists = max(0, run.hidden_lists - 1)
        dspa.look(run)
    items = [run for run in shown if experiment_id in {"", run.experiment_id}]
    rows, total, token = select(items, request.query, RUNS, "run_details")
    found = [run_json(dspa, row) for row in rows]
    return message({"runs": found, "total_size": total, "next_page_token": token})


def run_json(dspa: Dspa, run: RunRecord, *, full: bool = False) -> dict[str, Any]:
    """Write a run."""
    spec, platform = run.pipeline_spec, run.platform_spec
    found = {
        "experiment_id": run.experiment_id,
        "run_id": run.run_id,
        "display_name": run.display_name,
        "storage_state": run.storage_state,
        "description": run.description,
        "runtime_config": message({"parameters": run.parameters, "pipeline_root": run.pipeline_root}),
        "service_account": run.service_account,
        "created_at": timestamp(run.created_at),
        "scheduled_at": timestamp(run.created_at),
        "finished_at": timestamp(run.finished_at),
        "state": run.state,
        "state_history": [{"update_time": timestamp(at), "state": state} for at, state in run.state_history],
    }
    if run.reference:
        found["pipeline_version_reference"] = run.reference
    else:
        found["pipeline_spec"] = {"pipeline_spec": spec, "platform_spec": platform} if platform else spec
    if dspa.version.task_details:
        details = {"task_details": task_details(dspa, run)}
        if dspa.version.context_ids and details["task_details"]:
            details |= {"pipeline_context_id": "7", "pipeline_run_context_id": "8"}
        found["run_details"] = message(details)
    else:
        found["task_count"] = len(tasks(dspa, run))
        found["tasks"] = tasks(dspa, run) if full else []
    return message(found)


def terminate(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Begin to end a run that is under way."""
    context = f"Failed to terminate a run: Failed to terminate run {request.ids[0]}"
    run = run_of(dspa, request, context)
    if run.state not in {None, "RUNTIME_STATE_UNSPECIFIED", "PENDING", "RUNNING", "PAUSED"}:
        raise invalid(f"Failed to terminate a run {run.run_id}. Row not found", context)
    dspa.terminate(run)
    return {}


def retry(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Begin a failed run again."""
    run = run_of(dspa, request, "Failed to retry a run")
    if run.state not in TERMINAL - {"SUCCEEDED"}:
        raise internal(
            f"Failed to retry run {run.run_id} as it does not allow retries", "Failed to retry a run"
        )
    dspa.retry(run)
    return {}


def archive(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Archive or restore a run."""
    run_of(dspa, request, "Failed to archive a run").storage_state = storage_state(request)
    return {}


def delete_run(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Delete a run."""
    run = run_of(dspa, request, "Failed to delete a run")
    if run.process is not None:
        run.process.kill()
    del dspa.runs[run.run_id]
    return {}
