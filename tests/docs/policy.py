"""The page of the policy, from its types and from the file that comes with the package."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from ml.core.records import LARGEST
from ml.gate.explained import Threshold, explain
from ml.gate.policy import Policy, default_policy
from ml.gate.waivers import WAIVABLE, Waiver
from ml.problems.songs.policy import THRESHOLDS

from .markdown import code, page, sentence, table

WORDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
MOST = 4
"""Values of a list that fit into a table."""


def policy_page() -> str:
    """Return docs/reference/policy.md."""
    policy = default_policy(THRESHOLDS)
    sections = groupby(explain(policy, THRESHOLDS), lambda threshold: threshold.name.partition(".")[0])
    return page(
        "Policy",
        "The gate decides by a policy: a YAML file that names every threshold below. A missing or unknown "
        "key blocks. `jukebox policy default` prints this one, with the reasons; the JSON Schema is "
        "[policy.json](schemas/policy.json). `jukebox policy explain --policy FILE` prints the same table "
        "for a file of your own, and marks what was changed.",
        f"The first key is `schema: {policy.schema_}`; the last is `waivers`, which may be an empty list.",
        *(part for name, thresholds in sections for part in _section(name, thresholds)),
        "## waivers",
        f"Each has {', '.join(map(code, Waiver.model_fields))}. {sentence(Waiver.__doc__)} Only these "
        "checks may be waived:",
        "\n".join(f"- `{name}`" for name in WAIVABLE),
    )


def _section(name: str, thresholds: Iterator[Threshold]) -> Iterator[str]:
    """Tell the thresholds of a section; a long list stands below their table."""
    kind: Any = Policy.model_fields[name].annotation
    bounds = kind.model_json_schema()["properties"]
    yield f"## {name}"
    yield sentence(kind.__doc__)
    rows, lists = [], []
    for threshold in thresholds:
        key, values = threshold.name.partition(".")[2], threshold.shown.split(", ")
        default = ", ".join(map(code, values))
        if len(values) > MOST:
            lists.append(f"The default of `{key}`: {default}.")
            default = f"{len(values)} {threshold.unit}, below"
        rows.append((code(key), default, _bounds(bounds[key]), threshold.unit, threshold.reason))
    yield table(("threshold", "default", "may be", "unit", "why"), rows)
    yield from lists


def _bounds(schema: dict[str, Any]) -> str:
    """Say in words what values a threshold may have."""
    if schema.get("type") == "array":
        return f"a list of {'names' if schema['items']['type'] == 'string' else 'whole numbers'}"
    if "enum" in schema:
        return " or ".join(map(code, schema["enum"]))
    known = {key: schema[key] for key in WORDS if key in schema and abs(schema[key]) < LARGEST}
    return ", ".join(f"{WORDS[key]} {value:g}" for key, value in known.items()) or "any number"
