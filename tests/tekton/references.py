"""Everything that names something else, held together: what admission and linters let through.

`problems` takes all objects of an overlay and says, in words, which reference leads nowhere, what a Task is
not given, and which of the project's own rules is broken.
"""

import re
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
REFERENCE = re.compile(r"\$\(([A-Za-z]+(?:\.[\w-]+)+)\)")
"""What Tekton substitutes; a shell's own $(…) has another form."""

BY_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
PIPELINE_CONTEXTS = {"context.pipelineRun.uid"}
TASK_CONTEXTS = {"context.taskRun.name", "context.taskRun.namespace"}
SECRETS = {
    "jukebox-webhook",
    "jukebox-store",
    "jukebox-holdout",
    "jukebox-holdout-key",
    "jukebox-judge",
    "jukebox-signing-key",
    "jukebox-promotion",
    "jukebox-report",
    "jukebox-git",
    "jukebox-registry",
    "jukebox-pull",
}
"""What the user creates; docs/how-to says how."""

REGISTRY = {
    ("toolchain", "look-up"): {"jukebox-registry"},
    ("toolchain", "build"): {"jukebox-pull"},
    ("toolchain", "push"): {"jukebox-registry"},
    ("build-image", "assemble"): {"jukebox-registry"},
    ("answer", "answer"): {"jukebox-registry"},
}
"""The steps that hold a credential of the registry: what runs code of the commit may pull at most."""

CONFIG_MAPS = {
    "jukebox-ca",
    "jukebox-registry-ca",
    "jukebox-pip",
    "jukebox-settings",
    "jukebox-policy",
    "jukebox-trust",
    "jukebox-sigstore",
    "jukebox-head",
}
RETRIED = {
    "fetch-source",
    "toolchain",
    "build-image",
    "holdout",
    "answer",
    "submit-run",
    "measure",
    "promote",
    "report",
}
"""What may be done twice: each finds what the first try has left."""

BUILDERS = {"toolchain"}
ROLES = {
    "toolchain": "jukebox-build",
    "build-image": "jukebox-build",
    "holdout": "jukebox-holdout",
    "answer": "jukebox-answer",
    "submit-run": "jukebox-submit",
    "measure": "jukebox-measure",
    "promote": "jukebox-promote",
}
"""Which Tasks run as a service account of their own; all others run as jukebox-ci."""

KEYS = {
    ("holdout", "holdout"): {"holdout-secret", "sealing-key-secret"},
    ("answer", "answer"): {"judge-secret"},
    ("submit-run", "submit"): {"store-secret"},
    ("submit-run", "download"): {"judge-secret"},
    ("promote", "sign"): {"signing-secret"},
    ("promote", "promote"): {"promotion-secret"},
    ("report", "report"): {"report-secret"},
    ("verdict", "verdict"): {"promotion-secret"},
}
"""Which step is given which secrets, as a variable or a volume; no other is given any."""


HINTS = {
    "CHAINS-GIT_URL": "tasks.fetch-source.results.CHAINS-GIT_URL",
    "CHAINS-GIT_COMMIT": "tasks.fetch-source.results.CHAINS-GIT_COMMIT",
    "IMAGE_URL": "tasks.build-image.results.IMAGE_URL",
    "IMAGE_DIGEST": "tasks.build-image.results.IMAGE_DIGEST",
}
"""Results of the Pipeline that Tekton Chains knows by their names, and where each is from."""

MODEL = {
    "uri": "$(tasks.submit-run.results.MODEL_URI)",
    "digest": "$(tasks.submit-run.results.MODEL_DIGEST)",
}
"""The model as Chains takes it.

A task that succeeds must write what a result of the Pipeline is made of, else the run fails: submit-run
writes these two always, and its own model-ARTIFACT_OUTPUTS for a pass only.
"""


def problems(objects: list[Object]) -> list[str]:
    """Return everything that does not hold together."""
    told: list[str] = []
    for found in objects:
        check = CHECKS.get(found["kind"])
        if check:
            told += [f"{found['kind']} {found['metadata']['name']}: {said}" for said in check(found, objects)]
    return told


