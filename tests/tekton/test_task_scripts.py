"""The script of each Task, on a world of doubles: what it does, what it hands on, and what makes it fail."""

import dataclasses
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from docker_registry import LOGIN
from dspa_command import TOKEN
from oci_images import pull
from tekton.doubles import BASE, BUILT, CREDENTIAL, HELD, MISSING, PYTHON, Programs, open_doubles
from tekton.harness import TaskEnd, World, execute, execute_task
from tekton.manifests import TEKTON, task_names
from tekton.world import FORGE_TOKEN, Site, git

from ml.core.canonical import digest
from policies import default_text
from ml.image.assemble import SOURCE
from ml.image.package import package_files
from ml.storage.objects import put_object

IMAGE = f"registry.example/jukebox/component@sha256:{'a' * 64}"
NOWHERE = "0" * 40


def objects() -> list:
    files = [*(TEKTON / "tasks").glob("*.yaml"), TEKTON / "pipelines" / "jukebox-train.yaml"]
    return [found for file in files if "metadata" in (found := yaml.safe_load(file.read_text()))]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    missing = [name for name in ("git", "docker-registry") if not shutil.which(name)]
    if missing:
        pytest.skip(f"apt-get install {' '.join(missing)}")
    with open_doubles(tmp_path_factory.mktemp("world"), objects()) as found:
        yield found


@pytest.fixture(scope="module")
def passed(opened):
    """One run of the Pipeline: the commit, the run, what the programs were asked, and their variables."""
    site, programs = opened
    commit = site.commit()
    done = execute(site.world, site.spec(commit), "uid-pass")
    assert {name: end.status for name, end in done.tasks.items()} == dict.fromkeys(
        [*task_names(), "report", "verdict"], "Succeeded"
    ), done.log
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


def params_of(world: World, task: str, **given: str) -> dict[str, str]:
    """Return a Task's params: those that are given, and a word for each other that has no default."""
    declared = world.find("Task", task)["params"]
    named = {param["name"]: "something" for param in declared if "default" not in param}
    return {**named, **{name.replace("_", "-"): value for name, value in given.items()}}


def run_task(world: World, name: str, uid: str = "uid-pass", **given: str) -> TaskEnd:
    return execute_task(world, name, uid, params_of(world, name, **given))


def statuses(site: Site, commit: str) -> list[dict]:
    path = f"/repos/team/jukebox/statuses/{commit}"
    return [status for asked, status in site.forge.statuses if asked == path]


def failed(end: TaskEnd, said: str = "") -> None:
    assert (end.status, end.results) == ("Failed", {}), end.log
    assert said in end.log


# One run, from a commit to the model in production.


def test_a_commit_is_fetched(site, passed):
    commit, done, *_ = passed
    results = done.tasks["fetch-source"].results
    assert results["COMMIT"] == results["CHAINS-GIT_COMMIT"] == commit
    assert results["CHAINS-GIT_URL"] == site.params["repository-url"]
    assert results["COMMITTED_AT"] == git(site.checkout, "log", "-1", "--format=%ct", commit)
    assert results["CREATED"] == git(site.checkout, "log", "-1", "--format=%cI", commit)


def test_only_what_the_registry_lacks_is_built_and_pushed(site, passed):
    _, done, calls, _ = passed
    repository = site.params["image-repository"]
    for name, reference in done.tasks["toolchain"].results.items():
        stage = name.lower().replace("_", "-")
        expected = digest((BUILT if stage == MISSING else HELD)["manifest"])
        assert reference == f"{repository}/{stage}@{expected}"
    build, push, remove = (call for call in calls if call.startswith("buildah"))
    assert build.startswith("buildah --storage-driver vfs build --cert-dir ")
    assert "--tls-verify=false" in build
    assert f"--secret id=pip.conf,src={site.world.folder}/pip/pip.conf --timestamp 0 " in build
    assert f"--build-arg BASE_IMAGE={BASE} --build-arg PYTHON=3.12 --target {MISSING} " in build
    assert build.endswith(f" --tag localhost/{MISSING} --file Containerfile .")
    assert "ca.pem" not in build
    assert push.startswith(f"buildah --storage-driver vfs push --quiet localhost/{MISSING} oci:/")
    assert remove == "buildah --storage-driver vfs rmi --all --force"


