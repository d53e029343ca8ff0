"""The calls of the API, and the proxy in front of it."""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from dspa_server.errors import ApiError, internal, invalid, malformed, not_found
from dspa_server.faults import TEXT
from dspa_server.listing import Fields, select
from dspa_server.records import TERMINAL, Experiment, Request, RunRecord, message, struct, timestamp
from dspa_server.specs import check_parameters, read_body, read_message, read_spec
from dspa_server.state import Dspa
from dspa_server.tasks import task_details, tasks

PREFIX = "/apis/v2beta1"
JSON = {"Content-Type": "application/json"}
EXPERIMENT_FIELDS = (
    "experiment_id display_name description created_at namespace storage_state last_run_created_at"
)
COMMON: Fields = {
    "name": lambda item: item.display_name,
    "display_name": lambda item: item.display_name,
    "created_at": lambda item: int(item.created_at.timestamp()),
}
EXPERIMENTS: Fields = {**COMMON, "id": lambda item: item.experiment_id}
RUNS: Fields = {**COMMON, "id": lambda item: item.run_id}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    code: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def healthz(dspa: Dspa, _: Request) -> dict[str, Any]:
    version = dspa.version
    answer = {"commit_sha": version.commit_sha, "tag_name": version.tag_name, "multi_user": False}
    return {name: value for name, value in {**answer, **dspa.health}.items() if value is not None}


# Experiments.


def create_experiment(dspa: Dspa, request: Request) -> dict[str, Any]:
    given = read_body(request, EXPERIMENT_FIELDS.split(), "Experiment")
    name = given.get("display_name", "")
    if not name:
        raise internal("Failed to convert API experiment to model experiment")
    if len(name) > 128:
        raise internal("Failed to create an experiment: Data too long for column 'Name' at row 1")
    if any(known.display_name.casefold() == name.casefold() for known in dspa.experiments.values()):
        taken = f"The name {name} already exists. Please specify a new name"
        raise ApiError(6, f"Failed to create a new experiment. {taken}", "Failed to create a experiment")
    return experiment_json(dspa.add_experiment(name, given.get("description", "")))


def experiment_of(dspa: Dspa, experiment_id: str, context: str = "") -> Experiment:
    if experiment_id not in dspa.experiments:
        raise not_found("Experiment", experiment_id, context)
    return dspa.experiments[experiment_id]


def experiment_json(item: Experiment) -> dict[str, Any]:
    moments = {name: timestamp(getattr(item, name)) for name in ("created_at", "last_run_created_at")}
    return message({**vars(item), **moments})


def get_experiment(dspa: Dspa, request: Request) -> dict[str, Any]:
    return experiment_json(experiment_of(dspa, request.ids[0]))


def list_experiments(dspa: Dspa, request: Request) -> dict[str, Any]:
    page = select(list(dspa.experiments.values()), request.query, EXPERIMENTS)
    return message({"experiments": [experiment_json(row) for row in page.pop("rows")], **page})


