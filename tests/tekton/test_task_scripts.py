"""The script of each Task, on a world of doubles: what it does, what it returns, and what makes it fail."""

import dataclasses
import json
import re

import pytest
from docker_registry import LOGIN
from dspa_command import TOKEN
from oci_images import pull
from policies import default_text
from tekton.harness import TaskEnd, World, execute, execute_task
from tekton.manifests import find, task_names
from tekton.world import (
    BASE,
    BUILT,
    ENCODED,
    FORGE_TOKEN,
    HELD,
    MISSING,
    PYTHON,
    Programs,
    Site,
    git,
    lacking,
    open_doubles,
)

from ml.core.canonical import digest
from ml.image.assemble import SOURCE
from ml.image.package import package_files
from ml.storage.objects import put_object

NOWHERE = "0" * 40
ALL = (*task_names(), "report", "verdict")
ALWAYS = ("fetch-source", "holdout", "answer", "report", "verdict")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    if missing := lacking("git", "docker-registry"):
        pytest.skip(f"apt-get install {' '.join(missing)}")
    with open_doubles(tmp_path_factory.mktemp("world")) as found:
        yield found


@pytest.fixture(scope="module")
def passed(opened):
    """One run of the Pipeline: the commit, the run, what the programs were asked, and their variables."""
    site, programs = opened
    commit = site.commit()
    done = execute(site.world, site.spec(commit), "uid-pass")
    assert done.ends == dict.fromkeys(ALL, "Succeeded"), done.log
    return commit, done, programs.calls, programs.environment


@pytest.fixture
def site(opened) -> Site:
    return opened[0]


@pytest.fixture
def programs(opened):
    opened[1].heal()
    yield opened[1]
    opened[1].heal()


@pytest.fixture
def verb(site, tmp_path) -> tuple[World, Programs]:
    """A world in which `jukebox` is a double too."""
    double = Programs(tmp_path / "bin")
    double.install("jukebox")
    env = {**site.world.env, "PATH": f"{double.folder}:{site.world.env['PATH']}"}
    return dataclasses.replace(site.world, folder=tmp_path, env=env), double


def run_task(world: World, name: str, uid: str = "uid-pass", **given: str) -> TaskEnd:
    return execute_task(world, name, uid, **given)


def state(site: Site, commit: str) -> list[str]:
    """Return the statuses of a commit at the forge."""
    path = f"/repos/team/jukebox/statuses/{commit}"
    return [status["state"] for asked, status in site.forge.statuses if asked == path]


def failed(end: TaskEnd, said: str = "") -> None:
    assert (end.status, end.results) == ("Failed", {}), end.log
    assert said in end.log


def only(*names: str, **others: str) -> dict[str, str]:
    """How tasks end of which only some are reached."""
    return {name: others.get(name, "Succeeded" if name in names else "None") for name in ALL}


# One run, from a commit to the model in production.


def test_a_commit_is_fetched(site, passed):
    commit, done, *_ = passed
    assert done.tasks["fetch-source"].results == {
        "COMMIT": commit,
        "CHAINS-GIT_COMMIT": commit,
        "CHAINS-GIT_URL": site.params["repository-url"],
        "COMMITTED_AT": git(site.checkout, "log", "-1", "--format=%ct", commit),
        "CREATED": git(site.checkout, "log", "-1", "--format=%cI", commit),
    }


def test_only_what_the_registry_lacks_is_built_and_pushed(site, passed):
    _, done, calls, _ = passed
    for name, reference in done.tasks["toolchain"].results.items():
        stage = name.lower().replace("_", "-")
        expected = digest((BUILT if stage == MISSING else HELD)["manifest"])
        assert reference == f"{site.params['image-repository']}/{stage}@{expected}"
    build, push, remove = (call for call in calls if call.startswith("buildah"))
    assert re.fullmatch(
        r"buildah --storage-driver vfs build --cert-dir \S+ --tls-verify=false "
        rf"--secret id=pip.conf,src={site.world.folder}/pip/pip.conf --timestamp 0 "
        rf"--build-arg BASE_IMAGE={BASE} --build-arg PYTHON=3.12 --target {MISSING} "
        rf"--tag localhost/{MISSING} --file Containerfile .",
        build,
    )
    assert push.startswith(f"buildah --storage-driver vfs push --quiet localhost/{MISSING} oci:/")
    assert remove == "buildah --storage-driver vfs rmi --all --force"