def named(objects: list[Object], kind: str) -> dict[str, Object]:
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def references(value: Any) -> set[str]:
    """Return all $(…) in a value, whatever its form."""
    if isinstance(value, dict):
        return {name for each in value.values() for name in references(each)}
    if isinstance(value, list):
        return {name for each in value for name in references(each)}
    return set(REFERENCE.findall(value)) if isinstance(value, str) else set()


def task_problems(task: Object, _: list[Object]) -> Iterator[str]:
    name, spec = task["metadata"]["name"], task["spec"]
    known = TASK_CONTEXTS | {f"params.{param['name']}" for param in spec["params"]}
    known |= {
        f"workspaces.{space['name']}.{what}"
        for space in spec.get("workspaces", ())
        for what in ("path", "volume")
    }
    known |= {f"results.{result['name']}.path" for result in spec.get("results", ())}
    for unknown in sorted(references([spec["steps"], spec["stepTemplate"], spec["volumes"]]) - known):
        yield f"$({unknown}) leads nowhere"
    volumes = {volume["name"] for volume in spec["volumes"]}
    volumes |= {f"$(workspaces.{space['name']}.volume)" for space in spec.get("workspaces", ())}
    for volume in spec["volumes"]:
        if "configMap" in volume and volume["configMap"]["name"] not in CONFIG_MAPS:
            yield f"config map {volume['configMap']['name']} is not among those that the docs name"
        source = volume.get("secret", {"secretName": "$(params."})
        if not source["secretName"].startswith("$(params.") and not (
            source["secretName"] in SECRETS and source.get("optional")
        ):
            yield f"secret {source['secretName']} is not among the optional ones that the docs name"
    written = "\n".join(step["script"] for step in spec["steps"])
    for result in spec.get("results", ()):
        if f"$RESULTS/{result['name']}" not in written and not _by_verb(name, result["name"]):
            yield f"no step writes the result {result['name']}"
    for step in spec["steps"]:
        yield from (f"step {step['name']}: {said}" for said in step_problems(name, spec, step, volumes))


def _by_verb(task: str, result: str) -> bool:
    """Tell whether a verb of `jukebox` writes a result itself."""
    return task in {"holdout", "answer", "submit-run", "measure", "promote", "toolchain", "build-image"}


def step_problems(task: str, spec: Object, step: Object, volumes: set[str]) -> Iterator[str]:
    lines = [line for line in step["script"].strip().splitlines() if not line.startswith("#!")]
    if len(lines) > 10:
        yield f"its script has {len(lines)} lines"
    if references(step["script"]):
        yield "its script has $(…) in it: values go through env"
    if not re.fullmatch(r"\$\(params\.[a-z-]+\)", step["image"]):
        yield f"its image {step['image']} is no param"
    for mount in (*step.get("volumeMounts", ()), *spec["stepTemplate"].get("volumeMounts", ())):
        if mount["name"] not in volumes:
            yield f"volume {mount['name']} leads nowhere"
    if not {"requests", "limits"} <= step["computeResources"].keys():
        yield "it has no requests, or no limits"
    given = {**spec["stepTemplate"].get("securityContext", {}), **step.get("securityContext", {})}
    if task in BUILDERS and step["name"] == "build":
        added = set(given["capabilities"].get("add", ()))
        if (
            given.get("privileged")
            or given.get("allowPrivilegeEscalation", True)
            or not added
            <= {
                "SETFCAP",
                "SETGID",
                "SETUID",
            }
        ):
            yield "it has more rights than building needs"
    elif not (
        given.get("runAsNonRoot") is True
        and given.get("readOnlyRootFilesystem") is True
        and given.get("allowPrivilegeEscalation") is False
        and given.get("capabilities") == {"drop": ["ALL"]}
        and given.get("seccompProfile") == {"type": "RuntimeDefault"}
    ):
        yield "it is not restricted"
    allowed = {f"$(params.{param})" for param in KEYS.get((task, step["name"]), ())} | REGISTRY.get(
        (task, step["name"]), set()
    )
    for what, secret in _secrets(spec, step):
        if secret not in allowed:
            yield f"{what} is taken from the secret {secret}, which is not for this step"


