"""The pages beside the code: the README is short, links lead somewhere, and commands can be pasted."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
WORDS = 900


def links(text: str) -> list[str]:
    """Return the targets of a page's links and pictures, without those that lead to other hosts."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in targets if not target.startswith(("https://", "http://", "mailto:"))]


def console_lines(text: str) -> list[str]:
    """Return the lines of the blocks of commands."""
    blocks = re.findall(r"^ *```console\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


def test_the_readme_is_read_in_a_few_minutes():
    count = len((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert count <= WORDS, f"README.md has {count} words; docs/ has room for what is beyond {WORDS}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page):
    missing = [link for link in links(page.read_text(encoding="utf-8")) if not Path(ROOT, link).exists()]
    assert missing == []


def test_links_are_found():
    assert links("[a](docs/a.md), ![b\nc](d.svg) and [e](https://host.example/f)") == ["docs/a.md", "d.svg"]


@pytest.mark.parametrize(
    "page",
    [*PAGES, *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_commands_can_be_pasted(page):
    lines = console_lines(page.read_text(encoding="utf-8"))
    assert [line for line in lines if not line or line.startswith(("$", "#", ">"))] == []


def test_commands_are_found():
    assert console_lines("1. a\n\n   ```console\n   $ make\n   ```\n```text\n$ b\n```\n") == ["$ make"]
