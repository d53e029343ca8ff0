"""Run a Pipeline here: every step's script is executed, in the order of the graph.

Params, results and contexts are substituted as Tekton does, workspaces and volumes are folders, and a task
that fails is retried. There are no images: a script finds its programs on the path. What a pod would mount
(``/tekton/results``, ``/etc/jukebox/ca``, ``/tmp``, ``/judge``) is a folder, in scripts and their variables.
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

from tekton.expected import FOLDERS
from tekton.manifests import Object, find

REFERENCE = re.compile(r"\$\(([^()\s]+)\)")
RESULT = re.compile(r"\$\(tasks\.([\w-]+)\.results\.([\w-]+)\)")
NAMESPACE = "music"
PIPELINE_RUN = "metadata.labels['tekton.dev/pipelineRun']"
"""The label of the pods of a PipelineRun; those of a single TaskRun do not have it."""

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

    ``identities`` are variables by service account, ``mounted`` the files of config maps and optional secrets
    by mount path, and ``cut_off`` the Tasks without a network.
    """

    folder: Path
    objects: list[Object]
    secrets: Mapping[str, Mapping[str, str]]
    env: Mapping[str, str]
    identities: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    mounted: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cut_off: frozenset[str] = frozenset()


@dataclass
class TaskEnd:
    """How a task ended: Tekton's word for it, its results, what it printed, and whether `when` was false."""

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

    def succeed(self, name: str, results: Mapping[str, str]) -> None:
        self.tasks[name].status, self.tasks[name].results = "Succeeded", dict(results)
        self.variables |= {f"tasks.{name}.results.{result}": value for result, value in results.items()}

    def attempt(self, task: Object, fields: Mapping[str, str] | None = None) -> None:
        """Run a task as often as its retries allow."""
        name, spec = task["name"], find(self.world.objects, "Task", task["taskRef"]["name"])["spec"]
        end = self.tasks.setdefault(name, TaskEnd())
        if not all(_holds(when, self.variables) for when in task.get("when", ())):
            end.left_out = True
            return
        given = {param["name"]: _filled(param["value"], self.variables) for param in task["params"]}
        variables = {**_params(spec, given), **self._workspaces(task, spec)}
        variables |= {"context.taskRun.name": f"{self.uid}-{name}", "context.taskRun.namespace": NAMESPACE}
        accounts = {e["pipelineTaskName"]: e["serviceAccountName"] for e in self.spec["taskRunSpecs"]}
        fields = {PIPELINE_RUN: self.uid} if fields is None else fields
        for _ in range(1 + task.get("retries", 0)):
            end.tries += 1
            pod = Pod(
                self.world, task["taskRef"]["name"], self.home / f"{name}-{end.tries}", variables, fields
            )
            results = pod.run(end, accounts.get(name, ""))
            if results is not None:
                self.succeed(name, results)
                return
        end.status = "Failed"

    def _workspaces(self, task: Object, spec: Object) -> dict[str, str]:
        bound = {entry["name"]: entry for entry in self.spec["workspaces"]}
        given = {entry["name"]: entry for entry in task.get("workspaces", ())}
        found = {}
        for workspace in spec.get("workspaces", ()):
            name = workspace["name"]
            entry = bound.get(given.get(name, {}).get("workspace", ""))
            assert entry or workspace.get("optional"), f"{task['name']} lacks {name}"
            path = ""
            if entry and "volumeClaimTemplate" in entry:
                path = str(self.home / "shared" / given[name]["subPath"])
                Path(path).mkdir(parents=True, exist_ok=True)
                found[f"workspaces.{name}.volume"] = str(self.home / "shared")
            elif entry:
                path = str(self.world.folder / next(iter(entry["configMap"].values())))
            found[f"workspaces.{name}.path"] = path
        return found


