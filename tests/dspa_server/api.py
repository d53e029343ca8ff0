"""The calls of the API, and the proxy in front of it."""

import json
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from dspa_server.faults import TEXT
from dspa_server.reading import ApiError, check_parameters, read_message, read_spec, select
from dspa_server.records import EPOCH, NEVER, TERMINAL, RunRecord, Script, message, struct, timestamp
from dspa_server.state import Dspa, task_states

JSON = {"Content-Type": "application/json"}
EXPERIMENT_FIELDS = "experiment_id display_name description created_at namespace storage_state".split()
RUN_FIELDS = (
    "experiment_id run_id display_name storage_state description pipeline_version_id pipeline_spec"
    " pipeline_version_reference runtime_config service_account created_at scheduled_at finished_at state"
    " error run_details recurring_run_id state_history"
).split()


@dataclass(frozen=True)
class Answer:
    code: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def healthz(dspa, _):
    return {"commit_sha": "537860c4", "tag_name": dspa.version.tag_name, "multi_user": False}


def create_experiment(dspa, request):
    given = read_message(json.loads(request.body), EXPERIMENT_FIELDS)
    name = given.get("display_name", "")
    if not 0 < len(name) <= 128:
        raise ApiError(13, "Failed to create an experiment: no name, or Data too long for column 'Name'")
    if any(known.display_name.casefold() == name.casefold() for known in dspa.experiments.values()):
        raise ApiError(6, f"Failed to create a new experiment. The name {name} already exists.")
    return experiment_json(dspa.add_experiment(name, given.get("description", "")))


def experiment_json(item):
    return message({**vars(item), "created_at": timestamp(item.created_at)})


def list_experiments(dspa, request):
    return select("experiments", dspa.experiments.values(), request.query, experiment_json)


def create_run(dspa, request):
    """Start a run; names are not unique."""
    given = read_message(json.loads(request.body), RUN_FIELDS)
    config = read_message(given.get("runtime_config", {}), ("parameters", "pipeline_root"))
    if not (name := given.get("display_name", "")):
        raise ApiError(13, "Failed to convert a API run detail: Run name cannot be empty")
    experiment_id = given.get("experiment_id") or next(iter(dspa.experiments))
    if experiment_id not in dspa.experiments:
        raise ApiError(5, f"Experiment {experiment_id} not found")
    spec, platform = read_spec(given.get("pipeline_spec"), dspa.version)
    parameters = struct(config.get("parameters", {}))
    check_parameters(spec, parameters)
    run = RunRecord(name, experiment_id, parameters, spec, platform, dspa.now(), given.get("description", ""))
    run.pipeline_root = config.get("pipeline_root", "")
    run.service_account = given.get("service_account") or run.service_account
    run.script = dspa.script if isinstance(dspa.script, Script) else dspa.script(run)
    run.hidden_lists = dspa.list_lag
    run.state_history.append((dspa.now(), "PENDING"))
    run.process = dspa.executor(run) if dspa.executor else None
    dspa.runs[run.run_id] = run
    return run_json(dspa, run)


def run_of(dspa, request):
    run = dspa.runs.get(request.ids[0])
    if run is None or run.vanished:
        raise ApiError(5, f"Run {request.ids[0]} not found")
    return run


def get_run(dspa, request):
    """Answer with a run, which proceeds by it."""
    run = run_of(dspa, request)
    dspa.advance(run)
    return run_json(dspa, run, full=request.query.get("view") == "FULL")


def list_runs(dspa, request):
    """Answer with a page of runs, archived ones included; new ones may be missing."""
    listed = [run for run in dspa.runs.values() if not run.hidden_lists and not run.vanished]
    for run in dspa.runs.values():
        run.hidden_lists = max(0, run.hidden_lists - 1)
    if experiment_id := request.query.get("experiment_id", ""):
        if experiment_id not in dspa.experiments:
            raise ApiError(5, f"Experiment {experiment_id} not found")
        listed = [run for run in listed if run.experiment_id == experiment_id]
    return select("runs", listed, request.query, lambda run: run_json(dspa, run))


SAME = ("experiment_id", "run_id", "display_name", "storage_state", "description", "service_account", "state")


