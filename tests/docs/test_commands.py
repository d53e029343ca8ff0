"""Each command of README, tutorial and how-to is run: here, by another test, or a rule says why not."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from ml.cli.main import app

from .graphs import ROOT

JUKEBOX = r"\.venv/bin/jukebox "

RULES = {
    r"make run": (0,),
    rf"{JUKEBOX}run --param epochs=1": (10,),
    # Beside the champion of the tutorial it passes or is blocked: which, no page says.
    rf"{JUKEBOX}run --policy policy\.yaml": (0, 10),
    rf"{JUKEBOX}run --data rankings=data/rankings\.parquet --data songs=data/percent\.csv": (20,),
    rf"{JUKEBOX}run (--param seed=\d+|--data data|--snapshot \.jukebox/.*)": (0,),
    rf"{JUKEBOX}(init churn|run --problem churn|policy explain --problem churn)[^$]*": (0,),
    rf"{JUKEBOX}(runs|models( --store \.jukebox/[\w-]+)?|image-key|verify \.jukebox/.*)": (0,),
    rf"{JUKEBOX}policy (explain|test --policy policy\.yaml|default > policy\.yaml)": (0,),
    rf"{JUKEBOX}((gate|compare) [\w -]+|(sample|compile) [^$]*)": (0,),
    rf"{JUKEBOX}judge keys --out [\w./-]+( --namespace jukebox)?": (0,),
    rf"{JUKEBOX}judge holdout --(data sample:|problem churn) .*": (0,),
    rf"{JUKEBOX}(judge attest|promote) \$\(ls \.jukebox/.*": (0,),
    r"\.venv/bin/python (-c [^$]*pandas[^$]*|-m pytest -q tests/unit/problems/test_churn\.py)": (0,),
    r"cat \.jukebox/keys/trust\.pem [^;|]* > \.jukebox/trust\.pem": (0,),
    r"cp (ml/dspa/admission\.yaml admission\.yaml|tekton/runs/pipelines-as-code\.yaml \.tekton/)": (0,),
    r"sed -i [^;|]* (policy|admission)\.yaml|mkdir -p \.tekton": (0,),
    r"\(umask 077; for key in push data alert; .* > \.\./webhook\.env\)": (0,),
    r"make (test|test-all|lint|test-image)": ".ci/run",
    r"make image ARGS=[^$]*": "tests/image/test_tools.py",
    rf"{JUKEBOX}ci image-assemble .*": "tests/image/test_builds.py",
    r"make test-cluster .*": "tests/cluster/test_cluster.py",
    rf"{JUKEBOX}admit .*": "tests/unit/cli/test_admission_verbs.py",
    rf"{JUKEBOX}doctor .*": "tests/unit/dspa/test_doctor.py",
    rf"{JUKEBOX}(submit|follow) .*": "tests/integration/test_submit_command.py",
    rf"{JUKEBOX}logs .*": "tests/unit/cli/test_logs.py",
    rf"{JUKEBOX}(judge attest|promote) CANDIDATE .*": "tests/system/test_second_problem.py",
    rf"{JUKEBOX}(judge holdout --data|run --snapshot) s3://.*": "tests/unit/cli/test_judge_holdout.py",
    rf"{JUKEBOX}store migrate .*": "tests/unit/release/test_migrate.py",
    rf"{JUKEBOX}models --store s3://.* --head .*": "tests/unit/cli/test_release_verbs.py",
    rf"{JUKEBOX}rollback.*": "tests/unit/release/test_rollback.py",
    rf"{JUKEBOX}registry (status|sync) .*": "tests/unit/cli/test_registry_verbs.py",
    rf"{JUKEBOX}policy test --policy policy\.yaml --store s3://.*": "tests/unit/release/test_replay.py",
    r"(oc|kubectl) apply -k tekton/overlays/\w+": "tests/tekton/test_objects.py",
    r"(oc|kubectl) create -n jukebox -f tekton/runs/by-hand\.yaml": "tests/tekton/test_objects.py",
    r"sh tekton/senders/bucket-notification\.sh \w+": "tests/tekton/test_linters.py",
    r"make image ARGS=.*\$\(oc .*": "needs a cluster with a registry",
    r"git clone .*|cd jukebox": "the address is the reader's own",
    r"(oc|kubectl) (annotate|create|delete|get|logs|patch|policy|registry) .*": "needs a cluster",
    r"(oc|kubectl) (apply|delete) -n jukebox .*": "needs a cluster with Prometheus or Pipelines-as-Code",
    r"(oc|kubectl) (diff|scale|wait) .*": "needs a cluster; nobody has tried them on one with runs in flight",
    r"tkn .*": "needs a cluster with Tekton",
    r"export .*|read -rs PASSWORD": "sets what the commands below it take",
    r"make (clean|distclean)": "removes the environment that this test runs in",
}
"""What is done with a command; the first rule that fits the whole of it counts. What is run here, in a folder
like the checkout, has its exit codes; what a test or CI runs has its place (of `apply` and `create` it checks
the objects); what is run nowhere has the reason."""

FENCE = re.compile(r"^( *)```(?:console|sh|bash)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"(?<![\w./-])((?:tekton|ml|tests|requirements|docs)/[\w./-]+)")
RUN_ID = re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{6}\b")
FIRST = ["first-run.md", "blocked.md"]


def commands_in(text: str) -> list[str]:
    """Return the commands of a page's blocks of console, sh or bash, on one line and without comments."""
    blocks = (re.sub(r"\\\n\s*", "", block) for _, block in FENCE.findall(text))
    lines = [re.sub(r"(^|\s)# .*$", "", line).strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


FOLDERS = [ROOT / "docs" / "tutorial", ROOT / "docs" / "how-to"]
PAGES = [ROOT / "README.md", *(page for folder in FOLDERS for page in sorted(folder.glob("*.md")))]
SHOWN = [(page.name, text) for page in PAGES for text in commands_in(page.read_text())]


def rule_of(text: str) -> str:
    return next((rule for rule in RULES if re.fullmatch(rule, text)), "")


def check(text: str) -> None:
    """Check that a command has a rule, and that its files, its target, its verb and options are there."""
    assert rule_of(text), "add a rule"
    # `jukebox init churn` writes files of that name.
    paths = [path for path in PATH.findall(text) if "churn" not in path]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    words = shlex.split(re.sub(r"\$\([^)]*\)", "VALUE", text))
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        options = [option for word in words if word.startswith("ARGS=") for option in word[5:].split()]
        verb = {"run": "run", "image": "image-build"}.get(words[1])
        words = ["jukebox", verb, *options] if verb else words
    if words[0].endswith("jukebox"):
        parse(words[1 : words.index(">") if ">" in words else None])


def parse(words: list[str]) -> None:
    """Have typer read a command without running it; what it does not take is an error."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("jukebox", list(words[:1]), resilient_parsing=True)
    while hasattr(command, "get_command"):
        name, *words = words
        command = command.get_command(context, name)
        assert command, f"there is no verb {name}"
    command.make_context("jukebox", list(words))


@pytest.mark.parametrize(("page", "text"), SHOWN)
def test_a_command_is_run_or_it_is_said_why_not(page, text):
    check(text)


WRONG = [
    "rm -rf /",
    "make undo",
    "oc apply -f x.yaml",
    "make image ARGS=--fast",
    "oc get -f tekton/none.yaml",
]
WRONG += [f".venv/bin/jukebox {words}" for words in ("run --fast", "logs --fast", "policy explain x", "gate")]


@pytest.mark.parametrize("text", WRONG)
def test_what_has_no_rule_or_is_not_there_is_noticed(text):
    with pytest.raises((AssertionError, typer.exceptions.TyperException)):
        check(text)


def test_what_runs_a_command_is_there_and_every_rule_is_needed():
    places = [place for place in RULES.values() if str(place).startswith(("tests/", ".ci/"))]
    assert len(places) > 15 and all((ROOT / place).is_file() for place in places)
    text = (ROOT / ".ci" / "run").read_text()
    assert all(f"make {target}" in text for target in ("lint", "test", "test-image"))
    assert RULES.keys() == {rule_of(text) for _, text in SHOWN}


def test_commands_are_in_blocks_of_commands_only():
    page = "```console\nmake run     # minutes\noc apply \\\n  -k tekton/overlays/openshift\n# comment\n```\n"
    page += "1. In a list:\n\n   ```sh\n   make test\n   ```\n\n```text\nmake nothing\n```\n"
    assert commands_in(page) == ["make run", "oc apply -k tekton/overlays/openshift", "make test"]


@pytest.mark.slow
@pytest.mark.longest
def test_the_commands_that_can_be_run_here_end_as_they_should(tmp_path):
    folder = like_the_checkout(tmp_path / "jukebox")
    env = {name: value for name, value in os.environ.items() if not name.startswith("JUKEBOX_")}
    # A problem that a command writes into the folder is imported from there.
    how = {"cwd": folder, "env": {**env, "PYTHONPATH": str(folder)}, "text": True, "check": False}
    ran: set[str] = set()
    for page, text in sorted(SHOWN, key=lambda each: [*FIRST, each[0]].index(each[0])):
        codes = RULES[rule_of(text)]
        if isinstance(codes, tuple) and text not in ran:
            ran.add(text)
            done = subprocess.run(["bash", "-c", as_run(text, folder)], capture_output=True, **how)
            told = (
                f"{page}: `{text}` ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
            assert done.returncode in codes, told
    assert ran


def like_the_checkout(folder: Path) -> Path:
    """Make a folder that looks like the checkout, and has no `.jukebox` of its own yet."""
    folder.mkdir()
    for entry in ROOT.iterdir():
        # The key of the images is of plain files, and of none behind a link.
        if entry.is_file():
            shutil.copy2(entry, folder)
        elif entry.name in ("ml", "requirements", "tests"):
            shutil.copytree(entry, folder / entry.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif entry.name not in (".jukebox", ".git", "site"):
            (folder / entry.name).symlink_to(entry)
    return folder


def as_run(text: str, folder: Path) -> str:
    """Return a command with the runs of this folder for those that are shown, in the same order."""
    # Here make would find the links newer than the environment, and set up another.
    text = re.sub(r"^make run$", ".venv/bin/jukebox run", text)
    runs = sorted(path.name for path in (folder / ".jukebox" / "runs").glob("*-*-*"))
    shown = sorted({name for _, each in SHOWN for name in RUN_ID.findall(each)})
    for index, name in enumerate(shown if runs else ()):
        text = text.replace(name, runs[min(index, len(runs) - 1)])
    return text
