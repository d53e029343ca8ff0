"""A small world for the Pipeline, all of it real servers: git, a registry, an object store, a DSPA, a forge.

The registry asks for a login. The dependencies are small, and really built: by a Containerfile that looks for
that login, and fails if it finds it.
"""

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from base_image import PYTHON, base_tar
from command import UNHURRIED
from docker_registry import LOGIN, process, registry_server, wait_for
from dspa_command import TOKEN
from dspa_server import Dspa, kfp_local, serving
from image.workshop import checkout_of
from servers import closed_port, http_server, only_allowed, s3_server
from tekton.harness import World
from tekton.manifests import TEKTON, find, load
from tekton.references import ROLES

from ml.image.key import STAGES
from ml.image.pip_settings import pip_secrets
from ml.judge.keys import SIGNING, TRUST, make_keys

ROOT = Path(__file__).parents[2]
NEEDED = ("git", "buildah", "docker-registry", "mmdebstrap")
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


def key_for(*, read: Sequence[str] = (), write: Sequence[str] = ()) -> dict:
    """Return the policy of a key that lists the bucket, reads some folders, and reads and writes others."""
    allowed = {("s3:GetObject",): read, ("s3:GetObject", "s3:PutObject"): write}
    statements = [
        {
            "Effect": "Allow",
            "Action": list(actions),
            "Resource": [f"arn:aws:s3:::bucket/tekton/{folder}/*" for folder in folders],
        }
        for actions, folders in allowed.items()
        if folders
    ]
    statements.append({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bucket"})
    return {"Version": "2012-10-17", "Statement": statements}


KEYS = {
    "store": key_for(read=["snapshots"], write=["store/candidates", "evidence"]),
    "holdout": key_for(write=["holdout", "snapshots"]),
    "judge": key_for(read=["store", "holdout"]),
    "promotion": key_for(
        # Before the first promotion the store is tried, in probe/.
        read=["store"],
        write=[f"store/{folder}" for folder in ("promoted", "promotions", "serving", "decisions", "probe")],
    ),
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

    def spec(self, revision: str, **params: str) -> dict:
        """Return the spec of a PipelineRun, as a trigger would make it."""
        values = {**self.params, "revision": revision, "cause": "a test", **params}
        return {
            "pipelineRef": {"name": "jukebox-train"},
            "params": [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()],
            "workspaces": [
                {"name": "shared", "volumeClaimTemplate": {}},
                {"name": "pip-settings", "configMap": {"name": "pip"}},
            ],
            "taskRunSpecs": [
                {"pipelineTaskName": task, "serviceAccountName": account} for task, account in ROLES.items()
            ],
        }


def git(folder: Path, *arguments: str) -> str:
    """Run git in a repository, and return what it printed."""
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def missing() -> list[str]:
    """Name the programs that this machine lacks."""
    return [name for name in NEEDED if not shutil.which(name)]


@contextlib.contextmanager
def open_site(folder: Path, objects: list[dict]) -> Iterator[Site]:
    """Start everything, and stop it in the end."""
    checkout = folder / "served" / "team" / "jukebox.git"
    checkout.mkdir(parents=True)
    checkout_of(checkout)
    git(checkout, "branch", "-qM", "main")
    with contextlib.ExitStack() as stack:
        for name in ("public", "ours"):
            (folder / name).mkdir()
        public = stack.enter_context(registry_server(folder / "public"))
        ours = stack.enter_context(registry_server(folder / "ours", locked=True))
        env = _engine(folder)
        base = _base(folder, env, public)
        (checkout / "Containerfile").write_text(SMALL)
        git(checkout, "commit", "-qam", "small dependencies")
        served = stack.enter_context(serving_git(folder / "served"))
        s3 = stack.enter_context(s3_server())
        keys = {name: stack.enter_context(only_allowed(policy)) for name, policy in KEYS.items()}
        where = {"AWS_S3_ENDPOINT": s3["AWS_ENDPOINT_URL"], "AWS_DEFAULT_REGION": "us-east-1"}
        ours_alone, trust = judge_keys(folder / "keys")
        secrets = {
            **{f"jukebox-{name}": {**key, **where} for name, key in keys.items()},
            **ours_alone,
            "jukebox-report": {"token": FORGE_TOKEN},
        }
        # The steps run the code of the commit: it is what would be in the image. One secret lies beside them.
        code = folder / "code"
        theirs = {"jukebox-store": secrets["jukebox-store"]}
        executor = kfp_local(folder / "dspa", {"PYTHONPATH": str(code)}, theirs)
        dspa = stack.enter_context(serving(Dspa(tokens={TOKEN}, executor=executor)))
        forge = stack.enter_context(serving_forge())
        (folder / "pip").mkdir()
        pip_secrets(folder / "pip")
        identities = {"jukebox-submit": {"JUKEBOX_TOKEN": TOKEN}}
        config = json.dumps({"auths": {ours: {"auth": ENCODED}}})
        mounted = {
            "/etc/jukebox/registry": {".dockerconfigjson": config},
            "/etc/jukebox/policy": {"policy.yaml": POLICY},
            "/etc/jukebox/trust": trust,
        }
        world = World(folder, objects, secrets, env, identities, mounted, cut_off())
        params = {
            "repository-url": f"{served}/team/jukebox.git",
            "api": forge.url,
            "base-image": base,
            "base-python": PYTHON,
            "image-repository": f"{ours}/jukebox",
            "registry-tls": "false",
            "dspa-host": dspa.url,
            "rankings": "sample:songs=600,days=7,seed=7",
            "songs": "sample:songs=600,days=7,seed=7",
            **PLACES,
            "head": str(folder / "head"),
            "tests": "tests/unit/gate/test_canonical.py",
            "timeout": "180",
        }
        yield Site(world, dspa, forge, checkout, params, {**s3, **keys["promotion"]})


def judge_keys(folder: Path) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Make the judge's keys; returns the secrets, and the files of the config map with the public one.

    The key of the holdout is always the same: another one seals other songs, and has another model trained.
    """
    make_keys(folder)
    signing, trust = ((folder / name).read_text() for name in (SIGNING, TRUST))
    sealing = bytes(range(32)).hex()
    return {"jukebox-holdout-key": {"key": sealing}, "jukebox-signing-key": {"key.pem": signing}}, {
        "trust.pem": trust
    }


def cut_off() -> frozenset[str]:
    """Name the Tasks whose pods the NetworkPolicy jukebox-code lets reach nobody."""
    policies = load(TEKTON / "rbac" / "network-policies.yaml")
    spec = find(policies, "NetworkPolicy", "jukebox-code")["spec"]
    assert "egress" not in spec
    (selected,) = spec["podSelector"]["matchExpressions"]
    return frozenset(selected["values"])


def _engine(folder: Path) -> dict[str, str]:
    """Give buildah a storage of its own, and the steps the programs of the tests' environment."""
    storage = folder / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/runroot"\n'
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {
        "CONTAINERS_STORAGE_CONF": str(storage),
        "STORAGE_DRIVER": "vfs",
        "BUILDAH_ISOLATION": "chroot",
        "PATH": path,
    }


def buildah(env: dict[str, str], *arguments: object) -> str:
    done = subprocess.run(
        ["buildah", *map(str, arguments)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def push(env: dict[str, str], image: str, reference: str) -> str:
    """Push an image, and return its name by digest."""
    file = Path(env["CONTAINERS_STORAGE_CONF"]).with_name("digest")
    buildah(
        env, "push", "--quiet", "--tls-verify=false", "--digestfile", file, image, f"docker://{reference}"
    )
    return f"{reference.rpartition(':')[0]}@{file.read_text().strip()}"


def _base(folder: Path, env: dict[str, str], registry: str) -> str:
    container = buildah(env, "from", "scratch")
    buildah(env, "add", container, base_tar(folder), "/")
    buildah(env, "commit", "--rm", "--quiet", container, "localhost/base:1")
    return push(env, "localhost/base:1", f"{registry}/base:1")


@contextlib.contextmanager
def serving_git(folder: Path) -> Iterator[str]:
    """Serve the repositories below a folder; gives the address."""
    port = closed_port()
    options = ["--export-all", f"--base-path={folder}", "--listen=127.0.0.1", f"--port={port}", "--reuseaddr"]
    with process(folder / "git.log", "git", "daemon", *options, str(folder)):
        wait_for(f"127.0.0.1:{port}")
        yield f"git://127.0.0.1:{port}"


@contextlib.contextmanager
def serving_forge() -> Iterator[Forge]:
    """Serve a forge's API."""
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
