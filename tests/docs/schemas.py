"""The JSON Schemas of all stored documents, and the page that lists them, from their pydantic types."""

import importlib
import json
import pkgutil
import re
from functools import cache
from typing import Any, get_args

import ml.gate.subjects
from ml.core.records import Record

from .markdown import code, page, paragraphs, sentence, table

OTHERS = (
    "ml.dspa.admission_policy",
    "ml.gate.candidate",
    "ml.gate.evidence",
    "ml.gate.policy",
    "ml.gate.served",
    "ml.gate.statement",
    "ml.release.decisions",
    "ml.release.log",
    "ml.release.trust",
    "ml.data.manifests",
    "ml.data.profile",
    "ml.data.splits",
    "ml.judge.answered",
    "ml.judge.ledger",
    "ml.judge.work",
)
"""Modules with documents of their own, beside the reports."""

STATES = {"schema_", "predicate_type"}
"""The fields that state what a document is."""

ALWAYS = {"schema", "_type", "predicateType"}
"""Keys that are always written, although their fields have a default."""


def modules() -> tuple[str, ...]:
    """Return the names of the modules that define documents."""
    reports = (f"ml.gate.subjects.{found.name}" for found in pkgutil.iter_modules(ml.gate.subjects.__path__))
    return (*reports, *OTHERS)


@cache
def documents() -> dict[str, type[Record]]:
    """Return the records that state a schema, by the name of the schema's file."""
    found = [
        kind
        for module in modules()
        for kind in vars(importlib.import_module(module)).values()
        if isinstance(kind, type) and issubclass(kind, Record) and STATES & kind.model_fields.keys()
        if kind.__module__ == module
    ]
    return {_name(kind): kind for kind in sorted(found, key=_name)}


def _versions(kind: type[Record]) -> tuple[str, ...]:
    (field,) = STATES & kind.model_fields.keys()
    return get_args(kind.model_fields[field].annotation)


def _name(kind: type[Record]) -> str:
    """Return the name in ``jukebox.name/v1``, or in ``urn:jukebox:name:v1``."""
    _, name, _ = re.split("[.:/]", _versions(kind)[-1].removeprefix("urn:"))
    return name


def schema_of(kind: type[Record]) -> str:
    """Return a document's JSON Schema."""
    schema: dict[str, Any] = kind.model_json_schema()
    for name, definition in schema.get("$defs", {}).items():
        _tidy(definition, name)
    _tidy(schema, kind.__name__)
    schema["required"] = sorted({*schema.get("required", ()), *(ALWAYS & schema["properties"].keys())})
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _tidy(schema: dict[str, Any], name: str) -> None:
    """Leave out the titles that repeat names, and unwrap the lines of docstrings."""
    schema["title"] = name
    if "description" in schema:
        schema["description"] = paragraphs(schema["description"])
    for field in schema.get("properties", {}).values():
        field.pop("title", None)


def schemas() -> dict[str, str]:
    """Return the text of each schema by its file's name."""
    return {f"{name}.json": schema_of(kind) for name, kind in documents().items()}


def schemas_page() -> str:
    """Return docs/reference/schemas.md."""
    return page(
        "Schemas",
        "Every document that is stored states its schema and version (an attestation: its predicate type), "
        "is closed (an unknown key is an error), and is canonical JSON. What JSON Schema cannot say, that "
        "counts add up for instance, is checked by the types in `ml/`.",
        table(
            ("schema", "states", "defined in", "what it is"),
            (
                (
                    f"[{name}](schemas/{name}.json)",
                    " or ".join(code(version) for version in _versions(kind)),
                    code(kind.__module__.replace(".", "/") + ".py"),
                    sentence(kind.__doc__),
                )
                for name, kind in documents().items()
            ),
        ),
    )
