"""The rules for the objects of an overlay, beyond shape: references, secrets, rights, networks, decisions.

`problems` returns one line for each rule that is broken; `tekton.expected` has the tables.
"""

import itertools
import json
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import Any

import celpy

from tekton import expected as want

Object = dict[str, Any]
REFERENCE = re.compile(r"\$\(([A-Za-z]+(?:\.[\w-]+)+)\)")
RESULT = re.compile(r"\$\(tasks\.([\w-]+)\.results\.([\w-]+)\)")
IN_A_SCRIPT = re.compile(r"\$\((params|workspaces|results|context|tasks|steps|inputs|outputs)\b")
BY_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")


def problems(objects: list[Object]) -> list[str]:
    """Return every rule that an overlay breaks, each with the object's kind and name."""
    told = [
        f"{found['kind']} {found['metadata'].get('name')}: {said}"
        for found in objects
        for check in (CHECKS.get(found["kind"], lambda *_: ()), _place)
        for said in check(found, objects)
    ]
    kinds = {"NetworkPolicy": want.FENCES, "Task": want.MOUNTS}
    return told + [
        f"no {kind} {name}" for kind in kinds for name in kinds[kind].keys() - named(objects, kind).keys()
    ]


def named(objects: list[Object], kind: str) -> dict[str, Object]:
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def references(value: Any) -> set[str]:
    """Return all $(…) of a value."""
    return set(REFERENCE.findall(json.dumps(value)))


def _home(objects: list[Object]) -> str:
    return named(objects, "Pipeline")["jukebox-train"]["metadata"].get("namespace", "")


def _place(found: Object, objects: list[Object]) -> Iterator[str]:
    metadata = found["metadata"]
    runs = f"{found['kind']} {metadata.get('name')}" in want.IN_RUNS
    if (metadata["labels"].get("jukebox/namespace") == "runs") is not runs:
        yield "it has the label of the runs' namespace, or lacks it"
    home = None if found["kind"].startswith("ClusterRole") else _home(objects)
    if "namespace" in metadata and (metadata["namespace"] == home) is runs:
        yield f"it is in the namespace {metadata['namespace']}"
    if metadata["labels"].get("app.kubernetes.io/part-of") != "jukebox":
        yield "it is not labelled as part of jukebox"


def _forms(value: Any) -> Iterator[str]:
    """Find $(…) in forms that Tekton may read and `REFERENCE` does not."""
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _forms(each) if key not in ("script", "description") else ()
    elif "$(" in REFERENCE.sub("", str(value)):
        yield f"{value} has a form that is not used here"


def _twice(what: str, items: list[Object]) -> Iterator[str]:
    names = [item["name"] for item in items]
    yield from (f"{what} {name} is there twice" for name in {name for name in names if names.count(name) > 1})


def task_problems(task: Object, objects: list[Object]) -> Iterator[str]:
    name, spec = task["metadata"]["name"], task["spec"]
    cluster = "openshift" if named(objects, "Route") else "kubernetes"
    spaces = {space["name"]: space for space in spec.get("workspaces", ())}
    params = {f"params.{param['name']}" for param in spec["params"]}
    known = params | {f"workspaces.{space}.{what}" for space in spaces for what in ("path", "volume")}
    known |= {"context.taskRun.name", "context.taskRun.namespace"}
    used = references([spec["steps"], spec["stepTemplate"], spec["volumes"]])
    yield from _forms(spec)
    yield from (f"$({unknown}) leads nowhere" for unknown in used - known)
    yield from (f"{param} is not used" for param in params - used)
    for param in want.DEFAULTS:
        if (f"params.{param}" in params) is not ((name, f"$(params.{param})") in want.OWNERS):
            yield f"it takes {param}, or does not"
    if name in want.READ_ONLY and not spaces["shared"].get("readOnly"):
        yield "it can write to the commit's folder"
    for volume in spec["volumes"]:
        source = volume.get("configMap")
        if source and source.get("optional", False) is not want.CONFIG_MAPS.get(source["name"]):
            yield f"config map {source['name']} is unknown, or wrongly optional"
        if "jukebox-" in volume.get("secret", {}).get("secretName", "") and not volume["secret"].get(
            "optional"
        ):
            yield f"secret {volume['secret']['secretName']} is not optional"
    written = "".join(step["script"] for step in spec["steps"])
    for result in spec.get("results", ()):
        if f"$RESULTS/{result['name']}" not in written and "JUKEBOX_RESULTS_DIR" not in str(spec["steps"]):
            yield f"no step writes the result {result['name']}"
    for step in spec["steps"]:
        yield from (f"step {step['name']}: {said}" for said in _step(name, spec, step, cluster))
    judges = {
        f"{name}/{step['name']}" for step in spec["steps"] if {"name": "judge"} in step.get("workspaces", ())
    }
    if judges != {step for step in want.JUDGES if step.startswith(f"{name}/")}:
        yield f"the judge's folder is mounted by {judges}"
    if name == "measure":
        yield from _measure(spec)


