"""`python -m tests.docs.output` runs the README's commands and writes down what they print, shortened.

A block of output is between the marks `<!-- output: NAME -->` and `<!-- end -->`, below its command. The
commands run one after the other in a folder like the checkout but for `.jukebox`: a later one finds the
champion of an earlier one. `--log NAME=FILE` takes a log instead.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from .commands import commands_in
from .graphs import ROOT

MARKED = re.compile(
    r"(?P<before>.*?)(?P<head><!-- output: (?P<name>[^>]+?) -->\n)(?P<text>.*?)(?P<end><!-- end -->)",
    re.DOTALL,
)
MOST, WIDTH = 20, 110
"""Lines of a block, and characters of a line."""

DOTS = re.compile(r"[.sFExX]+ +\[ *\d+%\]")
"""A line of pytest's progress."""

ASIDE = ("passed: ", "evidence: ", "artifacts: ", "log: ", "policy: ", "model: ", "head: ")
"""What a run says besides: where everything is."""


class Shown(NamedTuple):
    """A block of output in a page: its name, the command above it, and the lines that are shown."""

    name: str
    command: str
    lines: tuple[str, ...]


def shown(text: str) -> Iterator[Shown]:
    """Yield the blocks of output of a page."""
    before = ""
    for block in MARKED.finditer(text):
        before += block["before"]
        *_, command = commands_in(before)
        lines = block["text"].strip().splitlines()
        yield Shown(block["name"], command, tuple(line for line in lines if not line.startswith("```")))


def written(text: str, logs: Mapping[str, str]) -> str:
    """Return a page with the output of logs, by their names, in its blocks."""

    def block(found: re.Match[str]) -> str:
        log = logs.get(found["name"])
        kept = found["text"] if log is None else f"```text\n{shortened(log)}\n```\n"
        return found["before"] + found["head"] + kept + found["end"]

    return MARKED.sub(block, text)


def shortened(log: str) -> str:
    """Return the lines of a log that tell most; a line with dots stands for those left out in between.

    Of a blocked run these are the checks that block it; of other runs the steps; of tests the last line of
    dots and what follows it.
    """
    lines = [line.rstrip() for line in log.rstrip().splitlines()]
    blocked = any(" BLOCK " in line for line in lines)
    dots = [index for index, line in enumerate(lines) if DOTS.fullmatch(line)]
    kept: list[str] = []
    for index, line in enumerate(lines):
        step = re.match(r"  \S+ +(started|done|blocked|failed)\b", line)
        of_tests = bool(dots) and index < dots[-1]
        warns = re.search(r" (warn|waived)  ", line)
        table = line.startswith("check ") and not blocked
        of_steps = step and (blocked or step[1] == "started")
        if line.strip() and not (line.startswith(ASIDE) or of_tests or warns or table or of_steps):
            kept.append(line if len(line) <= WIDTH else f"{line[: WIDTH - 2].rstrip()} …")
    if len(kept) > MOST:
        kept = [*kept[: MOST - 6], "…", *kept[-5:]]
    return "\n".join(kept)


def neutral(log: str, folder: Path) -> str:
    """Return a log without what is this machine's own: its folders, the names of runs, and whole digests."""
    for place in (folder.resolve(), folder, ROOT):
        log = log.replace(f"{place}/", "")
    log = re.sub(r"(?<=[\s\"'])/\S*/(?=\.jukebox/)", "", log)
    names = dict.fromkeys(re.findall(r"\b\d{8}-\d{6}-[0-9a-f]{6}\b", log))
    for number, name in enumerate(names, start=1):
        log = log.replace(name, f"20260101-120000-{number:06x}")
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1…", log)


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


def execute(command: list[str], folder: Path) -> tuple[int, str]:
    """Run a command in a folder; return its exit code and what it prints, as a pipe sees it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("JUKEBOX_")}
    # A problem that a command writes into the folder is found there.
    env["PYTHONPATH"] = str(folder)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, cwd=folder, env=env, text=True, check=False, **streams)
    return done.returncode, done.stdout


def main() -> None:
    """Write the output of the README's commands."""
    parser = argparse.ArgumentParser(prog="python -m tests.docs.output", description=__doc__)
    parser.add_argument("--log", action="append", default=[], metavar="NAME=FILE", help="take a log instead")
    given = dict(each.split("=", 1) for each in parser.parse_args().log)
    logs = {name: neutral(Path(file).read_text(encoding="utf-8"), ROOT) for name, file in given.items()}
    page = ROOT / "README.md"
    text = page.read_text(encoding="utf-8")
    # In the folder below make would set up an environment for nothing.
    if subprocess.run(["make", "--question", ".venv/.ready"], cwd=ROOT, check=False).returncode:
        parser.error("the environment is not up to date: run `make setup` first")
    with tempfile.TemporaryDirectory() as temporary:
        folder = like_the_checkout(Path(temporary) / "jukebox")
        for block in (block for block in shown(text) if block.name not in logs):
            print(f"running {block.command}", flush=True)
            logs[block.name] = neutral(execute(shlex.split(block.command), folder)[1], folder)
    page.write_text(written(text, logs), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
