"""The output that the README shows is a real one, shortened, with the parts that the commands print now."""

import re

import pytest

from ml.gate.waivers import WAIVABLE

from .graphs import ROOT, kfp
from .output import MOST, WIDTH, neutral, shortened, shown, written

RUN = """run 20261129-195846-f89d5c on the synthetic sample
  fetch       started
  fetch       done    1.1 s  51,100 chart rows
  gate        started
  gate        {gate}

check         value  bound  verdict  reason
parity.x      45.94  <= 1   warn     openvino
{rows}evidence:  /tmp/x/.jukebox/runs/20261129-195846-f89d5c/evidence.json
"""


@pytest.fixture(scope="module")
def blocks() -> dict:
    return {block.name: block for block in shown((ROOT / "README.md").read_text(encoding="utf-8"))}


def test_the_readme_shows_a_run_the_tests_and_a_blocked_run(blocks):
    assert set(blocks) == {"make run", "make test", "blocked"}
    assert all(blocks[name].command == name for name in ("make run", "make test"))
    for block in blocks.values():
        assert 0 < len(block.lines) <= MOST
        assert all(len(line) <= WIDTH for line in block.lines)
        assert not re.search(r"(?<![\w.])/(home|tmp|work|root|usr)/", "\n".join(block.lines))
    assert re.fullmatch(r"\d+ passed\b.* in [\d.]+s.*", blocks["make test"].lines[-1])


def test_the_run_that_is_shown_has_the_steps_of_the_pipeline(blocks):
    lines = blocks["make run"].lines
    steps = [line.split()[0] for line in lines if re.match(r"  \S+ +done +[\d.]+ s", line)]
    assert set(steps) == set(kfp().before)
    firsts = [re.match("(run|PASS|promoted)?", line)[0] for line in lines]
    assert list(filter(None, firsts)) == ["run", "PASS", "promoted"]


def test_the_blocked_run_that_is_shown_names_checks_that_are_there(blocks):
    lines = blocks["blocked"].lines
    checks = {line.split()[0] for line in lines if " BLOCK " in line}
    assert checks and checks <= set(WAIVABLE), "only what was measured says much about a model"
    assert any(line.startswith("BLOCKED: ") for line in lines)
    assert any(line.startswith("jukebox: the self-check blocks") for line in lines)


DOTS = "".join(f"....... [ {number}%]\n" for number in range(10, 100, 10))
MANY = [f"line {number}" for number in range(50)]


@pytest.mark.parametrize(
    ("log", "kept"),
    [
        (
            RUN.format(gate="done    0.1 s  PASS", rows=""),
            [RUN.splitlines()[0], RUN.splitlines()[2], "  gate        done    0.1 s  PASS"],
        ),
        (
            RUN.format(gate="blocked", rows="champion.x    -0.65  >= 0   BLOCK    not shown\n"),
            [RUN.splitlines()[0], RUN.splitlines()[6], "champion.x    -0.65  >= 0   BLOCK    not shown"],
        ),
        (f"{DOTS}12 passed in 3.00s\n", ["....... [ 90%]", "12 passed in 3.00s"]),
        ("\n".join(MANY), [*MANY[: MOST - 6], "…", *MANY[-5:]]),
    ],
    ids=["run", "blocked", "tests", "long"],
)
def test_a_log_is_shortened(log, kept):
    assert shortened(log).splitlines() == kept


def test_nothing_of_this_machine_is_shown(tmp_path):
    log = RUN.format(gate="", rows="").replace("/tmp/x", str(tmp_path)) + "a" * 64
    told = neutral(log, tmp_path)
    assert "evidence:  .jukebox/runs/20260101-120000-000001/evidence.json" in told
    assert told.endswith(f"\n{'a' * 12}…")


def test_only_the_block_of_a_log_is_written():
    one, two = (f"<!-- output: {name} -->\nold\n<!-- end -->\n" for name in "ab")
    page = f"```console\nmake a\n```\n{one}x\n{two}"
    assert written(page, {"a": "new"}) == page.replace("old", "```text\nnew\n```", 1)
    assert [(block.name, block.command) for block in shown(page)] == [("a", "make a"), ("b", "make a")]
