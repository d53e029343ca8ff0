"""The rules for the objects of an overlay: secrets, rights, folders, networks and decisions.

`problems` returns one line for each rule that is broken; `tekton.expected` has the tables.
"""

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterator

from tekton.harness import holds, walk
from tekton.manifests import Object

from tekton import expected as want

BY_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
IN_A_SCRIPT = re.compile(r"\$\((params|workspaces|results|context|tasks|steps)\b")


def problems(objects: list[Object]) -> list[str]:
    """Return every rule that an overlay breaks."""
    checks = (task_problems, pipeline_problems, run_problems, right_problems, fence_problems)
    told = [said for check in checks for said in check(objects)]
    return told or [*decision_problems(of(objects, "Pipeline")["jukebox-train"]["spec"]["tasks"])]


def of(objects: list[Object], kind: str) -> dict[str, Object]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def task_problems(objects: list[Object]) -> Iterator[str]:
    builder = want.BUILDERS["openshift" if of(objects, "Route") else "kubernetes"]
    for name, task in of(objects, "Task").items():
        spec = task["spec"]
        spaces = {each["name"] + "-" * each.get("readOnly", False) for each in spec.get("workspaces", ())}
        if spaces != {*want.SPACES[name].split()}:
            yield f"{name}: its workspaces are {spaces}"
        for volume in spec["volumes"]:
            source = {**volume.get("configMap", {}), **volume.get("secret", {})}
            given = source.get("secretName") or source.get("name", "$(…)")
            if not given.startswith("$(") and want.OPTIONAL.get(given) is not source.get("optional", False):
                yield f"{name}: volume {given} is unknown, or wrongly optional"
        for step in spec["steps"]:
            place = f"{name}/{step['name']}"
            rights = builder if place == "toolchain/build" else want.RESTRICTED
            yield from (f"{place}: {said}" for said in _step(place, spec, step, rights))
    yield from _measure(of(objects, "Task")["measure"]["spec"])


def _step(place: str, spec: Object, step: Object, rights: Object) -> Iterator[str]:
    lines = [line for line in step["script"].strip().splitlines() if not line.startswith("#!")]
    if len(lines) > 10:
        yield f"its script has {len(lines)} lines"
    if IN_A_SCRIPT.search(step["script"]):
        yield "a value is written into its script: values go through env"
    if not re.fullmatch(r"\$\(params\.[a-z-]+\)", step["image"]):
        yield f"its image {step['image']} is no param"
    template = spec["stepTemplate"]
    if {**template.get("securityContext", {}), **step.get("securityContext", {})} != rights:
        yield "its rights are others"
    volumes = {each["name"]: each.get("secret", {}).get("secretName") for each in spec["volumes"]}
    secrets = {None}
    for part in (template, step):
        secrets |= {volumes.get(mount["name"]) for mount in part.get("volumeMounts", ())}
        sources = (entry.get("valueFrom", {}) for entry in part.get("env", ()))
        secrets |= {source.get("secretKeyRef", {}).get("name") for source in sources}
    if secrets - {None} != want.SECRETS.get(place, set()):
        yield f"it has the secrets {sorted(secrets - {None})}"
    if ({"name": "judge"} in step.get("workspaces", ())) is not (place in want.JUDGES):
        yield "it mounts the judge's folder, or does not"


def _measure(spec: Object) -> Iterator[str]:
    """Check that infer sees no label, score sees no model, and that they share nothing but the answers."""
    infer, score = (step["volumeMounts"] for step in spec["steps"])
    seen = {
        (mount["mountPath"], f"/{mount['subPath']}", mount.get("readOnly", False))
        for mount in infer
        if mount["name"] == "$(workspaces.judge.volume)"
    }
    work = "/judge/work"
    parts = ("asked.json", "model", "champion", "features", "answers")
    if seen != {(f"{work}/{part}", f"{work}/{part}", part != "answers") for part in parts}:
        yield f"infer sees {seen}"
    if not {mount["mountPath"] for mount in score} >= {f"{work}/model", f"{work}/champion"}:
        yield "score sees the model"
    common = {mount["name"] for mount in infer} & {mount["name"] for mount in score}
    common |= {mount["name"] for mount in spec["stepTemplate"].get("volumeMounts", ())}
    if common or any(volume.keys() != {"name", "emptyDir"} for volume in spec["volumes"]):
        yield f"infer and score share {common}, or a volume is not empty"