def test_the_step_that_builds_holds_no_credential_of_the_registry(site, passed):
    _, done, _, variables = passed
    pod = done.home / "toolchain-1"
    found = (path for path in pod.rglob("*") if path.is_file() and ENCODED.encode() in path.read_bytes())
    holders = {path.relative_to(pod).parts[0] for path in found}
    assert holders == {"etc-jukebox-registry"}
    _, build, _ = find(site.world.objects, "Task", "toolchain")["spec"]["steps"]
    mounted = {mount["mountPath"].strip("/").replace("/", "-") for mount in build["volumeMounts"]}
    assert mounted.isdisjoint(holders)
    assert "CONTEXT=" in variables
    assert not any(word in variables for word in ("etc-jukebox-registry/", ENCODED, "REGISTRY_AUTH_FILE"))


def test_each_linter_and_the_tests_of_the_param_are_run(passed):
    _, done, calls, _ = passed
    asked = [re.sub(r"=/\S+", "=/…", call) for call in calls if not call.startswith("buildah")]
    assert asked == [
        "ruff format --no-cache --check .",
        "ruff check --no-cache .",
        "mypy --cache-dir=/…",
        "lint-imports --no-logo --no-cache",
        "yamllint --strict .",
    ]
    assert " passed" in done.tasks["unit-test"].log


def test_the_image_is_assembled_on_what_the_registry_has_and_returned_by_digest(site, passed):
    commit, done, *_ = passed
    results, name = done.tasks["build-image"].results, f"{site.params['image-repository']}/component"
    image = f"{name}@{results['IMAGE_DIGEST']}"
    assert (results["IMAGE_URL"], results["IMAGE"]) == (f"{name}:{commit}", image)
    ours = pull(image, LOGIN)
    assert ours == pull(results["IMAGE_URL"], LOGIN)
    assert ours.manifest["layers"][:-1] == json.loads(HELD["manifest"])["layers"]
    packaged = package_files(done.home / "shared" / "commit" / "source", PYTHON)
    assert ours.top == {path: (file.mode, file.data) for path, file in packaged.items()}
    assert ours.config["config"]["Labels"][SOURCE] == site.params["repository-url"]
    assert commit not in json.dumps(ours.config)


def test_the_ir_whose_digest_is_returned_is_submitted(site, passed):
    commit, done, *_ = passed
    ir = (done.home / "shared" / "commit" / "pipeline.yaml").read_bytes()
    assert done.tasks["compile-pipeline"].results["IR_DIGEST"] == digest(ir)
    (run,) = site.dspa.runs.values()
    image = done.tasks["build-image"].results["IMAGE"]
    assert (run.parameters["commit"], run.parameters["image"]) == (commit, image)
    assert run.description.endswith("a test")


def test_the_model_that_passed_is_promoted_and_the_forge_is_told(site, passed):
    commit, done, *_ = passed
    assert done.tasks["submit-run"].results["VERDICT"] == "pass"
    outcome = done.home / "shared" / "outcome"
    judged, promoted = (json.loads((outcome / name).read_bytes()) for name in ("judge.json", "promote.json"))
    assert (judged["exit_code"], judged["commit"], judged["dirty"]) == (0, commit, False)
    assert done.tasks["promote"].results["PROMOTION"] == str(promoted["promotion"])
    assert promoted["unchanged"] is False
    assert (state(site, commit), site.forge.tokens) == (["success"], {FORGE_TOKEN})
    assert not [s for s in (TOKEN, FORGE_TOKEN, site.s3["AWS_SECRET_ACCESS_KEY"]) if s in done.log]


# What follows a run.


def test_a_push_of_docs_is_answered_from_the_model_in_production(site, passed, programs):
    commit = site.commit("README.md", "# jukebox\n", "# The jukebox\n")
    runs = len(site.dspa.runs)
    done = execute(site.world, site.spec(commit), "uid-docs")
    assert done.ends == only(*ALWAYS), done.log
    assert (programs.calls, len(site.dspa.runs), state(site, commit)) == ([], runs, ["success"])
    run_id = passed[1].tasks["submit-run"].results["RUN_ID"]
    assert f"run {run_id} passed with the same inputs" in done.tasks["report"].log


@pytest.mark.slow
def test_a_push_of_tests_is_tested_and_trains_nothing(site, passed, programs):
    commit = site.commit("tests/unit/core/test_canonical.py", "one value has", "a value has")
    runs = len(site.dspa.runs)
    done = execute(site.world, site.spec(commit), "uid-tests-only")
    assert done.ends == only(*ALWAYS, "toolchain", "lint", "unit-test", "build-image"), done.log
    assert len(site.dspa.runs) == runs
    again = execute(site.world, site.spec(commit), "uid-tests-again")
    assert again.ends == only(*ALWAYS), again.log


