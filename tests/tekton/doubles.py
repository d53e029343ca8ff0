"""A world for the scripts of the Tasks that needs no root: nothing is built, and no model is trained.

Git, the verbs, the registry, the object store and the forge are real. `buildah` and the linters write down
what they were asked, `buildah push` leaves an image, and a run of the DSPA leaves what gate and save leave.
Its model is none that could be run, so `jukebox judge infer` and `score` are doubles too (`tekton.measured`).
"""

import base64
import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import pytest
from candidates import store_run
from docker_registry import LOGIN, registry_server
from dspa_command import TOKEN
from dspa_server import Dspa, RunRecord, Script, serving
from image.workshop import checkout_of
from oci_images import image, push, write_layout
from servers import s3_server
from submissions import files_of
from tekton.harness import Object, World
from tekton.world import FORGE_TOKEN, PLACES, ROOT, Site, git, judge_keys, serving_forge, serving_git

from ml.gate.evidence import Subject
from ml.image.key import STAGES, dependencies, keyed_files
from ml.image.registry import Registry
from ml.release.policy_file import read_policy
from ml.release.store import ModelStore
from ml.storage.objects import put_object

MISSING = "test-dependencies"
"""What the registry lacks."""

BUILT = image({"opt/jukebox/pyvenv.cfg": "built"})
"""What the double of buildah builds, whatever it is asked for."""

HELD = image({"opt/jukebox/pyvenv.cfg": "held"})
"""What the registry has."""

CREDENTIAL = {"auths": {"HOST": {"auth": base64.b64encode(LOGIN.encode()).decode()}}}
PYTHON = "3.12"
BASE = f"registry.example/python@sha256:{'0' * 64}"
SAMPLE = "sample:songs=400,days=4,seed=7"
"""Small tables: they are sealed, and nothing is trained on them."""

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


@dataclass(frozen=True)
class Programs:
    """Doubles of programs, in a folder that comes first on the path."""

    folder: Path

    def install(self, *names: str) -> None:
        """Put programs there, none of them broken."""
        self.folder.mkdir()
        self.heal()
        write_layout(self.folder / "layout", BUILT)
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

    def _lines(self, name: str) -> list[str]:
        return (self.folder / name).read_text().splitlines()


@contextlib.contextmanager
def open_doubles(folder: Path, objects: list[Object]) -> Iterator[tuple[Site, Programs]]:
    """Start everything, and stop it in the end. The registry asks for a login, and lacks `MISSING`."""
    checkout = folder / "served" / "team" / "jukebox.git"
    checkout.mkdir(parents=True)
    checkout_of(checkout)
    git(checkout, "branch", "-qM", "main")
    programs = Programs(folder / "bin")
    programs.install(*PROGRAMS)
    (programs.folder / "jukebox").write_text(JUKEBOX)
    (programs.folder / "jukebox").chmod(0o755)
    (folder / "pip").mkdir()
    (folder / "pip" / "pip.conf").write_text("[global]\n")
    with contextlib.ExitStack() as stack:
        (folder / "images").mkdir()
        host = stack.enter_context(registry_server(folder / "images", locked=True))
        logins = {host: CREDENTIAL["auths"]["HOST"]["auth"]}
        key = dependencies(keyed_files(checkout), PYTHON, BASE.partition("@")[2]).key
        for stage in set(STAGES) - {MISSING}:
            push(Registry(insecure=True, logins=logins), f"{host}/jukebox/{stage}:{key}", HELD)
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
        ours_alone, trust = judge_keys(folder / "keys")
        secrets = {
            **ours_alone,
            **{f"jukebox-{name}": connection for name in ("store", "holdout", "judge", "promotion")},
            "jukebox-report": {"token": FORGE_TOKEN},
        }
        path = f"{programs.folder}:{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        identities = {"jukebox-submit": {"JUKEBOX_TOKEN": TOKEN}}
        credential = json.dumps(CREDENTIAL).replace("HOST", host)
        mounted = {
            "/etc/jukebox/registry": {".dockerconfigjson": credential},
            "/etc/jukebox/trust": trust,
        }
        world = World(folder, objects, secrets, {"PATH": path}, identities, mounted)
        params = {
            "repository-url": f"{served}/team/jukebox.git",
            "provider": "github",
            "api": forge.url,
            "base-image": BASE,
            "base-python": PYTHON,
            "image-repository": f"{host}/jukebox",
            "registry-tls": "false",
            "dspa-host": dspa.url,
            "rankings": SAMPLE,
            "songs": SAMPLE,
            **{name: f"s3://bucket/scripts/{name}" for name in PLACES},
            "head": str(folder / "head"),
            "tests": "-n0 tests/unit/gate/test_canonical.py",
        }
        yield Site(world, dspa, forge, checkout, params, s3), programs


def _leave(run: RunRecord, s3: dict[str, str]) -> None:
    """Do what the steps gate and save do."""
    about = Subject(
        **{name: run.parameters[name] for name in Subject.model_fields if name != "run_id"}, run_id=run.run_id
    )
    where = run.parameters["evidence_uri"].replace("{run_id}", run.run_id)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.items():
            patch.setenv(name, value)
        files = files_of(about, policy=read_policy(where, run.parameters["policy"]))
        put_object(where, files["evidence.json"])
        store_run(ModelStore(run.parameters["store_uri"], create=True), files)