def _step(task: str, spec: Object, step: Object, cluster: str) -> Iterator[str]:
    lines = [line for line in step["script"].strip().splitlines() if not line.startswith("#!")]
    if len(lines) > 10:
        yield f"its script has {len(lines)} lines"
    if found := IN_A_SCRIPT.search(step["script"]):
        yield f"{found[0]}…) in its script: values go through env"
    if not re.fullmatch(r"\$\(params\.[a-z-]+\)", step["image"]):
        yield f"its image {step['image']} is no param"
    rights = {**spec["stepTemplate"].get("securityContext", {}), **step.get("securityContext", {})}
    if rights != (
        want.BUILDERS[cluster] if (task, step["name"]) == ("toolchain", "build") else want.RESTRICTED
    ):
        yield f"its rights are {rights}"
    yield from _twice("variable", step.get("env", []))
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    spaces = {f"$(workspaces.{space['name']}.volume)" for space in spec.get("workspaces", ())}
    env = [*spec["stepTemplate"].get("env", ()), *step.get("env", ())]
    secrets = {
        e["valueFrom"]["secretKeyRef"]["name"] for e in env if "secretKeyRef" in e.get("valueFrom", {})
    }
    for mount in (*spec["stepTemplate"].get("volumeMounts", ()), *step.get("volumeMounts", ())):
        if mount["name"] not in volumes.keys() | spaces:
            yield f"volume {mount['name']} leads nowhere"
        secrets |= {volumes.get(mount["name"], {}).get("secret", {}).get("secretName")} - {None}
    if secrets != want.SECRETS.get(f"{task}/{step['name']}", set()):
        yield f"it has the secrets {sorted(secrets)}"


def _measure(spec: Object) -> Iterator[str]:
    """Check that infer sees no label, score sees no model, and that they share nothing but the answers."""
    infer, score = (step["volumeMounts"] for step in spec["steps"])
    volume = "$(workspaces.judge.volume)"
    ours = [mount for mount in infer if mount["name"] == volume]
    if {(mount["subPath"], mount.get("readOnly", False)) for mount in ours} != want.SEEN or any(
        mount["mountPath"] != f"/{mount['subPath']}" for mount in ours
    ):
        yield f"infer sees {ours}"
    if not {mount["mountPath"] for mount in score} >= {f"/{want.WORK}/model", f"/{want.WORK}/champion"}:
        yield "score sees the model"
    common = {mount["name"] for mount in infer} & {mount["name"] for mount in score}
    if common or spec["stepTemplate"].get("volumeMounts"):
        yield f"infer and score share {common}"
    if not all(volume.keys() == {"name", "emptyDir"} for volume in spec["volumes"]):
        yield "a volume is not empty"