def _secrets(spec: Object, step: Object) -> Iterator[tuple[str, str]]:
    """Yield the secrets that a step is given: by which variable or volume, and which."""
    for entry in step.get("env", ()):
        if secret := entry.get("valueFrom", {}).get("secretKeyRef", {}).get("name"):
            yield entry["name"], secret
    volumes = {
        volume["name"]: volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume
    }
    for mount in (*step.get("volumeMounts", ()), *spec["stepTemplate"].get("volumeMounts", ())):
        if mount["name"] in volumes:
            yield f"the volume {mount['name']}", volumes[mount["name"]]


def pipeline_problems(pipeline: Object, objects: list[Object]) -> Iterator[str]:
    spec, tasks = pipeline["spec"], named(objects, "Task")
    known = PIPELINE_CONTEXTS | {f"params.{param['name']}" for param in spec["params"]}
    before: dict[str, set[str]] = {}
    by_name = {task["name"]: task for task in spec["tasks"]}
    for task in (*spec["tasks"], *spec["finally"]):
        what, final = f"task {task['name']}", task not in spec["tasks"]
        used = references([task["params"], task.get("when", [])])
        target = tasks.get(task["taskRef"]["name"])
        if target is None:
            yield f"{what}: there is no Task {task['taskRef']['name']}"
            continue
        yield from (f"{what}: {said}" for said in given_problems(task, target["spec"], spec))
        if task.get("retries") and task["name"] not in RETRIED:
            yield f"{what}: is tried again, and may not be"
        if "timeout" not in task:
            yield f"{what}: has no timeout"
        before[task["name"]] = set(task.get("runAfter", ()))
        for reference in sorted(used - known):
            found = re.fullmatch(r"tasks\.([\w-]+)\.(?:results\.([\w-]+)|status)", reference)
            if not found or found[1] not in by_name:
                yield f"{what}: $({reference}) leads nowhere"
            elif found[2] is None and not final:
                yield f"{what}: $({reference}) is known at the end only"
            elif found[2] is not None and final:
                yield f"{what}: $({reference}) may never be there, which skips the task"
            elif found[2] is not None:
                before[task["name"]].add(found[1])
                yield from (f"{what}: {said}" for said in _result(by_name[found[1]], found[2], tasks))
        for unknown in sorted(set(task.get("runAfter", ())) - by_name.keys()):
            yield f"{what}: runs after {unknown}, which there is not"
    yield from _cycles({name: found & by_name.keys() for name, found in before.items()})
    for result in spec["results"]:
        for reference in references(result["value"]):
            found = re.fullmatch(r"tasks\.([\w-]+)\.results\.([\w-]+)", reference)
            if not found or found[1] not in by_name or list(_result(by_name[found[1]], found[2], tasks)):
                yield f"result {result['name']}: $({reference}) leads nowhere"
    yield from _hints({result["name"]: result for result in spec["results"]})
    for param in spec["params"]:
        if param["name"].endswith("-image") and not BY_DIGEST.fullmatch(param.get("default", "")):
            yield f"param {param['name']}: its default is not by digest"


def _hints(results: dict[str, Object]) -> Iterator[str]:
    """Check what Tekton Chains reads of a PipelineRun: by their names, the results for its provenance."""
    for name, of in HINTS.items():
        if references(results.get(name, {}).get("value")) != {of}:
            yield f"result {name}: Chains is not told of {of}"
    objects = [result for name, result in results.items() if name.endswith("ARTIFACT_OUTPUTS")]
    for result in objects:
        # Chains leaves out what it cannot read, without a word.
        if result.get("type") != "object" or result["value"] != MODEL:
            yield f"result {result['name']}: it is not the model, with uri and digest alone"
    if not objects:
        yield "Chains is not told of the model"


