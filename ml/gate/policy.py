"""The policy: every threshold of the gate, typed, versioned and digested.

A policy is YAML. It must name every threshold: a missing one is an error, never a silent default. The default
policy is made from the declarations of `ml.gate.subjects` and what the problem says of them (its module
``policy``), with the reason for each number as a comment.
"""

import functools
import textwrap
from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

import yaml
from pydantic import Field, model_validator

from ml.core.canonical import digest, parse
from ml.core.records import Record
from ml.gate.subjects.budget import BudgetPolicy
from ml.gate.subjects.champion import ChampionPolicy
from ml.gate.subjects.data import DataPolicy
from ml.gate.subjects.drift import DriftPolicy
from ml.gate.subjects.evaluation import EvaluationPolicy
from ml.gate.subjects.parity import ParityPolicy
from ml.gate.subjects.promotion import PromotionPolicy
from ml.gate.subjects.serving import ServingPolicy
from ml.gate.subjects.slices import SlicesPolicy
from ml.gate.threshold import Declared, thresholds_of
from ml.gate.waivers import Waiver

HEADING = (
    "# The policy of the gate. Every threshold must be named; an unknown or missing key blocks.",
    "# Evidence and attestations hold its digest. Above each threshold stand its unit, in brackets, and the",
    "# reason for its default.",
)
WAIVERS = (
    "# Who lets which check be missed: [{check, who, why, until}]. `until` is the last day, in UTC.",
    "waivers: []",
)


class Policy(Record):
    """All thresholds of the gate, and who lets which of them be missed."""

    schema_: Literal["jukebox.policy/v3"] = Field(alias="schema")
    data: DataPolicy
    drift: DriftPolicy
    evaluation: EvaluationPolicy
    champion: ChampionPolicy
    slices: SlicesPolicy
    parity: ParityPolicy
    serving: ServingPolicy
    budget: BudgetPolicy
    promotion: PromotionPolicy
    waivers: tuple[Waiver, ...]

    @model_validator(mode="after")
    def _once(self) -> Self:
        checks = [waiver.check for waiver in self.waivers]
        twice = sorted({check for check in checks if checks.count(check) > 1})
        if twice:
            raise ValueError(f"waivers: {twice[0]} is waived twice")
        return self

    @property
    def text(self) -> str:
        """The policy on one line, in canonical form."""
        return self.to_bytes().decode().strip()

    @property
    def digest(self) -> str:
        """The digest of what the policy says: comments and layout do not count."""
        return digest(self.to_bytes())


class _StrictLoader(yaml.SafeLoader):
    """YAML that refuses a key that stands twice: one of the two would be lost."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[object, object]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    twice = [key for index, key in enumerate(keys) if key in keys[:index]]
    if twice:
        raise ValueError(f"key {twice[0]!r} stands twice")
    return loader.construct_mapping(node, deep=True)


# A date stays text until the field that wants one reads it; JSON has no other way to write it.
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


@functools.lru_cache(maxsize=64)
def parse_policy(text: str) -> Policy:
    """Read a policy from YAML, or from JSON where the text begins with a brace.

    Raises:
        ValueError: the text is empty, not YAML, or not a complete policy; the message names the field.
    """
    try:
        # PyYAML reads JSON's 1e-05 as text, so JSON is read as JSON. Its loader is SafeLoader with one
        # more refusal: nothing but plain values can come out of it.
        is_json = text.lstrip().startswith("{")
        value = parse(text.encode()) if is_json else yaml.load(text, Loader=_StrictLoader)  # noqa: S506
    except ValueError as error:
        raise ValueError(f"policy: {error}") from error
    except Exception as error:
        # PyYAML's constructors raise whatever comes up on a wrong tag; all of it means the same.
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from error
    if value is None:
        raise ValueError("the policy is empty")
    if not isinstance(value, dict):
        raise ValueError("the policy is not a mapping")
    try:
        return Policy.load(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"policy: {error}") from error


def sections() -> dict[str, tuple[Declared, ...]]:
    """Return the sections of a policy, each with its thresholds, in the order of the default policy."""
    kinds = ((name, field.annotation) for name, field in Policy.model_fields.items())
    return {
        name: tuple(thresholds_of(kind))
        for name, kind in kinds
        if isinstance(kind, type) and issubclass(kind, Record)
    }


Default = tuple[Any, str]
"""What a problem says of a threshold: its value, and the reason for it."""


def declared(problem: Mapping[str, Default]) -> dict[str, tuple[Declared, ...]]:
    """Return the sections of a policy with the defaults of a problem.

    Args:
        problem: defaults that differ from the engine's, by dotted name, as ``slices.required``.

    Raises:
        ValueError: the problem names a threshold that there is not.
    """
    sections_ = {
        name: tuple(_of_problem(name, threshold, problem) for threshold in thresholds)
        for name, thresholds in sections().items()
    }
    known = {f"{name}.{one.key}" for name, thresholds in sections_.items() for one in thresholds}
    if unknown := sorted(set(problem) - known):
        raise ValueError(f"the problem's policy names {unknown[0]!r}, which is no threshold")
    return sections_


def _of_problem(section: str, threshold: Declared, problem: Mapping[str, Default]) -> Declared:
    value, reason = problem.get(f"{section}.{threshold.key}", (threshold.default, threshold.reason))
    return threshold._replace(default=list(value) if isinstance(value, tuple) else value, reason=reason)


def default_text(problem: Mapping[str, Default]) -> str:
    """Return the default policy of a problem as YAML, each threshold below its unit and the reason for it."""
    (version,) = get_args(Policy.model_fields["schema_"].annotation)
    lines = [*HEADING, f"schema: {version}"]
    for name, thresholds in declared(problem).items():
        lines += ["", f"{name}:"]
        for key, value, unit, reason in thresholds:
            # In a list of its own a plain value is written without an end of its document.
            shown = yaml.safe_dump([value], default_flow_style=True, width=10_000).strip()[1:-1]
            lines += [
                textwrap.fill(f"({unit}) {reason}", 110, initial_indent="  # ", subsequent_indent="  # "),
                textwrap.fill(f"{key}: {shown}", 110, initial_indent="  ", subsequent_indent="    "),
            ]
    return "\n".join([*lines, "", *WAIVERS, ""])


def default_policy(problem: Mapping[str, Default]) -> Policy:
    """Return the default policy of a problem.

    Raises:
        ValueError: the problem names a threshold that there is not, or a value that it cannot have.
    """
    return parse_policy(default_text(problem))