def pipeline_problems(objects: list[Object]) -> Iterator[str]:
    spec, tasks = of(objects, "Pipeline")["jukebox-train"]["spec"], of(objects, "Task")
    names = [task["name"] for task in spec["tasks"]]
    makers = {made["name"]: name for name in names for made in tasks[name]["spec"].get("results", ())}
    defaults = {param["name"]: param.get("default", "") for param in spec["params"]}
    keys = {"sealing-key-secret": "jukebox-holdout-key", "signing-secret": "jukebox-signing-key"}
    for name, default in defaults.items():
        if name.endswith("-image") and not BY_DIGEST.fullmatch(default):
            yield f"param {name}: its default is not by digest"
        if name.endswith("-secret") and default != keys.get(name, f"jukebox-{name[:-7]}"):
            yield f"param {name}: its default is {default}"
    special = {"attempt": "$(context.pipelineRun.uid)", "context": "$(params.report-context)"}
    special["tasks"] = " ".join(f"{name}=$(tasks.{name}.status)" for name in names)

    def made(result: str) -> str:
        return f"$(tasks.{makers[result]}.results.{result})"

    # Tekton Chains reads these names, and leaves out what it cannot read, without an error.
    chains: Object = {
        name: made(name) for name in ("CHAINS-GIT_URL", "CHAINS-GIT_COMMIT", "IMAGE_URL", "IMAGE_DIGEST")
    }
    chains["model-ARTIFACT_OUTPUTS"] = {"uri": made("MODEL_URI"), "digest": made("MODEL_DIGEST")}
    results = {each["name"]: each["value"] for each in spec["results"]}
    yield from (
        f"result {name}: Chains does not get it" for name in chains if chains[name] != results.get(name)
    )
    for task in (*spec["tasks"], *spec["finally"]):
        name = task["name"]
        if task["taskRef"]["name"] != name or (task.get("retries") and name not in want.RETRIED):
            yield f"{name}: it is a {task['taskRef']['name']}, or is retried"
        for param in task["params"]:
            result = param["name"].upper().replace("-", "_")
            source = made(result) if result in makers and param["name"] not in defaults else ""
            if param["value"] != special.get(param["name"], source or f"$(params.{param['name']})"):
                yield f"{name}: param {param['name']} is {param['value']}"
        bound = {each["name"]: [each["workspace"], each.get("subPath")] for each in task["workspaces"]}
        spaces = [each.removesuffix("-") for each in want.SPACES[name].split()]
        folders = {each: ["shared", want.FOLDERS[each]] for each in spaces if each in want.FOLDERS}
        if bound != {each: [each, None] for each in spaces} | folders:
            yield f"{name}: its workspaces are {bound}"


def decision_problems(tasks: list[Object]) -> Iterator[str]:
    """Play the ways of a run: promote runs exactly for a pass of a new training, after all other tasks.

    Tekton starts nothing new after a failure; here all else goes on, which can only be worse.
    """
    verdict, snapshot = "tasks.submit-run.results.VERDICT", "tasks.holdout.results.SNAPSHOT"
    lint, build, train = (f"tasks.answer.results.{name}" for name in ("LINT", "BUILD", "TRAIN"))
    answers = (("yes", "no", f"$({name})") for name in (lint, train))  # not written: the reference itself
    failures = [None, *(task["name"] for task in tasks)]
    for *values, failed in itertools.product(("pass", "block", "error"), ("s3://x", ""), *answers, failures):
        known = dict(zip((verdict, snapshot, lint, train), values, strict=True))
        known[build] = "no" if known[lint] == known[train] == "no" else "yes"

        def play(task: Object, known: dict[str, str] = known, failed: str | None = failed) -> str:
            end = "Failed" if task["name"] == failed else "Succeeded"
            return end if holds(task, known) else "skipped"

        ends = walk(tasks, play)
        ran = ends.pop("promote") in ("Succeeded", "Failed")
        checked = {ends.pop("lint"), ends.pop("unit-test")} == {
            "skipped" if known[lint] == "no" else "Succeeded"
        }
        decided = known[verdict] == "pass" and known[train] != "no" and known[snapshot] != ""
        if ran != (decided and checked and {*ends.values()} == {"Succeeded"}):
            yield f"promote {'runs' if ran else 'does not run'} with {known} where {failed} fails"
            return


