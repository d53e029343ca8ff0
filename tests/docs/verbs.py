"""The page of the verbs, from what `--help` of each says."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import typer

from ml.cli.main import app

from .markdown import code, page, paragraphs, table


class Option(NamedTuple):
    """An option or argument (its kind): how it is written, what it is, its default, bounds and variable."""

    kind: str
    name: str
    help: str
    default: str
    bounds: str
    variable: str


class Verb(NamedTuple):
    """A verb with its words, as `policy explain`, its usage, description, arguments and options."""

    name: str
    usage: str
    help: str
    options: list[Option]


def verbs(group: Any = None, before: str = "") -> Iterator[Verb]:
    """Yield every verb and sub-verb, in the order of `jukebox --help`."""
    group = group or typer.main.get_command(app)
    context = group.context_class(group, info_name=f"jukebox {before}".strip())
    for name in group.list_commands(context):
        command, words = group.get_command(context, name), f"{before} {name}".strip()
        if command.hidden:
            continue
        if hasattr(command, "list_commands"):
            yield from verbs(command, words)
            continue
        inner = command.context_class(command, info_name=f"jukebox {words}")
        usage = f"jukebox {words} {' '.join(command.collect_usage_pieces(inner))}"
        options = [_option(param, inner) for param in command.params if not param.hidden]
        yield Verb(words, usage, paragraphs(command.help), options)


def _option(param: Any, context: Any) -> Option:
    """Take apart the line of `--help`: the help itself, and what follows it in brackets."""
    name, text = param.get_help_record(context)
    extras = text.removeprefix(param.help or "").strip().removeprefix("[").removesuffix("]").split("; ")
    said = dict(extra.partition(": ")[::2] for extra in extras)
    default, variable = said.pop("default", ""), said.pop("env var", "")
    bounds = ", ".join(extra for extra in extras if extra.partition(": ")[0] in said)
    return Option(param.param_type_name, name, param.help or "", default, bounds, variable)


def verbs_page() -> str:
    """Return docs/reference/verbs.md."""
    rows, parts = [], []
    for verb in verbs():
        link = f"[`jukebox {verb.name}`](#jukebox-{verb.name.replace(' ', '-')})"
        rows.append((link, verb.help.partition("\n\n")[0]))
        parts += [f"## jukebox {verb.name}", f"```text\n{verb.usage}\n```", verb.help]
        for kind in ("argument", "option"):
            options = [each for each in verb.options if each.kind == kind]
            cells = [(*map(code, (o.name, o.default, o.bounds, o.variable)), o.help) for o in options]
            parts += [table((kind, "default", "bounds", "variable", "what it is"), cells)] if cells else []
    return page(
        "Verbs",
        "Every verb prints this with `--help`. Where an option has a variable, the variable counts when the "
        "option is not given. Each ends with one of the [exit codes](exit-codes.md).",
        table(("verb", "what it does"), rows),
        *parts,
    )
