"""The project's objects have the shape of their APIs and keep the rules; each known mistake is found."""

import copy
import tomllib

import pytest
from tekton.manifests import GONE, OVERLAYS, ROOT, TEKTON, edit, files, find, load, rendered

import ml
from tekton import rules, shapes

FILES = {str(file.relative_to(TEKTON)): file for file in sorted(TEKTON.rglob("*.y*ml"))}
RUNS = files("runs")


def problems(objects) -> list[str]:
    templated = [
        run for o in objects if o["kind"] == "TriggerTemplate" for run in o["spec"]["resourcetemplates"]
    ]
    told = [said for found in (*objects, *templated) for said in shapes.problems(found)]
    return told or rules.problems(objects)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_has_no_problem(overlay):
    assert problems(rendered(overlay) + RUNS) == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_the_shape_of_its_api(name):
    documents = [found for found in load(FILES[name]) if found]
    assert documents and [said for found in documents for said in shapes.problems(found, name)] == []


P, RUN = "Pipeline/jukebox-train spec", "TriggerTemplate/jukebox spec resourcetemplates 0 spec"
LINT, BUILD = "Task/lint spec", "Task/toolchain spec steps build"
NOTES = "Task/lint metadata annotations tekton.dev/"
MEASURE, PROMOTE = "Task/measure spec", "Task/promote spec"
ENV = f"{LINT} steps 0 env +"
RESULTS = "$(tasks.submit-run.results."
KEY = {"secretKeyRef": {"name": "jukebox-promotion", "key": "x"}}
WHOLE = [{"name": "judge"}]
MOUNT = {"name": "registry", "mountPath": "/x"}
YES = {"input": "$(tasks.answer.results.LINT)", "operator": "in", "values": ["yes"]}
SIGNED = "Trigger/push spec interceptors signature params secretRef value"
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}
CI = {"kind": "ServiceAccount", "name": "jukebox-ci", "namespace": "jukebox"}
MISTAKES = [
    # Shapes
    (f"{LINT} steps 0 comand", ["x"], "comand"),
    (f"{LINT} params 0 description", "", "description"),
    (f"{LINT} steps 0 computeResources limits", GONE, "'limits' is a required"),
    (f"{LINT} steps 0 computeResources limits memory", "2Gx", "limits.memory"),
    (ENV, {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}, "fieldRef.fieldPath"),
    (f"{P} tasks lint timeout", GONE, "'timeout' is a required"),
    (f"{RUN} timeout", "1h", "'timeout' was unexpected"),
    ("Trigger/push spec template", GONE, "'template' is a required"),
    ("EventListener/jukebox spec replicas", 2, "'replicas' was unexpected"),
    ("Role/jukebox-listener rules 0 verbs", ["*"], "verbs.0"),
    ("+", {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {}}}, "no shape for v1 Pod"),
    # The catalogue of Tekton
    ("Task/lint metadata labels app.kubernetes.io/version", GONE, "app.kubernetes.io/version"),
    *((f"{NOTES}{key}", GONE, f"tekton.dev/{key}' is a req") for key in ("displayName", "tags", "platforms")),
    (f"{NOTES}pipelines.minVersion", "0.43", "minVersion"),
    (f"{NOTES}categories", "Music, Testing", "categories"),
    (f"{NOTES}tag", "x", "'tekton.dev/tag' was unexpected"),
    # References
    (ENV, {"name": "X", "value": "$(params.x)"}, "$(params.x) leads nowhere"),
    (ENV, {"name": "X", "value": '$(params["x"])'}, '$(params["x"]) has a form'),
    (ENV, {"name": "X", "value": "$(x)"}, "$(x) has a form"),
    (ENV, {"name": "SOURCE", "value": "/"}, "variable SOURCE is there twice"),
    (f"{LINT} params +", {"name": "x", "description": "x"}, "params.x is not used"),
    (f"{LINT} steps 0 script", "#!/bin/sh\n" + "true\n" * 11, "its script has 11 lines"),
    (f"{LINT} steps 0 script", "#!/bin/sh\necho $(params.tools-dependencies)\n", "$(params…) in its script"),
    (f"{LINT} steps 0 image", "alpine", "its image alpine is no param"),
    (f"{LINT} steps 0 volumeMounts", [{"name": "x", "mountPath": "/x"}], "volume x leads nowhere"),
    (f"{LINT} results", [{"name": "X", "description": "x"}], "no step writes the result X"),
    (f"{P} tasks lint params 0 value", "$(tasks.tool.results.X)", "lint: param tools-dependencies is not"),
    (f"{P} tasks lint params 0 value", "$(tasks.toolchain.results['X'])", "has a form that is not used"),
    (f"{P} tasks lint params +", {"name": "extra", "value": "x"}, "param extra is unknown"),
    (f"{P} tasks lint params 0", GONE, "param tools-dependencies is missing"),
    (f"{P} tasks answer params +", {"name": "tests", "value": "x"}, "param tests is there twice"),
    (f"{P} tasks lint workspaces", GONE, "its workspaces are {}"),
    (f"{P} tasks lint workspaces 0 workspace", "other", "its workspaces are"),
    (f"{P} tasks fetch-source runAfter", ["lint"], "a cycle"),
    (f"{P} tasks lint runAfter", ["x"], "x, which lint follows, is no task"),
    (f"{P} tasks unit-test retries", 1, "unit-test: it must not be retried"),
    (f"{P} params experiment", GONE, "$(params.experiment) leads nowhere"),
    (f"{P} params git-image default", "git:1", "git-image: its default is not by digest"),
    ("Task/toolchain spec results TOOLS_DEPENDENCIES", GONE, "TOOLS_DEPENDENCIES) is no text result"),
    (f"{P} results 0 value", f"{RESULTS}model-ARTIFACT_OUTPUTS)", "is no text result"),
    (f"{P} tasks toolchain when 0 input", "$(tasks.answer.results.X)", "answer.results.X) is no text result"),
    (f"{P} finally report params tasks value", "lint=$(tasks.lint.status)", "report: param tasks is not"),
    (f"{RUN} params 0 value", "$(tt.params.commit)", "$(tt.params.commit) is unknown"),
    (f"{RUN} params 0 value", '$(tt.params["x"])', '$(tt.params["x"]) has a form'),
    (f"{RUN} params cause", GONE, "its params are"),
    (f"{RUN} workspaces shared", GONE, "it has no volume of its own"),
    ("Trigger/push spec bindings 0 value", "$(body.[x)", "has a form that is not used"),
    ("Trigger/push spec bindings 0 value", "$(extensions.nam)", "$(extensions.nam) leads nowhere"),
    ("Trigger/push spec bindings 0", GONE, "its bindings are not the params"),
    ("Trigger/push spec interceptors wanted params 0 value", "body.after.matches(", "is no CEL"),
    ("Trigger/push spec interceptors settings", GONE, "no interceptor before makes extensions.branches"),
    ("EventListener/jukebox spec triggers 0", GONE, "it runs as jukebox-listener, with"),
    # What Tekton Chains reads
    (f"{P} results CHAINS-GIT_COMMIT", GONE, "CHAINS-GIT_COMMIT: Chains does not get"),
    (f"{P} results model-ARTIFACT_OUTPUTS value isBuildArtifact", "true", "Chains does not get"),
    (f"{P} results model-ARTIFACT_OUTPUTS type", GONE, "model-ARTIFACT_OUTPUTS: its type is wrong"),
    # Secrets
    (ENV, {"name": "X", "valueFrom": KEY}, "lint: step lint: it has the secrets ['jukebox-promotion']"),
    (f"{LINT} stepTemplate env +", {"name": "X", "valueFrom": KEY}, "lint: it has the secrets"),
    (f"{BUILD} volumeMounts +", MOUNT, "step build: it has the secrets"),
    ("Task/toolchain spec stepTemplate volumeMounts", [MOUNT], "step build: it has the secrets"),
    (f"{LINT} params +", {"name": "judge-secret", "description": "x"}, "it takes judge-secret, or does not"),
    (f"{P} finally report params context value", "$(params.signing-secret)", "param context is not"),
    (f"{P} params store-secret default", "jukebox-promotion", "store-secret: its default is"),
    (f"{P} params +", {"name": "x-secret", "description": "x", "default": "x"}, "x-secret: its default is x"),
    (f"{PROMOTE} volumes trust configMap optional", True, "config map jukebox-trust is unknown, or wrongly"),
    (f"{PROMOTE} volumes ca configMap optional", GONE, "config map jukebox-ca is unknown, or wrongly"),
    (f"{PROMOTE} volumes ca configMap name", "ca", "config map ca is unknown"),
    ("Task/toolchain spec volumes pull secret optional", GONE, "secret jukebox-pull is not optional"),
    (
        f"{RUN} workspaces +",
        {"name": "pip-settings", "configMap": {"name": "x"}},
        "workspace pip-settings is",
    ),
    (f"{P} tasks promote params tools-image value", "$(params.judge-image)", "param tools-image is not"),
    (f"{P} tasks submit-run params attempt value", "x", "param attempt is not"),
    # Folders
    (f"{P} tasks lint workspaces 0 subPath", GONE, "its workspaces are"),
    (f"{LINT} workspaces shared readOnly", GONE, "it can write to the commit's folder"),
    (f"{MEASURE} steps infer workspaces", WHOLE, "the judge's folder is mounted by"),
    (f"{MEASURE} steps infer volumeMounts -1 subPath", "judge/work/labels", "infer sees"),
    (f"{MEASURE} steps infer volumeMounts 2 readOnly", GONE, "infer sees"),
    (f"{MEASURE} steps infer volumeMounts 2 mountPath", "/judge/work/labels", "infer sees"),
    (f"{MEASURE} steps score volumeMounts -1", GONE, "score sees the model"),
    (f"{MEASURE} steps score volumeMounts 0 name", "tmp-infer", "infer and score share {'tmp-infer'}"),
    (f"{MEASURE} volumes 0 configMap", {"name": "jukebox-ca", "optional": True}, "a volume is not empty"),
    # Decisions
    (f"{P} tasks promote when 0 operator", "notin", "promote does not run with the verdict pass"),
    (f"{P} tasks build-image runAfter", ["lint"], "not ok: ['unit-test']"),
    (f"{P} tasks unit-test when 0", YES, "not ok: ['unit-test']"),
    (f"{P} tasks compile-pipeline when", GONE, "promote runs with the verdict pass, not ok: []"),
    (f"{P} tasks answer when", GONE, "promote runs with the verdict pass, not ok: []"),
    (f"{P} tasks lint name", "unit-test", "task unit-test is there twice"),
    (f"{P} tasks lint taskRef name", "promote", "task lint: it is a promote"),
    ("Task/measure", GONE, "no Task measure"),
    # Runs
    (f"{RUN} taskRunTemplate serviceAccountName", "jukebox-promote", "all its tasks run as jukebox-promote"),
    (f"{RUN} taskRunSpecs -1 serviceAccountName", "jukebox-ci", "its tasks do not run as they should"),
    (f"{RUN} taskRunTemplate podTemplate", {"securityContext": {"runAsUser": 0}}, "its pods may be root"),
    (f"{RUN} timeouts tasks", "7h0m0s", "no time for the last tasks"),
    (f"{RUN} timeouts tasks", "5h59m0s", "may take longer than it allows"),
    ("ServiceAccount/jukebox-ci", GONE, "there is no service account jukebox-ci"),
    ("Trigger/push spec interceptors signature", GONE, "its events are verified by []"),
    ("Trigger/data spec interceptors wanted params filter value", "true", "its events are verified by []"),
    (f"{SIGNED} secretKey", "pull", "verified by ['pull']"),
    (f"{SIGNED} secretName", "x", "verified by []"),
    # Rights
    (f"{LINT} stepTemplate securityContext runAsNonRoot", False, "its rights are"),
    (f"{LINT} steps 0 securityContext", {"runAsUser": 0}, "its rights are"),
    (f"{BUILD} securityContext capabilities add +", "SYS_ADMIN", "its rights are"),
    (f"{BUILD} securityContext seccompProfile type", "Unconfined", "its rights are"),
    ("ClusterRole/jukebox-listener.jukebox rules +", PODS, "ClusterRole jukebox-listener.jukebox: it allows"),
    ("Role/jukebox-submit rules 0 resourceNames", GONE, "Role jukebox-submit: it allows"),
    ("RoleBinding/jukebox-submit subjects +", CI, "RoleBinding jukebox-submit: it is for"),
    ("RoleBinding/jukebox-submit subjects 0 namespace", "jukebox-runs", "jukebox-submit: it is for"),
    ("RoleBinding/jukebox-submit roleRef kind", "ClusterRole", "it is to the ClusterRole jukebox-submit"),
    ("Role/jukebox-submit", GONE, "there is no Role jukebox-submit"),
    ("ServiceAccount/jukebox-ci automountServiceAccountToken", True, "its pods get a token"),
    ("ConfigMap/jukebox-head metadata labels jukebox/namespace", "runs", "the label of the runs' namespace"),
    ("Role/jukebox-submit metadata labels jukebox/namespace", GONE, "the label of the runs' namespace"),
    ("NetworkPolicy/jukebox-runs metadata namespace", "jukebox", "it is in the namespace jukebox"),
    ("Role/jukebox-promote metadata namespace", "jukebox-runs", "it is in the namespace jukebox-runs"),
    ("Route/jukebox-listener metadata labels app.kubernetes.io/part-of", "x", "not labelled as part of"),
    # Networks
    ("NetworkPolicy/jukebox-runs spec egress +", {}, "NetworkPolicy jukebox-runs: it is"),
    ("NetworkPolicy/jukebox-holdout spec policyTypes", ["Ingress"], "NetworkPolicy jukebox-holdout: it is"),
    ("NetworkPolicy/jukebox-code spec podSelector matchExpressions 0 values -1", GONE, "jukebox-code: it is"),
    ("NetworkPolicy/jukebox-code", GONE, "no NetworkPolicy jukebox-code"),
]


