"""Reports and a policy in, a verdict out: the one place where it is decided whether a model may pass.

`decide` never raises for what it is given. Whatever is missing, unreadable, of another version or about
another model becomes a failed check with its reason, and one failed check blocks.
"""

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from ml.gate.checks.champion import champion_checks
from ml.gate.checks.check import Check, about, readable
from ml.gate.checks.data import data_checks
from ml.gate.checks.drift import drift_checks
from ml.gate.checks.evaluation import evaluation_checks
from ml.gate.checks.parity import agreement_checks, budget_checks, parity_checks
from ml.gate.checks.serving import all_songs_served, serving_checks
from ml.gate.checks.slices import slice_checks
from ml.gate.policy import Policy, parse_policy
from ml.gate.records import Record
from ml.gate.reports.data import DataReport
from ml.gate.reports.evaluation import Evaluation
from ml.gate.reports.parity import Parity
from ml.gate.reports.serving import Serving
from ml.gate.waivers import apply_waivers

REPORTS = ("data_report", "evaluation", "parity", "serving")
R = TypeVar("R", bound=Record)


class Verdict(Record):
    """All checks, and whether none of them blocks."""

    passed: bool
    checks: tuple[Check, ...]

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that block, in the order of the policy."""
        return tuple(check for check in self.checks if check.blocks)

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that failed and only warn."""
        return tuple(check for check in self.checks if not check.passed and check.level == "warn")

    @property
    def waived(self) -> tuple[Check, ...]:
        """The checks that failed and were let through by somebody."""
        return tuple(check for check in self.checks if check.waiver)

    @property
    def aside(self) -> str:
        """What a summary adds to how many checks passed: how many only warn, and how many are waived."""
        counted = {"warn": len(self.warnings), "waived": len(self.waived)}
        return "".join(f", {count} {word}" for word, count in counted.items() if count)


def decide(
    reports: Mapping[str, Any], policy_text: str, identity: Mapping[str, str], day: datetime.date
) -> Verdict:
    """Decide from the reports alone.

    Args:
        reports: the parsed JSON of each of `REPORTS`; ``{"unreadable": reason}`` where it could not be read.
        policy_text: the policy as YAML.
        identity: what the reports must be about: ``data_version``, ``champion`` ("": none), and the digests
            of ``model.keras``, ``model.onnx``, ``test.parquet`` and ``served.json``.
        day: the day (UTC) of the decision: waivers end.
    """
    try:
        policy = parse_policy(policy_text)
    except ValueError as error:
        return sum_up([readable("policy", "unreadable", str(error))])
    return sum_up(apply_waivers(_checks(reports, policy, identity), policy.waivers, day))


def _checks(reports: Mapping[str, Any], policy: Policy, identity: Mapping[str, str]) -> Iterator[Check]:
    data, data_check = _load(DataReport, "data_report", reports)
    evaluation, evaluation_check = _load(Evaluation, "evaluation", reports)
    parity, parity_check = _load(Parity, "parity", reports)
    serving, serving_check = _load(Serving, "serving", reports)
    yield from (data_check, evaluation_check, parity_check, serving_check)
    if data:
        yield from about("data_report.data_version", data.data_version, identity.get("data_version"))
        yield from data_checks(data, policy.data)
        yield from drift_checks(data, policy.drift, identity.get("champion"))
    if evaluation:
        yield from about("evaluation.model", evaluation.keras_digest, identity.get("model.keras"))
        yield from about("evaluation.test_data", evaluation.test_digest, identity.get("test.parquet"))
        yield from evaluation_checks(evaluation, policy.evaluation)
        yield from champion_checks(evaluation, policy.champion, identity.get("champion"))
        yield from slice_checks(evaluation, policy.slices)
    if parity:
        yield from about("parity.keras_model", parity.keras_digest, identity.get("model.keras"))
        yield from about("parity.onnx_model", parity.onnx_digest, identity.get("model.onnx"))
        yield from about("parity.test_data", parity.test_digest, identity.get("test.parquet"))
        yield from about("parity.served_as", parity.served.digest, identity.get("served.json"))
        yield from parity_checks(parity, policy.parity)
        yield from budget_checks(parity, policy.budget)
    if serving:
        yield from about("serving.keras_model", serving.keras_digest, identity.get("model.keras"))
        yield from about("serving.onnx_model", serving.onnx_digest, identity.get("model.onnx"))
        yield from about("serving.test_data", serving.test_digest, identity.get("test.parquet"))
        yield from about("serving.served_as", serving.served_digest, identity.get("served.json"))
        yield from serving_checks(serving, policy.serving, policy.parity)
    if evaluation and serving:
        yield from all_songs_served(evaluation, serving)
    if evaluation and parity:
        yield from agreement_checks(evaluation, parity, policy.parity)


def sum_up(checks: Iterable[Check]) -> Verdict:
    """Return the verdict that follows from checks: none at all block, too."""
    found = tuple(checks)
    return Verdict(passed=bool(found) and not any(check.blocks for check in found), checks=found)


def _load(kind: type[R], name: str, reports: Mapping[str, Any]) -> tuple[R | None, Check]:
    raw = reports.get(name)
    if raw is None:
        return None, readable(name, "missing", f"the report {name} is missing")
    if isinstance(raw, dict) and set(raw) == {"unreadable"}:
        return None, readable(name, "unreadable", str(raw["unreadable"]))
    try:
        return kind.load(raw), readable(name, "readable", "")
    except (TypeError, ValueError) as error:
        return None, readable(name, "malformed", f"{name}.{error}")
