"""The hooks of pre-commit are the commands of `make lint`, whole and in its order."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_hooks_are_the_commands_of_make_lint():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    commands = [line.strip().removeprefix("@") for line in recipe.splitlines()]
    assert [hook["entry"] for hook in hooks] == [line.replace("$(BIN)", ".venv/bin") for line in commands]
    # A hook that got the changed files as arguments would check less than make lint does.
    assert all(hook["language"] == "system" and hook["pass_filenames"] is False for hook in hooks)