@pytest.mark.parametrize(
    ("path", "value", "said"), MISTAKES, ids=lambda value: value[:70] if isinstance(value, str) else ""
)
def test_a_mistake_is_found(path, value, said):
    objects = rendered("openshift")
    edit(objects, path, copy.deepcopy(value))
    told = problems(objects)
    assert any(said in each for each in told), told


@pytest.mark.parametrize("tasks", [("measure",), ("submit-run", "measure")])
def test_nothing_is_promoted_without_the_judge(tasks):
    """Without the tasks, and without what promote takes of them."""
    objects = rendered("openshift")
    for name in tasks:
        edit(objects, f"{P} tasks {name}", GONE)
    assert any("promote: param measured" in each or "is no" in each for each in problems(objects))


def test_measure_and_promote_need_the_verdict_pass():
    for change in (lambda task: task.pop("when"), lambda task: task["when"][0]["values"].append("error")):
        objects = rendered("openshift")
        tasks = find(objects, "Pipeline", "jukebox-train")["spec"]["tasks"]
        for name in ("measure", "promote"):
            change(next(task for task in tasks if task["name"] == name))
        assert any("promote runs with the verdict" in each for each in problems(objects))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("settings/kustomization.yaml", "replacements 0 targets 0 comand"),
        ("components/pip-settings/kustomization.yaml", "patches 0 patch"),
        (
            "schedule/cronjob.yaml",
            "spec jobTemplate spec template spec containers send securityContext comand",
        ),
        ("senders/repository.yaml", "spec settings pipelinerun_provenance"),
    ],
)
def test_a_mistake_in_a_file_is_found(name, path):
    (document,) = load(FILES[name])
    edit(document, path, "- {op: ad, path: /spec}")
    assert shapes.problems(document, name)


