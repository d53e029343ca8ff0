"""Every command that README, tutorial and how-to show is run: here, by another test, or it is said why not.

A command is looked up in three lists, by the whole of it. What is in none of them, or in two, fails.
"""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from ml.cli.main import app

from .commands import commands, commands_in
from .graphs import ROOT
from .output import execute, like_the_checkout

JUKEBOX = r"\.venv/bin/jukebox "

HERE = {
    r"make run": 0,
    rf"{JUKEBOX}run --param epochs=1": 10,
    rf"{JUKEBOX}run --param seed=\d+": 0,
    rf"{JUKEBOX}(init churn|run --problem churn|policy explain --problem churn)[^$]*": 0,
    r"\.venv/bin/python -m pytest -q tests/unit/problems/test_churn\.py": 0,
    rf"{JUKEBOX}judge holdout --problem churn .*": 0,
    # Beside the champion of the tutorial it passes or is blocked: which, no page says.
    rf"{JUKEBOX}run --policy policy\.yaml": (0, 10),
    rf"{JUKEBOX}run --data data": 0,
    rf"{JUKEBOX}run --data rankings=data/rankings\.parquet --data songs=data/percent\.csv": 20,
    rf"{JUKEBOX}(runs|models|image-key|policy explain|policy test --policy policy\.yaml)": 0,
    rf"{JUKEBOX}models --store \.jukebox/[\w-]+": 0,
    rf"{JUKEBOX}(gate|compare) [\w -]+": 0,
    rf"{JUKEBOX}sample [^$]*": 0,
    rf"{JUKEBOX}compile [^$]*": 0,
    rf"{JUKEBOX}judge keys --out [\w./-]+( --namespace jukebox)?": 0,
    rf"{JUKEBOX}judge holdout --data sample: .*": 0,
    rf"{JUKEBOX}run --snapshot \.jukebox/.*": 0,
    rf"{JUKEBOX}(judge attest|promote) \$\(ls \.jukebox/.*": 0,
    rf"{JUKEBOX}verify \.jukebox/.*": 0,
    r"cat \.jukebox/keys/trust\.pem [^;|]* > \.jukebox/trust\.pem": 0,
    r"\.venv/bin/python -c [^$]*pandas[^$]*": 0,
    rf"{JUKEBOX}policy default > policy\.yaml": 0,
    r"cp ml/dspa/admission\.yaml admission\.yaml": 0,
    r"sed -i [^;|]* (policy|admission)\.yaml": 0,
    r"mkdir -p \.tekton": 0,
    r"cp tekton/runs/pipelines-as-code\.yaml \.tekton/": 0,
    r"\(umask 077; for key in push data alert; .* > \.\./webhook\.env\)": 0,
}
"""Commands that are run here, one after the other in a folder like the checkout, and their exit codes."""