def execute(world: World, spec: Object, uid: str, known: Mapping[str, TaskEnd] = MappingProxyType({})) -> Run:
    """Execute a PipelineRun to its end; the results of ``known`` tasks are taken from another run."""
    pipeline = find(world.objects, "Pipeline", spec["pipelineRef"]["name"])["spec"]
    given = {param["name"]: param["value"] for param in spec.get("params", ())}
    run = Run(world, spec, uid, {**_params(pipeline, given), "context.pipelineRun.uid": uid})
    tasks = {task["name"]: task for task in pipeline["tasks"]}
    run.tasks = {name: TaskEnd() for name in tasks}
    takes = {name: {found[0] for found in RESULT.findall(str(task))} for name, task in tasks.items()}
    before = {name: {*tasks[name].get("runAfter", ()), *takes[name]} for name in tasks}
    for name in TopologicalSorter(before).static_order():
        # Results are there, and what it runs after has ended or was left out.
        after = [run.tasks[each] for each in tasks[name].get("runAfter", ())]
        ready = all(run.tasks[each].status == "Succeeded" for each in takes[name])
        if name in known:
            run.succeed(name, known[name].results)
        elif ready and all(end.status == "Succeeded" or end.left_out for end in after):
            run.attempt(tasks[name])
    run.variables |= {f"tasks.{name}.status": end.status for name, end in run.tasks.items()}
    for task in pipeline["finally"]:
        run.attempt(task)
    return run


def execute_task(world: World, name: str, uid: str, *, alone: bool = False, **given: str) -> TaskEnd:
    """Execute one Task in the folder of a run; a param that is not given and has no default gets a word.

    ``alone`` is for a TaskRun that belongs to no PipelineRun.
    """
    params = {each["name"]: "something" for each in find(world.objects, "Task", name)["spec"]["params"]}
    params = {each: value for each, value in params.items() if not _has_default(world, name, each)}
    params |= {each.replace("_", "-"): value for each, value in given.items()}
    spaces = [{"name": space, "workspace": "shared", "subPath": part} for space, part in FOLDERS.items()]
    task = {
        "name": name,
        "taskRef": {"name": name},
        "params": [{"name": param, "value": value} for param, value in params.items()],
        "workspaces": [{"name": "pip-settings", "workspace": "pip-settings"}, *spaces],
    }
    run = Run(world, run_spec("", {}), uid)
    run.attempt(task, {} if alone else None)
    return run.tasks[name]


def run_spec(
    pipeline: str, params: Mapping[str, str], accounts: Mapping[str, str] = MappingProxyType({})
) -> Object:
    """Return the spec of a PipelineRun, as a trigger makes it."""
    return {
        "pipelineRef": {"name": pipeline},
        "params": [{"name": name.replace("_", "-"), "value": value} for name, value in params.items()],
        "workspaces": [
            {"name": "shared", "volumeClaimTemplate": {}},
            {"name": "pip-settings", "configMap": {"name": "pip"}},
        ],
        "taskRunSpecs": [
            {"pipelineTaskName": task, "serviceAccountName": account} for task, account in accounts.items()
        ],
    }


def _has_default(world: World, task: str, name: str) -> bool:
    params = find(world.objects, "Task", task)["spec"]["params"]
    return any(param["name"] == name and "default" in param for param in params)


def _holds(when: Object, variables: Mapping[str, str]) -> bool:
    return (_filled(when["input"], variables) in when["values"]) == (when["operator"] == "in")


def _params(spec: Object, given: Mapping[str, str]) -> dict[str, str]:
    values = {param["name"]: param.get("default") for param in spec["params"]}
    assert given.keys() <= values.keys(), f"unknown: {given.keys() - values.keys()}"
    values |= given
    assert None not in values.values(), values
    return {f"params.{name}": value for name, value in values.items()}


def _filled(text: str, variables: Mapping[str, str]) -> str:
    return REFERENCE.sub(lambda found: variables[found[1]], text)


