"""The overlays: settings arrive where they are used, and the overlays differ only where they should."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.backends import Backend
from cluster.images import Registry
from cluster.installation import write_overlay
from cluster.namespaces import Namespace
from cluster.site import Site
from tekton.manifests import OVERLAYS, TEKTON, Object, files, find, named, render, rendered

from tekton import rules

COMPONENTS = ("components/private-repository", "components/pip-settings", "schedule", "senders")
EVERYWHERE = pytest.mark.parametrize("overlay", OVERLAYS)


def settings(objects: list[Object]) -> dict[str, str]:
    return find(objects, "ConfigMap", "jukebox-settings")["data"]


def render_with(folder: Path, overlay: str, *components: str, **values: str) -> list[Object]:
    """Render a copy of an overlay with components and settings."""
    copy = shutil.copytree(TEKTON, folder / "tekton") / "overlays" / overlay
    file = copy / "kustomization.yaml"
    for component in components:
        text, count = re.subn(rf"  # (- \.\./\.\./{component})\n", r"  \1\n", file.read_text())
        assert count == 1
        file.write_text(text)
    env = copy / "settings.env"
    values = dict(re.findall(r"^([A-Z_]+)=(.*)$", env.read_text(), re.MULTILINE)) | values
    env.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return render(copy)


def install(folder: Path, overlay: str, namespace: str) -> list[Object]:
    """Render an overlay with all components, in two namespaces of its own."""
    images = {name: value for name, value in settings(rendered(overlay)).items() if ":5000/jukebox" in value}
    # OpenShift's registry has the namespace in each name.
    moved = {name: value.replace(":5000/jukebox", f":5000/{namespace}") for name, value in images.items()}
    spaces = {"NAMESPACE": namespace, "RUNS_NAMESPACE": f"{namespace}-runs"}
    return render_with(folder, overlay, *COMPONENTS, **spaces, **moved)


def texts(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield all texts of an object, each with the keys that lead to it."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in pairs:
            yield from texts(each, (*place, str(key)))
    else:
        yield place, str(value)


@EVERYWHERE
def test_what_names_a_namespace_names_that_of_the_settings(tmp_path, overlay):
    objects = install(tmp_path, overlay, "music")
    own = [
        each for each in objects if each["kind"] not in ("CronJob", "AlertmanagerConfig", "PrometheusRule")
    ]
    assert rules.problems(own) == []
    assert {found["metadata"].get("namespace") for found in objects} == {None, "music", "music-runs"}
    left = {
        (found["kind"], *place)
        for found in objects
        for place, text in texts(found)
        # As a part of an address or a name, or as a whole where only a namespace can stand.
        if re.search(r"jukebox-runs|\.jukebox\b|:5000/jukebox\b", text)
        or (text == "jukebox" and place[-1] in ("namespace", "kubernetes.io/metadata.name"))
    }
    assert left == {("NetworkPolicy", "metadata", "name")}, "the policy of the runs has this name everywhere"
    params = find(objects, "Pipeline", "jukebox-train")["spec"]["params"]
    assert named(params, "runs-namespace")["default"] == "music-runs"
    source = find(objects, "NetworkPolicy", "jukebox-runs")["spec"]["ingress"][0]["from"][1]
    assert source == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "music"}}}
    (receiver,) = find(objects, "AlertmanagerConfig", "jukebox-retraining")["spec"]["receivers"]
    assert receiver["webhookConfigs"][0]["url"] == "http://el-jukebox.music.svc:8080"


@EVERYWHERE
def test_two_installations_share_no_object(tmp_path, overlay):
    found = [
        {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects}
        for objects in (install(tmp_path / name, overlay, name) for name in ("music", "film"))
    ]
    assert found[0] & found[1] == set()


@EVERYWHERE
def test_a_setting_reaches_the_parameter_of_its_name_alone(overlay):
    """Kustomize takes the name in a path for a pattern: `store` is found in `store-secret` as well."""
    (source,) = files("pipelines")
    written = (TEKTON / "settings" / "kustomization.yaml").read_text()
    pipeline, values = find(rendered(overlay), "Pipeline", "jukebox-train"), settings(rendered(overlay))
    for param, usual in zip(pipeline["spec"]["params"], source["spec"]["params"], strict=True):
        setting = re.search(
            rf"data\.([A-Z_]+)\}}\n(?:(?!  - source).*\n)*?.*\[name={param['name']}\]", written
        )
        assert param["default"] == (values[setting[1]] if setting else usual["default"]), param["name"]


def test_every_setting_arrives(tmp_path):
    names = settings(rendered("openshift"))
    marks = {name: f"mark-of-{name.lower().replace('_', '-')}-ends" for name in names}
    marks["STORE_PORT"] = "43210"  # Kustomize takes only a number for a port.
    objects = render_with(tmp_path, "openshift", **marks)
    arrived = str([found for found in objects if found["kind"] != "ConfigMap"])
    assert len(names) > 20
    assert [name for name, mark in marks.items() if mark not in arrived] == []
    for name in ("push", "push-gitlab"):
        assert f"'{marks['REPOSITORY_URL']}'" in str(find(objects, "Trigger", name))
    for name in ("jukebox-holdout", "jukebox-runs"):
        rule = find(objects, "NetworkPolicy", name)["spec"]["egress"][0]
        assert rule == {
            "to": [{"ipBlock": {"cidr": marks["STORE_CIDR"]}}],
            "ports": [{"port": 43210, "protocol": "TCP"}],
        }


def test_the_overlays_set_only_what_differs_between_them():
    shared, *own = (
        dict(re.findall(r"^([A-Z_]+)=(.*)$", (TEKTON / folder / "settings.env").read_text(), re.MULTILINE))
        for folder in ("settings/defaults", *(f"overlays/{overlay}" for overlay in OVERLAYS))
    )
    assert own[0].keys() == own[1].keys()
    assert [name for name in own[0] if own[0][name] == own[1][name] or name in shared] == []


def test_the_overlays_differ_where_they_should():
    kubernetes, openshift = (
        {f"{o['kind']} {o['metadata']['name']}": o for o in rendered(overlay)} for overlay in OVERLAYS
    )
    assert kubernetes.keys() - openshift.keys() == set()
    assert openshift.keys() - kubernetes.keys() == {
        "ConfigMap jukebox-registry-ca",
        "RoleBinding jukebox-build-scc",
        "RoleBinding jukebox-push-images",
        "Route jukebox-listener",
        "Secret jukebox-registry",
        "ServiceAccount jukebox-push",
    }
    assert {key for key in kubernetes if kubernetes[key] != openshift[key]} == {
        "ConfigMap jukebox-settings",
        "Pipeline jukebox-train",
        "Task toolchain",
        "TriggerTemplate jukebox",
    }
    route = openshift["Route jukebox-listener"]["spec"]
    assert route["tls"] == {"termination": "edge", "insecureEdgeTerminationPolicy": "None"}
    assert route["to"]["name"] == "el-jukebox"


@EVERYWHERE
@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_can_be_added(tmp_path, overlay, component):
    objects = render_with(tmp_path, overlay, component)
    if component == "schedule":
        assert settings(objects)["TOOLS_IMAGE"] in str(find(objects, "CronJob", "jukebox-schedule"))
    elif component == "senders":
        assert find(objects, "PrometheusRule", "jukebox-retraining")
    else:
        (run,) = find(objects, "TriggerTemplate", "jukebox")["spec"]["resourcetemplates"]
        assert len(run["spec"]["workspaces"]) == 2


def test_the_overlay_of_the_tests_of_a_cluster_is_sound(tmp_path):
    images = {
        name: f"registry.example:5000/jukebox/{name}@sha256:{'1' * 64}"
        for name in ("base", "builder", "tools", "judge")
    }
    store = {"AWS_S3_ENDPOINT": "http://store.example:5000"}
    spaces = Namespace("a-test-runs"), Namespace("a-test")
    backend = Backend(*spaces, "https://dspa.example", store, "bucket", {})
    registry = Registry("registry.example:5000/jukebox", tls=False, env={}, folder=tmp_path)
    objects = render(write_overlay(Site("a-test", backend, images), registry))
    assert {found["metadata"].get("namespace") for found in objects} == {None, "a-test", "a-test-runs"}
    assert rules.problems(objects) == []
    params = find(objects, "Pipeline", "jukebox-train")["spec"]["params"]
    given = {param["name"]: param["default"] for param in params}
    assert given["judge-image"] == images["judge"]
    assert (given["dspa-host"], given["runs-namespace"]) == ("https://dspa.example", "a-test-runs")
    places = (given["holdout"], given["snapshots"])
    assert places == ("s3://bucket/a-test/holdout", "s3://bucket/a-test/snapshots")
    fence = find(objects, "NetworkPolicy", "jukebox-holdout")["spec"]["egress"][0]
    assert fence["ports"] == [{"port": 5000, "protocol": "TCP"}]
