"""`jukebox image-build`: what it asks an engine for, which only writes it down."""

import json

import pytest
from checkouts import DATE, build, commit_all, dependencies_of, git, passed
from processes import assert_one_line

from ml.image.key import FILES, default_base

PUSHED = f"sha256:{'b' * 64}"
STAGES = ["component-dependencies", "component", "component-sbom"]


def test_both_images_are_built_each_on_its_dependencies_and_named_after_the_commit(fake, checkout):
    text = passed(build(checkout, both=True))
    assert fake.built == [*STAGES, *(stage.replace("component", "tools") for stage in STAGES)]
    head = git(checkout, "rev-parse", "HEAD")[:12]
    for target in ("component", "tools"):
        assert (
            f"{target}: localhost/jukebox/{target}:{head} (12.3 MB with the base; dependencies built)" in text
        )
    below = dependencies_of(checkout)
    first, *rest = [call for call in fake.calls if call[1] == "build" and "component" in call[3]]
    assert f"--tag={below}" in first
    for call in rest:
        assert f"--build-context=component-dependencies=container-image://{below}" in call


def test_json_is_one_object_with_all_that_was_built(fake, checkout):
    found = json.loads(passed(build(checkout, "--json")))
    assert found["commit"] == git(checkout, "rev-parse", "HEAD")
    (image,) = found["images"]
    assert (image["target"], image["pushed"], image["reused"]) == ("component", False, False)
    assert image["dependencies"] == dependencies_of(checkout)


def test_buildah_builds_where_there_is_no_podman(no_engine, checkout, monkeypatch):
    monkeypatch.setenv("PATH", no_engine.path)
    no_engine.install("buildah")
    no_engine.hold(default_base(checkout))
    assert "built by buildah" in passed(build(checkout))
    assert no_engine.built == STAGES


def test_images_have_no_date_so_that_the_same_files_are_the_same_layers(fake, checkout):
    passed(build(checkout))
    dates = [word for call in fake.calls for word in call if word.startswith("--timestamp=")]
    assert dates == ["--timestamp=0"] * 3


@pytest.mark.slow
def test_the_tools_are_told_their_commit_and_the_component_is_not(fake, checkout):
    passed(build(checkout, both=True))
    told = {call[call.index("--target") + 1]: call for call in fake.calls if call[1] == "build"}
    assert f"--build-arg=REVISION={git(checkout, 'rev-parse', 'HEAD')}" in told["tools"]
    assert f"--build-arg=CREATED={DATE}" in told["tools"]
    assert not [word for word in told["component"] if "REVISION" in word or "CREATED" in word]


def test_dependencies_are_built_from_nothing_but_what_their_key_is_made_of(fake, checkout):
    fake.tell(broken="component-dependencies", says="ERROR: no")
    assert build(checkout).returncode == 20
    assert set(fake.seen["files"]) == set(FILES)


def test_what_is_not_committed_is_not_built_from_and_is_told_of(fake, checkout):
    assert "the work tree differs" not in passed(build(checkout))
    (checkout / "ml/new.py").touch()
    (checkout / "ml/core/version.py").unlink()
    assert "the work tree differs from the commit" in passed(build(checkout))
    assert "ml/core/version.py" in fake.seen["files"]
    assert "ml/new.py" not in fake.seen["files"]


@pytest.mark.slow
def test_dependencies_that_are_here_are_built_again_only_for_a_new_lock_or_when_asked(fake, checkout):
    passed(build(checkout))
    (checkout / "ml/core/version.py").write_text("# another\n")
    commit_all(checkout)
    assert "dependencies reused" in passed(build(checkout))
    assert fake.built == [*STAGES, *STAGES[1:]]
    with open(checkout / "requirements/component.txt", "a") as lock:
        lock.write("# another\n")
    commit_all(checkout)
    assert "dependencies built" in passed(build(checkout))
    assert fake.built == [*STAGES, *STAGES[1:], *STAGES]
    assert not any("--no-cache" in call for call in fake.calls)


@pytest.mark.slow
def test_fresh_builds_everything_from_no_cache(fake, checkout):
    fake.hold(dependencies_of(checkout))
    assert "dependencies built" in passed(build(checkout, "--fresh"))
    assert fake.built == STAGES
    assert all("--no-cache" in call for call in fake.calls if call[1] == "build")


@pytest.mark.parametrize("there", [True, False])
def test_with_push_the_registry_is_asked_for_the_dependencies_and_given_what_it_lacks(fake, checkout, there):
    below = dependencies_of(checkout, "registry.example:5000/team/jukebox")
    if there:
        fake.hold(below, "registry")
    text = passed(build(checkout, "--push", "--repository", "registry.example:5000/team/jukebox"))
    assert ("the registry has the dependencies" if there else "not in the registry: ") in text
    assert ("component-dependencies" in fake.built) != there
    pushed = [call[-1] for call in fake.calls if call[1] == "push"]
    head = git(checkout, "rev-parse", "HEAD")[:12]
    image = f"registry.example:5000/team/jukebox/component:{head}"
    assert pushed == ([image] if there else [below, image])
    assert f"  --image registry.example:5000/team/jukebox/component@{PUSHED}\n" in text


@pytest.mark.slow
def test_with_push_of_both_images_what_commits_are_tested_in_is_pushed_too(fake, checkout):
    """A cluster that reaches no package index cannot build it."""
    passed(build(checkout, "--push", "--repository", "registry.example/jukebox", both=True))
    assert fake.built[-1] == "test-dependencies"
    assert "/test-dependencies:" in [call[-1] for call in fake.calls if call[1] == "push"][-1]


def test_dependencies_that_were_built_without_push_are_pushed_by_the_first_build_that_pushes(fake, checkout):
    below = dependencies_of(checkout, "registry.example/jukebox")
    fake.hold(below)
    text = passed(build(checkout, "--push", "--repository", "registry.example/jukebox"))
    assert "dependencies reused" in text
    assert below in [call[-1] for call in fake.calls if call[1] == "push"]


def test_a_registry_that_cannot_be_asked_is_not_one_that_lacks_them(fake, checkout):
    fake.tell(missing="connection refused")
    done = build(checkout, "--push", "--repository", "registry.example/jukebox")
    assert "connection refused" in assert_one_line(done, 30)
    assert fake.built == []


def test_without_push_no_registry_is_asked(fake, checkout):
    fake.hold(dependencies_of(checkout), "registry")
    assert "--image" not in passed(build(checkout))
    assert not [call for call in fake.calls if call[1] in ("pull", "push")]
