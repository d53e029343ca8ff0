"""The script of each Task, with doubles of all programs: what they are asked, with which key and files."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from tekton.harness import Run, TaskEnd, World, execute, execute_task
from tekton.manifests import files, task_names

from ml.core.canonical import digest

PROGRAM = """#!/bin/sh
# Writes down its call, its variables and what it sees; leaves each result with its name as the value.
home=$(dirname "$0")/..; name=${0##*/}
{ echo "$name $*"; env; echo "SEES=$(ls "${WORK-/nowhere}" 2>/dev/null | tr '\\n' ' ')"; } \\
  > "$home/calls/$(ls "$home/calls" | wc -l)"
case "$name $*" in *"$(cat "$home/broken")"*) echo "$name is broken" >&2; exit 3;; esac
for result in $RESULT_NAMES; do
  [ -z "${JUKEBOX_RESULTS_DIR-}" ] || printf %s "$result" > "$JUKEBOX_RESULTS_DIR/$result"
done
case "$name $*" in
*"ci toolchain --"*) mkdir -p "$6/context"; echo test-dependencies > "$6/stages" ;;
*compile*) echo "a: pipeline" > pipeline.yaml ;;
*submit*) printf pass > "$JUKEBOX_RESULTS_DIR/VERDICT"
  printf %s "${SUBMITTED-CANDIDATE}" > "$JUKEBOX_RESULTS_DIR/CANDIDATE" ;;
