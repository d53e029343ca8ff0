"""Run a Pipeline here: every step's script is really executed, in the order of the graph.

Params, results and contexts are substituted as Tekton substitutes them, workspaces and volumes are folders,
and a task that fails is tried again as often as the Pipeline says. There are no images: a script finds its
programs on the path. What a pod would mount (``/tekton/results``, ``/etc/jukebox/ca``, ``/tmp``, ``/judge``)
is replaced by folders, in the scripts and in their variables.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from types import MappingProxyType
from typing import Any

REFERENCE = re.compile(r"\$\(([^()\s]+)\)")
RESULT = re.compile(r"\$\(tasks\.([\w-]+)\.results\.([\w-]+)\)")
NAMESPACE = "music"
PIPELINE_RUN = "metadata.labels['tekton.dev/pipelineRun']"
"""The label that the pods of a PipelineRun have, and those of a TaskRun alone do not."""

CUT_OFF = """
import os, sys
from ml.judge.sandbox import CLONE_NEWNET, call, loopback_up
call("unshare", CLONE_NEWNET)
loopback_up()
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a script in a network of its own, as a NetworkPolicy without any egress has it; this needs root."""

SETTINGS = ("AWS_", "JUKEBOX_", "KUBECONFIG", "PYTEST_")
"""How the names of variables begin that a pod does not have from whoever runs the tests."""

Object = dict[str, Any]


@dataclass
class World:
    """What surrounds a run: objects of the cluster, secrets, and what the pods of a service account have.

    Args:
        folder: where the folders of all runs lie.
        objects: Tasks and Pipelines, as kustomize renders them.
        secrets: by name, key and value.
        env: the variables of every step; ``identities`` those of the pods of one service account.
        mounted: by mount path, the files of config maps, and of secrets that are optional.
        cut_off: the Tasks whose steps reach nobody.
    """

    folder: Path
    objects: list[Object]
    secrets: Mapping[str, Mapping[str, str]]
    env: Mapping[str, str]
    identities: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    mounted: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cut_off: frozenset[str] = frozenset()

    @property
    def tmp(self) -> Path:
        """The /tmp of all pods, one after the other."""
        folder = self.folder / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def find(self, kind: str, name: str) -> Object:
        (found,) = (o for o in self.objects if o["kind"] == kind and o["metadata"]["name"] == name)
        return found["spec"]


@dataclass
class TaskEnd:
    """How a task ended: Tekton's word for it, its results, and what its steps printed, try by try.

    ``left_out`` is whether its `when` was false.
    """

    status: str = "None"
    results: dict[str, str] = field(default_factory=dict)
    log: str = ""
    tries: int = 0
    left_out: bool = False


@dataclass
class Run:
    """A PipelineRun under way, and afterwards."""

    world: World
    spec: Object
    uid: str
    tasks: dict[str, TaskEnd]
    variables: dict[str, str]
    home: Path

    @property
    def log(self) -> str:
        return "\n".join(f"== {name} {end.status}\n{end.log}" for name, end in self.tasks.items())


def execute(world: World, spec: Object, uid: str, known: Mapping[str, TaskEnd] = MappingProxyType({})) -> Run:
    """Execute a PipelineRun to its end.

    Args:
        world: what surrounds it.
        spec: the PipelineRun's spec.
        uid: its uid, and here its name too.
        known: tasks that another run has executed, and whose results are taken from there.
    """
    pipeline = world.find("Pipeline", spec["pipelineRef"]["name"])
    given = {param["name"]: param["value"] for param in spec.get("params", ())}
    declared = {param["name"]: param.get("default") for param in pipeline["params"]}
    assert set(given) <= set(declared), f"unknown: {set(given) - set(declared)}"
    values = {**declared, **given}
    assert None not in values.values(), values
    variables = {f"params.{name}": value for name, value in values.items()}
    variables |= {"context.pipelineRun.uid": uid}
    home = world.folder / uid
    run = Run(world, spec, uid, {task["name"]: TaskEnd() for task in pipeline["tasks"]}, variables, home)
    by_name = {task["name"]: task for task in pipeline["tasks"]}
    for name in TopologicalSorter({n: _before(task) for n, task in by_name.items()}).static_order():
        if name in known:
            _succeed(run, name, known[name].results)
        elif _ready(run, by_name[name]):
            _try(run, by_name[name])
    variables |= {f"tasks.{name}.status": end.status for name, end in run.tasks.items()}
    for task in pipeline["finally"]:
        run.tasks[task["name"]] = TaskEnd()
        _try(run, task)
    return run


def _before(task: Object) -> set[str]:
    return {*task.get("runAfter", ()), *(found[0] for found in RESULT.findall(str(task)))}


def _ready(run: Run, task: Object) -> bool:
    """Tell whether a task may begin: results are there, and what it runs after has ended or was left out."""
    takes = {found[0] for found in RESULT.findall(str(task))}
    after = (run.tasks[name] for name in task.get("runAfter", ()))
    return all(run.tasks[name].status == "Succeeded" for name in takes) and all(
        end.status == "Succeeded" or end.left_out for end in after
    )


def _try(run: Run, task: Object) -> None:
    for condition in task.get("when", ()):
        value = _filled(condition["input"], run.variables)
        if (value in condition["values"]) != (condition["operator"] == "in"):
            run.tasks[task["name"]].left_out = True
            return
    end = run.tasks[task["name"]]
    for _ in range(1 + task.get("retries", 0)):
        end.tries += 1
        results = _task_run(run, task, run.home / f"{task['name']}-{end.tries}")
        if results is not None:
            _succeed(run, task["name"], results)
            return
    end.status = "Failed"


def _succeed(run: Run, task: str, results: Mapping[str, str]) -> None:
    run.tasks[task].status, run.tasks[task].results = "Succeeded", dict(results)
    run.variables |= {f"tasks.{task}.results.{name}": value for name, value in results.items()}


def _task_run(run: Run, task: Object, pod: Path) -> dict[str, str] | None:
    """Run a task of the Pipeline; returns the results, or None where a step failed."""
    spec = run.world.find("Task", task["taskRef"]["name"])
    given = {param["name"]: _filled(param["value"], run.variables) for param in task["params"]}
    variables = {**run.variables, **_params(spec, given), **_workspaces(run, task, spec)}
    variables |= _contexts(f"{run.uid}-{task['name']}")
    accounts = {entry["pipelineTaskName"]: entry["serviceAccountName"] for entry in run.spec["taskRunSpecs"]}
    account = accounts.get(task["name"], "")
    name, end = task["taskRef"]["name"], run.tasks[task["name"]]
    return _steps(run.world, name, pod, end, variables, {PIPELINE_RUN: run.uid}, account)


def execute_alone(world: World, spec: Object, name: str) -> TaskEnd:
    """Execute a TaskRun that belongs to no PipelineRun; its claim is the folder of that name.

    Args:
        world: what surrounds it.
        spec: the TaskRun's spec.
        name: its name.
    """
    task, end = world.find("Task", spec["taskRef"]["name"]), TaskEnd(tries=1)
    given = {param["name"]: param["value"] for param in spec["params"]}
    variables = {**_params(task, given), **_contexts(name)}
    for space in spec.get("workspaces", ()):
        claim = world.folder / space["persistentVolumeClaim"]["claimName"]
        path = claim / space.get("subPath", "")
        path.mkdir(parents=True, exist_ok=True)
        variables |= {f"workspaces.{space['name']}.path": str(path)}
        variables |= {f"workspaces.{space['name']}.volume": str(claim)}
    account = spec["serviceAccountName"]
    results = _steps(world, spec["taskRef"]["name"], world.folder / name, end, variables, {}, account)
    end.status, end.results = ("Failed", {}) if results is None else ("Succeeded", results)
    return end


def execute_task(world: World, name: str, uid: str, params: Mapping[str, str]) -> TaskEnd:
    """Execute one Task to its end, in the folder of a run, with every workspace that it needs.

    Args:
        world: what surrounds it.
        name: the Task's name.
        uid: the run's uid; a Task that follows others finds in its folder what they have left.
        params: the Task's params.
    """
    bound = {"shared": {"volumeClaimTemplate": {}}, "pip-settings": {"configMap": {"name": "pip"}}}
    folders = {"shared": "commit", "outcome": "outcome", "judge": "judge"}
    task = {
        "name": name,
        "taskRef": {"name": name},
        "params": [{"name": param, "value": value} for param, value in params.items()],
        "workspaces": [
            {"name": "pip-settings", "workspace": "pip-settings"},
            *({"name": space, "workspace": "shared", "subPath": part} for space, part in folders.items()),
        ],
    }
    workspaces = [{"name": workspace, **source} for workspace, source in bound.items()]
    spec = {"workspaces": workspaces, "taskRunSpecs": []}
    run = Run(world, spec, uid, {name: TaskEnd()}, {}, world.folder / uid)
    _try(run, task)
    return run.tasks[name]


def _params(spec: Object, given: Mapping[str, str]) -> dict[str, str]:
    values = {param["name"]: param.get("default") for param in spec["params"]}
    assert set(given) <= set(values)
    values |= given
    assert None not in values.values(), values
    return {f"params.{name}": value for name, value in values.items()}


def _contexts(name: str) -> dict[str, str]:
    return {"context.taskRun.name": name, "context.taskRun.namespace": NAMESPACE}


def _steps(
    world: World,
    task: str,
    pod: Path,
    end: TaskEnd,
    variables: Mapping[str, str],
    fields: Mapping[str, str],
    account: str,
) -> dict[str, str] | None:
    """Run the steps of a Task, one after the other; returns the results, or None where one failed.

    Args:
        world: what surrounds it.
        task: the Task's name.
        pod: a folder for what the pod has; it is made.
        end: what the steps print is added to its log.
        variables: what stands for each $(…).
        fields: the pod's fields by path; a label that it does not have is empty.
        account: the service account of the pod.
    """
    spec = world.find("Task", task)
    alone = [sys.executable, "-c", CUT_OFF] if task in world.cut_off else []
    shutil.rmtree(pod, ignore_errors=True)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    for step in spec["steps"]:
        folders = _folders(spec, step, pod, variables) | {"/tmp": world.tmp}
        for path, files in world.mounted.items():
            for name, text in files.items() if path in folders else ():
                (folders[path] / name).write_text(text)
        _mount_secrets(world, spec, step, folders, variables)
        env = {**ours, **world.env, **world.identities.get(account, {})}
        for entry in (*spec["stepTemplate"].get("env", ()), *step.get("env", ())):
            value = _value(world, _moved_entry(entry, folders), variables, fields)
            if value is not None:
                env[entry["name"]] = value
        script = pod / step["name"]
        script.write_text(_moved(step["script"], folders))
        script.chmod(0o755)
        with _hidden(spec, step, variables):
            done = subprocess.run(
                [*alone, script], env=env, cwd=pod, capture_output=True, text=True, check=False
            )
        end.log += done.stdout + done.stderr
        if done.returncode:
            return None
    results = pod / "tekton-results"
    names = [result["name"] for result in spec.get("results", ())]
    return {name: (results / name).read_text() for name in names if (results / name).exists()}


def _workspaces(run: Run, task: Object, spec: Object) -> dict[str, str]:
    bound = {entry["name"]: entry for entry in run.spec["workspaces"]}
    given = {entry["name"]: entry["workspace"] for entry in task.get("workspaces", ())}
    parts = {entry["name"]: entry.get("subPath", "") for entry in task.get("workspaces", ())}
    found = {}
    for workspace in spec.get("workspaces", ()):
        name = workspace["name"]
        entry = bound.get(given.get(name, ""))
        assert entry or workspace.get("optional"), f"{task['name']} lacks {name}"
        path = ""
        if entry and "volumeClaimTemplate" in entry:
            path = str(run.home / "shared" / parts[name])
            Path(path).mkdir(parents=True, exist_ok=True)
            found[f"workspaces.{name}.volume"] = str(run.home / "shared")
        elif entry:
            path = str(run.world.folder / next(iter(entry["configMap"].values())))
        found[f"workspaces.{name}.path"] = path
    return found


def _folders(spec: Object, step: Object, pod: Path, variables: Mapping[str, str]) -> dict[str, Path]:
    """Return the folders that a step would mount, by path; what no step before has made is empty.

    A workspace with a path of its own is that folder for the steps that list it. A step that mounts parts of
    its volume sees those parts and nothing else.
    """
    folders = {}
    for mount in ({"mountPath": "/tekton/results"}, {"mountPath": "/tekton/home"}, *_mounts(spec, step)):
        path = mount["mountPath"]
        if "subPath" not in mount:
            folders[path] = pod / path.strip("/").replace("/", "-")
            folders[path].mkdir(parents=True, exist_ok=True)
    view = pod / f"{step['name']}-view"
    for mount in _mounts(spec, step):
        if "subPath" in mount:
            part = view / mount["mountPath"].strip("/")
            part.parent.mkdir(parents=True, exist_ok=True)
            source = Path(_filled(mount["name"], variables)) / mount["subPath"]
            # A mounted file is a file: only folders are links here.
            part.hardlink_to(source) if source.is_file() else part.symlink_to(source)
            folders[f"/{part.relative_to(view).parts[0]}"] = view / part.relative_to(view).parts[0]
    listed = {space["name"] for space in step.get("workspaces", ())}
    for space in spec.get("workspaces", ()):
        if "mountPath" in space and space["name"] in listed:
            folders[space["mountPath"]] = Path(variables[f"workspaces.{space['name']}.path"])
    return folders


def _mounts(spec: Object, step: Object) -> list[Object]:
    return [*spec["stepTemplate"].get("volumeMounts", ()), *step.get("volumeMounts", ())]


def _mount_secrets(
    world: World, spec: Object, step: Object, folders: Mapping[str, Path], variables: Mapping[str, str]
) -> None:
    """Write the secrets that a step mounts as files."""
    secrets = {
        volume["name"]: _filled(volume["secret"]["secretName"], variables)
        for volume in spec["volumes"]
        if "secret" in volume
    }
    for mount in _mounts(spec, step):
        for name, value in world.secrets.get(secrets.get(mount["name"], ""), {}).items():
            (folders[mount["mountPath"]] / name).write_text(value)


@contextlib.contextmanager
def _hidden(spec: Object, step: Object, variables: Mapping[str, str]) -> Iterator[None]:
    """Put empty folders where a step mounts some within a workspace, and take them away in the end."""
    homes = {
        space["mountPath"]: Path(variables[f"workspaces.{space['name']}.path"])
        for space in spec.get("workspaces", ())
        if "mountPath" in space
    }
    below = [
        (home / mount["mountPath"].removeprefix(f"{path}/"), home.with_name(f"hidden-{number}"))
        for number, mount in enumerate(_mounts(spec, step))
        for path, home in homes.items()
        if "subPath" not in mount and mount["mountPath"].startswith(f"{path}/")
    ]
    for folder, elsewhere in below:
        folder.rename(elsewhere)
        folder.mkdir()
    try:
        yield
    finally:
        for folder, elsewhere in below:
            shutil.rmtree(folder)
            elsewhere.rename(folder)


def _moved(text: str, folders: Mapping[str, Path]) -> str:
    paths = "|".join(re.escape(path) for path in sorted(folders, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{paths})(?![\w.-])", lambda found: str(folders[found[0]]), text)


def _moved_entry(entry: Object, folders: Mapping[str, Path]) -> Object:
    """Move what an entry says itself, not what is filled in: that is a folder of this machine already."""
    return {**entry, "value": _moved(entry["value"], folders)} if "value" in entry else entry


def _value(
    world: World, entry: Object, variables: Mapping[str, str], fields: Mapping[str, str]
) -> str | None:
    if "value" in entry:
        return _filled(entry["value"], variables)
    if "fieldRef" in entry["valueFrom"]:
        return fields.get(entry["valueFrom"]["fieldRef"]["fieldPath"], "")
    reference = entry["valueFrom"]["secretKeyRef"]
    value = world.secrets.get(_filled(reference["name"], variables), {}).get(reference["key"])
    assert value is not None or reference.get("optional"), reference
    return value


def _filled(text: str, variables: Mapping[str, str]) -> str:
    return REFERENCE.sub(lambda found: variables[found[1]], text)