def archive_experiment(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Archive an experiment and its runs."""
    experiment = experiment_of(dspa, request.ids[0])
    for item in (experiment, *dspa.runs.values()):
        if item.experiment_id == experiment.experiment_id:
            item.storage_state = "ARCHIVED"
    return {}


# Runs.


def create_run(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Start a run; names are not unique."""
    given = read_body(request, dspa.version.run_fields, "Run")
    config = read_message(given.get("runtime_config", {}), ("parameters", "pipeline_root"), "RuntimeConfig")
    if not isinstance(config.get("parameters", {}), Mapping):
        raise malformed("proto: syntax error: unexpected token for parameters")
    name = given.get("display_name", "")
    if not name:
        context = "Run name cannot be empty"
        raise internal("Failed to convert a API run detail to its internal representation", context)
    experiment_id = given.get("experiment_id") or next(iter(dspa.experiments))
    failed = "Failed to create a new run: Failed to create a run"
    experiment_of(dspa, experiment_id, f"{failed} due to invalid experimentId")
    spec, platform = read_spec(given.get("pipeline_spec"), dspa.version)
    parameters = struct(config.get("parameters", {}))
    check_parameters(spec, parameters)
    run = RunRecord(
        str(uuid.uuid4()),
        name,
        experiment_id,
        parameters,
        spec,
        platform,
        dspa.now(),
        description=given.get("description", ""),
        pipeline_root=config.get("pipeline_root", ""),
        service_account=given.get("service_account") or "pipeline-runner-dspa",
    )
    dspa.start(run)
    return run_json(dspa, run)


def run_of(dspa: Dspa, request: Request, context: str = "") -> RunRecord:
    run = dspa.runs.get(request.ids[0])
    if run is None or run.vanished:
        raise not_found("Run", request.ids[0], context)
    return run


def get_run(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Answer with a run, which proceeds by it."""
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
        context = "Failed to list runs due to error fetching namespace for experiment"
        experiment_of(dspa, experiment_id, context)
    listed = [run for run in dspa.runs.values() if not run.hidden_lists and not run.vanished]
    for run in dspa.runs.values():
        run.hidden_lists = max(0, run.hidden_lists - 1)
        dspa.look(run)
    items = [run for run in listed if experiment_id in {"", run.experiment_id}]
    page = select(items, request.query, RUNS)
    return message({"runs": [run_json(dspa, row) for row in page.pop("rows")], **page})


SAME = ("experiment_id", "run_id", "display_name", "storage_state", "description", "service_account", "state")


def run_json(dspa: Dspa, run: RunRecord, *, full: bool = False) -> dict[str, Any]:
    spec, platform = run.pipeline_spec, run.platform_spec
    answer = {name: getattr(run, name) for name in SAME} | {
        "runtime_config": message({"parameters": run.parameters, "pipeline_root": run.pipeline_root}),
        "created_at": timestamp(run.created_at),
        "scheduled_at": timestamp(run.created_at),
        "finished_at": timestamp(run.finished_at),
        "state_history": [{"update_time": timestamp(at), "state": state} for at, state in run.state_history],
    }
    if run.reference:
        answer["pipeline_version_reference"] = run.reference
    else:
        answer["pipeline_spec"] = {"pipeline_spec": spec, "platform_spec": platform} if platform else spec
    if dspa.version.task_details:
        answer["run_details"] = message({"task_details": task_details(dspa, run)})
    else:
        answer["task_count"] = len(tasks(dspa, run))
        answer["tasks"] = tasks(dspa, run) if full else []
    return message(answer)


def terminate(dspa: Dspa, request: Request) -> dict[str, Any]:
    context = f"Failed to terminate a run: Failed to terminate run {request.ids[0]}"
    run = run_of(dspa, request, context)
    if run.state not in {None, "RUNTIME_STATE_UNSPECIFIED", "PENDING", "RUNNING", "PAUSED"}:
        raise invalid(f"Failed to terminate a run {run.run_id}. Row not found", context)
    dspa.terminate(run)
    return {}


def retry(dspa: Dspa, request: Request) -> dict[str, Any]:
    run = run_of(dspa, request, "Failed to retry a run")
    if run.state not in TERMINAL - {"SUCCEEDED"}:
        refusal = f"Failed to retry run {run.run_id} as it does not allow retries"
        raise internal(refusal, "Failed to retry a run")
    dspa.retry(run)
    return {}


def archive(dspa: Dspa, request: Request) -> dict[str, Any]:
    run_of(dspa, request, "Failed to archive a run").storage_state = "ARCHIVED"
    return {}


def delete_run(dspa: Dspa, request: Request) -> dict[str, Any]:
    run = run_of(dspa, request, "Failed to delete a run")
    if run.process is not None:
        run.process.kill()
    del dspa.runs[run.run_id]
    return {}


# Every call.

ID = r"([^/:]+)"
Endpoint = Callable[[Dspa, Request], dict[str, Any]]
ROUTES: tuple[tuple[str, str, str, Endpoint], ...] = (
    ("GET", "/healthz", "healthz", healthz),
    ("GET", "/experiments", "list_experiments", list_experiments),
    ("POST", "/experiments", "create_experiment", create_experiment),
    ("GET", f"/experiments/{ID}", "get_experiment", get_experiment),
    ("POST", f"/experiments/{ID}:archive", "archive_experiment", archive_experiment),
    ("GET", "/runs", "list_runs", list_runs),
    ("POST", "/runs", "create_run", create_run),
    ("GET", f"/runs/{ID}", "get_run", get_run),
    ("DELETE", f"/runs/{ID}", "delete_run", delete_run),
    ("POST", f"/runs/{ID}:terminate", "terminate", terminate),
    ("POST", f"/runs/{ID}:retry", "retry", retry),
    ("POST", f"/runs/{ID}:archive", "archive", archive),
)
ENDPOINTS = {kind: endpoint for _, _, kind, endpoint in ROUTES}


def classify(method: str, path: str) -> tuple[str, tuple[str, ...]]:
    """Return which call a request is, and the ids in its path."""
    for verb, pattern, kind, _ in ROUTES:
        match = re.fullmatch(PREFIX + pattern, path)
        if match and verb == method:
            return kind, tuple(unquote(item) for item in match.groups())
    return "other", ()


def answer(dspa: Dspa, request: Request) -> Answer:
    """Answer a request: first the proxy, then the API."""
    with dspa.lock:
        try:
            if (refusal := refuse(dspa, request)) is not None:
                return refusal
            if request.kind == "other":
                known = any(re.fullmatch(PREFIX + pattern, request.path) for _, pattern, _, _ in ROUTES)
                code, text = (12, "Method Not Allowed") if known else (5, "Not Found")
                raise ApiError(code, text, gateway=True)
            return Answer(200, json.dumps(ENDPOINTS[request.kind](dspa, request)).encode(), JSON)
        except ApiError as error:
            return Answer(error.status, json.dumps(error.body(dspa.version.gateway)).encode(), JSON)


def refuse(dspa: Dspa, request: Request) -> Answer | None:
    """Refuse an unknown token or a missing right as kube-rbac-proxy does, with one line of plain text."""
    plain = {"Content-Type": TEXT, "X-Content-Type-Options": "nosniff"}
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if dspa.tokens is not None and (scheme.lower() != "bearer" or token not in dspa.tokens):
        return Answer(401, b"Unauthorized\n", plain)
    if dspa.forbidden and dspa.forbidden(request):
        verb = {"GET": "get", "POST": "create", "DELETE": "delete"}.get(request.method, "update")
        resource = "resource=datasciencepipelinesapplications, subresource=api"
        text = f"Forbidden (user=system:serviceaccount:ci:jukebox, verb={verb}, {resource})\n"
        return Answer(403, text.encode(), plain)
    return None