*download*) mkdir "$WORK/model" "$WORK/features" "$WORK/labels"; echo > "$WORK/asked.json" ;;
esac
"""
PROGRAMS = ("jukebox", "buildah", "ruff", "mypy", "lint-imports", "yamllint", "python")
COMMIT = "c" * 40
IR = "a: pipeline\n"
TASKS = task_names()
NAMES = {each["name"] for task in files("tasks") for each in task["spec"].get("results", ())} - {"VERDICT"}
RESULTS = {**{name: name for name in NAMES}, "VERDICT": "pass", "IR_DIGEST": digest(IR.encode())}
RESULTS["COMMIT"] = COMMIT
MOUNTED = {
    "ca": ("dspa.crt", "ca-bundle.crt"),
    "registry-ca": ("service-ca.crt",),
    "policy": ("policy.yaml", "admission.yaml", "resources.yaml"),
    "pull": (".dockerconfigjson",),
}
CA, REGISTRY_CA = "AWS_CA_BUNDLE=ca-bundle.crt", "JUKEBOX_REGISTRY_CA=service-ca.crt"
POLICY, ADMISSION = "JUKEBOX_POLICY=policy.yaml", "JUKEBOX_ADMISSION=admission.yaml"
BUILD = "REGISTRY_AUTH_FILE=.dockerconfigjson"
ASKED, MEASURED = "JUKEBOX_ASKED=ASKED", "JUKEBOX_MEASURED=MEASURED"
DIGESTS = {"JUKEBOX_ASKED", "JUKEBOX_MEASURED"}
PROMOTE = "jukebox promote CANDIDATE --attestation …/attestation.json --trust …/trust.pem --decided-ok"
# fmt: off
CALLS = [  # each call, its key, the files that it is told if they are there, and the digests
    ("jukebox judge holdout --key-file …/key --decided-ok", "holdout", [CA]),
    ("jukebox ci supersede uid", "", []),
    ("jukebox ci answer --checkout …/source --decided-ok", "judge", [CA, REGISTRY_CA, POLICY]),
    ("jukebox ci toolchain --checkout …/source --plan …/plan", "", [REGISTRY_CA]),
    ("buildah --storage-driver vfs build --cert-dir …/etc-jukebox-registry-ca --tls-verify=true "
     "--secret id=pip.conf,src=…/pip.conf --timestamp 0 --build-arg BASE_IMAGE=B --build-arg PYTHON=3.12 "
     "--target test-dependencies --tag localhost/test-dependencies --file Containerfile .", "", [BUILD]),
    ("buildah --storage-driver vfs push --quiet localhost/test-dependencies oci:…/test-dependencies", "",
     [BUILD]),
    ("buildah --storage-driver vfs rmi --all --force", "", [BUILD]),
    ("jukebox ci toolchain-push --plan …/plan --layouts …/layouts", "", [REGISTRY_CA]),
    ("ruff format --no-cache --check .", "", []),
    ("ruff check --no-cache .", "", []),
    ("mypy --cache-dir=…/mypy", "", []),
    ("lint-imports --no-logo --no-cache", "", []),
    ("yamllint --strict .", "", []),
    ("python -m pytest -p no:cacheprovider a b", "", []),
    ("jukebox ci image-assemble --checkout …/source", "", [REGISTRY_CA]),
    ("python -m ml.cli compile --output pipeline.yaml", "", ["JUKEBOX_RESOURCES=resources.yaml"]),
    (f"jukebox submit …/pipeline.yaml --commit {COMMIT} --decided-ok", "store",
     ["JUKEBOX_CA=dspa.crt", CA, POLICY, ADMISSION]),
    ("jukebox judge download CANDIDATE --work …/work", "judge", [CA]),
    ("jukebox judge infer --work …/work", "", [ASKED]),
    ("jukebox judge score --work …/work", "", [ASKED]),
    ("jukebox judge sign --work …/work --key-file …/key.pem --out …/attestation.json --decided-ok", "",
     ["REQUESTS_CA_BUNDLE=ca-bundle.crt", POLICY, ASKED, MEASURED]),
    (PROMOTE, "promotion", [CA, POLICY]),
    (f"jukebox ci report --commit {COMMIT}", "", ["JUKEBOX_CA=ca-bundle.crt"]),
    ("jukebox ci verdict", "promotion", [CA]),
]
# fmt: on


class Bench:
    """The Tasks and the Pipeline, with the secrets of a site."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.shared = folder, folder / "uid" / "shared"
        for name in ("bin", "calls", "pip", "uid/shared/commit/source", "uid/shared/outcome"):
            (folder / name).mkdir(parents=True)
        for name in PROGRAMS:
            (folder / "bin" / name).write_text(PROGRAM)
            (folder / "bin" / name).chmod(0o755)
        self.broken("no call is like this")
        (folder / "pip" / "pip.conf").write_text("[global]\n")
        (self.shared / "commit" / "pipeline.yaml").write_text(IR)
        (self.shared / "outcome" / "commit").write_text(COMMIT)
        secrets = {
            f"jukebox-{name}": {"AWS_ACCESS_KEY_ID": name, "AWS_SECRET_ACCESS_KEY": "s3cret"}
            for name in ("store", "holdout", "judge", "promotion")
        }
        env = {"PATH": f"{folder}/bin:/usr/bin:/bin", "RESULT_NAMES": " ".join(NAMES)}
        self.world = World(folder, files("tasks", "pipelines"), secrets, env)

    def broken(self, call: str) -> None:
        """Have each call with these words in it fail from now on."""
        (self.folder / "broken").write_text(call)

    def mount(self, names: Mapping[str, tuple[str, ...]]) -> None:
        """Have config maps and optional secrets with these files, by the last part of their path."""
        self.world.mounted = {f"/etc/jukebox/{at}": dict.fromkeys(names[at], "text") for at in names}

    def run(self, first: str = "holdout") -> Run:
        """Run the Pipeline from a task on; all tasks before have left their results."""
        known = dict.fromkeys(TASKS[: TASKS.index(first)], TaskEnd("Succeeded", RESULTS))
        return execute(self.world, {"tests": "a b", "revision": COMMIT, "base-image": "B"}, "uid", known)

    @property
    def calls(self) -> dict[str, dict[str, str]]:
        """The calls in their order, each with its variables; paths are shortened."""
        listed = sorted((self.folder / "calls").iterdir(), key=lambda file: int(file.name))
        texts = [file.read_text().partition("\n") for file in listed]
        return {
            re.sub(r"(?<=[ =:])/[^ ,]*(?=/)", "…", call): dict(re.findall(r"^(\w+)=(.*)$", env, re.MULTILINE))
            for call, _, env in texts
        }


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize("there", [True, False])
def test_each_program_is_asked_in_order_with_its_own_key_and_the_files_that_are_there(bench, there):
    bench.mount(MOUNTED if there else {})
    done = bench.run()
    assert done.ends == dict.fromkeys([*TASKS, "report", "verdict"], "Succeeded"), done.log
    names = {each.partition("=")[0] for *_, told in CALLS for each in told}
    asked = []
    for call, env in bench.calls.items():
        given = {name: Path(env[name]) for name in names & env.keys()}
        files_there = {
            name for name in given if bench.folder in given[name].parents and given[name].is_file()
        }
        told = {f"{name}={given[name].name}" for name in files_there | given.keys() & DIGESTS}
        asked.append((call, env.get("AWS_ACCESS_KEY_ID", ""), told))
    always = {ASKED, MEASURED}
    assert asked == [(call, key, {*told} if there else always & {*told}) for call, key, told in CALLS]
    assert done.tasks["compile-pipeline"].results["IR_DIGEST"] == digest(IR.encode())
    written = [env["JUKEBOX_OUTCOME"] for env in bench.calls.values() if "JUKEBOX_OUTCOME" in env]
    assert written[5:] == [":".join(written[:5])] * 2, "report and verdict read all outcomes, in their order"


