"""The servers that a run of the Pipeline uses: git, a registry, an object store, a DSPA and a forge.

All are real: small dependency images are built, and runs train.
"""

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import base_image
import servers
from command import UNHURRIED
from docker_registry import LOGIN, registry_server
from dspa_command import TOKEN
from dspa_server import Dspa, kfp_local, serving
from image.workshop import checkout_of
from servers import only_allowed, s3_server
from tekton.harness import World
from tekton.manifests import Object, files, find

from ml.image.key import STAGES
from ml.image.pip_settings import pip_secrets
from ml.judge.keys import SIGNING, TRUST, make_keys

FORGE_TOKEN = "f0rge-s3cret"
ENCODED = base64.b64encode(LOGIN.encode()).decode()
"""The login of our registry, as Docker's configuration has it."""

SMALL = "ARG BASE_IMAGE=registry.example/base@sha256:" + "0" * 64
SMALL += "".join(f"\nFROM ${{BASE_IMAGE}} AS {stage}\nRUN echo {stage} > /stage\n" for stage in STAGES)
"""A Containerfile whose dependencies take seconds."""

PLACES = {name: f"s3://bucket/tekton/{name}" for name in ("store", "evidence", "holdout", "snapshots")}
POLICY = re.sub(r"min_examples: .*", "min_examples: 5", UNHURRIED)
"""For a sample of six hundred songs, of which a fifth is sealed and a tenth in the run's own test split."""


STORE = ("promoted", "promotions", "serving", "decisions", "probe")
READS = {"store": ["snapshots"], "judge": ["store", "holdout"], "promotion": ["store"]}
WRITES = {
    "store": ["store/candidates", "evidence"],
    "holdout": ["holdout", "snapshots"],
    # Before the first promotion the store is tried, in probe/.
    "promotion": [f"store/{folder}" for folder in STORE],
}
"""What docs/how-to/storage.md allows the keys; that of the runs reads neither the log nor what is sealed."""