def test_the_step_that_builds_holds_no_credential_of_the_registry(site, passed):
    """It runs what a Containerfile says: no variable and no folder that it has leads to the login."""
    _, done, _, variables = passed
    secret = CREDENTIAL["auths"]["HOST"]["auth"]
    pod = done.home / "toolchain-1"
    holders = {path.relative_to(pod).parts[0] for path in pod.rglob("*") if _has(path, secret)}
    assert holders == {"etc-jukebox-registry"}
    steps = {step["name"]: step for step in site.world.find("Task", "toolchain")["steps"]}
    mounted = {mount["mountPath"].strip("/").replace("/", "-") for mount in steps["build"]["volumeMounts"]}
    assert mounted.isdisjoint(holders)
    assert "CONTEXT=" in variables
    assert "etc-jukebox-registry/" not in variables
    assert secret not in variables
    assert "REGISTRY_AUTH_FILE" not in variables


def test_without_the_credential_nothing_can_be_pushed(site, passed):
    """The registry asks for the login: that of the steps that push is what lets them."""
    uid = passed[1].home.name
    locked = dataclasses.replace(site.world, mounted={})
    given = {"base_image": BASE, "base_python": PYTHON, "registry_tls": "false"}
    given["image_repository"] = site.params["image-repository"]
    failed(run_task(locked, "toolchain", uid, **given), "answers 401")


def _has(path: Path, secret: str) -> bool:
    return path.is_file() and secret.encode() in path.read_bytes()


def test_each_linter_checks_everything(passed):
    _, _, calls, _ = passed
    asked = [call for call in calls if not call.startswith("buildah")]
    assert asked[:2] == ["ruff format --no-cache --check .", "ruff check --no-cache ."]
    assert asked[2].startswith("mypy --cache-dir=/")
    assert asked[3:] == ["lint-imports --no-logo --no-cache", "yamllint --strict ."]


def test_the_tests_that_the_param_names_are_run(passed):
    _, done, *_ = passed
    assert " passed" in done.tasks["unit-test"].log


def test_the_image_is_assembled_on_what_the_registry_has_and_handed_on_by_its_digest(site, passed):
    commit, done, *_ = passed
    results = done.tasks["build-image"].results
    name = f"{site.params['image-repository']}/component"
    assert results == {
        "IMAGE_URL": f"{name}:{commit}",
        "IMAGE_DIGEST": results["IMAGE_DIGEST"],
        "IMAGE": f"{name}@{results['IMAGE_DIGEST']}",
    }
    ours = pull(results["IMAGE"], LOGIN)
    assert ours == pull(results["IMAGE_URL"], LOGIN)
    lower = json.loads(HELD["manifest"])
    assert ours.manifest["layers"][:-1] == lower["layers"]
    files = package_files(done.home / "shared" / "commit" / "source", PYTHON)
    assert ours.top == {path: (file.mode, file.data) for path, file in files.items()}
    assert ours.config["config"]["Labels"][SOURCE] == site.params["repository-url"]
    assert commit not in json.dumps(ours.config)


def test_the_ir_is_the_one_whose_digest_is_handed_on_and_that_is_submitted(site, passed):
    commit, done, *_ = passed
    ir = (done.home / "shared" / "commit" / "pipeline.yaml").read_bytes()
    assert done.tasks["compile-pipeline"].results["IR_DIGEST"] == f"sha256:{hashlib.sha256(ir).hexdigest()}"
    (run,) = site.dspa.runs.values()
    assert run.parameters["commit"] == commit
    assert run.parameters["image"] == done.tasks["build-image"].results["IMAGE"]
    assert run.description.endswith("a test")


