"""Nothing reaches `promote` but through what was measured, and nobody else has its keys or rights."""

import copy

import pytest
from tekton.graph import outcomes, problems
from tekton.manifests import OVERLAYS, find, named, rendered
from tekton.manifests import pipeline_task as task


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_promotion_is_reached_by_what_was_measured_alone(overlay):
    assert problems(rendered(overlay), overlay) == []


def test_every_outcome_is_played():
    found = list(outcomes(spec(rendered("openshift"))))
    assert len(found) == 3 * 2 * 3 * 3 * (1 + 11 + 55)
    assert {end for state, _ in found for end in state.values()} == {"ok", "failed", "skipped", "blocked"}


def spec(objects):
    return find(objects, "Pipeline", "jukebox-train")["spec"]


def give(objects, name, param, value):
    named(task(objects, name)["params"], param)["value"] = value


def another(objects):
    release = copy.deepcopy(task(objects, "promote"))
    release.update(name="release", runAfter=["fetch-source"], when=[], retries=0)
    spec(objects)["tasks"].append(release)


def build(objects):
    return named(find(objects, "Task", "toolchain")["spec"]["steps"], "build")


def without_submission(objects):
    spec(objects)["tasks"].remove(task(objects, "submit-run"))
    spec(objects)["tasks"].remove(task(objects, "measure"))
    for param in ("candidate", "asked", "measured"):
        give(objects, "promote", param, "abc")
    task(objects, "promote").update(when=[], runAfter=["compile-pipeline"])


def without_measuring(objects):
    spec(objects)["tasks"].remove(task(objects, "measure"))
    give(objects, "promote", "measured", "abc")


def measure(objects):
    return find(objects, "Task", "measure")["spec"]


def mount(objects, name, workspace):
    task(objects, name).setdefault("workspaces", []).append(
        {"name": workspace, "workspace": "shared", "subPath": workspace}
    )


def fence(objects):
    return find(objects, "NetworkPolicy", "jukebox-code")["spec"]["podSelector"]


def same_secret(objects):
    named(spec(objects)["params"], "store-secret")["default"] = "jukebox-promotion"


