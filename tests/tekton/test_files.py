"""Every YAML below tekton/ has a schema, and none has a field or a kind that its API does not know."""

import copy

import pytest
from tekton.manifests import TEKTON, load
from tekton.schema import problems

ALL = {
    str(file.relative_to(TEKTON)): [found for found in load(file) if found]
    for file in sorted(TEKTON.rglob("*.y*ml"))
}


@pytest.mark.parametrize("name", ALL)
def test_a_file_is_known_to_its_api(name):
    assert ALL[name]
    assert [said for found in ALL[name] for said in problems(found, name)] == []


@pytest.mark.parametrize(
    "name",
    [
        "overlays/openshift/kustomization.yaml",
        "overlays/kubernetes/pod-template.yaml",
        "settings/kustomization.yaml",
        "schedule/cronjob.yaml",
        "senders/alertmanager-config.yaml",
        "senders/prometheus-rule.yaml",
        "senders/ingress.yaml",
        "senders/repository.yaml",
        "tasks/lint.yaml",
    ],
)
def test_an_unknown_field_is_found(name):
    found = copy.deepcopy(ALL[name][0])
    found.get("spec", found)["comand"] = "x"
    (said,) = problems(found, name)
    assert "comand" in said


def test_the_ingress_leads_to_the_listener_and_bounds_bodies():
    (found,) = ALL["senders/ingress.yaml"]
    assert found["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] == "1m"
    (rule,) = found["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "el-jukebox", "port": {"number": 8080}}
    assert found["spec"]["tls"][0]["hosts"] == [rule["host"]]


def test_an_unknown_field_of_the_cronjobs_pod_is_found():
    (found,) = copy.deepcopy(ALL["schedule/cronjob.yaml"])
    found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["securityContext"]["x"] = True
    (said,) = problems(found)
    assert "containers.0.securityContext.x" in said


def test_a_patch_that_is_no_list_of_operations_is_found():
    (found,) = copy.deepcopy(ALL["components/pip-settings/kustomization.yaml"])
    found["patches"][0]["patch"] = "- {op: ad, path: /spec}"
    assert problems(found)


def test_a_kind_without_a_schema_is_an_error():
    assert problems({"kind": "Pod", "apiVersion": "v1"}) == ["Pod : no schema for v1 Pod"]
