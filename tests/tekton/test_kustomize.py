"""The overlays: settings arrive where they are used, and in the namespaces of the site."""

import re
import shutil
from pathlib import Path

import pytest
from tekton.manifests import OVERLAYS, TEKTON, Object, files, find, rendered

from tekton import rules

COMPONENTS = ("components/private-repository", "components/pip-settings", "schedule", "senders")


def settings(objects: list[Object]) -> dict[str, str]:
    return find(objects, "ConfigMap", "jukebox-settings")["data"]


def render_with(folder: Path, overlay: str, values: dict[str, str]) -> list[Object]:
    """Render a copy of an overlay with all components and other settings."""
    copy = shutil.copytree(TEKTON, folder / "tekton") / "overlays" / overlay
    text = (copy / "kustomization.yaml").read_text()
    text, count = re.subn(rf"  # (- \.\./\.\./({'|'.join(COMPONENTS)})\n)", r"  \1", text)
    assert count == len(COMPONENTS)
    (copy / "kustomization.yaml").write_text(text)
    own = dict(re.findall(r"^([A-Z_]+)=(.*)$", (copy / "settings.env").read_text(), re.MULTILINE))
    lines = (f"{name}={value}\n" for name, value in {**own, **values}.items())
    (copy / "settings.env").write_text("".join(lines))
    return rendered(copy)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_installation_is_in_its_own_namespaces_and_shares_no_object(tmp_path, overlay):
    images = {name: value for name, value in settings(rendered(overlay)).items() if ":5000/jukebox" in value}
    # OpenShift's registry has the namespace in each name.
    values = {name: value.replace(":5000/jukebox", ":5000/music") for name, value in images.items()}
    values |= {"NAMESPACE": "music", "RUNS_NAMESPACE": "music-runs"}
    objects = render_with(tmp_path, overlay, values)
    assert rules.problems(objects) == []
    assert {each["metadata"].get("namespace") for each in objects} == {None, "music", "music-runs"}
    cluster = [each["metadata"]["name"] for each in objects if "namespace" not in each["metadata"]]
    assert [name for name in cluster if not name.endswith(".music")] == []
    # Nothing names the usual namespaces, but the name of the policy of the runs.
    written = re.sub(r"'name': 'jukebox-runs'", "", str(objects))
    usual = r"jukebox-runs|\.jukebox\b|:5000/jukebox\b|'(namespace|kubernetes.io/metadata.name)': 'jukebox'"
    assert re.findall(usual, written) == []
    (receiver,) = find(objects, "AlertmanagerConfig", "jukebox-retraining")["spec"]["receivers"]
    assert receiver["webhookConfigs"][0]["url"] == "http://el-jukebox.music.svc:8080"


def test_every_setting_arrives_in_the_parameter_of_its_name_and_nowhere_else(tmp_path):
    """Kustomize takes the name in a path for a pattern: `store` is in `store-secret` as well."""
    names = settings(rendered("openshift"))
    marks = {name: f"mark-of-{name.lower().replace('_', '-')}-ends" for name in names}
    marks["STORE_PORT"] = "43210"  # Kustomize takes only a number for a port.
    objects = render_with(tmp_path, "openshift", marks)
    arrived = str([each for each in objects if each["kind"] != "ConfigMap"])
    assert [name for name, mark in marks.items() if mark not in arrived] == []
    params = find(objects, "Pipeline", "jukebox-train")["spec"]["params"]
    for param, usual in zip(params, files("pipelines")[0]["spec"]["params"], strict=True):
        setting = {"revision": "BRANCH"}.get(param["name"], param["name"].upper().replace("-", "_"))
        assert param["default"] == marks.get(setting, usual["default"]), param["name"]
    for name in ("push", "push-gitlab"):
        assert f"'{marks['REPOSITORY_URL']}'" in str(find(objects, "Trigger", name))
    assert marks["TOOLS_IMAGE"] in str(find(objects, "CronJob", "jukebox-schedule"))
    for name in ("jukebox-holdout", "jukebox-runs"):
        store = find(objects, "NetworkPolicy", name)["spec"]["egress"][0]
        assert store["to"] == [{"ipBlock": {"cidr": marks["STORE_CIDR"]}}]
        assert store["ports"] == [{"port": 43210, "protocol": "TCP"}]
