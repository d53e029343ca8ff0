"""What the tests of a cluster apply, without one: their overlay, in its two namespaces."""

from pathlib import Path

from cluster.backends import Backend
from cluster.images import Registry
from cluster.installation import write_overlay
from cluster.namespaces import Namespace
from cluster.site import Site
from tekton.manifests import find, render_copy
from tekton.references import problems

IMAGES = {
    name: f"registry.example:5000/jukebox/{name}@sha256:{'1' * 64}"
    for name in ("base", "builder", "tools", "judge")
}


def test_the_overlay_of_the_cluster_is_sound_and_in_namespaces_of_its_own(tmp_path):
    store = {"AWS_S3_ENDPOINT": "http://store.example:5000"}
    backend = Backend(
        Namespace("a-test-runs"), Namespace("a-test"), "https://dspa.example", store, "bucket", {}
    )
    site = Site("a-test", backend, IMAGES)
    registry = Registry("registry.example:5000/jukebox", tls=False, env={}, folder=tmp_path)
    overlay = write_overlay(site, registry)
    objects = render_copy(Path(overlay))
    assert {found["metadata"].get("namespace") for found in objects} == {None, "a-test", "a-test-runs"}
    cluster = {found["metadata"]["name"] for found in objects if found["kind"].startswith("ClusterRole")}
    assert cluster == {"jukebox-listener.a-test"}
    assert problems(objects) == []
    params = find(objects, "Pipeline", "jukebox-train")["spec"]["params"]
    given = {param["name"]: param["default"] for param in params}
    assert given["judge-image"] == IMAGES["judge"]
    assert given["runs-namespace"] == "a-test-runs"
    assert given["dspa-host"] == "https://dspa.example"
    assert (given["holdout"], given["snapshots"]) == (
        "s3://bucket/a-test/holdout",
        "s3://bucket/a-test/snapshots",
    )
    fence = find(objects, "NetworkPolicy", "jukebox-holdout")["spec"]["egress"][0]
    assert fence["ports"] == [{"port": 5000, "protocol": "TCP"}]