def pipeline_problems(pipeline: Object, objects: list[Object]) -> Iterator[str]:
    spec, tasks = pipeline["spec"], named(objects, "Task")
    names = [task["name"] for task in spec["tasks"]]
    yield from _forms(spec)
    yield from _twice("task", [*spec["tasks"], *spec["finally"]])
    for param in spec["params"]:
        name, default = param["name"], param.get("default", "")
        if name.endswith("-image") and not BY_DIGEST.fullmatch(default):
            yield f"param {name}: its default is not by digest"
        if name.endswith("-secret") and want.DEFAULTS.get(name) != default:
            yield f"param {name}: its default is {default}"
    for task in (*spec["tasks"], *spec["finally"]):
        told = list(given_problems(task, tasks, {param["name"] for param in spec["params"]}, names))
        yield from (f"task {task['name']}: {said}" for said in told)
        for reference in references(task.get("when", [])):
            yield from (f"task {task['name']}: {said}" for said in _result(f"$({reference})", tasks))
    results = {result["name"]: result["value"] for result in spec["results"]}
    for reference in references(list(results.values())):
        yield from _result(f"$({reference})", tasks)
    lost = [name for name, value in want.CHAINS.items() if results.get(name) != value]
    yield from (f"result {name}: Chains does not get {want.CHAINS[name]}" for name in lost)
    for result in spec["results"]:
        if (result.get("type") == "object") is not isinstance(result["value"], dict):
            yield f"result {result['name']}: its type is wrong"
    told = [
        f"{each}, which {task['name']} follows, is no task"
        for task in spec["tasks"]
        for each in _before(task) - {*names}
    ]
    try:
        _order(spec["tasks"])
    except CycleError as error:
        told.append(f"a cycle: {error.args[1]}")
    yield from told
    if not told and {"submit-run", "promote"} <= {*names} and len(names) == len({*names}):
        yield from _ways(json.dumps(spec["tasks"], sort_keys=True))


def _order(tasks: list[Object]) -> list[str]:
    return list(TopologicalSorter({task["name"]: _before(task) for task in tasks}).static_order())


def _before(task: Object) -> set[str]:
    return {*task.get("runAfter", ()), *(found[0] for found in RESULT.findall(json.dumps(task)))}


def _result(reference: str, tasks: dict[str, Object]) -> Iterator[str]:
    """Check that a reference is to a text result of a Task."""
    found = RESULT.fullmatch(reference)
    results = tasks.get(found[1] if found else "", {}).get("spec", {}).get("results", ())
    if not found or "type" in {each["name"]: each for each in results}.get(found[2], {"type": "object"}):
        yield f"{reference} is no text result of a task"


def given_problems(
    task: Object, tasks: dict[str, Object], params: set[str], names: list[str]
) -> Iterator[str]:
    """Check what a task is given: each param from its one source, and each workspace its folder."""
    if task["taskRef"]["name"] != task["name"] or task["name"] not in tasks:
        yield f"it is a {task['taskRef']['name']}"
        return
    if task.get("retries") and task["name"] not in want.IDEMPOTENT:
        yield "it must not be retried"
    target = tasks[task["name"]]["spec"]
    yield from _twice("param", task["params"])
    given = {param["name"]: param["value"] for param in task["params"]}
    for param in target["params"]:
        name = param["name"]
        expected = f"$(params.{name})"
        if name in want.PRODUCERS:
            expected = f"$(tasks.{want.PRODUCERS[name]}.results.{name.replace('-', '_').upper()})"
        if name == "tasks":
            expected = " ".join(f"{each}=$(tasks.{each}.status)" for each in names)
        expected = want.SPECIAL.get(name, expected)
        if name in given and given.pop(name) != expected:
            yield f"param {name} is not {expected}"
        elif name not in {each["name"] for each in task["params"]} and "default" not in param:
            yield f"param {name} is missing"
        elif "results" in expected:
            yield from _result(expected, tasks)
        elif expected.startswith("$(params.") and not references(expected) <= {
            f"params.{each}" for each in params
        }:
            yield f"{expected} leads nowhere"
    yield from (f"param {name} is unknown to its Task" for name in given)
    bound = {
        space["name"]: (space["workspace"], space.get("subPath")) for space in task.get("workspaces", ())
    }
    expected_spaces = {
        name: ("shared", want.FOLDERS[name]) if name in want.FOLDERS else (name, None)
        for name in want.MOUNTS[task["name"]]
    }
    if bound != expected_spaces or bound.keys() != {space["name"] for space in target.get("workspaces", ())}:
        yield f"its workspaces are {bound}"