class Pod:
    """The pod of one try of a task; what it has lies below ``home``."""

    def __init__(
        self, world: World, task: str, home: Path, variables: Mapping[str, str], fields: Mapping[str, str]
    ) -> None:
        self.world, self.task, self.home = world, task, home
        self.variables, self.fields = variables, fields
        self.spec = find(world.objects, "Task", task)["spec"]
        self.homes = {
            space["mountPath"]: Path(variables[f"workspaces.{space['name']}.path"])
            for space in self.spec.get("workspaces", ())
            if "mountPath" in space
        }

    def run(self, end: TaskEnd, account: str) -> dict[str, str] | None:
        """Run the steps one after the other; returns the results, or None if one failed."""
        cut_off = [sys.executable, "-c", CUT_OFF] if self.task in self.world.cut_off else []
        shutil.rmtree(self.home, ignore_errors=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
        for step in self.spec["steps"]:
            folders = self._folders(step)
            env = {**kept, **self.world.env, **self.world.identities.get(account, {})}
            for entry in (*self.spec["stepTemplate"].get("env", ()), *step.get("env", ())):
                if (value := self._value(entry, folders)) is not None:
                    env[entry["name"]] = value
            script = self.home / step["name"]
            script.write_text(_moved(step["script"], folders))
            script.chmod(0o755)
            with self._hidden(step):
                command = [*cut_off, script]
                done = subprocess.run(
                    command, env=env, cwd=self.home, capture_output=True, text=True, check=False
                )
            end.log += done.stdout + done.stderr
            if done.returncode:
                return None
        results = self.home / "tekton-results"
        names = [result["name"] for result in self.spec.get("results", ())]
        return {name: (results / name).read_text() for name in names if (results / name).exists()}

    def _mounts(self, step: Object) -> list[Object]:
        return [*self.spec["stepTemplate"].get("volumeMounts", ()), *step.get("volumeMounts", ())]

    def _folders(self, step: Object) -> dict[str, Path]:
        """Return the folders that a step mounts, by path, with what config maps and secrets put there.

        A workspace with a path of its own is that folder for the steps that list it. A step that mounts parts
        of its volume sees those parts and nothing else.
        """
        folders = {"/tmp": self.world.folder / "tmp"}
        mounts = self._mounts(step)
        for mount in ({"mountPath": "/tekton/results"}, {"mountPath": "/tekton/home"}, *mounts):
            path = mount["mountPath"]
            if "subPath" not in mount and path != "/tmp":
                folders[path] = self.home / path.strip("/").replace("/", "-")
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        volumes = {
            each["name"]: each["secret"]["secretName"] for each in self.spec["volumes"] if "secret" in each
        }
        contents = {path: self.world.mounted[path] for path in self.world.mounted.keys() & folders.keys()}
        for mount in mounts:
            secret = self.world.secrets.get(_filled(volumes.get(mount["name"], ""), self.variables), {})
            contents[mount["mountPath"]] = {**contents.get(mount["mountPath"], {}), **secret}
        for path, files in contents.items():
            for name, text in files.items():
                (folders[path] / name).write_text(text)
        view = self.home / f"{step['name']}-view"
        for mount in (mount for mount in mounts if "subPath" in mount):
            part = view / mount["mountPath"].strip("/")
            part.parent.mkdir(parents=True, exist_ok=True)
            source = Path(_filled(mount["name"], self.variables)) / mount["subPath"]
            # A mounted file is a file: only folders are links here.
            part.hardlink_to(source) if source.is_file() else part.symlink_to(source)
            top = part.relative_to(view).parts[0]
            folders[f"/{top}"] = view / top
        listed = {space["name"] for space in step.get("workspaces", ())}
        spaces = {space.get("mountPath"): space["name"] for space in self.spec.get("workspaces", ())}
        return folders | {path: home for path, home in self.homes.items() if spaces[path] in listed}

    @contextlib.contextmanager
    def _hidden(self, step: Object) -> Iterator[None]:
        """Put empty folders where a step mounts some within a workspace, and remove them in the end."""
        below = [
            (home / mount["mountPath"].removeprefix(f"{path}/"), home.with_name(f"hidden-{number}"))
            for number, mount in enumerate(self._mounts(step))
            for path, home in self.homes.items()
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

    def _value(self, entry: Object, folders: Mapping[str, Path]) -> str | None:
        if "value" in entry:
            # Only what the entry says itself is moved; what is filled in is a folder of this machine already.
            return _filled(_moved(entry["value"], folders), self.variables)
        if "fieldRef" in entry["valueFrom"]:
            return self.fields.get(entry["valueFrom"]["fieldRef"]["fieldPath"], "")
        reference = entry["valueFrom"]["secretKeyRef"]
        value = self.world.secrets.get(_filled(reference["name"], self.variables), {}).get(reference["key"])
        assert value is not None or reference.get("optional"), reference
        return value


def _moved(text: str, folders: Mapping[str, Path]) -> str:
    paths = "|".join(re.escape(path) for path in sorted(folders, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{paths})(?![\w.-])", lambda found: str(folders[found[0]]), text)
