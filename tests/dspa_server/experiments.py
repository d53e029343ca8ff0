"""Health and experiments: what these calls ask for and what they answer."""

from typing import Any

from dspa_server.errors import ALREADY_EXISTS, ApiError, internal, not_found
from dspa_server.listing import Fields, select
from dspa_server.messages import read_body
from dspa_server.records import Experiment, Request, message, timestamp
from dspa_server.state import Dspa

EXPERIMENT_FIELDS = frozenset(
    "experiment_id display_name description created_at namespace storage_state last_run_created_at".split()
)
EXPERIMENTS: Fields = {
    "id": lambda item: item.experiment_id,
    "experiment_id": lambda item: item.experiment_id,
    "name": lambda item: item.display_name,
    "display_name": lambda item: item.display_name,
    "created_at": lambda item: int(item.created_at.timestamp()),
    "last_run_created_at": lambda item: int(item.last_run_created_at.timestamp()),
    "storage_state": lambda item: item.storage_state,
}


def healthz(dspa: Dspa, _: Request) -> dict[str, Any]:
    """Tell the version, as the real ones do: written by hand, so that false is not left out."""
    version = dspa.version
    found = {"commit_sha": version.commit_sha, "tag_name": version.tag_name, "multi_user": False}
    if version.pipeline_store:
        found["pipeline_store"] = "database"
    return {name: value for name, value in {**found, **dspa.health}.items() if value is not None}


def create_experiment(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Create an experiment, unless its name is taken."""
    given = read_body(request, EXPERIMENT_FIELDS, "Experiment")
    name = given.get("display_name", "")
    if not name:
        raise internal("Failed to convert API experiment to model experiment")
    if len(name) > 128:
        raise internal("Failed to create an experiment: Data too long for column 'Name' at row 1")
    if any(known.display_name.casefold() == name.casefold() for known in dspa.experiments.values()):
        raise ApiError(
            ALREADY_EXISTS,
            f"Failed to create a new experiment. The name {name} already exists. Please specify a new name",
            "Failed to create a experiment",
        )
    return experiment_json(dspa.add_experiment(name, given.get("description", "")))


def experiment_of(dspa: Dspa, experiment_id: str, context: str = "") -> Experiment:
    """Find an experiment."""
    if experiment_id not in dspa.experiments:
        raise not_found("Experiment", experiment_id, context)
    return dspa.experiments[experiment_id]


def list_experiments(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Answer with a page of experiments."""
    rows, total, token = select(list(dspa.experiments.values()), request.query, EXPERIMENTS, "experiments")
    found = [experiment_json(row) for row in rows]
    return message({"experiments": found, "total_size": total, "next_page_token": token})


def experiment_json(item: Experiment) -> dict[str, Any]:
    """Write an experiment."""
    return message(
        {
            "experiment_id": item.experiment_id,
            "display_name": item.display_name,
            "description": item.description,
            "created_at": timestamp(item.created_at),
            "storage_state": item.storage_state,
            "last_run_created_at": timestamp(item.last_run_created_at),
        }
    )


def archive_experiment(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Archive or restore an experiment; its runs are archived with it, and not restored with it."""
    state = storage_state(request)
    experiment = experiment_of(dspa, request.ids[0])
    experiment.storage_state = state
    for run in dspa.runs.values():
        if state == "ARCHIVED" and run.experiment_id == experiment.experiment_id:
            run.storage_state = state
    return {}


def get_experiment(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Answer with an experiment."""
    return experiment_json(experiment_of(dspa, request.ids[0]))


def storage_state(request: Request) -> str:
    """Tell what a call to archive or to restore makes of its object."""
    return "ARCHIVED" if request.kind.startswith("archive") else "AVAILABLE"