def run_problems(objects: list[Object]) -> Iterator[str]:
    """Check the PipelineRuns: of `runs/`, and of the TriggerTemplate."""
    templated = of(objects, "TriggerTemplate")["jukebox"]["spec"]["resourcetemplates"]
    if of(objects, "EventListener")["jukebox"]["spec"]["serviceAccountName"] != "jukebox-listener":
        yield "the listener runs as another account"
    for run in (*templated, *(each for each in objects if each["kind"] == "PipelineRun")):
        spec, template = run["spec"], run["spec"]["taskRunTemplate"]
        accounts = {each["pipelineTaskName"]: each["serviceAccountName"] for each in spec["taskRunSpecs"]}
        if (accounts, template["serviceAccountName"]) != (want.ROLES, "jukebox-ci"):
            yield f"a run's accounts are {accounts}, or {template['serviceAccountName']}"
        context = template.get("podTemplate", {}).get("securityContext", {"runAsNonRoot": True})
        if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
            yield "a run's pods may be root"
        shared, *others = spec["workspaces"]
        allowed = [
            {"name": "git-credentials", "secret": {"secretName": "jukebox-git"}},
            {"name": "pip-settings", "configMap": {"name": "jukebox-pip"}},
        ]
        if "volumeClaimTemplate" not in shared or not all(each in allowed for each in others):
            yield f"a run's workspaces are {spec['workspaces']}"


def _place(objects: list[Object], one: Object) -> str:
    pipeline = of(objects, "Pipeline")["jukebox-train"]
    (runs,) = (each["default"] for each in pipeline["spec"]["params"] if each["name"] == "runs-namespace")
    places = {pipeline["metadata"]["namespace"]: "home", runs: "runs", None: "cluster"}
    return places[one["metadata"].get("namespace")]


def right_problems(objects: list[Object]) -> Iterator[str]:
    home = of(objects, "Pipeline")["jukebox-train"]["metadata"]["namespace"]
    roles, rights = defaultdict(set), defaultdict(set)
    for role in (*of(objects, "Role").values(), *of(objects, "ClusterRole").values()):
        key = (role["kind"], role["metadata"]["name"], role["metadata"].get("namespace"))
        for rule in role["rules"]:
            groups = [group or "-" for group in rule["apiGroups"]]
            words = (*rule["verbs"], *groups, *rule["resources"], *rule.get("resourceNames", ()))
            roles[key].add(" ".join(words))
    for binding in (*of(objects, "RoleBinding").values(), *of(objects, "ClusterRoleBinding").values()):
        role, place = binding["roleRef"], _place(objects, binding)
        space = binding["metadata"].get("namespace") if role["kind"] == "Role" else None
        given = roles.get((role["kind"], role["name"], space), {f"{role['kind']} {role['name']}"})
        for subject in binding["subjects"]:
            account = subject["name"] if subject.get("namespace") == home else str(subject)
            rights[account] |= {f"{place}: {each}" for each in given}
    openshift = want.OPENSHIFT if of(objects, "Route") else {}
    if rights != want.RIGHTS | openshift:
        yield f"the rights are {dict(rights)}"
    tokens = {
        name: each["automountServiceAccountToken"] for name, each in of(objects, "ServiceAccount").items()
    }
    accounts = {"jukebox-ci", *want.ROLES.values(), *want.RIGHTS, *openshift}
    if tokens != {name: name in want.RIGHTS for name in accounts}:
        yield f"the accounts with a token, or without, are {tokens}"


def fence_problems(objects: list[Object]) -> Iterator[str]:
    fences = {}
    for name, fence in of(objects, "NetworkPolicy").items():
        spec = fence["spec"]
        ways = (
            [_opening(rule) for rule in spec.get(way.lower(), ())] if way in spec["policyTypes"] else None
            for way in ("Ingress", "Egress")
        )
        fences[name] = (_place(objects, fence), spec["podSelector"], *ways)
    if fences != want.FENCES:
        yield f"the network policies are {json.dumps(fences)}"
    apart = {"Role", "RoleBinding", "NetworkPolicy"}
    for each in objects:
        if each["kind"] not in apart and _place(objects, each) == "runs":
            yield f"{each['kind']} {each['metadata']['name']} is in the namespace of the runs"


def _opening(rule: Object) -> str:
    """Name what a rule of a network policy lets through."""
    peers = (*rule.get("to", ()), *rule.get("from", ()))
    return f"{sorted({port['port'] for port in rule.get('ports', ())})} " + " ".join(
        sorted("+".join(peer) for peer in peers)
    )
