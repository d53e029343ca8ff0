"""The pages that people write: they name what is there, links lead somewhere, and commands can be pasted."""

import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from corruptions import CORRUPTIONS, UNCAUGHT
from tiers import SLOW

from ml.gate.waivers import WAIVABLE

from .graphs import ROOT, kfp
from .test_commands import commands_in

FRONT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
EXPLANATION = ROOT / "docs" / "explanation"


def test_the_architecture_names_functions_that_are_there_and_every_room():
    text = (ROOT / "docs" / "architecture.md").read_text()
    names = set(re.findall(r"`(ml(?:\.\w+){2,})`", text))
    assert len(names) > 25
    assert [name for name in names if not callable(pkgutil.resolve_name(name))] == []
    rooms = {path.parent.name for path in (ROOT / "ml").glob("*/__init__.py")}
    assert set(re.findall(r"`ml/(\w+)`", text)) == rooms


def test_a_room_says_where_to_start_reading_and_names_what_is_there():
    for init in (ROOT / "ml").glob("*/__init__.py"):
        text = " ".join(init.read_text().split())
        (where,) = re.findall(r"Start reading at (.+?)(?:\. |\"\"\")", text)
        named = [name.removeprefix(f"ml.{init.parent.name}.") for name in re.findall(r"`([\w.]+)`", where)]
        there = [any(init.parent.glob(f"{name.partition('.')[0]}*")) for name in named]
        assert named and all(there), f"{init.parent.name}: {where}"


def test_the_page_of_drift_lists_each_corruption_with_its_check_and_what_nothing_catches():
    text = (EXPLANATION / "drift.md").read_text()
    rows = re.findall(r"^\| ([^|`]+) \| `([a-z_.]+)` \| (blocks|warns) \|$", text, re.MULTILINE)
    assert rows == [(each.name, each.check, "blocks" if each.blocks else "warns") for each in CORRUPTIONS]
    uncaught = text.partition("## What no check of the data catches")[2]
    assert re.findall(r"^- \*\*(.+?)\*\*", uncaught, re.MULTILINE) == [name for name, _ in UNCAUGHT]


def test_the_readme_is_read_in_a_few_minutes():
    assert len(FRONT[0].read_text().split()) <= 900, "docs/ has room for what is beyond"


def test_the_readme_shows_the_output_of_a_run_the_tests_and_a_blocked_run():
    text, blocks = FRONT[0].read_text(), {}
    for block in re.finditer(r"<!-- output: (.+?) -->\n```text\n(.*?)```\n<!-- end -->", text, re.DOTALL):
        blocks[block[1]] = commands_in(text[: block.start()])[-1], block[2].splitlines()
        assert not re.search(r"(?<![\w.])/(home|tmp|work|root|usr)/", block[2])
    (run_command, run), (test_command, tests) = blocks["make run"], blocks["make test"]
    assert (run_command, test_command) == ("make run", "make test")
    assert re.fullmatch(r"\d+ passed\b.* in [\d.]+s.*", tests[-1])
    steps = [line.split()[0] for line in run if re.match(r"  \S+ +done +[\d.]+ s", line)]
    assert set(steps) == set(kfp().before)
    firsts = [re.match("(run|PASS|promoted)?", line)[0] for line in run]
    assert list(filter(None, firsts)) == ["run", "PASS", "promoted"]
    blocked = blocks["blocked"][1]
    checks = {line.split()[0] for line in blocked if " BLOCK " in line}
    assert checks and checks <= set(WAIVABLE), "only what was measured says much about a model"
    for start in ("BLOCKED: ", "jukebox: the self-check blocks"):
        assert any(line.startswith(start) for line in blocked)


@pytest.mark.parametrize("page", FRONT, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page):
    links = re.findall(r"\]\((?!https?://|mailto:)([^)\s]+)\)", page.read_text())
    assert [link for link in links if not Path(ROOT, link).exists()] == []


@pytest.mark.parametrize("page", [*FRONT, *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.stem)
def test_commands_can_be_pasted(page):
    blocks = re.findall(r"^ *```console\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    assert [line for line in lines if not line or line.startswith(("$", "#", ">"))] == []


@SLOW
def test_the_bench_of_the_gate_writes_its_numbers_into_the_page(tmp_path):
    command = [sys.executable, ROOT / "tests/bench/bench_gate.py", "--quick", "--docs", tmp_path]
    subprocess.run(command, check=True)
    page, old = ((folder / "gate-errors.md").read_text() for folder in (tmp_path, EXPLANATION))
    assert page.count("\n| 1,000 | 50 | ") == 4
    assert "has 400 resamples here" in page
    assert re.findall("^#.*", page, re.MULTILINE) == re.findall("^#.*", old, re.MULTILINE)
    assert (tmp_path / "gate-power.svg").read_text().count("<polyline") == 4