ELSEWHERE = {
    r"make (test|test-all|lint)": ".ci/run",
    r"make test-image": ".ci/run",
    r"make docs": "tests/docs/test_site.py::test_the_site_is_built_and_has_no_broken_link",
    r"make image ARGS=.*": "tests/image/test_tools.py::test_pipeline_and_key_are_the_same_inside_and_outside",
    rf"{JUKEBOX}ci image-assemble .*": (
        "tests/image/test_builds.py::test_the_assembled_component_is_the_one_that_an_engine_builds"
    ),
    r"make test-cluster .*": "tests/cluster/test_cluster.py::test_a_commit_is_promoted",
    rf"{JUKEBOX}admit .*": "tests/unit/cli/test_admission_verbs.py::test_a_pipeline_is_admitted",
    rf"{JUKEBOX}doctor .*": "tests/unit/dspa/test_doctor.py::test_the_command_says_that_all_is_well",
    rf"{JUKEBOX}submit .*": (
        "tests/integration/test_submit_command.py::test_a_submission_passes_and_says_where_everything_is"
    ),
    rf"{JUKEBOX}follow .*": "tests/integration/test_submit_command.py::test_following_a_run_that_has_passed",
    rf"{JUKEBOX}logs .*": "tests/unit/cli/test_logs.py::test_a_run_of_the_dspa_is_shown_from_its_pods",
    rf"{JUKEBOX}(judge attest|promote) CANDIDATE .*": (
        "tests/system/test_second_problem.py::"
        "test_a_second_problem_goes_from_the_dspa_through_the_judge_to_the_model_server"
    ),
    rf"{JUKEBOX}judge holdout --data s3://.*": (
        "tests/unit/cli/test_judge_holdout.py::test_a_version_is_written_and_found_again"
    ),
    rf"{JUKEBOX}run --snapshot s3://.*": (
        "tests/unit/cli/test_judge_holdout.py::test_a_snapshot_stands_in_for_both_tables"
    ),
    rf"{JUKEBOX}store migrate .*": (
        "tests/unit/release/test_migrate.py::test_every_model_of_the_log_is_copied_and_nothing_else_is_touched"
    ),
    rf"{JUKEBOX}models --store s3://.* --head .*": (
        "tests/unit/cli/test_release_verbs.py::"
        "test_a_deleted_newest_entry_is_one_line_for_every_verb_that_is_told_the_head"
    ),
    rf"{JUKEBOX}rollback.*": "tests/unit/release/test_rollback.py::test_rollbacks_go_back_one_by_one",
    rf"{JUKEBOX}policy test --policy policy\.yaml --store s3://.*": (
        "tests/unit/release/test_replay.py::"
        "test_the_newest_are_found_in_a_store_and_where_submit_puts_evidence"
    ),
    r"(oc|kubectl) apply -k tekton/overlays/\w+": (
        "tests/tekton/test_objects.py::test_an_overlay_has_no_problem"
    ),
    r"(oc|kubectl) create -n jukebox -f tekton/runs/by-hand\.yaml": (
        "tests/tekton/test_objects.py::test_an_overlay_has_no_problem"
    ),
    r"sh tekton/senders/bucket-notification\.sh \w+": (
        "tests/tekton/test_linters.py::test_the_example_for_buckets_has_no_finding"
    ),
}
"""Commands that a test, or CI, runs in its own place; of `apply` and `create` it checks the objects."""

NOT_RUN = {
    r"git clone .*|cd jukebox": "the address is the reader's own",
    r"(oc|kubectl) (annotate|create|delete|get|logs|patch|policy|registry) .*": "needs a cluster",
    r"(oc|kubectl) (apply|delete) -n jukebox .*": "needs a cluster with Prometheus or Pipelines-as-Code",
    r"(oc|kubectl) (diff|scale|wait) .*": "needs a cluster; nobody has tried them on one with runs in flight",
    r"tkn .*": "needs a cluster with Tekton",
    r"make image ARGS=.*\$\(oc .*": "needs a cluster with a registry",
    r"export .*|read -rs PASSWORD": "sets what the commands below it take",
    r"make (clean|distclean)": "removes the environment that this test runs in",
}
"""Commands that are run nowhere, and why. Of files that they name it is checked that they are there."""

WRITTEN = "churn"
"""In the name of each file that `jukebox init churn` writes."""

PATH = re.compile(r"(?<![\w./-])((?:tekton|ml|tests|requirements|docs)/[\w./-]+)")
RUN_ID = re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{6}\b")
FOUND = commands()
IDS = [f"{command.page}: {command.text[:60]}" for command in FOUND]


def rules(text: str) -> list[tuple[dict[str, Any], str]]:
    """Return the rules that a command is under; the first list that has it counts for `$(oc …)`."""
    if re.fullmatch(r"make image ARGS=.*\$\(oc .*", text):
        return [(NOT_RUN, r"make image ARGS=.*\$\(oc .*")]
    special = [pattern for pattern in ELSEWHERE if re.fullmatch(pattern, text)]
    if special:
        return [(ELSEWHERE, pattern) for pattern in special]
    return [(where, pattern) for where in (HERE, NOT_RUN) for pattern in where if re.fullmatch(pattern, text)]


@pytest.mark.parametrize("command", FOUND, ids=IDS)
def test_a_command_is_run_or_it_is_said_why_not(command):
    shown = f"{command.page} shows `{command.text}`"
    lists = {id(where) for where, _ in rules(command.text)}
    assert len(lists) == 1, f"{shown}: add it to one list in tests/docs/test_commands.py"
    missing = [
        path for path in PATH.findall(command.text) if not (ROOT / path).exists() and WRITTEN not in path
    ]
    assert missing == [], f"{shown}, and {missing} are not there"
    words = shlex.split(re.sub(r"\$\([^)]*\)", "VALUE", command.text))
    if words[0] == "make":
        words = made(words)
    if words and words[0].endswith("jukebox"):
        parse(words[1 : words.index(">") if ">" in words else None])