VERDICT, SNAPSHOT = "$(tasks.submit-run.results.VERDICT)", "$(tasks.holdout.results.SNAPSHOT)"
LINT, BUILD, TRAIN = (f"$(tasks.answer.results.{name})" for name in ("LINT", "BUILD", "TRAIN"))


@cache
def _ways(text: str) -> list[str]:
    """Play all ways of a run; promote must run exactly for a pass of a new training, after all other tasks.

    A task whose `when` is false is skipped: what runs after it runs, what takes its results does not. At most
    two tasks fail. Tekton starts nothing new after a failure; here all else goes on, which can only be worse.
    """
    tasks = {task["name"]: task for task in json.loads(text)}
    takes = {name: {found[0] for found in RESULT.findall(json.dumps(task))} for name, task in tasks.items()}
    order = _order(list(tasks.values()))
    failures = [failed for count in range(3) for failed in itertools.combinations(order, count)]
    # A result that was not written is compared by its reference.
    lints, trains = (("yes", "no", name) for name in (LINT, TRAIN))
    for values in itertools.product(("pass", "block", "error"), ("s3://x", ""), lints, trains):
        known = dict(zip((VERDICT, SNAPSHOT, LINT, TRAIN), values, strict=True))
        known[BUILD] = "no" if known[LINT] == known[TRAIN] == "no" else "yes"
        for failed in failures:
            state: dict[str, str] = {}
            for name in order:
                ready = all(state[each] == "ok" for each in takes[name])
                ready &= all(state[each] in ("ok", "skipped") for each in tasks[name].get("runAfter", ()))
                end = "failed" if name in failed else "ok"
                state[name] = (end if _wanted(tasks[name], known) else "skipped") if ready else "blocked"
            ran = state["promote"] in ("ok", "failed")
            checked = {state["lint"], state["unit-test"]} == {"skipped" if known[LINT] == "no" else "ok"}
            others = all(
                end == "ok" for name, end in state.items() if name not in ("lint", "unit-test", "promote")
            )
            decided = known[VERDICT] == "pass" and known[TRAIN] != "no" and known[SNAPSHOT] != ""
            if ran != (decided and checked and others):
                bad = sorted(name for name, end in state.items() if end != "ok")
                runs = "runs" if ran else "does not run"
                return [f"promote {runs} with the verdict {known[VERDICT]}, not ok: {bad}"]
    return []


def _wanted(task: Object, known: dict[str, str]) -> bool:
    return all(
        (known.get(when["input"], when["input"]) in when["values"]) == (when["operator"] == "in")
        for when in task.get("when", ())
    )