def test_the_ingress_leads_to_the_listener_and_bounds_bodies():
    (found,) = load(FILES["senders/ingress.yaml"])
    assert found["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] == "1m"
    (rule,) = found["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "el-jukebox", "port": {"number": 8080}}
    assert found["spec"]["tls"][0]["hosts"] == [rule["host"]]


def minimum(*specs: dict) -> str:
    """Return the first Tekton Pipelines that takes these: 0.50 for workspaces of steps, 0.43 for v1."""
    return "0.50.0" if any("workspaces" in step for spec in specs for step in spec["steps"]) else "0.43.0"


def test_versions_are_the_packages_and_the_least_of_tekton():
    objects = files("tasks", "pipelines")
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == ml.__version__
    specs = {found["metadata"]["name"]: [found["spec"]] for found in objects if found["kind"] == "Task"}
    specs["jukebox-train"] = [spec for (spec,) in specs.values()]
    for name, found in ((found["metadata"]["name"], found["metadata"]) for found in objects):
        assert found["labels"]["app.kubernetes.io/version"] == ml.__version__, name
        assert found["annotations"]["tekton.dev/pipelines.minVersion"] == minimum(*specs[name]), name
    assert {minimum(*each) for each in specs.values()} == {"0.43.0", "0.50.0"}
