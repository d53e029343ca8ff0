"""The project's own objects hold together, and each known mistake in them is found.

The mistakes are those that admission or linters were seen to let through, and those against the project's
rules: each is made in a copy of what kustomize renders, and must be told of by a message that names it.
"""

import copy

import pytest
from tekton.manifests import OVERLAYS, find, named, rendered, runs, step
from tekton.manifests import pipeline_task as task
from tekton.manifests import template_run as run

from tekton import references, schema


def problems(objects) -> list[str]:
    templated = [
        run
        for found in objects
        if found["kind"] == "TriggerTemplate"
        for run in found["spec"]["resourcetemplates"]
    ]
    shapes = [said for found in (*objects, *templated) for said in schema.problems(found)]
    return shapes + (references.problems(objects) if not shapes else [])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_has_no_problem(overlay):
    assert problems(rendered(overlay) + runs()) == []


def without(items, name):
    items.remove(named(items, name))


def result(objects, name):
    return named(find(objects, "Pipeline", "jukebox-train")["spec"]["results"], name)


def builder(objects):
    return named(find(objects, "Task", "toolchain")["spec"]["steps"], "build")


def notes(objects):
    return find(objects, "Task", "lint")["metadata"]["annotations"]


MISTAKES = {
    # The table of Tekton's notes: what admission rejects, accepts, and linters miss.
    "unknown param": (
        lambda o: step(o)["env"].append({"name": "X", "value": "$(params.x)"}),
        "$(params.x) leads",
    ),
    "a workspace that the Pipeline has not": (
        lambda o: task(o, "lint")["workspaces"][0].update(workspace="other"),
        "workspace other is not the Pipeline's",
    ),
    "a result of a task that there is not": (
        lambda o: task(o, "lint")["params"][0].update(value="$(tasks.tool.results.TOOLS_DEPENDENCIES)"),
        "$(tasks.tool.results.TOOLS_DEPENDENCIES) leads nowhere",
    ),
    "a cycle": (lambda o: task(o, "fetch-source").update(runAfter=["lint"]), "a cycle"),
    "an unknown field in a Task": (lambda o: step(o).update(comand=["x"]), "comand"),
    "a workspace that the Task has not": (
        lambda o: step(o)["env"].append({"name": "X", "value": "$(workspaces.x.path)"}),
        "$(workspaces.x.path) leads nowhere",
    ),
    "a result that the Task does not declare": (
        lambda o: task(o, "lint")["params"][0].update(value="$(tasks.toolchain.results.LINTERS)"),
        "toolchain has no result LINTERS",
    ),
    "an extra param": (
        lambda o: task(o, "lint")["params"].append({"name": "extra", "value": "x"}),
        "param extra is unknown",
    ),
    "a missing workspace": (lambda o: task(o, "lint").pop("workspaces"), "workspace shared is missing"),
    "an unknown tt.params": (
        lambda o: run(o)["spec"]["params"][0].update(value="$(tt.params.commit)"),
        "$(tt.params.commit) leads nowhere",
    ),
    "a run that lacks a param": (
        lambda o: without(run(o)["spec"]["params"], "cause"),
        "param cause is missing",
    ),
    "a run that lacks a workspace": (
        lambda o: run(o)["spec"]["workspaces"].clear(),
        "workspace shared is missing",
    ),
    "an unknown field in a run": (lambda o: run(o)["spec"].update(timeout="1h"), "timeout"),
    "a bad $(…) in a binding": (
        lambda o: find(o, "Trigger", "push")["spec"]["bindings"][0].update(value="$(body.[x)"),
        "makes no sense",
    ),
    "an extension that nobody makes": (
        lambda o: find(o, "Trigger", "push")["spec"]["bindings"][0].update(value="$(extensions.nam)"),
        "no interceptor makes $(extensions.nam)",
    ),
    "a trigger without a template": (
        lambda o: find(o, "Trigger", "push")["spec"].pop("template"),
        "template",
    ),
    "an unknown field in an EventListener": (
        lambda o: find(o, "EventListener", "jukebox")["spec"].update(replicas=2),
        "replicas",
    ),
    # What the catalogue asks.
    "no version": (
        lambda o: find(o, "Task", "lint")["metadata"]["labels"].pop("app.kubernetes.io/version"),
        "labels.app.kubernetes.io/version: Field required",
    ),
    "a Pipeline without a version": (
        lambda o: find(o, "Pipeline", "jukebox-train")["metadata"]["labels"].pop("app.kubernetes.io/version"),
        "labels.app.kubernetes.io/version: Field required",
    ),
    **{
        f"no {key}": (
            lambda o, key=key: find(o, "Task", "promote")["metadata"]["annotations"].pop(f"tekton.dev/{key}"),
            f"annotations.tekton.dev/{key}: Field required",
        )
        for key in ("displayName", "categories", "tags", "pipelines.minVersion", "platforms")
    },
    "a version that is a number": (
        lambda o: find(o, "Task", "lint")["metadata"]["labels"].update({"app.kubernetes.io/version": 0.1}),
        "version: Input should be a valid string",
    ),
    "half a version": (
        lambda o: notes(o).update({"tekton.dev/pipelines.minVersion": "0.43"}),
        "minVersion: String should match",
    ),
    "a category of one's own": (
        lambda o: notes(o).update({"tekton.dev/categories": "Music, Testing"}),
        "no category of Tekton Hub: Music",
    ),
    "an annotation that is misspelt": (
        lambda o: notes(o).update({"tekton.dev/tag": "x"}),
        "annotations.tekton.dev/tag: Extra inputs",
    ),
    "a context of the Pipeline in a Task": (
        lambda o: step(o)["env"].append({"name": "X", "value": "$(context.pipelineRun.uid)"}),
        "$(context.pipelineRun.uid) leads nowhere",
    ),
    "a context of a Task in the Pipeline": (
        lambda o: task(o, "lint")["params"][0].update(value="$(context.taskRun.name)"),
        "$(context.taskRun.name) leads nowhere",
    ),
    "a field that a pod has not": (
        lambda o: step(o)["env"].append({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}),
        "fieldRef.fieldPath",
    ),
    # What Tekton Chains reads of a PipelineRun, where all that is missing is left out without a word.
    "a commit that Chains does not know": (
        lambda o: without(find(o, "Pipeline", "jukebox-train")["spec"]["results"], "CHAINS-GIT_COMMIT"),
        "Chains is not told of tasks.fetch-source.results.CHAINS-GIT_COMMIT",
    ),
    "a branch for a commit": (
        lambda o: result(o, "CHAINS-GIT_COMMIT").update(value="$(tasks.fetch-source.results.CREATED)"),
        "Chains is not told of tasks.fetch-source.results.CHAINS-GIT_COMMIT",
    ),
    "a model that Chains does not know": (
        lambda o: without(find(o, "Pipeline", "jukebox-train")["spec"]["results"], "model-ARTIFACT_OUTPUTS"),
        "Chains is not told of the model",
    ),
    "a model that is an image": (
        lambda o: result(o, "model-ARTIFACT_OUTPUTS")["value"].update(isBuildArtifact="true"),
        "with uri and digest alone",
    ),
    "a model without its digest": (
        lambda o: result(o, "model-ARTIFACT_OUTPUTS")["value"].pop("digest"),
        "with uri and digest alone",
    ),
    "a model without its type": (
        lambda o: result(o, "model-ARTIFACT_OUTPUTS").pop("type"),
        "it is not the model",
    ),
    "the evidence for the model": (
        lambda o: result(o, "model-ARTIFACT_OUTPUTS")["value"].update(
            digest="$(tasks.submit-run.results.EVIDENCE_DIGEST)"
        ),
        "it is not the model",
    ),
    # The project's rules.
    "a script with a param in it": (
        lambda o: step(o).update(script="#!/bin/sh\necho $(params.tools-dependencies)\n"),
        "values go through env",
    ),
    "a long script": (lambda o: step(o).update(script="#!/bin/sh\n" + "true\n" * 11), "has 11 lines"),
    "an image that is named": (lambda o: step(o).update(image="alpine"), "is no param"),
    "an image by tag": (
        lambda o: named(find(o, "Pipeline", "jukebox-train")["spec"]["params"], "git-image").update(
            default="git:1"
        ),
        "not by digest",
    ),
    "half a quantity": (
        lambda o: step(o)["computeResources"]["limits"].update(memory="2Gx"),
        "computeResources.limits.memory",
    ),
    "no limits": (lambda o: step(o)["computeResources"].pop("limits"), "no limits"),
    "a step as root": (
        lambda o: find(o, "Task", "lint")["spec"]["stepTemplate"]["securityContext"].update(
            runAsNonRoot=False
        ),
        "not restricted",
    ),
    "a builder with more rights": (
        lambda o: builder(o)["securityContext"]["capabilities"]["add"].append("SYS_ADMIN"),
        "more rights",
    ),
    "the credential of the registry in the build": (
        lambda o: builder(o)["volumeMounts"].append({"name": "registry", "mountPath": "/x"}),
        "step build: the volume registry is taken from the secret jukebox-registry",
    ),
    "the credential of the registry in all steps": (
        lambda o: find(o, "Task", "toolchain")["spec"]["stepTemplate"].update(
            volumeMounts=[{"name": "registry", "mountPath": "/x"}]
        ),
        "step build: the volume registry is taken from the secret jukebox-registry",
    ),
    "a secret as a folder that the docs do not name": (
        lambda o: named(find(o, "Task", "toolchain")["spec"]["volumes"], "pull")["secret"].update(
            secretName="jukebox-promotion-2"
        ),
        "secret jukebox-promotion-2 is not among",
    ),
    "root to assemble an image": (
        lambda o: find(o, "Task", "build-image")["spec"]["stepTemplate"]["securityContext"].update(
            runAsNonRoot=False
        ),
        "not restricted",
    ),
    "no description": (
        lambda o: find(o, "Task", "lint")["spec"]["params"][0].update(description=""),
        "description",
    ),
    "no timeout": (lambda o: task(o, "lint").pop("timeout"), "timeout"),
    "tests that are tried again": (lambda o: task(o, "unit-test").update(retries=1), "is tried again"),
    "a result in the end": (
        lambda o: task(o, "report")["params"][0].update(value="$(tasks.submit-run.results.VERDICT)"),
        "may never be there",
    ),
    "a status too early": (
        lambda o: task(o, "promote")["params"][0].update(value="$(tasks.lint.status)"),
        "is known at the end only",
    ),
    "a secret where it is not used": (
        lambda o: step(o)["env"].append(
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "jukebox-promotion", "key": "x"}}}
        ),
        "not for this step",
    ),
    "the judge's secret in the step that submits": (
        lambda o: named(find(o, "Task", "submit-run")["spec"]["steps"][0]["env"], "AWS_ACCESS_KEY_ID")[
            "valueFrom"
        ]["secretKeyRef"].update(name="$(params.judge-secret)"),
        "step submit: AWS_ACCESS_KEY_ID is taken from the secret $(params.judge-secret)",
    ),
    "the signing key in the step that promotes": (
        lambda o: step(o, "promote")["volumeMounts"].append({"name": "signing-key", "mountPath": "/key"}),
        "step promote: the volume signing-key is taken from the secret $(params.signing-secret)",
    ),
    "a secret where a candidate is loaded": (
        lambda o: step(o, "measure")["env"].append(
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "$(params.judge-image)", "key": "x"}}}
        ),
        "step score: X is taken from the secret",
    ),
    "a PipelineRun of the commit's": (
        lambda o: o.append(
            {
                "apiVersion": "pipelinesascode.tekton.dev/v1alpha1",
                "kind": "Repository",
                "metadata": {"name": "x", "labels": {}},
                "spec": {"url": "https://x", "settings": {"pipelinerun_provenance": "source"}},
            }
        ),
        "settings.pipelinerun_provenance",
    ),
    "a Repository without a provenance": (
        lambda o: o.append(
            {
                "apiVersion": "pipelinesascode.tekton.dev/v1alpha1",
                "kind": "Repository",
                "metadata": {"name": "x", "labels": {}},
                "spec": {"url": "https://x", "settings": {}},
            }
        ),
        "settings.pipelinerun_provenance: Field required",
    ),
    "the promotion's secret in the run": (
        lambda o: named(step(o, "submit-run")["env"], "AWS_ACCESS_KEY_ID")["valueFrom"][
            "secretKeyRef"
        ].update(name="$(params.promotion-secret)"),
        "not for this step",
    ),
    "a service account that there is not": (
        lambda o: run(o)["spec"]["taskRunTemplate"].update(serviceAccountName="pipeline"),
        "there is no service account pipeline",
    ),
    "promotion as another": (
        lambda o: run(o)["spec"]["taskRunSpecs"][-1].update(serviceAccountName="jukebox-ci"),
        "do not run as they should",
    ),
    "two volumes": (
        lambda o: run(o)["spec"]["workspaces"].append(
            {**run(o)["spec"]["workspaces"][0], "name": "git-credentials"}
        ),
        "one volume a run",
    ),
    "a token for everybody": (
        lambda o: find(o, "ServiceAccount", "jukebox-ci").update(automountServiceAccountToken=True),
        "its pods get a token",
    ),
    "an account of another namespace": (
        lambda o: find(o, "RoleBinding", "jukebox-submit")["subjects"][0].update(namespace="jukebox-runs"),
        "there is no service account jukebox-submit in jukebox-runs",
    ),
    "a role of another namespace": (
        lambda o: find(o, "Role", "jukebox-submit")["metadata"].update(namespace="jukebox"),
        "there is no Role jukebox-submit",
    ),
    "all secrets": (
        lambda o: find(o, "Role", "jukebox-listener")["rules"].append(
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
        ),
        "too wide",
    ),
    "a trigger that is not heard": (
        lambda o: find(o, "EventListener", "jukebox")["spec"]["triggers"].pop(),
        "does not hear",
    ),
    "a config map that nobody makes": (
        lambda o: named(find(o, "Task", "promote")["spec"]["volumes"], "ca")["configMap"].update(name="ca"),
        "config map ca",
    ),
    "a kind without a schema": (
        lambda o: o.append({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {}}}),
        "no schema",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake):
    objects = rendered("openshift")
    make, word = MISTAKES[mistake]
    make(objects)
    assert any(word in said for said in problems(objects)), problems(objects)


def test_only_what_promotes_and_what_keeps_decisions_is_given_the_promotions_secret():
    objects = copy.deepcopy(rendered("kubernetes"))
    given = [
        found["metadata"]["name"]
        for found in objects
        if found["kind"] == "Task" and "promotion-secret" in str(found)
    ]
    assert given == ["promote", "verdict"]