def test_the_model_that_passed_is_promoted_and_the_forge_is_told(site, passed):
    commit, done, *_ = passed
    assert done.tasks["submit-run"].results["VERDICT"] == "pass"
    assert done.tasks["promote"].results["PROMOTION"] == "1"
    outcome = json.loads((done.home / "shared" / "outcome" / "judge.json").read_bytes())
    assert (outcome["exit_code"], outcome["commit"], outcome["dirty"]) == (0, commit, False)
    assert json.loads((done.home / "shared" / "outcome" / "promote.json").read_bytes())["unchanged"] is False
    (status,) = statuses(site, commit)
    assert status["state"] == "success"
    assert site.forge.tokens == {FORGE_TOKEN}
    for secret in (TOKEN, FORGE_TOKEN, site.s3["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in done.log


# What follows a run: a push that changes nothing that a decision follows from, and a block.


def ends(done) -> dict[str, str]:
    return {name: end.status for name, end in done.tasks.items()}


def only(*names: str, **others: str) -> dict[str, str]:
    """How tasks end of which only some are reached."""
    return {
        name: others.get(name, "Succeeded" if name in names else "None")
        for name in (*task_names(), "report", "verdict")
    }


ALWAYS = ("fetch-source", "holdout", "answer", "report", "verdict")


def test_a_push_of_docs_is_answered_from_the_model_in_production(site, passed, programs):
    commit = site.commit("README.md", "# jukebox\n", "# The jukebox\n")
    runs = len(site.dspa.runs)
    done = execute(site.world, site.spec(commit), "uid-docs")
    assert ends(done) == only(*ALWAYS), done.log
    assert (programs.calls, len(site.dspa.runs)) == ([], runs)
    (status,) = statuses(site, commit)
    run_id = passed[1].tasks["submit-run"].results["RUN_ID"]
    assert status["state"] == "success"
    assert f"run {run_id} passed with the same inputs" in done.tasks["report"].log


@pytest.mark.slow
def test_a_push_of_tests_is_tested_and_trains_nothing(site, passed, programs):
    commit = site.commit("tests/unit/gate/test_canonical.py", "one value has", "a value has")
    runs = len(site.dspa.runs)
    done = execute(site.world, site.spec(commit), "uid-tests-only")
    assert ends(done) == only(*ALWAYS, "toolchain", "lint", "unit-test", "build-image"), done.log
    assert len(site.dspa.runs) == runs
    again = execute(site.world, site.spec(commit), "uid-tests-again")
    assert ends(again) == only(*ALWAYS), again.log


@pytest.mark.slow
def test_who_wants_another_training_gets_one_without_lint(site, passed, programs):
    done = execute(site.world, site.spec(passed[0], retrain="true"), "uid-retrain")
    assert ends(done) == dict.fromkeys([*task_names(), "report", "verdict"], "Succeeded") | {
        "lint": "None",
        "unit-test": "None",
    }
    assert statuses(site, passed[0])[-1]["state"] == "success"


@pytest.mark.slow
def test_a_block_is_final_at_once_and_answers_the_next_push(site, passed, programs):
    policy = re.sub(r"max_model_bytes: .*", "max_model_bytes: 1", default_text())
    world = dataclasses.replace(
        site.world, mounted={**site.world.mounted, "/etc/jukebox/policy": {"policy.yaml": policy}}
    )
    done = execute(world, site.spec(passed[0]), "uid-block")
    left_out = dict.fromkeys(("lint", "unit-test", "measure", "promote"), "None")
    assert ends(done) == only(*task_names(), "report", verdict="Failed") | left_out, done.log
    submitted = done.tasks["submit-run"]
    assert (submitted.tries, submitted.results["VERDICT"], submitted.results["ASKED"]) == (1, "block", "")
    assert "budget.model_bytes" in done.tasks["verdict"].log
    assert done.tasks["verdict"].tries == 1
    assert statuses(site, passed[0])[-1]["state"] == "failure"
    runs = len(site.dspa.runs)
    again = execute(world, site.spec(passed[0]), "uid-block-again")
    assert ends(again) == only(*ALWAYS, verdict="Failed"), again.log
    assert f"blocked already, by run {submitted.results['RUN_ID']}" in again.tasks["verdict"].log
    assert again.tasks["answer"].tries == 1
    assert len(site.dspa.runs) == runs
    assert statuses(site, passed[0])[-1]["state"] == "failure"


def test_tables_that_break_the_contract_end_the_run_at_once(site, passed, programs):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in site.s3.items():
            patch.setenv(name, value)
        put_object("s3://bucket/scripts/broken.csv", b"spotify_id,country\nx,AT\n")
    tables = dict.fromkeys(("rankings", "songs"), "s3://bucket/scripts/broken.csv")
    done = execute(site.world, site.spec(passed[0], **tables), "uid-broken")
    assert ends(done) == only("fetch-source", "holdout", "report", verdict="Failed"), done.log
    assert (done.tasks["holdout"].tries, done.tasks["holdout"].results["SNAPSHOT"]) == (1, "")
    (said,) = (line for line in done.tasks["verdict"].log.splitlines() if line.startswith("jukebox: "))
    status = statuses(site, passed[0])[-1]
    assert status["state"] == "error"
    assert "column daily_rank is missing" in said
    assert status["description"].rstrip("…") in said


# What makes each of them fail.


def test_a_revision_that_is_not_there_ends_before_anything_is_run(site, programs):
    done = execute(site.world, site.spec(NOWHERE), "uid-nowhere")
    assert done.tasks["fetch-source"].tries == 3
    after = {name: end.status for name, end in done.tasks.items() if name not in ("fetch-source", "holdout")}
    assert after == dict.fromkeys(after, "None") | {"report": "Succeeded", "verdict": "Succeeded"}
    assert programs.calls == []
    assert [status["state"] for status in statuses(site, NOWHERE)] == ["error"]


def test_an_object_that_only_leads_to_a_commit_is_refused(site):
    git(site.checkout, "tag", "-a", "-m", "x", "annotated")
    tag = git(site.checkout, "rev-parse", "annotated")
    failed(
        run_task(
            site.world, "fetch-source", "uid-tag", repository_url=site.params["repository-url"], revision=tag
        ),
        f"not {tag}",
    )


def toolchain(world: World) -> TaskEnd:
    (world.folder / "uid" / "shared" / "commit" / "source").mkdir(parents=True, exist_ok=True)
    return run_task(world, "toolchain", "uid")


@pytest.mark.parametrize("broken", ["vfs build", "vfs push"])
def test_dependencies_that_cannot_be_built_or_pushed_are_not_handed_on(verb, programs, broken):
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


def test_an_image_that_cannot_be_assembled_is_not_handed_on(site, passed):
    below = passed[1].tasks["toolchain"].results["COMPONENT_DEPENDENCIES"]
    given = {"commit": "c" * 40, "base_image": BASE, "base_python": PYTHON, "registry_tls": "false"}
    given["image_repository"] = site.params["image-repository"]
    absent = below.replace("component-", "other-")
    failed(run_task(site.world, "build-image", component_dependencies=absent, **given), "answers 404")
    locked = dataclasses.replace(site.world, mounted={})
    failed(run_task(locked, "build-image", component_dependencies=below, **given), "answers 401")


def test_an_ir_that_was_changed_after_it_was_compiled_is_not_submitted(verb):
    world, double = verb
    ir = world.folder / "uid" / "shared" / "commit" / "pipeline.yaml"
    ir.parent.mkdir(parents=True)
    ir.write_text("a: pipeline\n")
    compiled = f"sha256:{hashlib.sha256(ir.read_bytes()).hexdigest()}"
    given = {"ir_digest": compiled, "commit": "c" * 40, **KEYS}
    assert run_task(world, "submit-run", "uid", **given).status == "Succeeded"
    asked = [
        f"jukebox submit {ir} --commit {'c' * 40} --decided-ok",
        f"jukebox judge download abc --work {work(world)}",
    ]
    assert double.calls == asked
    ir.write_text("another: pipeline\n")
    failed(run_task(world, "submit-run", "uid", **given), "did NOT match")
    assert double.calls == asked


KEYS = {"store_secret": "jukebox-store", "judge_secret": "jukebox-judge"}


def work(world: World) -> Path:
    """Return the judge's work folder."""
    return world.folder / "uid" / "shared" / "judge" / "work"


def submit(world: World) -> TaskEnd:
    """Submit an empty IR."""
    ir = world.folder / "uid" / "shared" / "commit" / "pipeline.yaml"
    ir.parent.mkdir(parents=True, exist_ok=True)
    ir.write_text("")
    return run_task(world, "submit-run", "uid", ir_digest=digest(b""), **KEYS)


def promote(world: World) -> TaskEnd:
    """Attest and promote what was measured."""
    return run_task(world, "promote", "uid", promotion_secret="jukebox-promotion")


def seal(world: World) -> TaskEnd:
    """Seal the holdout."""
    return run_task(world, "holdout", "uid", holdout_secret="jukebox-holdout")


def report(world: World, commit: str, **given: str) -> TaskEnd:
    outcome = world.folder / "uid" / "shared" / "outcome"
    outcome.mkdir(parents=True, exist_ok=True)
    (outcome / "commit").write_text(f"{commit}\n")
    return run_task(world, "report", "uid", **{"report_secret": "jukebox-report", **given})


@pytest.mark.parametrize("head", ["ref: refs/heads/main", "", f"{'c' * 40}0"])
def test_the_report_is_about_the_commit_that_was_fetched_or_else_the_revision(verb, head):
    world, double = verb
    assert report(world, "c" * 40, revision="main").status == "Succeeded"
    assert report(world, head, revision="main").status == "Succeeded"
    assert double.calls == [f"jukebox ci report --commit {commit}" for commit in ("c" * 40, "main")]


def test_a_verb_that_fails_fails_its_task(verb):
    world, double = verb
    double.broken("jukebox")
    failed(seal(world), "jukebox is broken")
    failed(submit(world), "jukebox is broken")
    failed(promote(world), "jukebox is broken")
    failed(report(world, "c" * 40), "jukebox is broken")


@pytest.mark.parametrize("there", [True, False])
def test_certificates_are_trusted_where_the_cluster_has_them(verb, there):
    world, double = verb
    files = {
        "/etc/jukebox/ca": ("dspa.crt", "ca-bundle.crt"),
        "/etc/jukebox/registry-ca": ("service-ca.crt",),
    }
    text = "a certificate" if there else ""
    mounted = {path: dict.fromkeys(names, text) for path, names in files.items()}
    world = dataclasses.replace(world, mounted=mounted)
    seal(world)
    submit(world)
    promote(world)
    report(world, "c" * 40)
    double.broken("toolchain")
    toolchain(world)
    run_task(world, "build-image", "uid")
    names = [[Path(path).name for path in call] for call in double.authorities]
    dspa, bundle, registry = ("dspa.crt", "ca-bundle.crt", "service-ca.crt") if there else ("", "", "")
    # holdout, submit, download, sign, promote, report, toolchain and build-image.
    assert names == [
        ["", bundle, ""],
        [dspa, bundle, ""],
        ["", bundle, ""],
        ["", "", ""],
        ["", bundle, ""],
        [bundle, "", ""],
        ["", "", registry],
        ["", "", registry],
    ]