@pytest.mark.slow
def test_retrain_trains_again_without_lint(site, passed, programs):
    done = execute(site.world, site.spec(passed[0], retrain="true"), "uid-retrain")
    assert done.ends == dict.fromkeys(ALL, "Succeeded") | {"lint": "None", "unit-test": "None"}
    assert state(site, passed[0])[-1] == "success"


@pytest.mark.slow
def test_a_block_is_final_at_once_and_answers_the_next_push(site, passed, programs):
    policy = re.sub(r"max_model_bytes: .*", "max_model_bytes: 1", default_text())
    mounted = {**site.world.mounted, "/etc/jukebox/policy": {"policy.yaml": policy}}
    world = dataclasses.replace(site.world, mounted=mounted)
    done = execute(world, site.spec(passed[0]), "uid-block")
    left_out = dict.fromkeys(("lint", "unit-test", "measure", "promote"), "None")
    assert done.ends == only(*ALL, verdict="Failed") | left_out, done.log
    submitted = done.tasks["submit-run"]
    assert (submitted.tries, submitted.results["VERDICT"], submitted.results["ASKED"]) == (1, "block", "")
    assert "budget.model_bytes" in done.tasks["verdict"].log
    assert done.tasks["verdict"].tries == 1
    runs = len(site.dspa.runs)
    again = execute(world, site.spec(passed[0]), "uid-block-again")
    assert again.ends == only(*ALWAYS, verdict="Failed"), again.log
    assert f"blocked already, by run {submitted.results['RUN_ID']}" in again.tasks["verdict"].log
    assert (again.tasks["answer"].tries, len(site.dspa.runs)) == (1, runs)
    assert state(site, passed[0])[-2:] == ["failure", "failure"]


def test_tables_that_break_the_contract_end_the_run_at_once(site, passed, programs):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in site.s3.items():
            patch.setenv(name, value)
        put_object("s3://bucket/scripts/broken.csv", b"spotify_id,country\nx,AT\n")
    tables = {"data": "rankings=s3://bucket/scripts/broken.csv songs=s3://bucket/scripts/broken.csv"}
    done = execute(site.world, site.spec(passed[0], **tables), "uid-broken")
    assert done.ends == only("fetch-source", "holdout", "report", verdict="Failed"), done.log
    assert (done.tasks["holdout"].tries, done.tasks["holdout"].results["SNAPSHOT"]) == (1, "")
    (said,) = (line for line in done.tasks["verdict"].log.splitlines() if line.startswith("jukebox: "))
    assert "column daily_rank is missing" in said
    _, status = site.forge.statuses[-1]
    assert (status["state"], status["description"].rstrip("…") in said) == ("error", True)


def test_a_revision_that_is_not_there_ends_before_anything_is_run(site, programs):
    done = execute(site.world, site.spec(NOWHERE), "uid-nowhere")
    assert done.tasks["fetch-source"].tries == 3
    ends = only("report", "verdict") | {name: done.ends[name] for name in ("fetch-source", "holdout")}
    assert done.ends == ends
    assert (programs.calls, state(site, NOWHERE)) == ([], ["error"])


# What makes each of them fail.


def toolchain(world: World) -> TaskEnd:
    (world.folder / "uid" / "shared" / "commit" / "source").mkdir(parents=True, exist_ok=True)
    return run_task(world, "toolchain", "uid")


@pytest.mark.parametrize("broken", ["vfs build", "vfs push"])
def test_dependencies_that_cannot_be_built_or_pushed_are_not_returned(verb, programs, broken):
    programs.broken(broken)
    end = toolchain(verb[0])
    failed(end, "buildah is broken")
    assert f"cannot build {MISSING}; with no package index, push it from outside" in end.log
    assert broken in programs.calls[-1]


def test_a_registry_that_cannot_be_asked_fails_the_toolchain(verb, programs):
    world, double = verb
    double.broken("toolchain")
    failed(toolchain(world), "jukebox is broken")
    assert programs.calls == []


def test_without_the_login_nothing_can_be_looked_up_or_pushed(site, passed):
    below = passed[1].tasks["toolchain"].results["COMPONENT_DEPENDENCIES"]
    given = {"commit": "c" * 40, "base_image": BASE, "base_python": PYTHON, "registry_tls": "false"}
    given |= {"image_repository": site.params["image-repository"], "component_dependencies": below}
    build = {
        name: value for name, value in given.items() if "base" in name or name.endswith(("tls", "repository"))
    }
    locked = dataclasses.replace(site.world, mounted={})
    failed(run_task(locked, "toolchain", **build), "answers 401")
    failed(run_task(locked, "build-image", **given), "answers 401")
    given["component_dependencies"] = below.replace("component-", "other-")
    failed(run_task(site.world, "build-image", **given), "answers 404")


