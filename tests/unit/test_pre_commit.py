"""The hooks of pre-commit are the commands of `make lint`, whole and in its order."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def recipe_of(target: str) -> list[str]:
    """Return the commands of a target of the Makefile, with its variables that name folders replaced."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert found, f"the Makefile has no target {target}"
    return [line.strip().removeprefix("@").replace("$(BIN)", ".venv/bin") for line in found[1].splitlines()]


def test_the_hooks_are_the_commands_of_make_lint():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert [hook["entry"] for hook in hooks] == recipe_of("lint")
    # A hook that got the changed files as arguments would check less than make lint does.
    assert all(hook["language"] == "system" and hook["pass_filenames"] is False for hook in hooks)
