"""What a text tells its reader to use: commands of jukebox, their flags, make targets, variables and files.

`problems` names everything in a text that is not there. Verbs and flags come from the command itself, targets
from the Makefile, variables from the code that reads them.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer

from ml.cli.main import app

ROOT = Path(__file__).parents[1]
OTHER_TOOLS = {"--format": "git", "--mount": "RUN of a Containerfile", "--plugin": "mypy"}
"""Flags that are not ours, and whose they are."""

COMMAND = re.compile(r"(?:\S*/)?jukebox(?: (?P<rest>.*))?", re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
SHELL_LINE = re.compile(r"^\s*(?:\$ |@|exec |\S+=\S* )*(?:\S*/)?((?:jukebox|make) .*)$", re.MULTILINE)
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+(?<!-)")
VARIABLE = re.compile(r"\bJUKEBOX_[A-Z][A-Z_]*[A-Z]\b(?!_)")
FILE = re.compile(
    r"(?<![\w/.$}-])(?:docs|ml|requirements|tekton|tests)/[\w./*-]+\.(?:md|py|txt|ya?ml|svg|sh)\b"
)
PLACEHOLDER = re.compile(r"…|[A-Z]+$|\{|\$|<")
"""Stands for a verb in a text that is about any of them."""

Words = tuple[str, ...]


@cache
def verbs() -> dict[Words, frozenset[str]]:
    """Return the flags of each command: of jukebox itself, of each verb, and of each verb of a verb."""

    def walk(command: Any, path: Words = ()) -> None:
        opts = (opt for option in command.params for opt in (*option.opts, *option.secondary_opts))
        flags[path] = frozenset({"-h", "--help", *opts})
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, (*path, name))

    flags: dict[Words, frozenset[str]] = {}
    walk(typer.main.get_command(app))
    return flags


@cache
def targets() -> frozenset[str]:
    """Return the targets of the Makefile."""
    return frozenset(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def variables() -> frozenset[str]:
    """Return the variables that something reads: the code, a test, or a script."""
    names: set[str] = set()
    for pattern, paths in (
        (r"[\"'](JUKEBOX_\w+)[\"']", [*(ROOT / "ml").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]),
        (r"(?:environ\[.|\$\{?)(JUKEBOX_\w+)", (ROOT / "tekton").rglob("*.yaml")),
        (r"\b(JUKEBOX_\w+)[:=]", (ROOT / "Makefile", ROOT / "Containerfile")),
    ):
        names.update(*(re.findall(pattern, path.read_text()) for path in paths))
    return frozenset(names)


def constants(source: str) -> Iterator[str]:
    """Give every string of a module; what an f-string inserts is `…`."""
    tree = ast.parse(source)
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(_text(part) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "command":
            # `ml.cli.results.command`: the words of a command, one by one.
            yield f"`jukebox {' '.join(map(_text, node.args))}`"


def _text(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "…"


def problems(text: str) -> list[str]:
    """List the commands and targets in backticks, variables and files of a text that are not there."""
    files = [name for name in FILE.findall(text) if not any(ROOT.glob(name)) and "churn" not in name]
    return [
        *(problem for span in SPAN.findall(text) for problem in _command_problems(span)),
        *(f"nothing reads {name}" for name in VARIABLE.findall(text) if name not in variables()),
        *(f"there is no file {name}" for name in files),
    ]


def message_problems(text: str) -> list[str]:
    """List the same of a message of ours, in which also each flag that stands alone is ours."""
    known = OTHER_TOOLS.keys() | frozenset().union(*verbs().values())
    # A word alone is an argument for some tool, not a message.
    flags = FLAG.findall(SPAN.sub("", text)) if " " in text.strip() else []
    return [*problems(text), *(f"no verb has the flag {flag}" for flag in flags if flag not in known)]


def shell_problems(text: str) -> list[str]:
    """List the same of lines that a person types or a script runs."""
    lines = SHELL_LINE.findall(text.replace("\\\n", " "))
    return [problem for line in lines for problem in _command_problems(line.partition(" #")[0])]


def code_of(markdown: str) -> str:
    """Return the code blocks of a page: fenced, or indented by four blanks."""
    lines, fenced = [], False
    for line in markdown.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            lines.append(line)
    return "\n".join(lines)


def _command_problems(text: str) -> Iterator[str]:
    """Check one command of jukebox or make; anything else is not ours."""
    for target in re.findall(r"^make ([a-z][a-z-]*)", text):
        if target not in targets():
            yield f"the Makefile has no target {target}"
    if not (match := COMMAND.fullmatch(text)):
        return
    path, rest = (), (match["rest"] or "").split()
    while rest and (*path, rest[0]) in verbs():
        path = (*path, rest.pop(0))
    told = f"`{' '.join(('jukebox', *path))}` has no"
    flags = verbs()[path]
    if rest and not rest[0].startswith("-") and any(other[:-1] == path for other in verbs() if other):
        if not PLACEHOLDER.match(rest[0]):
            yield f"{told} verb {rest[0]}"
            return
        flags = frozenset().union(*verbs().values())
    for flag in (word.partition("=")[0].strip("[]();,.") for word in rest):
        if FLAG.fullmatch(flag) and flag not in flags:
            yield f"{told} flag {flag}"