def _policy(key: str) -> Object:
    """Return the policy of a key: it lists the bucket, reads some folders, and reads and writes others."""
    statements = [
        {"Effect": "Allow", "Action": actions, "Resource": f"arn:aws:s3:::bucket/tekton/{each}/*"}
        for actions, folders in (("s3:GetObject", READS), (["s3:GetObject", "s3:PutObject"], WRITES))
        for each in folders.get(key, ())
    ]
    statements.append({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bucket"})
    return {"Version": "2012-10-17", "Statement": statements}


@dataclass
class Site:
    """Everything that a run of the Pipeline meets."""

    world: World
    dspa: Dspa
    checkout: Path
    params: dict[str, str]
    s3: dict[str, str]
    forge: servers.Site

    def commit(self, file: str = "", old: str = "", new: str = "") -> str:
        """Commit a change on top of main, and return the commit, for which the forge takes a status."""
        git(self.checkout, "checkout", "-q", "main")
        if file:
            path = self.checkout / file
            text = path.read_text()
            assert text.count(old) == 1, f"{file}: {old}"
            path.write_text(text.replace(old, new))
            git(self.checkout, "checkout", "-q", "--detach")
            git(self.checkout, "commit", "-qam", f"change {file}")
        commit = git(self.checkout, "rev-parse", "HEAD")
        self.forge.files[f"/repos/team/jukebox/statuses/{commit}"] = b"{}"
        return commit


def git(folder: Path, *arguments: str) -> str:
    """Run git in a repository, and return what it printed."""
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    """Start everything, with a base image, and with keys that are allowed what the docs say."""
    checkout = folder / "team" / "jukebox.git"
    for made in (checkout, folder / "pip", folder / "public", folder / "ours"):
        made.mkdir(parents=True)
    checkout_of(checkout)
    git(checkout, "branch", "-qM", "main")
    (checkout / "Containerfile").write_text(SMALL)
    git(checkout, "commit", "-qam", "small dependencies")
    pip_secrets(folder / "pip")
    with contextlib.ExitStack() as stack:
        forge = stack.enter_context(servers.serving(servers.Site()))
        public = stack.enter_context(registry_server(folder / "public"))
        host = stack.enter_context(registry_server(folder / "ours", locked=True))
        s3 = stack.enter_context(s3_server())
        place = {"AWS_S3_ENDPOINT": s3["AWS_ENDPOINT_URL"], "AWS_DEFAULT_REGION": "us-east-1"}
        keys = {name: stack.enter_context(only_allowed(_policy(name))) for name in ("judge", *WRITES)}
        secrets = {f"jukebox-{name}": {**key, **place} for name, key in keys.items()}
        # The steps of the DSPA run the code of the commit: it is what would be in the image.
        theirs = {"jukebox-store": secrets["jukebox-store"]}
        executor = kfp_local(folder / "dspa", {"PYTHONPATH": f"{folder}/code"}, theirs)
        dspa = stack.enter_context(serving(Dspa(tokens={TOKEN}, executor=executor)))
        make_keys(folder / "keys")
        signing, trust = ((folder / "keys" / name).read_text() for name in (SIGNING, TRUST))
        # The key of the holdout is always the same: another one seals other songs.
        secrets |= {"jukebox-holdout-key": {"key": bytes(range(32)).hex()}}
        secrets |= {"jukebox-signing-key": {"key.pem": signing}, "jukebox-report": {"token": FORGE_TOKEN}}
        mounted = {
            "/etc/jukebox/registry": {".dockerconfigjson": json.dumps({"auths": {host: {"auth": ENCODED}}})},
            "/etc/jukebox/trust": {"trust.pem": trust},
            "/etc/jukebox/policy": {"policy.yaml": POLICY},
        }
        env = _engine(folder)
        objects = files("tasks", "pipelines")
        # The token of the account jukebox-submit; measure refuses to run beside one.
        own = {"submit-run": {"JUKEBOX_TOKEN": TOKEN}}
        code = find(files("rbac"), "NetworkPolicy", "jukebox-code")["spec"]["podSelector"]
        world = World(folder, objects, secrets, env, mounted, code["matchExpressions"][0]["values"], own)
        params = {
            "repository-url": "https://git.example/team/jukebox.git",
            "api": forge.url,
            "image-repository": f"{host}/jukebox",
            "registry-tls": "false",
            "dspa-host": dspa.url,
            "head": str(folder / "head"),
            "data": "sample:songs=600,days=7,seed=7",
            "base-image": _base(folder, env, public),
            "base-python": base_image.PYTHON,
            "timeout": "3600",
            "tests": "tests/unit/core/test_canonical.py",
            **PLACES,
        }
        yield Site(world, dspa, checkout, params, {**s3, **keys["promotion"]}, forge)


def _engine(folder: Path) -> dict[str, str]:
    """Give buildah a storage of its own, and the steps the programs of the tests' environment."""
    roots = f'graphroot = "{folder}/graph"\nrunroot = "{folder}/runroot"\n'
    (folder / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\n{roots}')
    return {
        "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        # Git takes the repository from the folder.
        **{"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{folder}/.insteadOf"},
        "GIT_CONFIG_VALUE_0": "https://git.example/",
    }


def _base(folder: Path, env: Mapping[str, str], registry: str) -> str:
    """Build and push the base image, and return it by digest."""

    def buildah(*arguments: object) -> str:
        command = ["buildah", *map(str, arguments)]
        return subprocess.check_output(command, env={**os.environ, **env}, text=True).strip()

    container = buildah("from", "scratch")
    buildah("add", container, base_image.base_tar(folder), "/")
    buildah("commit", "--rm", container, "localhost/base:1")
    options = ["--tls-verify=false", "--digestfile", folder / "digest"]
    buildah("push", *options, "localhost/base:1", f"docker://{registry}/base:1")
    return f"{registry}/base@{(folder / 'digest').read_text().strip()}"
