"""Each way beyond what this project's objects may do is found, and they themselves go none of them."""

import copy

import pytest
from tekton.limits import problems
from tekton.manifests import OVERLAYS, find, named, rendered, runs, step, template_run
from tekton.manifests import pipeline_task as task


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_stays_within_its_limits(overlay):
    assert problems(rendered(overlay) + runs()) == []


def spec(objects, kind="Pipeline", name="jukebox-train"):
    return find(objects, kind, name)["spec"]


def run(objects):
    return template_run(objects)["spec"]


def give(objects, name, key, value):
    named(task(objects, name)["params"], key)["value"] = value


def push(objects):
    return spec(objects, "Trigger", "push")["interceptors"]


def bind(objects, name, source):
    run(objects)["workspaces"].append({"name": name, **source})


def unnamed(objects):
    for rule in find(objects, "Role", "jukebox-submit")["rules"]:
        del rule["resourceNames"]


KEY = {"secretKeyRef": {"name": "jukebox-promotion", "key": "AWS_SECRET_ACCESS_KEY"}}
ROOT = {"securityContext": {"runAsNonRoot": False, "runAsUser": 0}}
BEYOND = {
    "brackets in a Task": (
        lambda o: step(o)["env"].append({"name": "X", "value": '$(params["x"])'}),
        '$(params["x"]) has a form',
    ),
    "a word in a Task": (lambda o: step(o)["env"].append({"name": "X", "value": "$(x)"}), "$(x) has a form"),
    "brackets in the Pipeline": (
        lambda o: give(o, "lint", "tools-dependencies", "$(tasks.toolchain.results['X'])"),
        "results['X']) has a form",
    ),
    "brackets in a run": (
        lambda o: run(o)["params"][0].update(value='$(tt.params["x"])'),
        '$(tt.params["x"]) has a form',
    ),
    "a param for nothing": (
        lambda o: spec(o, "Task", "lint")["params"].append({"name": "x", "description": "x"}),
        "param x is not used",
    ),
    "a secret for all steps": (
        lambda o: spec(o, "Task", "lint")["stepTemplate"]["env"].append({"name": "X", "valueFrom": KEY}),
        "X gives all steps a secret",
    ),
    "a config map that must be there": (
        lambda o: named(spec(o, "Task", "promote")["volumes"], "ca")["configMap"].pop("optional"),
        "jukebox-ca is not optional",
    ),
    "a variable twice": (
        lambda o: step(o)["env"].append({"name": "SOURCE", "value": "/"}),
        "variable SOURCE is there twice",
    ),
    "a step as root": (
        lambda o: step(o).update(securityContext={"runAsUser": 0}),
        "it is root",
    ),
    "an object as text": (
        lambda o: spec(o)["results"][0].update(value="$(tasks.submit-run.results.model-ARTIFACT_OUTPUTS)"),
        "is an object",
    ),
    "a secret that README does not name": (
        lambda o: named(spec(o)["params"], "store-secret").update(default="other"),
        "store-secret: other is not among",
    ),
    "a param twice": (
        lambda o: task(o, "lint")["params"].append(dict(task(o, "lint")["params"][0])),
        "param tools-dependencies is there twice",
    ),
    "an attempt for all runs": (lambda o: give(o, "submit-run", "attempt", "x"), "takes attempt from x"),
    "a run of a branch": (
        lambda o: give(o, "submit-run", "commit", "$(params.revision)"),
        "takes commit from $(params.revision)",
    ),
    "an image of the run's choice": (
        lambda o: give(o, "fetch-source", "git-image", "$(params.revision)"),
        "takes the image git-image from $(params.revision)",
    ),
    "the volume as credentials": (
        lambda o: task(o, "fetch-source")["workspaces"][-1].update(workspace="shared", subPath="commit"),
        "one workspace of the run twice",
    ),
    "a need that a run may leave out": (
        lambda o: task(o, "lint")["workspaces"][0].update(workspace="pip-settings"),
        "needs shared, which a run may leave out",
    ),
    "all tasks may promote": (
        lambda o: run(o)["taskRunTemplate"].update(serviceAccountName="jukebox-promote"),
        "all its tasks run as jukebox-promote",
    ),
    "all tasks may be root": (
        lambda o: run(o)["taskRunTemplate"].update(serviceAccountName="jukebox-build"),
        "all its tasks run as jukebox-build",
    ),
    "pods as root": (lambda o: run(o)["taskRunTemplate"].update(podTemplate=ROOT), "its pods may be root"),
    "the promotion's key as a folder": (
        lambda o: bind(o, "git-credentials", {"secret": {"secretName": "jukebox-promotion"}}),
        "git-credentials is bound to",
    ),
    "no time for the report": (
        lambda o: run(o)["timeouts"].update(tasks="7h0m0s"),
        "no time for what comes last",
    ),
    "no time for a slow run": (
        lambda o: run(o)["timeouts"].update(tasks="5h59m0s"),
        "may take longer than it allows",
    ),
    "events of anybody": (lambda o: push(o).pop(0), "Trigger push: anybody may send"),
    "data of anybody": (
        lambda o: spec(o, "Trigger", "data")["interceptors"].pop(1),
        "Trigger data: anybody may send",
    ),
    "a key that the secret has not": (
        lambda o: push(o)[0]["params"][0]["value"].update(secretKey="pull"),
        "no key pull",
    ),
    "broken CEL": (lambda o: push(o)[2]["params"][0].update(value="body.after.matches("), "is no CEL"),
    "an extension too early": (lambda o: push(o).pop(1), "nothing before makes extensions.branches"),
    "a role of another kind": (
        lambda o: find(o, "RoleBinding", "jukebox-submit")["roleRef"].update(kind="ClusterRole"),
        "gives the ClusterRole jukebox-submit",
    ),
    "a role that is not meant": (
        lambda o: find(o, "RoleBinding", "jukebox-listener")["roleRef"].update(
            kind="ClusterRole", name="system:image-builder"
        ),
        "gives the ClusterRole system:image-builder",
    ),
    "an account of another namespace": (
        lambda o: find(o, "RoleBinding", "jukebox-submit")["subjects"][0].update(namespace="other"),
        "of the namespace other",
    ),
    "another API group": (
        lambda o: find(o, "ClusterRole", "jukebox-listener.jukebox")["rules"][0].update(apiGroups=[""]),
        "reaches the API group ''",
    ),
    "all DSPAs": (unnamed, "for all objects of a kind"),
    "all config maps": (
        lambda o: find(o, "Role", "jukebox-promote")["rules"][0].pop("resourceNames"),
        "for all objects of a kind",
    ),
    "promotion without a trust root": (
        lambda o: named(spec(o, "Task", "promote")["volumes"], "trust")["configMap"].update(optional=True),
        "jukebox-trust must be there",
    ),
    "a secret of nobody": (
        lambda o: spec(o)["params"].append({"name": "x-secret", "description": "x", "default": "x"}),
        "nothing says whose secret",
    ),
    "another secret for the runs": (
        lambda o: give(o, "compile-pipeline", "store-secret", "$(params.judge-secret)"),
        "takes store-secret from $(params.judge-secret)",
    ),
    "an image of the commit's choice": (
        lambda o: give(o, "submit-run", "image", "$(tasks.compile-pipeline.results.IR_DIGEST)"),
        "takes image from $(tasks.compile-pipeline.results.IR_DIGEST)",
    ),
    "a config map for the runs": (
        lambda o: find(o, "ConfigMap", "jukebox-head")["metadata"]["labels"].update(
            {"jukebox/namespace": "runs"}
        ),
        "ConfigMap jukebox-head: no ConfigMap belongs",
    ),
    "a right to submit in the Pipeline's namespace": (
        lambda o: find(o, "Role", "jukebox-submit")["metadata"]["labels"].pop("jukebox/namespace"),
        "Role jukebox-submit: it is not meant for the namespace of the runs",
    ),
    "runs in the Pipeline's namespace": (
        lambda o: find(o, "NetworkPolicy", "jukebox-runs")["metadata"].update(namespace="jukebox"),
        "it lies in the Pipeline's namespace",
    ),
    "runs that reach anybody": (
        lambda o: spec(o, "NetworkPolicy", "jukebox-runs")["egress"].append({}),
        "NetworkPolicy jukebox-runs: its pods reach {}",
    ),
    "some runs without a fence": (
        lambda o: spec(o, "NetworkPolicy", "jukebox-runs").update(podSelector={"matchLabels": {"a": "b"}}),
        "only",
    ),
    "a holdout that reaches the API server": (
        lambda o: spec(o, "NetworkPolicy", "jukebox-holdout")["egress"].append({"ports": [{"port": 6443}]}),
        "NetworkPolicy jukebox-holdout: its pods reach",
    ),
    "a holdout without a fence": (
        lambda o: spec(o, "NetworkPolicy", "jukebox-holdout").update(policyTypes=["Ingress"]),
        "its pods reach anybody",
    ),
    "measuring with a way out": (
        lambda o: spec(o, "NetworkPolicy", "jukebox-code").update(egress=[{"ports": [{"port": 443}]}]),
        "NetworkPolicy jukebox-code: its pods reach",
    ),
    "code without a fence": (
        lambda o: o.remove(find(o, "NetworkPolicy", "jukebox-code")),
        "NetworkPolicy jukebox-code: there is none",
    ),
}


@pytest.mark.parametrize("way", BEYOND)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_way_beyond_is_found(way, overlay):
    objects = copy.deepcopy(rendered(overlay))
    go, word = BEYOND[way]
    go(objects)
    assert any(word in said for said in problems(objects)), problems(objects)
