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
SHELL_LINE = re.compile(
    r"^\s*(?:\$ |@|exec |\S+=\S* )*(?:\S*/)?(?P<command>(?:jukebox|make) .*)$", re.MULTILINE
)
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+(?<!-)")
VARIABLE = re.compile(r"\bJUKEBOX_[A-Z][A-Z_]*[A-Z]\b(?!_)")
FILE = re.compile(
    r"(?<![\w/.$}-])(?:docs|ml|requirements|tekton|tests)/[\w./*-]+\.(?:md|py|txt|ya?ml|svg|sh)\b"
)
PLACEHOLDER = re.compile(r"…|[A-Z]+$|\{|\$|<")
"""Stands for a verb in a text that is about any of them."""


@cache
def verbs() -> dict[tuple[str, ...], frozenset[str]]:
    """Return the flags of each command: of jukebox itself, of each verb, and of each verb of a verb."""
    found: dict[tuple[str, ...], frozenset[str]] = {}

    def walk(path: tuple[str, ...], command: Any) -> None:
        flags = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
        found[path] = frozenset({"-h", "--help", *(flag for flag in flags if flag.startswith("-"))})
        for name, inner in getattr(command, "commands", {}).items():
            walk((*path, name), inner)

    walk((), typer.main.get_command(app))
    return found


@cache
def targets() -> frozenset[str]:
    """Return the targets of the Makefile."""
    return frozenset(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def variables() -> frozenset[str]:
    """Return the variables that something reads: an option, the code, a test, or a script."""

    def of(command: Any) -> Iterator[str]:
        for option in command.params:
            names = getattr(option, "envvar", None) or ()
            yield from [names] if isinstance(names, str) else names
        for inner in getattr(command, "commands", {}).values():
            yield from of(inner)

    found = set(of(typer.main.get_command(app)))
    for folder in ("ml", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= {text for text in constants(path.read_text()) if VARIABLE.fullmatch(text)}
    for path in (ROOT / "tekton").rglob("*.yaml"):
        found |= set(re.findall(r"(?:environ\[.|\$\{?)(JUKEBOX_\w+)", path.read_text()))
    for name in ("Makefile", "Containerfile"):
        found |= set(re.findall(r"\b(JUKEBOX_\w+)[:=]", (ROOT / name).read_text()))
    return frozenset(found)


def constants(source: str) -> Iterator[str]:
    """Give every string of a module; what an f-string inserts is `…`."""
    tree = ast.parse(source)
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "command":
            # `ml.cli.options.command`: the words of a command, one by one.
            words = [word.value if isinstance(word, ast.Constant) else "…" for word in node.args]
            yield f"`jukebox {' '.join(map(str, words))}`"


def problems(text: str) -> list[str]:
    """List the commands and targets in backticks, variables and files of a text that are not there."""
    return [
        *(problem for span in SPAN.findall(text) for problem in _command_problems(span)),
        *(f"nothing reads {name}" for name in VARIABLE.findall(text) if name not in variables()),
        *(
            f"there is no file {name}"
            for name in FILE.findall(text)
            if not any(ROOT.glob(name)) and "churn" not in name
        ),
    ]


def message_problems(text: str) -> list[str]:
    """List the same of a message of ours, in which also each flag that stands alone is ours."""
    known = frozenset().union(*verbs().values()) | OTHER_TOOLS.keys()
    # A word alone is an argument for some tool, not a message.
    flags = FLAG.findall(SPAN.sub("", text)) if " " in text.strip() else []
    return [*problems(text), *(f"no verb has the flag {flag}" for flag in flags if flag not in known)]


def shell_problems(text: str) -> list[str]:
    """List the same of lines that a person types or a script runs."""
    joined = text.replace("\\\n", " ")
    lines = [match["command"] for match in SHELL_LINE.finditer(joined)]
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
    words = (match["rest"] or "").split()
    path: tuple[str, ...] = ()
    for word in words:
        if (*path, word) not in verbs():
            break
        path = (*path, word)
    rest = words[len(path) :]
    has_verbs = any(other[:-1] == path for other in verbs() if other)
    anyone = False
    if has_verbs and rest and not rest[0].startswith("-"):
        if not PLACEHOLDER.match(rest[0]):
            yield f"`{' '.join(('jukebox', *path))}` has no verb {rest[0]}"
            return
        anyone = True
    flags = frozenset().union(*verbs().values()) if anyone else verbs()[path]
    for word in rest:
        flag = word.partition("=")[0].strip("[]();,.")
        if FLAG.fullmatch(flag) and flag not in flags:
            yield f"`{' '.join(('jukebox', *path))}` has no flag {flag}"
