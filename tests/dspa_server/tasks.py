"""The steps of a run as the API shows them: nodes of the workflow, or the tasks of newer servers."""

from datetime import datetime
from typing import Any

from dspa_server.records import NEVER, TERMINAL, RunRecord, timestamp
from dspa_server.state import Dspa


def task_states(dspa: Dspa, run: RunRecord) -> list[tuple[str, str]]:
    """List the tasks that have started, with their states; they lag behind the end of the run."""
    names = dspa.task_names(run)
    settled = run.state in TERMINAL and (run.ended_turn is None or run.turn > run.ended_turn)
    if settled and run.state == "SUCCEEDED":
        return [(name, "SUCCEEDED") for name in names]
    if run.process is not None:
        seen = getattr(run.process, "task_states", dict)()
        return [(name, seen[name]) for name in names if name in seen]
    if not names or (run.running_gets == 0 and run.state not in {"SUCCEEDED", "FAILED"}):
        return []
    done = dspa.failing_task(run) if settled and not run.terminated else run.tasks_done
    ended = [(name, "SUCCEEDED") for name in names[:done]]
    return [*ended, (names[done], "FAILED" if settled else "RUNNING")]


def task_details(dspa: Dspa, run: RunRecord) -> list[dict[str, Any]]:
    """List the workflow's nodes: the workflow, the root DAG, and three for each task."""
    states = task_states(dspa, run)
    if run.state == "PENDING" or (not states and run.running_gets == 0 and run.state not in TERMINAL):
        return []
    whole = "RUNNING" if run.state not in TERMINAL or run.turn == run.ended_turn else str(run.state)
    workflow = f"{run.pipeline_spec['pipelineInfo']['name']}-{run.run_id[:5]}"
    nodes = [(workflow, whole), ("root-driver", "SUCCEEDED"), ("root", whole)]
    for name, state in states:
        nodes += [(f"{name}-driver", "SUCCEEDED"), (name, state), ("executor", state)]
    return [
        {"run_id": run.run_id, "task_id": f"{run.run_id}/{number}", "display_name": name, "state": state}
        | {"start_time": timestamp(run.created_at), "end_time": timestamp(_end(run, state))}
        for number, (name, state) in enumerate(nodes)
    ]


def tasks(dspa: Dspa, run: RunRecord) -> list[dict[str, Any]]:
    """List the tasks as servers without ML Metadata do."""
    root = ("root", "RUNNING" if run.state not in TERMINAL else str(run.state))
    return [
        {
            "name": name,
            "display_name": name,
            "task_id": f"{run.run_id}/{name}",
            "run_id": run.run_id,
            "state": state,
        }
        | {"type": "ROOT" if name == "root" else "RUNTIME", "create_time": timestamp(run.created_at)}
        for name, state in (root, *task_states(dspa, run))
    ]


def _end(run: RunRecord, state: str) -> datetime:
    return run.state_history[-1][0] if state in TERMINAL else NEVER
