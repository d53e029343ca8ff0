"""A world for the scripts of the Tasks that needs no root: nothing is built, and no model is trained.

Git, the verbs, the object store and the forge are real. The registry only says what it has; `buildah` and the
linters only write down what they were asked; a run of the DSPA leaves what the steps gate and save leave.
"""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from candidates import store_run
from dspa_command import TOKEN
from dspa_server import Dspa, RunRecord, Script, serving
from image.workshop import checkout_of
from servers import http_server, s3_server
from submissions import files_of
from tekton.harness import Object, World
from tekton.world import FORGE_TOKEN, Site, git, serving_forge, serving_git

from ml.gate.evidence import Subject
from ml.image.key import KEYED, dependencies
from ml.objects import put_object
from ml.release.store import ModelStore

PUSHED = f"sha256:{'b' * 64}"
"""What the double of buildah says that a push has become."""

HELD = f"sha256:{'d' * 64}"
"""What the registry calls all that it has."""

ABSENT = b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'
PYTHON = "3.12"
BASE = f"registry.example/python@sha256:{'0' * 64}"
PROGRAMS = ("buildah", "ruff", "mypy", "lint-imports", "yamllint")

PROGRAM = """#!/bin/sh
# Writes down what it is asked, and fails where it has been told to.
home=$(dirname "$0"); name=${0##*/}
printf '%s\\n' "$name $*" >> "$home/calls"
printf '%s\\n' "${JUKEBOX_CA-} ${AWS_CA_BUNDLE-} ${JUKEBOX_REGISTRY_CA-}" >> "$home/authorities"
case "$name $*" in *"$(cat "$home/broken")"*) echo "$name is broken" >&2; exit 3;; esac
while [ $# -gt 1 ]; do
  case $1 in --digestfile) printf '%s' PUSHED > "$2";; --missing) cat "$home/missing" > "$2";; esac; shift
done
""".replace("PUSHED", PUSHED)


@dataclass(frozen=True)
class Programs:
    """Doubles of programs, in a folder that comes first on the path."""

    folder: Path

    def install(self, *names: str) -> None:
        """Put programs there, none of them broken."""
        self.folder.mkdir()
        self.heal()
        for name in names:
            (self.folder / name).write_text(PROGRAM)
            (self.folder / name).chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """What they were asked: the program and its arguments."""
        return self._lines("calls")

    @property
    def authorities(self) -> list[list[str]]:
        """Which certificates each call was told to trust: the DSPA's, the store's, the registry's."""
        return [line.split(" ") for line in self._lines("authorities")]

    def broken(self, call: str) -> None:
        """Have each call with these words in it fail from now on."""
        (self.folder / "broken").write_text(call)

    def heal(self) -> None:
        """Forget all calls, and have none fail; the toolchain lacks what builds the code."""
        self.broken("no call is like this")
        (self.folder / "missing").write_text("BUILD build registry.example/jukebox/build:1\n")
        for name in ("calls", "authorities"):
            (self.folder / name).write_text("")

    def _lines(self, name: str) -> list[str]:
        return (self.folder / name).read_text().splitlines()


@dataclass
class Registry:
    """What the registry has: paths of manifests."""

    host: str = ""
    held: set[str] = field(default_factory=set)


@contextlib.contextmanager
def serving_registry() -> Iterator[Registry]:
    """Serve a registry that is only asked what it has."""
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200 if self.path in registry.held else 404)
            self.send_header("Docker-Content-Digest", HELD)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(ABSENT)))
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(ABSENT)

        def log_message(self, *_):
            pass

    with http_server(Handler) as url:
        registry.host = url.partition("://")[2]
        yield registry


@contextlib.contextmanager
def open_doubles(folder: Path, objects: list[Object]) -> Iterator[tuple[Site, Programs]]:
    """Start everything, and stop it in the end. The registry has all dependencies but `build`."""
    checkout = folder / "served" / "team" / "jukebox.git"
    checkout.mkdir(parents=True)
    checkout_of(checkout)
    git(checkout, "branch", "-qM", "main")
    programs = Programs(folder / "bin")
    programs.install(*PROGRAMS)
    (folder / "pip").mkdir()
    (folder / "pip" / "pip.conf").write_text("[global]\n")
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(serving_registry())
        for target in set(KEYED) - {"build"}:
            known = dependencies(checkout, target, PYTHON, BASE.partition("@")[2])
            registry.held.add(f"/v2/jukebox/{known.stage}/manifests/{known.key}")
        served = stack.enter_context(serving_git(folder / "served"))
        s3 = stack.enter_context(s3_server())
        forge = stack.enter_context(serving_forge())
        dspa = Dspa(
            tokens={TOKEN}, script=Script(pending=0, running=0), on_finish=lambda run: _leave(run, s3)
        )
        stack.enter_context(serving(dspa))
        connection = {
            "AWS_ACCESS_KEY_ID": s3["AWS_ACCESS_KEY_ID"],
            "AWS_SECRET_ACCESS_KEY": s3["AWS_SECRET_ACCESS_KEY"],
            "AWS_S3_ENDPOINT": s3["AWS_ENDPOINT_URL"],
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        secrets = {
            "jukebox-store": connection,
            "jukebox-promotion": connection,
            "jukebox-report": {"token": FORGE_TOKEN},
        }
        path = f"{programs.folder}:{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        identities = {"jukebox-submit": {"JUKEBOX_TOKEN": TOKEN}}
        world = World(folder, objects, secrets, {"PATH": path}, identities)
        params = {
            "repository-url": f"{served}/team/jukebox.git",
            "provider": "github",
            "api": forge.url,
            "base-image": BASE,
            "base-python": PYTHON,
            "image-repository": f"{registry.host}/jukebox",
            "registry-tls": "false",
            "dspa-host": dspa.url,
            "rankings": "sample:songs=600,days=7,seed=7",
            "songs": "sample:songs=600,days=7,seed=7",
            "store": "s3://bucket/scripts/store",
            "evidence": "s3://bucket/scripts/evidence",
            "tests": "-n0 tests/unit/gate/test_canonical.py",
        }
        yield Site(world, dspa, forge, checkout, params, s3), programs


def _leave(run: RunRecord, s3: dict[str, str]) -> None:
    """Do what the steps gate and save do."""
    about = Subject(
        **{name: run.parameters[name] for name in Subject.model_fields if name != "run_id"}, run_id=run.run_id
    )
    files = files_of(about, policy=run.parameters["policy"])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.items():
            patch.setenv(name, value)
        put_object(run.parameters["evidence_uri"].replace("{run_id}", run.run_id), files["evidence.json"])
        store_run(ModelStore(run.parameters["store_uri"], create=True), files)
