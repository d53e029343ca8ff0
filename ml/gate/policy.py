"""The policy: every threshold of the gate, typed, versioned and digested.

The file is YAML (`policy.yaml` beside this module is the default, with the reason for each number). It
must name every threshold: a missing one is an error, never a silent default.
"""

from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import Field

from ml.gate.canonical import canonical_bytes, digest, parse
from ml.gate.reports import Count, NonNegative, Number, Record, Share

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class DataPolicy(Record):
    """Which checks of the data contract must be in the report, and pass."""

    required_checks: Names


class EvaluationPolicy(Record):
    """What the model must be worth on songs that it has never seen."""

    min_songs: Annotated[int, Field(ge=1)]
    min_resamples: Annotated[int, Field(ge=1)]
    min_confidence: Share
    min_gain_over_prior_nats: NonNegative
    min_top5_mass_over_prior: Annotated[float, Field(ge=1, le=1000)]
    min_gain_over_logistic_nats: Number


class ParityPolicy(Record):
    """How closely the ONNX model must follow the Keras model."""

    max_atol: NonNegative
    max_rtol: NonNegative
    required_families: Names
    required_batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    max_row_sum_error: NonNegative
    max_top1_tie_share: Share
    max_metric_difference: NonNegative


class BudgetPolicy(Record):
    """What serving the model may cost."""

    max_model_bytes: Count
    max_p99_latency_ms: NonNegative
    min_latency_calls: Annotated[int, Field(ge=1)]


class Policy(Record):
    """All thresholds of the gate."""

    schema_: Literal["jukebox.policy/v1"] = Field(alias="schema")
    data: DataPolicy
    evaluation: EvaluationPolicy
    parity: ParityPolicy
    budget: BudgetPolicy

    @property
    def text(self) -> str:
        """The policy on one line, in canonical form: what a pipeline's parameter holds."""
        return canonical_bytes(self.to_json()).decode().strip()

    @property
    def digest(self) -> str:
        """The digest of what the policy says: comments and layout do not count."""
        return digest(canonical_bytes(self.to_json()))


class _StrictLoader(yaml.SafeLoader):
    """YAML that refuses a key that stands twice: one of the two would be lost."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[object, object]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    twice = [key for index, key in enumerate(keys) if key in keys[:index]]
    if twice:
        raise ValueError(f"key {twice[0]!r} stands twice")
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


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


def default_policy() -> Policy:
    """Return the policy that comes with the package."""
    return parse_policy(resources.files("ml.gate").joinpath("policy.yaml").read_text(encoding="utf-8"))
