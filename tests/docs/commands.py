"""The commands that the README, the tutorial and the how-to show: each in a block of console, sh or bash."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .graphs import ROOT

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)
LANGUAGES = ("console", "sh", "bash")


class Command(NamedTuple):
    """A command on one line, and the page that shows it."""

    page: str
    text: str


def pages() -> list[Path]:
    """Return the pages whose commands a reader may copy."""
    return [
        ROOT / "README.md",
        *sorted((ROOT / "docs" / "tutorial").glob("*.md")),
        *sorted((ROOT / "docs" / "how-to").glob("*.md")),
    ]


def commands() -> list[Command]:
    """Return every command that is shown, in the order of the pages."""
    return [
        Command(page.relative_to(ROOT).as_posix(), text)
        for page in pages()
        for text in commands_in(page.read_text(encoding="utf-8"))
    ]


def commands_in(text: str) -> Iterator[str]:
    """Yield the commands of a page: continued lines are joined, comments are none."""
    for block in FENCE.finditer(text):
        if block["language"] not in LANGUAGES:
            continue
        joined = re.sub(r"\\\n\s*", "", block["text"])
        for line in joined.splitlines():
            command = re.sub(r"(^|\s)# .*$", "", line).strip().removeprefix("$ ")
            if command:
                yield command