def test_infer_and_the_build_see_their_parts_alone(bench):
    bench.mount({"registry": (".dockerconfigjson",)})
    bench.run()
    variables = {call.partition(" --")[0]: env for call, env in bench.calls.items()}
    assert variables["jukebox judge infer"]["SEES"] == "answers asked.json champion features model "
    assert "REGISTRY_AUTH_FILE" not in variables["buildah"]
    assert "etc-jukebox-registry/" not in str(variables["buildah"])


@pytest.mark.parametrize(
    ("task", "broken"),
    [
        ("report", "ci report"), ("verdict", "ci verdict"),
        ("holdout", "judge holdout"), ("answer", "ci supersede"), ("answer", "ci answer"),
        ("toolchain", "ci toolchain --"), ("toolchain", "vfs build"), ("toolchain", "vfs push"),
        ("toolchain", "toolchain-push"), ("lint", "ruff format"), ("lint", "ruff check"), ("lint", "mypy"),
        ("lint", "lint-imports"), ("lint", "yamllint"), ("unit-test", "pytest"), ("build-image", "assemble"),
        ("compile-pipeline", "compile"), ("submit-run", "jukebox submit"), ("submit-run", "download"),
        ("measure", "infer"), ("measure", "score"), ("promote", "sign"), ("promote", "jukebox promote"),
    ],
)  # fmt: skip
def test_a_program_that_fails_ends_its_task_and_the_run(bench, task, broken):
    bench.broken(broken)
    done = bench.run(task if task in TASKS else "promote")
    assert (done.ends[task], done.tasks[task].results) == ("Failed", {})
    assert "is broken" in done.log
    later = TASKS[TASKS.index(task) + 1 :] if task in TASKS else []
    assert {done.ends[name] for name in later if (task, name) != ("lint", "unit-test")} <= {"None"}
    if broken.startswith("vfs"):
        assert "cannot build test-dependencies; with no package index, push it from outside" in done.log


def test_an_ir_that_was_changed_after_it_was_compiled_is_not_submitted(bench):
    (bench.shared / "commit" / "pipeline.yaml").write_text("another: pipeline\n")
    done = bench.run("submit-run")
    assert done.ends["submit-run"] == "Failed"
    assert "did NOT match" in done.log
    assert not any("submit" in call for call in bench.calls)


def test_without_a_candidate_nothing_is_downloaded(bench):
    bench.world.env["SUBMITTED"] = ""
    done = bench.run("submit-run")
    assert (done.ends["submit-run"], done.tasks["submit-run"].results["ASKED"]) == ("Succeeded", "")
    assert not any("download" in call for call in bench.calls)


def test_a_second_try_sees_nothing_of_the_first(bench):
    bench.run("submit-run")
    old = bench.shared / "judge" / "work" / "model" / "old.onnx"
    old.write_text("of an earlier try")
    assert (bench.run("submit-run").ends["submit-run"], old.exists()) == ("Succeeded", False)


@pytest.mark.parametrize(
    ("written", "commit"),
    [(COMMIT, COMMIT), ("ref: refs/heads/main", "main"), ("", "main"), (f"{COMMIT}0", "main")],
)
def test_the_report_is_about_the_fetched_commit_or_else_the_revision(bench, written, commit):
    (bench.shared / "outcome" / "commit").write_text(f"{written}\n")
    execute_task(bench.world, "report", "uid", revision="main")
    assert [*bench.calls] == [f"jukebox ci report --commit {commit}"]


def test_a_site_with_a_sigstore_signs_keyless_and_promotes_by_its_trust_root(bench):
    bench.mount({"sigstore": ("sigstore.json",), "identity": ("token",), "trust": ("trust.json",)})
    bench.run("promote")
    sign, promote, *_ = bench.calls
    assert "--keyless …/sigstore.json --identity-token …/token --out" in sign
    assert "--key-file" not in sign
    assert "--trust …/trust.json" in promote


def test_who_promotes_is_the_run_or_the_single_task_run(bench):
    bench.run("promote")
    assert bench.calls[PROMOTE]["JUKEBOX_ACTOR"] == "PipelineRun music/uid"
    secrets = {"signing_secret": "x", "promotion_secret": "jukebox-promotion"}
    execute_task(bench.world, "promote", "uid", candidate="CANDIDATE", **secrets)
    assert bench.calls[PROMOTE]["JUKEBOX_ACTOR"] == "TaskRun music/uid-promote"
