"""The overlays: what a site sets arrives where it is used, and what differs between them is what should."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tekton.manifests import OVERLAYS, TEKTON, Object, find, load, named, render_copy, rendered

from tekton import references


def settings(overlay: str) -> dict[str, str]:
    return find(rendered(overlay), "ConfigMap", "jukebox-settings")["data"]


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(TEKTON, tmp_path / "tekton")
    return tmp_path / "tekton"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_all_objects_are_labelled_and_in_one_of_two_namespaces(overlay):
    there = set()
    for found in rendered(overlay):
        assert found["metadata"]["labels"]["app.kubernetes.io/part-of"] == "jukebox"
        expected = {None} if found["kind"].startswith("ClusterRole") else {"jukebox", "jukebox-runs"}
        assert found["metadata"].get("namespace") in expected
        if found["metadata"].get("namespace") == "jukebox-runs":
            there.add((found["kind"], found["metadata"]["name"]))
    assert there == {
        ("Role", "jukebox-submit"),
        ("RoleBinding", "jukebox-submit"),
        ("Role", "jukebox-reasons"),
        ("RoleBinding", "jukebox-reasons"),
        ("NetworkPolicy", "jukebox-runs"),
    }


def set_up(copy: Path, overlay: str, namespace: str, runs: str) -> list[Object]:
    """Render an overlay with all components, in the namespaces that its settings.env is made to name."""
    folder = copy / "overlays" / overlay
    file = folder / "kustomization.yaml"
    file.write_text(file.read_text().replace("  # - ../../", "  - ../../"))
    ours = {"NAMESPACE": namespace, "RUNS_NAMESPACE": runs}
    written = {**settings(overlay), **ours}
    # OpenShift's registry has a namespace in each name.
    values = {name: value.replace(":5000/jukebox", f":5000/{namespace}") for name, value in written.items()}
    (folder / "settings.env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return render_copy(folder)


def texts(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield all texts of an object, each with the keys that lead to it."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else ((str(i), each) for i, each in enumerate(value))
        for key, each in pairs:
            yield from texts(each, (*place, key))
    else:
        yield place, str(value)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_is_named_after_another_installations_namespaces(copy, overlay):
    objects = set_up(copy, overlay, "music", "music-runs")
    assert {found["metadata"].get("namespace") for found in objects} == {None, "music", "music-runs"}
    left = {
        (found["kind"], *place)
        for found in objects
        for place, text in texts(found)
        # As a part of an address or a name, or as a whole where only a namespace can stand.
        if re.search(r"jukebox-runs|\.jukebox\b|:5000/jukebox\b", text)
        or (text == "jukebox" and place[-1] in ("namespace", "kubernetes.io/metadata.name"))
    }
    assert left == {("NetworkPolicy", "metadata", "name")}, "the policy of the runs is called so everywhere"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_names_a_namespace_names_that_of_the_settings(copy, overlay):
    objects = set_up(copy, overlay, "music", "music-runs")
    # Service accounts and roles are looked for in their namespaces.
    assert references.problems(objects) == []
    accounts = [
        subject["namespace"]
        for found in objects
        if found["kind"].endswith("RoleBinding")
        for subject in found["subjects"]
    ]
    assert set(accounts) == {"music"}
    params = find(objects, "Pipeline", "jukebox-train")["spec"]["params"]
    assert named(params, "runs-namespace")["default"] == "music-runs"
    fence = find(objects, "NetworkPolicy", "jukebox-runs")
    assert fence["metadata"]["namespace"] == "music-runs"
    assert fence["spec"]["ingress"][0]["from"][1]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "music"
    }
    (receiver,) = find(objects, "AlertmanagerConfig", "jukebox-retraining")["spec"]["receivers"]
    assert receiver["webhookConfigs"][0]["url"] == "http://el-jukebox.music.svc:8080"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_two_installations_share_no_object(tmp_path, overlay):
    found = []
    for namespace in ("music", "film"):
        copy = tmp_path / namespace
        shutil.copytree(TEKTON, copy)
        objects = set_up(copy, overlay, namespace, f"{namespace}-runs")
        found.append({(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects})
    assert found[0] & found[1] == set()
    # Those of the whole cluster differ by their names alone.
    assert {(kind, name) for kind, namespace, name in found[0] if namespace is None} == {
        ("ClusterRole", "jukebox-listener.music"),
        ("ClusterRoleBinding", "jukebox-listener.music"),
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_store_may_have_another_address(copy, overlay):
    file = copy / "overlays" / overlay / "settings.env"
    file.write_text(f"{file.read_text()}STORE_CIDR=10.1.2.0/24\nSTORE_PORT=9000\n")
    for name in ("jukebox-holdout", "jukebox-runs"):
        rule = find(render_copy(file.parent), "NetworkPolicy", name)["spec"]["egress"][0]
        assert rule["to"] == [{"ipBlock": {"cidr": "10.1.2.0/24"}}]
        assert rule["ports"] == [{"port": 9000, "protocol": "TCP"}]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_setting_reaches_the_parameter_of_its_name_alone(overlay):
    """Kustomize takes the name in a path for a pattern: `store` is found in `store-secret` as well."""
    (source,) = load(TEKTON / "pipelines" / "jukebox-train.yaml")
    written = (TEKTON / "settings" / "kustomization.yaml").read_text()
    usual = {param["name"]: param["default"] for param in source["spec"]["params"]}
    pipeline = find(rendered(overlay), "Pipeline", "jukebox-train")["spec"]
    for param in pipeline["params"]:
        if f"[name={param['name']}]" not in written:
            assert param["default"] == usual[param["name"]]


def unused(overlay: Path) -> set[str]:
    """Return the settings that arrive in the config map alone, where each has a value of its own."""
    file = overlay / "settings.env"
    marks = {name: f"mark-of-{name.lower().replace('_', '-')}-ends" for name in settings(overlay.name)}
    # Only a number is taken for a port.
    marks["STORE_PORT"] = "43210"
    file.write_text("".join(f"{name}={mark}\n" for name, mark in marks.items()))
    arrived = str([found for found in render_copy(overlay) if found["kind"] != "ConfigMap"])
    return {name for name, mark in marks.items() if mark not in arrived}


def test_the_overlays_set_only_what_differs_between_them():
    shared, *own = (
        dict(re.findall(r"^([A-Z_]+)=(.*)$", (TEKTON / folder / "settings.env").read_text(), re.MULTILINE))
        for folder in ("settings/defaults", *(f"overlays/{overlay}" for overlay in OVERLAYS))
    )
    assert own[0].keys() == own[1].keys()
    assert [name for name in own[0] if own[0][name] == own[1][name] or name in shared] == []


def test_every_setting_arrives(copy):
    assert len(settings("openshift")) > 20
    assert unused(copy / "overlays" / "openshift") == set()


def test_a_setting_that_arrives_nowhere_is_found(copy):
    component = copy / "settings" / "kustomization.yaml"
    text, count = re.subn(r"  - source: \{[^}]*data\.SONGS\}\n(    .*\n)+", "", component.read_text())
    assert count == 1
    component.write_text(text)
    assert unused(copy / "overlays" / "openshift") == {"SONGS"}


def test_the_repository_of_the_triggers_is_that_of_the_pipeline():
    objects, url = rendered("openshift"), settings("openshift")["REPOSITORY_URL"]
    for name in ("push", "push-gitlab"):
        assert f"'{url}'" in str(find(objects, "Trigger", name))
    assert url in str(find(objects, "Pipeline", "jukebox-train"))


def test_openshift_has_a_route_with_tls_for_the_listener():
    route = find(rendered("openshift"), "Route", "jukebox-listener")
    assert route["spec"]["tls"] == {"termination": "edge", "insecureEdgeTerminationPolicy": "None"}
    assert route["spec"]["to"]["name"] == "el-jukebox"


def test_the_overlays_differ_where_they_should():
    names = [{(o["kind"], o["metadata"]["name"]) for o in rendered(overlay)} for overlay in OVERLAYS]
    assert names[0] - names[1] == set()
    assert names[1] - names[0] == {
        ("ConfigMap", "jukebox-registry-ca"),
        ("RoleBinding", "jukebox-build-scc"),
        ("RoleBinding", "jukebox-push-images"),
        ("Route", "jukebox-listener"),
        ("Secret", "jukebox-registry"),
        ("ServiceAccount", "jukebox-push"),
    }
    kubernetes, openshift = (
        {(o["kind"], o["metadata"]["name"]): o for o in rendered(overlay)} for overlay in OVERLAYS
    )
    differing = {key for key in names[0] if kubernetes[key] != openshift[key]}
    assert differing == {
        ("ConfigMap", "jukebox-settings"),
        ("Pipeline", "jukebox-train"),
        ("Task", "toolchain"),
        ("TriggerTemplate", "jukebox"),
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize(
    "component", ["components/private-repository", "components/pip-settings", "schedule", "senders"]
)
def test_what_is_marked_out_can_be_taken_in(copy, overlay, component):
    file = copy / "overlays" / overlay / "kustomization.yaml"
    text, count = re.subn(rf"  # (- \.\./\.\./{component})\n", r"  \1\n", file.read_text())
    assert count == 1
    file.write_text(text)
    objects = render_copy(file.parent)
    if component == "schedule":
        job = find(objects, "CronJob", "jukebox-schedule")
        assert settings(overlay)["TOOLS_IMAGE"] in str(job)
    elif component == "senders":
        assert find(objects, "PrometheusRule", "jukebox-retraining")
    else:
        (run,) = find(objects, "TriggerTemplate", "jukebox")["spec"]["resourcetemplates"]
        assert len(run["spec"]["workspaces"]) == 2
