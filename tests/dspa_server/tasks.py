"""The steps of a run as the API shows them: nodes of the workflow, or the tasks of newer servers."""

import uuid
from datetime import datetime
from typing import Any

from dspa_server.records import NEVER, TERMINAL, RunRecord, message, timestamp
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
    workflow = f"{run.pipeline_spec['pipelineInfo']['name']}-{run.run_id[:5]}"
    whole = "RUNNING" if run.state not in TERMINAL or run.turn == run.ended_turn else str(run.state)
    nodes = [
        _node(run, workflow, whole, [f"{workflow}-root-driver"]),
        _node(run, "root-driver", "SUCCEEDED", [f"{workflow}-root"]),
        _node(run, "root", whole, [f"{workflow}-{name}-driver" for name, _ in states[:1]]),
    ]
    for name, state in states:
        nodes += [
            _node(run, f"{name}-driver", "SUCCEEDED", [f"{workflow}-{name}"]),
            _node(run, name, state, [f"{workflow}-{name}-executor"]),
            _node(run, "executor", state, [], task=name),
        ]
    return nodes


def _node(run: RunRecord, name: str, state: str, children: list[str], task: str = "") -> dict[str, Any]:
    ended = _end(run) if state in TERMINAL else NEVER
    updated = ended if ended != NEVER else run.created_at
    return message(
        {
            "run_id": run.run_id,
            "task_id": _id(run, f"{task}/{name}"),
            "display_name": name,
            "create_time": timestamp(run.created_at),
            "start_time": timestamp(run.created_at),
            "end_time": timestamp(ended),
            "state": state,
            "state_history": [{"update_time": timestamp(updated), "state": state}],
            "child_tasks": [{"pod_name": child} for child in children],
        }
    )


def tasks(dspa: Dspa, run: RunRecord) -> list[dict[str, Any]]:
    """List the tasks as servers without ML Metadata do."""
    root = _task(run, "root", "RUNNING" if run.state not in TERMINAL else str(run.state), "ROOT")
    parent = {"parent_task_id": root["task_id"]}
    return [root, *({**_task(run, *known, "RUNTIME"), **parent} for known in task_states(dspa, run))]


def _task(run: RunRecord, name: str, state: str, kind: str) -> dict[str, Any]:
    task_id = _id(run, name)
    return message(
        {
            "name": name,
            "display_name": name,
            "task_id": task_id,
            "run_id": run.run_id,
            "pods": [{"name": f"{name}-{task_id[:8]}", "uid": _id(run, f"pod/{name}"), "type": "EXECUTOR"}],
            "create_time": timestamp(run.created_at),
            "end_time": timestamp(_end(run)) if state in TERMINAL else None,
            "state": state,
            "type": kind,
            "scope_path": "root" if kind == "ROOT" else f"root.{name}",
        }
    )


def _end(run: RunRecord) -> datetime:
    return run.state_history[-1][0]


def _id(run: RunRecord, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run.run_id}/{name}"))
