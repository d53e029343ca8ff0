"""The servers that a run of the Pipeline uses: git, a registry, an object store, a DSPA and a forge.

All are real. `open_doubles` needs no root: `buildah` and the linters only write down their calls, no model is
trained, and the judge's measurement is a double (`tekton.measured`). `open_real` builds small dependency
images, by a Containerfile that fails if it finds the registry's login, and its runs train.
"""

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from shlex import quote

import base_image
import pytest
from candidates import store_run
from command import UNHURRIED
from docker_registry import LOGIN, process, registry_server, wait_for
from dspa_command import TOKEN
from dspa_server import Dspa, RunRecord, Script, kfp_local, serving
from image.workshop import checkout_of
from oci_images import image, push, write_layout
from servers import closed_port, http_server, only_allowed, s3_server
from submissions import files_of
from tekton.expected import ROLES
from tekton.harness import World, run_spec
from tekton.manifests import ROOT, Object, files, find

from ml.gate.evidence import Subject
from ml.image.key import STAGES, dependencies, keyed_files
from ml.image.pip_settings import pip_secrets
from ml.image.registry import Registry
from ml.judge.keys import SIGNING, TRUST, make_keys
from ml.release.policy_file import read_policy
from ml.release.store import ModelStore
from ml.storage.objects import put_object

FORGE_TOKEN = "f0rge-s3cret"
ENCODED = base64.b64encode(LOGIN.encode()).decode()
"""The login of our registry, as Docker's configuration has it."""

SPY = f"[{ENCODED[0]}]{ENCODED[1:]}"
"""What matches the login, and is not the login itself: an engine prints the instructions that it executes."""

SMALL = f"""\
ARG BASE_IMAGE=registry.example/base@sha256:{"0" * 64}
FROM ${{BASE_IMAGE}} AS spy
# The variables of all processes that build, and the files of what is built in.
RUN if {{ cat /proc/*/environ; grep -rs '{SPY}' /etc /root /run /tmp /home; }} 2> /dev/null \\
    | grep -a '{SPY}'; then exit 1; fi
{"".join(f"FROM spy AS {stage}{chr(10)}RUN echo {stage} > /stage{chr(10)}" for stage in STAGES)}"""
"""A Containerfile whose dependencies take seconds."""

PLACES = {name: f"s3://bucket/tekton/{name}" for name in ("store", "evidence", "holdout", "snapshots")}
POLICY = re.sub(r"min_examples: .*", "min_examples: 5", UNHURRIED)
"""For a sample of six hundred songs, of which a fifth is sealed and a tenth in the run's own test split."""

MISSING = "test-dependencies"
"""The dependency image that the registry of the doubles lacks."""

BUILT, HELD = (image({"opt/jukebox/pyvenv.cfg": text}) for text in ("built", "held"))
"""What the double of buildah builds, and what the registry has."""

PYTHON = "3.12"
BASE = f"registry.example/python@sha256:{'0' * 64}"
PROGRAMS = ("buildah", "ruff", "mypy", "lint-imports", "yamllint")
PROGRAM = """#!/bin/sh
# Writes down what it is asked, and fails where it has been told to.
home=$(dirname "$0"); name=${0##*/}
printf '%s\\n' "$name $*" >> "$home/calls"
printf '%s\\n' "${JUKEBOX_CA-} ${AWS_CA_BUNDLE-} ${JUKEBOX_REGISTRY_CA-}" >> "$home/authorities"
case "$name $*" in *"$(cat "$home/broken")"*) echo "$name is broken" >&2; exit 3;; esac
[ "$name $1" != "jukebox submit" ] || printf abc > "$JUKEBOX_RESULTS_DIR/CANDIDATE"
env >> "$home/environment"
while [ $# -gt 0 ]; do
  case $1 in --plan) mkdir -p "$2"; echo test-dependencies > "$2/stages"; mkdir -p "$2/context";;
    oci:*) cp -r "$home/layout" "${1#oci:}";; esac; shift
done
"""
JUKEBOX = f"""#!/bin/sh
python={quote(sys.executable)}
case "$1 ${{2-}}" in
"judge infer") ;;
"judge score") PYTHONPATH={quote(f"{ROOT}:{ROOT}/tests")} exec "$python" -m tekton.measured "$4" ;;
*) exec "$python" -m ml.cli "$@" ;;
esac
"""