def _result(task: Object, result: str, tasks: dict[str, Object]) -> Iterator[str]:
    target = tasks.get(task["taskRef"]["name"], {"spec": {}})
    if result not in {found["name"] for found in target["spec"].get("results", ())}:
        yield f"{task['name']} has no result {result}"


def _cycles(before: dict[str, set[str]]) -> Iterator[str]:
    from graphlib import CycleError, TopologicalSorter

    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        yield f"a cycle: {' -> '.join(error.args[1])}"


def given_problems(task: Object, target: Object, pipeline: Object) -> Iterator[str]:
    given = {param["name"] for param in task["params"]}
    wanted = {param["name"]: "default" in param for param in target["params"]}
    yield from (f"param {name} is unknown to its Task" for name in sorted(given - wanted.keys()))
    yield from (f"param {name} is missing" for name in sorted(wanted.keys() - given) if not wanted[name])
    spaces = {space["name"]: space["workspace"] for space in task.get("workspaces", ())}
    wanted = {space["name"]: space.get("optional", False) for space in target.get("workspaces", ())}
    yield from (f"workspace {name} is unknown to its Task" for name in sorted(spaces.keys() - wanted.keys()))
    yield from (f"workspace {name} is missing" for name in sorted(wanted.keys() - spaces) if not wanted[name])
    declared = {space["name"] for space in pipeline["workspaces"]}
    yield from (f"workspace {name} is not the Pipeline's" for name in sorted(set(spaces.values()) - declared))


def run_problems(run: Object, objects: list[Object]) -> Iterator[str]:
    """Check a PipelineRun: one of a person, or what a template makes."""
    spec = run["spec"]
    pipeline = named(objects, "Pipeline").get(spec["pipelineRef"]["name"])
    if pipeline is None:
        yield f"there is no Pipeline {spec['pipelineRef']['name']}"
        return
    declared = {param["name"]: "default" in param for param in pipeline["spec"]["params"]}
    given = {param["name"] for param in spec["params"]}
    yield from (f"param {name} is unknown to the Pipeline" for name in sorted(given - declared.keys()))
    yield from (f"param {name} is missing" for name in sorted({"revision", "cause"} - given))
    yield from (f"param {name} is missing" for name in declared if not declared[name] and name not in given)
    spaces = {space["name"]: space for space in spec["workspaces"]}
    wanted = {space["name"]: space.get("optional", False) for space in pipeline["spec"]["workspaces"]}
    yield from (
        f"workspace {name} is unknown to the Pipeline" for name in sorted(spaces.keys() - wanted.keys())
    )
    yield from (f"workspace {name} is missing" for name in wanted if not wanted[name] and name not in spaces)
    claims = [name for name, space in spaces.items() if "volumeClaimTemplate" in space]
    if claims != ["shared"]:
        yield f"claims for {claims}: one volume a run, for the workspace shared"
    accounts = named(objects, "ServiceAccount")
    tasks = {task["name"] for task in pipeline["spec"]["tasks"]}
    roles = {entry["pipelineTaskName"]: entry["serviceAccountName"] for entry in spec["taskRunSpecs"]}
    for name in sorted({spec["taskRunTemplate"]["serviceAccountName"], *roles.values()} - accounts.keys()):
        yield f"there is no service account {name}"
    yield from (f"there is no task {name}" for name in sorted(roles.keys() - tasks))
    if roles != ROLES:
        yield f"its tasks do not run as they should: {roles}"


def template_problems(template: Object, objects: list[Object]) -> Iterator[str]:
    known = {f"tt.params.{param['name']}" for param in template["spec"]["params"]}
    used = references(template["spec"]["resourcetemplates"])
    yield from (f"$({name}) leads nowhere" for name in sorted(used - known))
    yield from (f"param {name} is not used" for name in sorted(known - used))
    for run in template["spec"]["resourcetemplates"]:
        yield from run_problems(run, objects)


