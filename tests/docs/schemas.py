"""The JSON Schemas of all stored documents, and the page that lists them, from their pydantic types."""

import importlib
import json
import re
from functools import cache
from typing import Any, get_args

from ml.core.records import Record

from .graphs import ROOT
from .markdown import code, page, paragraphs, sentence, table

STATES = {"schema_", "predicate_type"}
"""The fields that state what a document is."""

ALWAYS = {"schema", "_type", "predicateType"}
"""Keys that are always written, although their fields have a default."""


@cache
def documents() -> dict[str, type[Record]]:
    """Return the records that state a schema, by the name of the schema's file."""
    stating, kinds = re.compile(rf"^    ({'|'.join(STATES)}): ", re.MULTILINE), {}
    for file in sorted((ROOT / "ml").rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for kind in (
            vars(importlib.import_module(module)).values() if stating.search(file.read_text()) else ()
        ):
            fields = getattr(kind, "model_fields", {})
            if getattr(kind, "__module__", "") == module and STATES & fields.keys():
                # As in jukebox.name/v1, or in urn:jukebox:name:v1.
                kinds[re.split("[.:/]", _versions(kind)[-1].removeprefix("urn:"))[1]] = kind
    return dict(sorted(kinds.items()))


def _versions(kind: type[Record]) -> tuple[str, ...]:
    (field,) = STATES & kind.model_fields.keys()
    return get_args(kind.model_fields[field].annotation)


def schemas() -> dict[str, str]:
    """Return the text of each schema by its file's name."""
    return {f"{name}.json": _schema(kind) for name, kind in documents().items()}


def _schema(kind: type[Record]) -> str:
    """Return a JSON Schema without the titles that repeat names, the lines of docstrings unwrapped."""
    schema: dict[str, Any] = kind.model_json_schema()
    for name, part in {**schema.get("$defs", {}), kind.__name__: schema}.items():
        part["title"] = name
        if "description" in part:
            part["description"] = paragraphs(part["description"])
        for field in part.get("properties", {}).values():
            field.pop("title", None)
    schema["required"] = sorted({*schema.get("required", ()), *(ALWAYS & schema["properties"].keys())})
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def schemas_page() -> str:
    """Return docs/reference/schemas.md."""
    rows = [
        (
            f"[{name}](schemas/{name}.json)",
            " or ".join(map(code, _versions(kind))),
            code(kind.__module__.replace(".", "/") + ".py"),
            sentence(kind.__doc__),
        )
        for name, kind in documents().items()
    ]
    return page(
        "Schemas",
        "Every document that is stored states its schema and version (an attestation: its predicate type), "
        "is closed (an unknown key is an error), and is canonical JSON. What JSON Schema cannot say, that "
        "counts add up for instance, is checked by the types in `ml/`.",
        table(("schema", "states", "defined in", "what it is"), rows),
    )