def run_json(dspa, run, *, full=False):
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
        answer["run_details"] = message({"task_details": task_details(run)})
    elif full:
        states = {"root": "RUNNING" if run.state not in TERMINAL else run.state, **task_states(run)}
        answer["tasks"] = [
            {"name": name, "display_name": name, "task_id": f"{run.run_id}/{name}", "state": state}
            for name, state in states.items()
        ]
    return message(answer)


def task_details(run):
    """List the workflow's nodes: the workflow, the root DAG, and three for each task."""
    if run.state == "PENDING":
        return []
    whole = "RUNNING" if run.state not in TERMINAL or run.turn == run.ended_turn else run.state
    nodes = [(f"{run.pipeline_spec['pipelineInfo']['name']}-{run.run_id[:5]}", whole)]
    nodes += [("root-driver", "SUCCEEDED"), ("root", whole)]
    for name, state in task_states(run).items():
        nodes += [(f"{name}-driver", "SUCCEEDED"), (name, state), ("executor", state)]
    began, last = timestamp(run.created_at), timestamp(run.state_history[-1][0])
    return [
        {"run_id": run.run_id, "task_id": f"{run.run_id}/{number}", "display_name": name, "state": state}
        | {"start_time": began, "end_time": last if state in TERMINAL else timestamp(NEVER)}
        for number, (name, state) in enumerate(nodes)
    ]


def terminate(dspa, request):
    run = run_of(dspa, request)
    if run.state not in {None, "RUNTIME_STATE_UNSPECIFIED", "PENDING", "RUNNING", "PAUSED"}:
        raise ApiError(3, f"Failed to terminate a run {run.run_id}. Row not found")
    run.terminated, run.terminated_turn, run.state = True, run.turn, "CANCELING"
    if run.process is not None:
        run.process.kill()
    return {}


def retry(dspa, request):
    run = run_of(dspa, request)
    if run.state not in TERMINAL - {"SUCCEEDED"}:
        raise ApiError(13, f"Failed to retry run {run.run_id} as it does not allow retries")
    run.terminated, run.ended_turn, run.turn, run.finished_at = False, None, run.script.pending, EPOCH
    dspa.show(run, "RUNNING")
    run.process = dspa.executor(run) if dspa.executor else None
    return {}


def archive(dspa, request):
    run_of(dspa, request).storage_state = "ARCHIVED"
    return {}


ROUTES = (
    ("GET", "/healthz", healthz),
    ("GET", "/experiments", list_experiments),
    ("POST", "/experiments", create_experiment),
    ("GET", "/runs", list_runs),
    ("POST", "/runs", create_run),
    ("GET", "/runs/([^/:]+)", get_run),
    ("POST", "/runs/([^/:]+):terminate", terminate),
    ("POST", "/runs/([^/:]+):retry", retry),
    ("POST", "/runs/([^/:]+):archive", archive),
)
ENDPOINTS = {endpoint.__name__: endpoint for _, _, endpoint in ROUTES}


def classify(method, path):
    """Return which call a request is, and the ids in its path."""
    for verb, pattern, endpoint in ROUTES:
        match = re.fullmatch(f"/apis/v2beta1{pattern}", path)
        if match and verb == method:
            return endpoint.__name__, tuple(unquote(item) for item in match.groups())
    return "other", ()


def answer(dspa: Dspa, request) -> Answer:
    """Answer a request: first the proxy, as kube-rbac-proxy with one line of plain text, then the API."""
    with dspa.lock:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if dspa.tokens is not None and (scheme.lower() != "bearer" or token not in dspa.tokens):
            return Answer(401, b"Unauthorized\n", {"Content-Type": TEXT})
        if dspa.forbidden and dspa.forbidden(request):
            return Answer(403, b"Forbidden (user=system:serviceaccount:ci:jukebox)\n", {"Content-Type": TEXT})
        try:
            if request.kind == "other":
                raise ApiError(5, "Not Found")
            return Answer(200, json.dumps(ENDPOINTS[request.kind](dspa, request)).encode(), JSON)
        except ApiError as error:
            return Answer(error.status, json.dumps(error.body).encode(), JSON)
