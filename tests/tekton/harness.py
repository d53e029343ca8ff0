"""Run a Pipeline here: every step's script is executed, in the order of the graph.

Params, results and contexts are substituted as Tekton does, workspaces and volumes are folders, and a task
that fails is retried. There are no images: a script finds its programs on the path. What a pod would mount
(``/tekton/results``, ``/etc/jukebox/ca``, ``/tmp``, ``/judge``) is a folder, in scripts and their variables.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from types import MappingProxyType

from tekton.expected import FOLDERS
from tekton.manifests import Object, find

REFERENCE = re.compile(r"\$\(([^()\s]+)\)")
RESULT = re.compile(r"\$\(tasks\.([\w-]+)\.results\.[\w-]+\)")
NAMESPACE = "music"
CUT_OFF = """
import os, sys
from ml.judge.sandbox import CLONE_NEWNET, call, loopback_up
call("unshare", CLONE_NEWNET)
loopback_up()
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a script in a network of its own, as a NetworkPolicy without egress does; this needs root."""

SETTINGS = ("AWS_", "JUKEBOX_", "KUBECONFIG", "PYTEST_")
"""How the names of variables begin that a pod does not get from whoever runs the tests."""


@dataclass
class World:
    """What surrounds a run.

    ``mounted`` has the files of config maps and optional secrets by mount path, ``cut_off`` the Tasks that
    have no network, ``own`` the variables of single Tasks. The folder ``pip`` is the workspace pip-settings.
    """

    folder: Path
    objects: list[Object]
    secrets: Mapping[str, Mapping[str, str]]
    env: Mapping[str, str]
    mounted: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cut_off: Collection[str] = ()
    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass
class TaskEnd:
    """How a task ended: Tekton's word for it, its results, what it printed, and how often it was tried."""

    status: str = "None"
    results: dict[str, str] = field(default_factory=dict)
    log: str = ""
    tries: int = 0


@dataclass
class Run:
    """A PipelineRun under way, and afterwards."""

    world: World
    uid: str
    variables: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, TaskEnd] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.world.folder / self.uid

    @property
    def log(self) -> str:
        return "\n".join(f"== {name} {end.status}\n{end.log}" for name, end in self.tasks.items())

    @property
    def ends(self) -> dict[str, str]:
        return {name: end.status for name, end in self.tasks.items()}

    def attempt(self, task: Object, *, alone: bool = False) -> None:
        """Run a task as often as its retries allow; a TaskRun ``alone`` belongs to no PipelineRun."""
        name, spec = task["name"], find(self.world.objects, "Task", task["taskRef"]["name"])["spec"]
        end = self.tasks.setdefault(name, TaskEnd())
        given = {param["name"]: filled(param["value"], self.variables) for param in task["params"]}
        variables = {**_params(spec, given), **self._workspaces(task, spec)}
        variables |= {"context.taskRun.name": f"{self.uid}-{name}", "context.taskRun.namespace": NAMESPACE}
        variables |= {} if alone else {"metadata.labels['tekton.dev/pipelineRun']": self.uid}
        while end.status != "Succeeded" and end.tries <= task.get("retries", 0):
            end.tries += 1
            pod = Pod(self.world, name, spec, self.home / f"{name}-{end.tries}", variables)
            end.status = "Succeeded" if pod.run(end) else "Failed"
        self.ended(name, end)

    def ended(self, name: str, end: TaskEnd) -> None:
        """Have a task ended, with results for others."""
        self.tasks[name] = end
        self.variables |= {f"tasks.{name}.results.{each}": value for each, value in end.results.items()}

    def _workspaces(self, task: Object, spec: Object) -> dict[str, str]:
        given = {entry["name"]: entry for entry in task["workspaces"]}
        variables = {}
        for space in spec.get("workspaces", ()):
            name, path = space["name"], ""
            if name in given and given[name]["workspace"] == "shared":
                folder = self.home / "shared" / given[name]["subPath"]
                folder.mkdir(parents=True, exist_ok=True)
                path, variables[f"workspaces.{name}.volume"] = str(folder), str(folder.parent)
            elif name == "pip-settings":
                path = str(self.world.folder / "pip")
            assert path or space.get("optional"), f"{task['name']} lacks {name}"
            variables[f"workspaces.{name}.path"] = path
        return variables


def walk(tasks: list[Object], play: Callable[[Object], str]) -> dict[str, str]:
    """Play the tasks in their order, and return how each ended: Succeeded, Failed, skipped or blocked.

    A task whose `when` is false is skipped: what runs after it runs, what takes its results does not.
    """
    named = {task["name"]: task for task in tasks}
    takes = {name: {*RESULT.findall(json.dumps(task))} for name, task in named.items()}
    before = {name: takes[name].union(task.get("runAfter", ())) for name, task in named.items()}
    ends: dict[str, str] = {}
    for name in TopologicalSorter(before).static_order():
        ready = all(ends[each] == "Succeeded" for each in takes[name])
        ready &= all(ends[each] in ("Succeeded", "skipped") for each in before[name])
        ends[name] = play(named[name]) if ready else "blocked"
    return ends


def execute(
    world: World, params: Mapping[str, str], uid: str, known: Mapping[str, TaskEnd] = MappingProxyType({})
) -> Run:
    """Execute the Pipeline to its end; the results of ``known`` tasks are taken from another run."""
    pipeline = find(world.objects, "Pipeline", "jukebox-train")["spec"]
    run = Run(world, uid, {**_params(pipeline, params), "context.pipelineRun.uid": uid})
    run.tasks = {task["name"]: TaskEnd() for task in pipeline["tasks"]}

    def play(task: Object) -> str:
        name = task["name"]
        if name in known:
            run.ended(name, TaskEnd("Succeeded", known[name].results))
        elif not holds(task, run.variables):
            return "skipped"
        else:
            run.attempt(task)
        return run.tasks[name].status

    walk(pipeline["tasks"], play)
    run.variables |= {f"tasks.{name}.status": status for name, status in run.ends.items()}
    for task in pipeline["finally"]:
        run.attempt(task)
    return run