COMMITS = "$(tasks.toolchain.results.TOOLS_DEPENDENCIES)"
KEY = "$(params.promotion-secret)"
WAYS = {
    "without submit-run": (without_submission, "submit-run is not given the store-secret"),
    "without measuring": (without_measuring, "promote takes measured from abc"),
    "labels of one's own": (
        lambda o: give(o, "measure", "asked", "abc"),
        "measure takes asked from abc",
    ),
    "a sealed song too many": (
        lambda o: give(o, "submit-run", "holdout", "$(params.snapshots)"),
        "submit-run takes holdout from $(params.snapshots)",
    ),
    "sealed by the commit": (
        lambda o: give(o, "holdout", "judge-image", "$(tasks.fetch-source.results.COMMIT)"),
        "holdout takes judge-image",
    ),
    "measured by the commit": (
        lambda o: give(o, "measure", "judge-image", COMMITS),
        "measure takes judge-image",
    ),
    "a signature for another": (
        lambda o: give(o, "report", "context", "$(params.signing-secret)"),
        "report is given the signing-secret as context",
    ),
    "the sealed songs for the run": (
        lambda o: give(o, "compile-pipeline", "store-secret", "$(params.judge-secret)"),
        "compile-pipeline is given the judge-secret as store-secret",
    ),
    "the judge's folder for the compiler": (
        lambda o: mount(o, "compile-pipeline", "judge"),
        "judge is mounted by ['compile-pipeline', 'measure'",
    ),
    "the report's folder for the compiler": (
        lambda o: mount(o, "compile-pipeline", "outcome"),
        "outcome is mounted by ['answer', 'compile-pipeline'",
    ),
    "the whole volume for the linters": (
        lambda o: task(o, "lint")["workspaces"][0].pop("subPath"),
        "lint mounts None of the run's volume as shared",
    ),
    "another's folder for the linters": (
        lambda o: task(o, "lint")["workspaces"][0].update(subPath="judge"),
        "lint mounts judge of the run's volume as shared",
    ),
    "the judge's folder for what submits": (
        lambda o: find(o, "Task", "submit-run")["spec"]["steps"][0]["workspaces"].append({"name": "judge"}),
        "the judge's folder is mounted by the steps",
    ),
    "the judge's folder for infer": (
        lambda o: measure(o)["steps"][0].update(workspaces=[{"name": "judge"}]),
        "the judge's folder is mounted by the steps",
    ),
    "the judge's folder for both": (
        lambda o: measure(o)["steps"][1].pop("workspaces"),
        "the judge's folder is mounted by the steps",
    ),
    "labels for infer": (
        lambda o: measure(o)["steps"][0]["volumeMounts"][-1].update(subPath="judge/work/labels"),
        "infer sees [('/judge/work/answers', 'judge/work/answers'",
    ),
    "a model that infer may change": (
        lambda o: measure(o)["steps"][0]["volumeMounts"][2].pop("readOnly"),
        "infer sees [('/judge/work/model'",
    ),
    "a model for score": (lambda o: measure(o)["steps"][1]["volumeMounts"].pop(), "score sees the model"),
    "a home in common": (
        lambda o: measure(o)["steps"][1]["volumeMounts"][0].update(name="tmp-infer"),
        "infer and score have ['tmp-infer'] in common",
    ),
    "a secret as a folder of infer's": (
        lambda o: measure(o)["volumes"][0].update(secret={"secretName": "jukebox-signing-key"}),
        "a step of measure mounts ['tmp-infer']",
    ),
    "no when": (
        lambda o: [task(o, name).pop("when") for name in ("measure", "promote")],
        "promote runs with the verdict block",
    ),
    "the opposite": (
        lambda o: task(o, "promote")["when"][0].update(operator="notin"),
        "promote does not run",
    ),
    "a verdict too many": (
        lambda o: [task(o, name)["when"][0]["values"].append("error") for name in ("measure", "promote")],
        "promote runs with the verdict error",
    ),
    "tests left out": (lambda o: task(o, "build-image").update(runAfter=["lint"]), "not ok: ['unit-test']"),
    "skipped tests": (
        lambda o: task(o, "unit-test").update(when=[{"input": "a", "operator": "in", "values": ["b"]}]),
        "not ok: ['unit-test']",
    ),
    "tests skipped without an answer": (
        lambda o: task(o, "unit-test")["when"][0].update(operator="in", values=["yes"]),
        "not ok: ['unit-test']",
    ),
    "training where it is answered": (
        lambda o: task(o, "compile-pipeline").pop("when"),
        "promote runs with the verdict pass, not ok: []",
    ),
    "tables that break the contract": (
        lambda o: task(o, "answer").pop("when"),
        "promote runs with the verdict pass, not ok: []",
    ),
    "another task that promotes": (another, "release promotes as well"),
    "two of one name": (lambda o: spec(o)["tasks"].append(copy.deepcopy(task(o, "lint"))), "named lint"),
    "a candidate of one's own": (
        lambda o: give(o, "promote", "candidate", "abc"),
        "takes candidate from abc",
    ),
    "the key for the run": (lambda o: give(o, "submit-run", "store-secret", KEY), "the promotion-secret as"),
    "the key in the end": (lambda o: give(o, "report", "report-secret", KEY), "the promotion-secret as"),
    "one key for both": (same_secret, "one secret for two purposes"),
    "promoted by the commit": (
        lambda o: give(o, "promote", "tools-image", COMMITS),
        "promote takes tools-image",
    ),
    "judged by the commit": (lambda o: give(o, "submit-run", "tools-image", COMMITS), "takes tools-image"),
    "the DSPA for all": (
        lambda o: find(o, "RoleBinding", "jukebox-submit")["subjects"].append({"name": "jukebox-ci"}),
        "RoleBinding jukebox-submit is for",
    ),
    "root for all": (
        lambda o: find(o, "RoleBinding", "jukebox-build-scc")["subjects"].append({"name": "jukebox-ci"}),
        "RoleBinding jukebox-build-scc is for",
    ),
    "pods in the cluster": (
        lambda o: find(o, "ClusterRole", "jukebox-listener.jukebox")["rules"].append(
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}
        ),
        "ClusterRole jukebox-listener.jukebox allows [('pods', 'create')]",
    ),
    "a way into pods": (
        lambda o: find(o, "Role", "jukebox-listener")["rules"].append(
            {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}
        ),
        "Role jukebox-listener allows",
    ),
    "a builder without a seccomp profile": (
        lambda o: build(o)["securityContext"].pop("seccompProfile"),
        "the builder's rights",
    ),
    "a builder that may escalate": (
        lambda o: build(o)["securityContext"].pop("allowPrivilegeEscalation"),
        "the builder's rights",
    ),
    "a param in brackets in a script": (
        lambda o: build(o).update(script='#!/bin/sh\necho $(params["commit"])\n'),
        "toolchain: $(params…) in a script",
    ),
    "linters that write": (
        lambda o: find(o, "Task", "lint")["spec"]["workspaces"][0].pop("readOnly"),
        "lint can write",
    ),
    "code that is let out": (
        lambda o: fence(o)["matchExpressions"][0]["values"].pop(),
        "NetworkPolicy jukebox-code",
    ),
    "code that is let out of the Pipeline": (
        lambda o: fence(o).update(matchLabels={"tekton.dev/pipeline": "jukebox-train"}),
        "NetworkPolicy jukebox-code",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_another_way_is_found(way):
    objects = rendered("openshift")
    make, word = WAYS[way]
    make(objects)
    assert any(word in said for said in problems(objects, "openshift")), problems(objects, "openshift")