def run_problems(run: Object, objects: list[Object]) -> Iterator[str]:
    """Check a PipelineRun: one of `runs/`, or of the TriggerTemplate."""
    spec, pipelines = run["spec"], named(objects, "Pipeline")
    pipeline = pipelines["jukebox-train"]["spec"]
    accounts = {entry["pipelineTaskName"]: entry["serviceAccountName"] for entry in spec["taskRunSpecs"]}
    if (spec["pipelineRef"]["name"], accounts) != ("jukebox-train", want.ROLES):
        yield f"its tasks do not run as they should: {accounts}"
    template = spec["taskRunTemplate"]
    if template["serviceAccountName"] != "jukebox-ci":
        yield f"all its tasks run as {template['serviceAccountName']}"
    absent = {"jukebox-ci", *want.ROLES.values()} - named(objects, "ServiceAccount").keys()
    yield from (f"there is no service account {name}" for name in absent)
    context = template.get("podTemplate", {}).get("securityContext", {"runAsNonRoot": True})
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
        yield "its pods may be root"
    given = {param["name"] for param in spec["params"]}
    if not {"revision", "cause"} <= given <= {param["name"] for param in pipeline["params"]}:
        yield f"its params are {sorted(given)}"
    spaces = {
        space["name"]: {key: space[key] for key in space if key != "name"} for space in spec["workspaces"]
    }
    if spaces.pop("shared", {}).keys() != {"volumeClaimTemplate"}:
        yield "it has no volume of its own"
    allowed = {
        "git-credentials": {"secret": {"secretName": "jukebox-git"}},
        "pip-settings": {"configMap": {"name": "jukebox-pip"}},
    }
    yield from (
        f"workspace {name} is {space}" for name, space in spaces.items() if space != allowed.get(name)
    )
    seconds = {key: _seconds(value) for key, value in spec["timeouts"].items()}
    if seconds["tasks"] + seconds["finally"] > seconds["pipeline"]:
        yield "its timeouts leave no time for the last tasks"
    if not list(pipeline_problems(pipelines["jukebox-train"], objects)) and seconds["tasks"] < _longest(
        pipeline["tasks"]
    ):
        yield "its tasks may take longer than it allows"


def _longest(tasks: list[Object]) -> int:
    """Return the seconds that tasks may take, one after the other, without a second try."""
    ends: dict[str, int] = {}
    by_name = {task["name"]: task for task in tasks}
    for name in _order(tasks):
        before = max((ends[each] for each in _before(by_name[name])), default=0)
        ends[name] = before + _seconds(by_name[name]["timeout"])
    return max(ends.values())


def _seconds(duration: str) -> int:
    return sum(
        int(number) * {"h": 3600, "m": 60, "s": 1}[unit]
        for number, unit in re.findall(r"(\d+)([hms])", duration)
    )


def template_problems(template: Object, objects: list[Object]) -> Iterator[str]:
    spec = template["spec"]
    yield from _forms(spec["resourcetemplates"])
    known = {f"tt.params.{param['name']}" for param in spec["params"]}
    yield from (
        f"$({name}) is unknown, or not used" for name in known ^ references(spec["resourcetemplates"])
    )
    for run in spec["resourcetemplates"]:
        yield from run_problems(run, objects)


def trigger_problems(trigger: Object, objects: list[Object]) -> Iterator[str]:
    spec = trigger["spec"]
    template = named(objects, "TriggerTemplate").get(spec["template"]["ref"], {"spec": {"params": []}})
    if {param["name"] for param in template["spec"]["params"]} != {
        binding["name"] for binding in spec["bindings"]
    }:
        yield "its bindings are not the params of its template"
    made: set[str] = set()
    keys: set[str] = set()
    for interceptor in spec["interceptors"]:
        given = {param["name"]: param["value"] for param in interceptor["params"]}
        keys |= set(re.findall(r"\.compareSecret\('(\w+)', 'jukebox-webhook'\)", given.get("filter", "")))
        if (secret := given.get("secretRef", {"secretName": "jukebox-webhook"}))[
            "secretName"
        ] == "jukebox-webhook":
            keys |= {secret["secretKey"]} if "secretKey" in secret else set()
        overlays = given.get("overlays", [])
        for expression in (given.get("filter", "true"), *(overlay["expression"] for overlay in overlays)):
            try:
                celpy.Environment().compile(expression)
            except celpy.CELParseError:
                yield f"{expression} is no CEL"
            read = set(re.findall(r"\bextensions\.(\w+)", expression))
            yield from (f"no interceptor before makes extensions.{key}" for key in read - made)
        made |= {overlay["key"] for overlay in overlays}
    if len(keys) != 1 or not keys <= {"push", "data", "alert"}:
        yield f"its events are verified by {sorted(keys)}"
    for binding in spec["bindings"]:
        yield from _forms(binding["value"])
        for reference in references(binding["value"]):
            root, _, rest = reference.partition(".")
            if root != "body" and not (root == "extensions" and rest in made):
                yield f"binding {binding['name']}: $({reference}) leads nowhere"


