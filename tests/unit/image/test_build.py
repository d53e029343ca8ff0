"""`jukebox image-build`: what it asks an engine for, what it refuses, and how it fails."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from checkouts import DATE, append, commit_all, files_in, git, key_of
from command import called
from processes import assert_one_line

import ml.image.engine
from ml.core.errors import PlatformError, RunFailed
from ml.image.engine import Image
from ml.image.key import FILES, default_base, native_architecture
from ml.image.pip_settings import pip_secrets

BELOW, *REST = STAGES = ["component-dependencies", "component", "component-sbom"]
TOOLS = [stage.replace("component", "tools") for stage in STAGES]
REPOSITORY = "registry.example:5000/team/jukebox"
PUSH = ("--push", "--repository", REPOSITORY)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


class Fake:
    """An engine that stores names of images, and records its calls. ``fails`` has the errors of calls."""

    name, architecture, loses = "podman", native_architecture(), ""

    def __init__(self, base: str) -> None:
        self.held, self.remote, self.fails = {base}, set(), {}
        self.pulled, self.pushed, self.built = [], [], {}

    def inspect(self, reference: str) -> Image | None:
        return Image(f"sha256:{'a' * 64}", self.architecture, "12.3 MB") if reference in self.held else None

    def pull(self, reference: str) -> str:
        self.pulled.append(reference)
        self.held |= {reference} & self.remote
        return "" if reference in self.remote else self.fails.get("pull", "manifest unknown")

    def push(self, reference: str) -> str:
        if "push" in self.fails:
            raise PlatformError(self.fails["push"])
        self.pushed.append(reference)
        return f"sha256:{'b' * 64}"

    def build(self, context: Path, target: str, options: list[str]) -> None:
        self.built[target], self.files = list(options), files_in(context)
        self.confs = [Path(word.partition("src=")[2]) for word in options if "id=pip.conf" in word]
        self.seen = [(*map(mode, (path, path.parent)), path.read_text()) for path in self.confs]
        if target in self.fails:
            raise RunFailed(self.fails[target])
        self.held |= {word.removeprefix("--tag=") for word in options if self.loses != target}


@pytest.fixture
def checkout(tree):
    commit_all(tree)
    return tree


@pytest.fixture
def fake(checkout, monkeypatch) -> Fake:
    """The engine, with the base image of the checkout."""
    fake, find = Fake(default_base(checkout)), ml.image.engine.find_engine
    monkeypatch.setattr("ml.image.engine.find_engine", lambda name, log: find(name, log) if name else fake)
    # It starts pip, which takes a second.
    monkeypatch.setattr("ml.image.build.pip_secrets", lambda _: [])
    return fake


def build(checkout, *arguments: object, targets=("--target", "component"), **env: str):
    return called("image-build", *targets, *arguments, cwd=checkout, env=env)


def passed(checkout, *arguments: object, **more) -> str:
    done = build(checkout, *arguments, **more)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def below(checkout, repository="localhost/jukebox") -> str:
    return f"{repository}/{BELOW}:{key_of(checkout)}"


def test_both_images_are_built_on_their_dependencies_and_named_after_the_commit(fake, checkout):
    text, head = passed(checkout, targets=()), git(checkout, "rev-parse", "HEAD")
    assert list(fake.built) == [*STAGES, *TOOLS]
    for target in ("component", "tools"):
        name = f"localhost/jukebox/{target}:{head[:12]}"
        assert f"{target}: {name} (12.3 MB with the base; dependencies built)" in text
    assert f"--tag={below(checkout)}" in fake.built[BELOW]
    on = f"--build-context={BELOW}=container-image://{below(checkout)}"
    assert all(on in fake.built[stage] for stage in REST)
    assert all("--timestamp=0" in options for options in fake.built.values())
    assert f"--output=type=local,dest={checkout}/.jukebox/image" in fake.built["component-sbom"]
    assert {f"--build-arg=REVISION={head}", f"--build-arg=CREATED={DATE}"} <= set(fake.built["tools"])
    assert not [word for word in fake.built["component"] if "REVISION" in word or "CREATED" in word]
    document = json.loads(passed(checkout, "--json"))
    assert [stage["step"] for stage in document["stages"]] == REST
    about = {"target": "component", "pushed": False, "reused": True, "key": key_of(checkout)}
    assert about.items() <= document["images"][0].items()
    assert (document["commit"], document["images"][0]["dependencies"]) == (head, below(checkout))


def test_dependencies_are_built_from_the_files_of_their_key_and_images_from_the_commit(fake, checkout):
    assert "the work tree differs" not in passed(checkout)
    (checkout / "ml/new.py").touch()
    (checkout / "ml/core/version.py").unlink()
    assert "the work tree differs from the commit" in passed(checkout)
    assert ("ml/core/version.py" in fake.files, "ml/new.py" in fake.files) == (True, False)
    fake.fails = {BELOW: "building failed"}
    assert assert_one_line(build(checkout, "--fresh"), 20) == "jukebox: building failed"
    assert fake.files.keys() == set(FILES)


def test_dependencies_are_built_again_only_for_a_new_lock_or_with_fresh(fake, checkout):
    passed(checkout)
    for changed, done in (("ml/core/version.py", "reused"), ("requirements/component.txt", "built")):
        append(checkout / changed)
        commit_all(checkout)
        assert f"dependencies {done}" in passed(checkout)
    assert "--no-cache" not in fake.built["component"]
    assert "dependencies built" in passed(checkout, "--fresh")
    assert all("--no-cache" in options for options in fake.built.values())


@pytest.mark.parametrize(("held", "remote"), [(False, False), (True, False), (False, True)])
def test_with_push_the_registry_is_asked_first_and_given_what_it_and_tests_lack(fake, checkout, held, remote):
    name, head = below(checkout, REPOSITORY), git(checkout, "rev-parse", "HEAD")[:12]
    fake.held |= {name} if held else set()
    fake.remote |= {name} if remote else set()
    text = passed(checkout, *PUSH)
    assert ("the registry has the dependencies" if remote else "not in the registry: ") in text
    assert list(fake.built) == (REST if held or remote else STAGES)
    assert fake.pushed == [name, f"{REPOSITORY}/component:{head}"][remote:]
    assert f"  --image {REPOSITORY}/component@sha256:{'b' * 64}\n" in text
    passed(checkout, *PUSH, targets=())
    assert list(fake.built)[-3:] == [*TOOLS[1:], "test-dependencies"]
    assert "/test-dependencies:" in fake.pushed[-1]


def test_without_push_a_registry_is_asked_for_a_missing_base_only(fake, checkout):
    fake.remote = {below(checkout), "registry.example/base:9"}
    assert "--image" not in passed(checkout, JUKEBOX_BASE_IMAGE="registry.example/base:9")
    assert "--build-arg=BASE_IMAGE=registry.example/base:9" in fake.built["component"]
    assert (fake.pulled, list(fake.built), fake.pushed) == (["registry.example/base:9"], STAGES, [])


OTHER = f"is for s390x, this machine is {native_architecture()}: "
NAMES = ("a.b/c:1", "Ab", "a@sha256:1", "a/")
AS = "name it as registry.example/team/jukebox, without a tag"


@pytest.mark.parametrize(
    ("behaviour", "options", "code", "said", "built"),
    [
        ({"fails": {"pull": "connection refused"}}, PUSH, 30, "connection refused", False),
        ({"fails": {"push": "denied"}}, PUSH, 30, "denied", True),
        ({"loses": "component"}, (), 30, "but does not list it; run the build again", True),
        ({"architecture": "s390x"}, (), 2, OTHER, False),
        ({}, ("--base", "r.example/b:9"), 30, "cannot pull the base image r.example/b:9: manifest", False),
        ({}, ("--engine", "docker"), 2, "--engine docker: use podman or buildah", False),
        ({}, ("--python", "3.13"), 2, "--python 3.13: there are locks for 3.11 and 3.12", False),
        ({}, ("--target", "database"), 2, "--target database: the images are component and tools", False),
        ({}, ("--checkout", "ml"), 2, "run this in a checkout", False),
        ({}, ("--checkout", "../export"), 2, "cannot build from", False),
        ({}, ("--bills", "LICENSE"), 2, "cannot write to LICENSE", False),
        ({}, ("--push",), 2, "--push needs --repository", False),
        *(({}, (f"--repository={name}",), 2, f"--repository {name}: {AS}", False) for name in NAMES),
    ],
)
def test_what_fails_or_is_refused_is_one_line(fake, checkout, behaviour, options, code, said, built):
    for name, value in behaviour.items():
        setattr(fake, name, value)
    shutil.copytree(checkout, checkout.with_name("export"), ignore=shutil.ignore_patterns(".git"))
    assert said in assert_one_line(build(checkout, *options), code)
    assert bool(fake.built) is built


@pytest.mark.parametrize("fails", [{}, {"component": "ERROR: no"}])
def test_a_password_is_in_the_secrets_file_only(fake, checkout, tmp_path, monkeypatch, fails):
    url = "https://someone:canary-5e0c1d@pypi.example/simple"
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr("ml.image.build.pip_secrets", pip_secrets)
    fake.fails = fails
    done = build(checkout, PIP_INDEX_URL=url, PIP_CERT="/etc/hostname")
    assert done.returncode == (20 if fails else 0)
    ((*modes, text),) = fake.seen
    assert (modes, f"index-url = {url}\n" in text) == ([0o600, 0o700], True)
    options = " ".join(fake.built["component"])
    assert f"--secret=id=ca.pem,src={fake.confs[0].with_name('ca.pem')}" in options
    assert "canary-5e0c1d" not in done.stdout + done.stderr + options
    assert list((tmp_path / "temporary").iterdir()) == []
