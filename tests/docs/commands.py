"""The commands that the README, the tutorial and the how-to show: each in a block of console, sh or bash."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from .graphs import ROOT

FENCE = re.compile(r"^( *)```(?:console|sh|bash)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """A command on one line, and the page that shows it."""

    page: str
    text: str


def commands() -> list[Command]:
    """Return every command that is shown, in the order of the pages."""
    folders = (sorted((ROOT / "docs" / name).glob("*.md")) for name in ("tutorial", "how-to"))
    return [
        Command(page.relative_to(ROOT).as_posix(), text)
        for page in (ROOT / "README.md", *(page for folder in folders for page in folder))
        for text in commands_in(page.read_text(encoding="utf-8"))
    ]


def commands_in(text: str) -> Iterator[str]:
    """Yield the commands of a page, continued lines joined, without comments."""
    for _, block in FENCE.findall(text):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            if command := re.sub(r"(^|\s)# .*$", "", line).strip().removeprefix("$ "):
                yield command