@pytest.mark.parametrize("place", sorted(set(ELSEWHERE.values())))
def test_the_test_that_runs_a_command_is_there(place):
    file, _, name = place.partition("::")
    assert not name or re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert (ROOT / file).is_file()


def test_ci_runs_its_targets_and_every_reason_is_needed():
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(f"make {target}" in text for target in ("lint", "test", "test-image"))
    assert set(NOT_RUN) <= {pattern for command in FOUND for _, pattern in rules(command.text)}


@pytest.mark.slow
@pytest.mark.longest
def test_the_commands_that_can_be_run_here_end_as_they_should(tmp_path):
    pages = {command.page for command in FOUND}
    order = [page for page in ("docs/tutorial/first-run.md", "docs/tutorial/blocked.md") if page in pages]
    order += sorted(pages - set(order), key=lambda page: ("how-to" in page, page))
    folder = like_the_checkout(tmp_path / "jukebox")
    ran: set[str] = set()
    for command in sorted(FOUND, key=lambda command: order.index(command.page)):
        where, pattern = rules(command.text)[0]
        if where is HERE and command.text not in ran:
            ran.add(command.text)
            text = as_run(command.text, folder)
            code, output = execute(["bash", "-c", text], folder)
            expected = HERE[pattern]
            codes = expected if isinstance(expected, tuple) else (expected,)
            assert code in codes, f"{command.page}: `{text}` ended with {code}:\n{output[-3000:]}"
    assert ran


def as_run(text: str, folder: Path) -> str:
    """Return a command with the runs of this folder for those that are shown, in the same order."""
    # Here make would find the links newer than the environment, and set up another.
    text = re.sub(r"^make run$", ".venv/bin/jukebox run", text)
    runs = sorted(path.name for path in (folder / ".jukebox" / "runs").glob("*-*-*"))
    shown = sorted({name for command in FOUND for name in RUN_ID.findall(command.text)})
    for index, name in enumerate(shown if runs else ()):
        text = text.replace(name, runs[min(index, len(runs) - 1)])
    return text


def made(words: list[str]) -> list[str]:
    """Return what a target of the Makefile runs with its ARGS, and check that there is such a target."""
    assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    options = next((word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")), "")
    verb = {"run": "run", "image": "image-build"}.get(words[1])
    return ["jukebox", verb, *shlex.split(options)] if verb else []


def parse(words: list[str]) -> None:
    """Have typer read a command without running it; what it does not take is an error."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("jukebox", list(words[:1]), resilient_parsing=True)
    while hasattr(command, "get_command"):
        name, *words = words
        command = command.get_command(context, name)
        assert command, f"there is no verb {name}"
    command.make_context("jukebox", list(words))


@pytest.mark.parametrize(
    "text", ["rm -rf /", "make undo", ".venv/bin/jukebox run --fast", "oc apply -f x.yaml"]
)
def test_an_unknown_command_is_in_no_list(text):
    assert rules(text) == []


@pytest.mark.parametrize(
    "words", ["run --parm epochs=1", "run --promote none", "runn", "policy explain x", "gate"]
)
def test_a_verb_or_an_option_that_is_not_there_is_noticed(words):
    with pytest.raises((AssertionError, typer.exceptions.TyperException)):
        parse(words.split())


def test_a_target_that_is_not_there_is_noticed():
    assert made(["make", "run", "ARGS=--param epochs=1"]) == ["jukebox", "run", "--param", "epochs=1"]
    with pytest.raises(AssertionError):
        made(["make", "runn"])


def test_commands_are_found_in_blocks_of_commands_only():
    page = "```console\nmake run      # half a minute\noc apply \\\n  -k tekton/overlays/openshift\n"
    page += "# a comment\n```\n"
    page += "1. In a list:\n\n   ```sh\n   make test\n   ```\n\n```text\nmake nothing\n```\n"
    assert list(commands_in(page)) == ["make run", "oc apply -k tekton/overlays/openshift", "make test"]
