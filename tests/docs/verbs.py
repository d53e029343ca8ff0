"""The page of the verbs, from what `--help` of each says."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import typer

from ml.cli.main import app

from .markdown import code, page, paragraphs, table


class Option(NamedTuple):
    """An option or argument: how it is written, what it is, its default, bounds and variable."""

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
    arguments: list[Option]
    options: list[Option]


def verbs() -> list[Verb]:
    """Return every verb and sub-verb, in the order of `jukebox --help`."""
    return list(_verbs(typer.main.get_command(app), ""))


def _verbs(group: Any, before: str) -> Iterator[Verb]:
    context = group.context_class(group, info_name=f"jukebox {before}".strip())
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        words = f"{before} {name}".strip()
        if command.hidden:
            continue
        if hasattr(command, "list_commands"):
            yield from _verbs(command, words)
            continue
        inner = command.context_class(command, info_name=f"jukebox {words}")
        params = [(param, _option(param, inner)) for param in command.params]
        yield Verb(
            words,
            f"jukebox {words} {' '.join(command.collect_usage_pieces(inner))}",
            paragraphs(command.help),
            [option for param, option in params if param.param_type_name == "argument"],
            [option for param, option in params if param.param_type_name == "option" and not param.hidden],
        )


def _option(param: Any, context: Any) -> Option:
    """Take apart the line of `--help`: the help itself, and what follows it in brackets."""
    name, text = param.get_help_record(context)
    extras = text.removeprefix(param.help or "").strip().removeprefix("[").removesuffix("]").split("; ")
    said = dict(extra.partition(": ")[::2] for extra in extras)
    default, variable = said.pop("default", ""), said.pop("env var", "")
    bounds = ", ".join(extra for extra in extras if extra.partition(": ")[0] in said)
    return Option(name, param.help or "", default, bounds, variable)


def verbs_page() -> str:
    """Return docs/reference/verbs.md."""
    found = verbs()
    rows = (
        (f"[`jukebox {verb.name}`](#jukebox-{verb.name.replace(' ', '-')})", verb.help.partition("\n\n")[0])
        for verb in found
    )
    return page(
        "Verbs",
        "Every verb prints this with `--help`. Where an option has a variable, the variable counts when the "
        "option is not given. Each ends with one of the [exit codes](exit-codes.md).",
        table(("verb", "what it does"), rows),
        *(part for verb in found for part in _shown(verb)),
    )


def _shown(verb: Verb) -> Iterator[str]:
    yield f"## jukebox {verb.name}"
    yield f"```text\n{verb.usage}\n```"
    yield verb.help
    for kind, options in (("argument", verb.arguments), ("option", verb.options)):
        if options:
            yield table(
                (kind, "default", "bounds", "variable", "what it is"),
                (
                    (code(each.name), code(each.default), code(each.bounds), code(each.variable), each.help)
                    for each in options
                ),
            )