@pytest.mark.parametrize("broken", ["ruff format", "ruff check", "mypy", "lint-imports", "yamllint"])
def test_a_finding_of_any_linter_fails_lint(site, passed, programs, broken):
    programs.broken(broken)
    failed(run_task(site.world, "lint"), "is broken")


def test_several_files_are_tested_and_any_of_them_may_fail(site):
    source = site.world.folder / "uid-tests" / "shared" / "commit" / "source"
    source.mkdir(parents=True)
    (source / "test_a.py").write_text("def test_it():\n    assert False\n")
    (source / "test_b.py").write_text("def test_it():\n    pass\n")
    failed(run_task(site.world, "unit-test", "uid-tests", tests="test_a.py test_b.py"), "1 failed, 1 passed")


def test_an_image_without_a_digest_is_not_compiled_in(site, passed):
    failed(run_task(site.world, "compile-pipeline", image="registry.example/jukebox:latest"), "digest")


KEYS = {"store_secret": "jukebox-store", "judge_secret": "jukebox-judge"}


def submit(world: World, text: str = "", compiled: str = "") -> TaskEnd:
    """Submit an IR."""
    ir = world.folder / "uid" / "shared" / "commit" / "pipeline.yaml"
    ir.parent.mkdir(parents=True, exist_ok=True)
    ir.write_text(text)
    compiled = compiled or digest(text.encode())
    return run_task(world, "submit-run", "uid", ir_digest=compiled, commit="c" * 40, **KEYS)


def report(world: World, commit: str, **given: str) -> TaskEnd:
    outcome = world.folder / "uid" / "shared" / "outcome"
    outcome.mkdir(parents=True, exist_ok=True)
    (outcome / "commit").write_text(f"{commit}\n")
    return run_task(world, "report", "uid", report_secret="jukebox-report", **given)


def test_an_ir_that_was_changed_after_it_was_compiled_is_not_submitted(verb):
    world, double = verb
    assert submit(world, "a: pipeline\n").status == "Succeeded"
    shared = world.folder / "uid" / "shared"
    asked = [
        f"jukebox submit {shared}/commit/pipeline.yaml --commit {'c' * 40} --decided-ok",
        f"jukebox judge download abc --work {shared}/judge/work",
    ]
    assert double.calls == asked
    failed(submit(world, "another: pipeline\n", digest(b"a: pipeline\n")), "did NOT match")
    assert double.calls == asked


def test_the_report_is_about_the_fetched_commit_or_else_the_revision(verb):
    world, double = verb
    written = ("c" * 40, "ref: refs/heads/main", "", f"{'c' * 40}0")
    assert [report(world, each, revision="main").status for each in written] == ["Succeeded"] * 4
    assert double.calls == [
        f"jukebox ci report --commit {each}" for each in ("c" * 40, "main", "main", "main")
    ]


OTHERS = {
    "holdout": {"holdout_secret": "jukebox-holdout"},
    "promote": {"promotion_secret": "jukebox-promotion"},
    "build-image": {},
}


def test_a_verb_that_fails_fails_its_task(verb):
    world, double = verb
    double.broken("jukebox")
    ends = [
        submit(world),
        report(world, "c" * 40),
        *(run_task(world, task, "uid", **OTHERS[task]) for task in OTHERS),
    ]
    for end in ends:
        failed(end, "jukebox is broken")


@pytest.mark.parametrize("there", [True, False])
def test_certificates_are_trusted_where_the_cluster_has_them(verb, there):
    world, double = verb
    files = {
        "/etc/jukebox/ca": ("dspa.crt", "ca-bundle.crt"),
        "/etc/jukebox/registry-ca": ("service-ca.crt",),
    }
    text = "a certificate" if there else ""
    world = dataclasses.replace(
        world, mounted={path: dict.fromkeys(names, text) for path, names in files.items()}
    )
    run_task(world, "holdout", "uid", **OTHERS["holdout"])
    submit(world)
    run_task(world, "promote", "uid", **OTHERS["promote"])
    report(world, "c" * 40)
    double.broken("toolchain")
    toolchain(world)
    run_task(world, "build-image", "uid")
    dspa, bundle, registry = ("dspa.crt", "ca-bundle.crt", "service-ca.crt") if there else ("", "", "")
    assert double.authorities == [
        ["", bundle, ""],  # holdout
        [dspa, bundle, ""],  # submit
        ["", bundle, ""],  # download
        ["", "", ""],  # sign, which trusts by REQUESTS_CA_BUNDLE
        ["", bundle, ""],  # promote
        [bundle, "", ""],  # report
        ["", "", registry],  # toolchain
        ["", "", registry],  # build-image
    ]