def execute_task(world: World, name: str, uid: str, **given: str) -> TaskEnd:
    """Execute one Task by itself, in the folder of a run; a param without any value gets a word."""
    declared = find(world.objects, "Task", name)["spec"]["params"]
    params = {each["name"]: "something" for each in declared if "default" not in each}
    params |= {each.replace("_", "-"): value for each, value in given.items()}
    task = {
        "name": name,
        "taskRef": {"name": name},
        "params": [{"name": param, "value": value} for param, value in params.items()],
        "workspaces": [{"name": at, "workspace": "shared", "subPath": part} for at, part in FOLDERS.items()],
    }
    run = Run(world, uid)
    run.attempt(task, alone=True)
    return run.tasks[name]


def holds(task: Object, variables: Mapping[str, str]) -> bool:
    """Return whether all of a task's `when` are true."""
    return all(
        (filled(when["input"], variables) in when["values"]) == (when["operator"] == "in")
        for when in task.get("when", ())
    )


def filled(text: str, variables: Mapping[str, str]) -> str:
    """Substitute all $(…) of a text."""
    return REFERENCE.sub(lambda match: variables[match[1]], text)


def _params(spec: Object, given: Mapping[str, str]) -> dict[str, str]:
    values = {param["name"]: param.get("default") for param in spec["params"]}
    assert given.keys() <= values.keys(), f"unknown: {given.keys() - values.keys()}"
    values |= given
    assert None not in values.values(), values
    return {f"params.{name}": value for name, value in values.items()}


@dataclass
class Pod:
    """The pod of one try of a task; what it has lies below ``home``."""

    world: World
    task: str
    spec: Object
    home: Path
    variables: Mapping[str, str]

    def run(self, end: TaskEnd) -> bool:
        """Run the steps one after the other, until one fails."""
        cut_off = [sys.executable, "-c", CUT_OFF] if self.task in self.world.cut_off else []
        shutil.rmtree(self.home, ignore_errors=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
        for step in self.spec["steps"]:
            folders = self._folders(step)
            env = {**kept, **self.world.env, **self.world.own.get(self.task, {})}
            for entry in (*self.spec["stepTemplate"].get("env", ()), *step.get("env", ())):
                if (value := self._value(entry, folders)) is not None:
                    env[entry["name"]] = value
            script = self.home / step["name"]
            script.write_text(_moved(step["script"], folders))
            script.chmod(0o755)
            command, cwd = [*cut_off, script], self.home
            done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False)
            end.log += done.stdout + done.stderr
            if done.returncode:
                return False
        results = self.home / "tekton-results"
        names = [result["name"] for result in self.spec.get("results", ())]
        end.results = {name: (results / name).read_text() for name in names if (results / name).exists()}
        return True

    def _folders(self, step: Object) -> dict[str, Path]:
        """Return the folders that a step mounts, by path, with what config maps and secrets put there.

        A workspace with a path of its own is that folder for the steps that list it. A step that mounts parts
        of its volume sees those parts and nothing else.
        """
        folders = {"/tmp": self.world.folder / "tmp", "/tekton/results": self.home / "tekton-results"}
        secrets = {each["name"]: each.get("secret", {}) for each in self.spec["volumes"]}
        view = self.home / f"{step['name']}-view"
        for mount in (*self.spec["stepTemplate"].get("volumeMounts", ()), *step.get("volumeMounts", ())):
            path = mount["mountPath"]
            if "subPath" in mount:
                part = view / path.strip("/")
                part.parent.mkdir(parents=True, exist_ok=True)
                source = Path(filled(mount["name"], self.variables)) / mount["subPath"]
                # A mounted file is a file: only folders are links here.
                part.hardlink_to(source) if source.is_file() else part.symlink_to(source)
                folders[f"/{path.split('/')[1]}"] = view / path.split("/")[1]
                continue
            folder = folders.setdefault(path, self.home / path.strip("/").replace("/", "-"))
            folder.mkdir(parents=True, exist_ok=True)
            name = filled(secrets[mount["name"]].get("secretName", ""), self.variables)
            secret = self.world.secrets.get(name, {})
            for name, text in {**self.world.mounted.get(path, {}), **secret}.items():
                (folder / name).write_text(text)
        folders["/tekton/results"].mkdir(parents=True, exist_ok=True)
        listed = {space["name"] for space in step.get("workspaces", ())}
        return folders | {
            space["mountPath"]: Path(self.variables[f"workspaces.{space['name']}.path"])
            for space in self.spec.get("workspaces", ())
            if "mountPath" in space and space["name"] in listed
        }

    def _value(self, entry: Object, folders: Mapping[str, Path]) -> str | None:
        if "value" in entry:
            # Only what the entry says itself is moved; what is filled in is a folder of this machine already.
            return filled(_moved(entry["value"], folders), self.variables)
        if "fieldRef" in entry["valueFrom"]:
            return self.variables.get(entry["valueFrom"]["fieldRef"]["fieldPath"], "")
        reference = entry["valueFrom"]["secretKeyRef"]
        value = self.world.secrets.get(filled(reference["name"], self.variables), {}).get(reference["key"])
        assert value is not None or reference.get("optional"), reference
        return value


def _moved(text: str, folders: Mapping[str, Path]) -> str:
    paths = "|".join(re.escape(path) for path in sorted(folders, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{paths})(?![\w.-])", lambda match: str(folders[match[0]]), text)
