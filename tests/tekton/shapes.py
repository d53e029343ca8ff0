"""The shape of every YAML below tekton/: `shapes.yaml` as a JSON Schema."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

WORDS = yaml.safe_load(Path(__file__).with_name("shapes.yaml").read_text(encoding="utf-8"))
KINDS = WORDS.pop("kinds")
BASIC: dict[str, Any] = {
    "any": {},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "str": {"type": "string"},
    "text": {"type": "string", "minLength": 1},
}


def _schema(shape: Any) -> dict[str, Any]:
    if isinstance(shape, list):
        return {"type": "array", "items": _schema(shape[0])}
    if isinstance(shape, str):
        if shape in BASIC or shape in WORDS:
            return {"$ref": f"#/$defs/{shape}"}
        return {"type": "string", "pattern": re.sub(r"\{([a-z]+)\}", lambda word: WORDS[word[1]], shape)}
    if "*" in shape:
        return {"type": "object", "additionalProperties": _schema(shape["*"])}
    return {
        "type": "object",
        "properties": {key.removesuffix("~"): _schema(value) for key, value in shape.items()},
        "required": [key for key in shape if not key.endswith("~")],
        "additionalProperties": False,
    }


@cache
def _validator(kind: str) -> Draft202012Validator:
    definitions = BASIC | {name: _schema(shape) for name, shape in WORDS.items()}
    return Draft202012Validator({**_schema(KINDS.get(kind, kind)), "$defs": definitions})


def problems(found: dict[str, Any], file: str = "") -> list[str]:
    """Return what is wrong with the shape of a document; ``file`` is its path for one without a kind."""
    kind = f"{found.get('apiVersion', '')} {found.get('kind', '')}".strip() or file
    what = f"{found.get('kind', '')} {found.get('metadata', {}).get('name', file)}"
    if kind not in KINDS:
        return [f"{what}: no shape for {kind}"]
    body = {key: value for key, value in found.items() if key not in ("apiVersion", "kind")}
    told = [*_validator(kind).iter_errors(body)]
    for patch in body.get("patches", ()) if not told else ():
        told += _validator("operations").iter_errors(yaml.safe_load(patch["patch"]))
    return [f"{what}: {'.'.join(map(str, each.path))}: {each.message}" for each in told]