def listener_problems(listener: Object, objects: list[Object]) -> Iterator[str]:
    heard = {entry["triggerRef"] for entry in listener["spec"]["triggers"]}
    if (
        heard != named(objects, "Trigger").keys()
        or listener["spec"]["serviceAccountName"] != "jukebox-listener"
    ):
        yield f"it runs as {listener['spec']['serviceAccountName']}, with {sorted(heard)}"


def role_problems(role: Object, objects: list[Object]) -> Iterator[str]:
    rights = set()
    for rule in role["rules"]:
        names = "".join(f" {name}" for name in rule.get("resourceNames", ()))
        pairs = itertools.product(rule["apiGroups"], rule["resources"])
        rights |= {f"{group}/{kind}{names}: {' '.join(rule['verbs'])}" for group, kind in pairs}
    if rights != want.RIGHTS.get(_anywhere(role, objects)):
        yield f"it allows {sorted(rights)}"


def _anywhere(found: Object, objects: list[Object]) -> str:
    """Return an object's name, with NAMESPACE for the namespace in the names of objects of the cluster."""
    name, whole = found["metadata"]["name"], found["kind"].startswith("ClusterRole")
    return name.replace(f".{_home(objects)}", ".NAMESPACE") if whole else name


def binding_problems(binding: Object, objects: list[Object]) -> Iterator[str]:
    name, role, metadata = _anywhere(binding, objects), binding["roleRef"], binding["metadata"]
    kind = "Role" if binding["kind"] == "RoleBinding" and name not in want.OTHERS_ROLES else "ClusterRole"
    if (role["kind"], role["name"]) != (kind, want.OTHERS_ROLES.get(name, metadata["name"])):
        yield f"it is to the {role['kind']} {role['name']}"
    if name not in want.OTHERS_ROLES and role["name"] not in named(objects, kind):
        yield f"there is no {kind} {role['name']}"
    ours = [(want.SUBJECTS.get(name, name), _home(objects))]
    if [(subject["name"], subject.get("namespace")) for subject in binding["subjects"]] != ours:
        yield f"it is for {binding['subjects']}"
    if ours[0][0] not in named(objects, "ServiceAccount"):
        yield f"there is no service account {ours[0][0]}"


def account_problems(account: Object, _: list[Object]) -> Iterator[str]:
    if account["automountServiceAccountToken"] is not (account["metadata"]["name"] in want.TOKENS):
        yield "its pods get a token, or get none"


def fence_problems(policy: Object, _: list[Object]) -> Iterator[str]:
    spec = policy["spec"]
    allowed = [_destination(rule) for rule in spec.get("egress", ())]
    found = (spec["podSelector"], " ".join(spec["policyTypes"]), allowed)
    if found != want.FENCES.get(policy["metadata"]["name"]):
        yield f"it is {found}"


def _destination(rule: Object) -> str:
    """Name what a rule of egress allows."""
    ports, to = {port["port"] for port in rule.get("ports", ())}, rule.get("to", ())
    if len(ports) == 1 and [set(each) for each in to] == [{"ipBlock"}]:
        return "store"
    if ports == {53, 5353} and to:
        return "dns"
    if rule == {"to": [{"podSelector": {}}]}:
        return "pods"
    return "api" if rule == {"ports": [{"port": 6443, "protocol": "TCP"}]} else str(rule)


CHECKS = {
    "Task": task_problems,
    "Pipeline": pipeline_problems,
    "PipelineRun": run_problems,
    "TriggerTemplate": template_problems,
    "Trigger": trigger_problems,
    "EventListener": listener_problems,
    "RoleBinding": binding_problems,
    "ClusterRoleBinding": binding_problems,
    "Role": role_problems,
    "ClusterRole": role_problems,
    "ServiceAccount": account_problems,
    "NetworkPolicy": fence_problems,
}