def trigger_problems(trigger: Object, objects: list[Object]) -> Iterator[str]:
    spec = trigger["spec"]
    template = named(objects, "TriggerTemplate").get(spec["template"]["ref"])
    if template is None:
        yield f"there is no TriggerTemplate {spec['template']['ref']}"
        return
    wanted = {param["name"] for param in template["spec"]["params"]}
    given = {binding["name"] for binding in spec["bindings"]}
    if wanted != given:
        yield f"it binds {sorted(given)}, the template takes {sorted(wanted)}"
    keys = {
        overlay["key"]
        for interceptor in spec["interceptors"]
        for param in interceptor["params"]
        if param["name"] == "overlays"
        for overlay in param["value"]
    }
    for binding in spec["bindings"]:
        for reference in references(binding["value"]):
            root, _, rest = reference.partition(".")
            if root == "extensions" and rest not in keys:
                yield f"binding {binding['name']}: no interceptor makes $({reference})"
            elif root not in ("extensions", "body") or not re.fullmatch(r"[\w.]+", rest):
                yield f"binding {binding['name']}: $({reference}) makes no sense"
        if "$(" in REFERENCE.sub("", binding["value"]):
            yield f"binding {binding['name']}: {binding['value']} makes no sense"
    for interceptor in spec["interceptors"]:
        for param in interceptor["params"]:
            if param["name"] == "secretRef" and param["value"]["secretName"] not in SECRETS:
                yield f"secret {param['value']['secretName']} is not among those that the docs name"


def listener_problems(listener: Object, objects: list[Object]) -> Iterator[str]:
    triggers = named(objects, "Trigger")
    for entry in listener["spec"]["triggers"]:
        if entry["triggerRef"] not in triggers:
            yield f"there is no Trigger {entry['triggerRef']}"
    for name in sorted(triggers.keys() - {entry["triggerRef"] for entry in listener["spec"]["triggers"]}):
        yield f"it does not hear the Trigger {name}"
    if listener["spec"]["serviceAccountName"] not in named(objects, "ServiceAccount"):
        yield f"there is no service account {listener['spec']['serviceAccountName']}"


def binding_problems(binding: Object, objects: list[Object]) -> Iterator[str]:
    role = binding["roleRef"]
    home = binding["metadata"].get("namespace") if role["kind"] == "Role" else None
    theirs = role["name"] in ("system:image-builder", "pipelines-scc-clusterrole")
    if not theirs and (home, role["name"]) not in _places(objects, role["kind"]):
        yield f"there is no {role['kind']} {role['name']}"
    for subject in binding["subjects"]:
        if (subject.get("namespace"), subject["name"]) not in _places(objects, "ServiceAccount"):
            yield f"there is no service account {subject['name']} in {subject.get('namespace')}"
    if binding["kind"] == "ClusterRoleBinding" and not binding["metadata"]["name"].startswith(
        "jukebox-listener."
    ):
        yield "a right in the whole cluster"


def _places(objects: list[Object], kind: str) -> set[tuple[str | None, str]]:
    """Return namespace and name of all objects of a kind."""
    found = (each["metadata"] for each in objects if each["kind"] == kind)
    return {(metadata.get("namespace"), metadata["name"]) for metadata in found}


def role_problems(role: Object, _: list[Object]) -> Iterator[str]:
    for rule in role["rules"]:
        if "secrets" in rule["resources"] or "*" in (*rule["resources"], *rule["verbs"], *rule["apiGroups"]):
            yield f"too wide: {rule}"


def account_problems(account: Object, _: list[Object]) -> Iterator[str]:
    speaks = account["metadata"]["name"] in (
        "jukebox-answer",
        "jukebox-submit",
        "jukebox-promote",
        "jukebox-listener",
    )
    if account.get("automountServiceAccountToken") is not speaks:
        yield "its pods get a token" if not speaks else "its pods get no token"


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
}
