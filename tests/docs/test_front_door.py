"""The pages beside the code: the README is short, links lead somewhere, and commands can be pasted."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRONT = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
PAGES = (*FRONT, *sorted(page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md")))
WORDS = 900


def links(text: str) -> list[str]:
    """Return the targets of a page's links and pictures, without those to other hosts."""
    return re.findall(r"\]\((?!https?://|mailto:)([^)\s]+)\)", text)


def console_lines(text: str) -> list[str]:
    """Return the lines of the blocks of commands."""
    blocks = re.findall(r"^ *```console\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


def test_the_readme_is_read_in_a_few_minutes():
    count = len((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert count <= WORDS, f"README.md has {count} words; docs/ has room for what is beyond {WORDS}"


@pytest.mark.parametrize("page", FRONT)
def test_links_lead_to_files_that_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [link for link in links(text) if not Path(ROOT, link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_can_be_pasted(page):
    lines = console_lines((ROOT / page).read_text(encoding="utf-8"))
    assert [line for line in lines if not line or line.startswith(("$", "#", ">"))] == []


def test_links_and_commands_are_found():
    assert links("[a](docs/a.md), ![b\nc](d.svg) and [e](https://host.example/f)") == ["docs/a.md", "d.svg"]
    assert console_lines("1. a\n\n   ```console\n   $ make\n   ```\n```text\n$ b\n```\n") == ["$ make"]