def _key(*, read: Sequence[str] = (), write: Sequence[str] = ()) -> Object:
    """Return the policy of a key that lists the bucket, reads some folders, and reads and writes others."""
    allowed = {("s3:GetObject",): read, ("s3:GetObject", "s3:PutObject"): write}
    statements = [
        {
            "Effect": "Allow",
            "Action": [*actions],
            "Resource": [f"arn:aws:s3:::bucket/tekton/{each}/*" for each in folders],
        }
        for actions, folders in allowed.items()
        if folders
    ]
    statements.append({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bucket"})
    return {"Version": "2012-10-17", "Statement": statements}


PROMOTED = ("promoted", "promotions", "serving", "decisions", "probe")
KEYS = {
    "store": _key(read=["snapshots"], write=["store/candidates", "evidence"]),
    "holdout": _key(write=["holdout", "snapshots"]),
    "judge": _key(read=["store", "holdout"]),
    # Before the first promotion the store is tried, in probe/.
    "promotion": _key(read=["store"], write=[f"store/{folder}" for folder in PROMOTED]),
}
"""What docs/how-to/storage.md allows the keys; that of the runs reads neither the log nor what is sealed."""


@dataclass
class Forge:
    """A forge's API: which statuses were set, and with which token."""

    url: str = ""
    statuses: list[tuple[str, dict]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)


@dataclass
class Site:
    """Everything that a run of the Pipeline meets."""

    world: World
    dspa: Dspa
    forge: Forge
    checkout: Path
    params: dict[str, str]
    s3: dict[str, str]

    def commit(self, file: str = "", old: str = "", new: str = "") -> str:
        """Commit a change on top of main, and return the commit."""
        git(self.checkout, "checkout", "-q", "main")
        if file:
            path = self.checkout / file
            text = path.read_text()
            assert text.count(old) == 1, f"{file}: {old}"
            path.write_text(text.replace(old, new))
            git(self.checkout, "checkout", "-q", "--detach")
            git(self.checkout, "commit", "-qam", f"change {file}")
        return git(self.checkout, "rev-parse", "HEAD")

    def spec(self, revision: str, **params: str) -> Object:
        """Return the spec of a PipelineRun for a revision."""
        return run_spec(
            "jukebox-train", {**self.params, "revision": revision, "cause": "a test", **params}, ROLES
        )


def git(folder: Path, *arguments: str) -> str:
    """Run git in a repository, and return what it printed."""
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def lacking(*programs: str) -> list[str]:
    """Name the programs that this machine lacks."""
    return [name for name in programs if not shutil.which(name)]


@dataclass(frozen=True)
class Programs:
    """Doubles of programs, in a folder that comes first on the path."""

    folder: Path

    def install(self, *names: str, **scripts: str) -> None:
        """Put programs there, none of them broken."""
        self.folder.mkdir()
        self.heal()
        write_layout(self.folder / "layout", BUILT)
        for name, script in {**dict.fromkeys(names, PROGRAM), **scripts}.items():
            (self.folder / name).write_text(script)
            (self.folder / name).chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """The programs that were called, with their arguments."""
        return (self.folder / "calls").read_text().splitlines()

    @property
    def authorities(self) -> list[list[str]]:
        """The names of the certificates of each call: the DSPA's, the store's, the registry's."""
        lines = (self.folder / "authorities").read_text().splitlines()
        return [[Path(path).name for path in line.split(" ")] for line in lines]

    @property
    def environment(self) -> str:
        """The variables of all calls."""
        return (self.folder / "environment").read_text()

    def broken(self, call: str) -> None:
        """Have each call with these words in it fail from now on."""
        (self.folder / "broken").write_text(call)

    def heal(self) -> None:
        """Forget all calls, and have none fail."""
        self.broken("no call is like this")
        for name in ("calls", "authorities", "environment"):
            (self.folder / name).write_text("")


@contextlib.contextmanager
def _opened(folder: Path, s3: Mapping[str, str], host: str, dspa: Dspa, **given: Mapping) -> Iterator[Site]:
    """Start git, the DSPA and the forge for a checkout, and stop them in the end."""
    signing, trust = _judge_keys(folder / "keys")
    secrets = {**given["secrets"], **signing, "jukebox-report": {"token": FORGE_TOKEN}}
    mounted = {
        "/etc/jukebox/registry": {".dockerconfigjson": json.dumps({"auths": {host: {"auth": ENCODED}}})},
        "/etc/jukebox/trust": trust,
        **given["mounted"],
    }
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(_serving_git(folder / "served"))
        forge = stack.enter_context(_serving_forge())
        stack.enter_context(serving(dspa))
        identities = {"jukebox-submit": {"JUKEBOX_TOKEN": TOKEN}}
        objects = files("tasks", "pipelines")
        world = World(
            folder, objects, secrets, given["env"], identities, mounted, given.get("cut_off", frozenset())
        )
        params = {
            "repository-url": f"{served}/team/jukebox.git",
            "api": forge.url,
            "image-repository": f"{host}/jukebox",
            "registry-tls": "false",
            "dspa-host": dspa.url,
            "head": str(folder / "head"),
            **PLACES,
            **given["params"],
        }
        yield Site(world, dspa, forge, folder / "served" / "team" / "jukebox.git", params, dict(s3))


def _checkout(folder: Path) -> Path:
    checkout = folder / "served" / "team" / "jukebox.git"
    checkout.mkdir(parents=True)
    checkout_of(checkout)
    git(checkout, "branch", "-qM", "main")
    (folder / "pip").mkdir()
    return checkout


@contextlib.contextmanager
def open_doubles(folder: Path) -> Iterator[tuple[Site, Programs]]:
    """Start everything with doubles of programs. The registry lacks `MISSING`."""
    checkout = _checkout(folder)
    (folder / "pip" / "pip.conf").write_text("[global]\n")
    (folder / "images").mkdir()
    programs = Programs(folder / "bin")
    programs.install(*PROGRAMS, jukebox=JUKEBOX)
    with registry_server(folder / "images", locked=True) as host, s3_server() as s3:
        key = dependencies(keyed_files(checkout), PYTHON, BASE.partition("@")[2]).key
        for stage in set(STAGES) - {MISSING}:
            push(Registry(insecure=True, logins={host: ENCODED}), f"{host}/jukebox/{stage}:{key}", HELD)
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        connection = {name: s3[name] for name in names} | _place(s3)
        dspa = Dspa(
            tokens={TOKEN}, script=Script(pending=0, running=0), on_finish=lambda run: _leave(run, s3)
        )
        sample = "sample:songs=400,days=4,seed=7"
        params = {"base-image": BASE, "base-python": PYTHON, "data": sample}
        with _opened(
            folder,
            s3,
            host,
            dspa,
            secrets={f"jukebox-{name}": connection for name in KEYS},
            mounted={},
            env={"PATH": f"{programs.folder}:{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"},
            params={**params, "tests": "-n0 tests/unit/core/test_canonical.py"},
        ) as site:
            yield site, programs


@contextlib.contextmanager
def open_real(folder: Path) -> Iterator[Site]:
    """Start everything, with a base image, and with keys that are allowed what the docs say."""
    checkout = _checkout(folder)
    (checkout / "Containerfile").write_text(SMALL)
    git(checkout, "commit", "-qam", "small dependencies")
    pip_secrets(folder / "pip")
    with contextlib.ExitStack() as stack:
        for name in ("public", "ours"):
            (folder / name).mkdir()
        public = stack.enter_context(registry_server(folder / "public"))
        host = stack.enter_context(registry_server(folder / "ours", locked=True))
        env = _engine(folder)
        s3 = stack.enter_context(s3_server())
        keys = {name: stack.enter_context(only_allowed(policy)) for name, policy in KEYS.items()}
        secrets = {f"jukebox-{name}": {**key, **_place(s3)} for name, key in keys.items()}
        # The steps run the code of the commit: it is what would be in the image. One secret lies beside them.
        theirs = {"jukebox-store": secrets["jukebox-store"]}
        executor = kfp_local(folder / "dspa", {"PYTHONPATH": str(folder / "code")}, theirs)
        params = {"data": "sample:songs=600,days=7,seed=7"}
        params |= {
            "base-image": _base(folder, env, public),
            "base-python": base_image.PYTHON,
            "timeout": "180",
        }
        opened = _opened(
            folder,
            {**s3, **keys["promotion"]},
            host,
            Dspa(tokens={TOKEN}, executor=executor),
            secrets=secrets,
            mounted={"/etc/jukebox/policy": {"policy.yaml": POLICY}},
            env=env,
            cut_off=_cut_off(),
            params={**params, "tests": "tests/unit/core/test_canonical.py"},
        )
        yield stack.enter_context(opened)


def _place(s3: Mapping[str, str]) -> dict[str, str]:
    return {"AWS_S3_ENDPOINT": s3["AWS_ENDPOINT_URL"], "AWS_DEFAULT_REGION": "us-east-1"}


def _leave(run: RunRecord, s3: Mapping[str, str]) -> None:
    """Leave what the steps gate and save leave."""
    parameters = {name: run.parameters[name] for name in Subject.model_fields if name != "run_id"}
    about = Subject(**parameters, run_id=run.run_id)
    where = run.parameters["evidence_uri"].replace("{run_id}", run.run_id)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.items():
            patch.setenv(name, value)
        found = files_of(about, policy=read_policy(where, run.parameters["policy"]))
        put_object(where, found["evidence.json"])
        store_run(ModelStore(run.parameters["store_uri"], create=True), found)


def _judge_keys(folder: Path) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Make the judge's keys; returns the secrets, and the files of the config map with the public one.

    The key of the holdout is always the same: another one seals other songs, and has another model trained.
    """
    make_keys(folder)
    signing, trust = ((folder / name).read_text() for name in (SIGNING, TRUST))
    sealing = {"key": bytes(range(32)).hex()}
    return {"jukebox-holdout-key": sealing, "jukebox-signing-key": {"key.pem": signing}}, {"trust.pem": trust}


def _cut_off() -> frozenset[str]:
    """Name the Tasks whose pods the NetworkPolicy jukebox-code lets reach nobody."""
    spec = find(files("rbac"), "NetworkPolicy", "jukebox-code")["spec"]
    assert "egress" not in spec
    (selected,) = spec["podSelector"]["matchExpressions"]
    return frozenset(selected["values"])


def _engine(folder: Path) -> dict[str, str]:
    """Give buildah a storage of its own, and the steps the programs of the tests' environment."""
    roots = f'graphroot = "{folder}/graph"\nrunroot = "{folder}/runroot"\n'
    (folder / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\n{roots}')
    return {
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "STORAGE_DRIVER": "vfs",
        "BUILDAH_ISOLATION": "chroot",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def _base(folder: Path, env: Mapping[str, str], registry: str) -> str:
    """Build and push the base image, and return it by digest."""

    def buildah(*arguments: object) -> str:
        command = ["buildah", *map(str, arguments)]
        done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    container = buildah("from", "scratch")
    buildah("add", container, base_image.base_tar(folder), "/")
    buildah("commit", "--rm", "--quiet", container, "localhost/base:1")
    options = ["--quiet", "--tls-verify=false", "--digestfile", folder / "digest"]
    buildah("push", *options, "localhost/base:1", f"docker://{registry}/base:1")
    return f"{registry}/base@{(folder / 'digest').read_text().strip()}"


@contextlib.contextmanager
def _serving_git(folder: Path) -> Iterator[str]:
    port = closed_port()
    options = ["--export-all", f"--base-path={folder}", "--listen=127.0.0.1", f"--port={port}", "--reuseaddr"]
    with process(folder / "git.log", "git", "daemon", *options, str(folder)):
        wait_for(f"127.0.0.1:{port}")
        yield f"git://127.0.0.1:{port}"


@contextlib.contextmanager
def _serving_forge() -> Iterator[Forge]:
    forge = Forge()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            forge.statuses.append((self.path, body))
            forge.tokens.add(re.sub(r"^\w+ ", "", self.headers["Authorization"]))
            self.send_response(201)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    with http_server(Handler) as forge.url:
        yield forge
