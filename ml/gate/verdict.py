"""Reports and a policy in, a verdict out: the one place where it is decided whether a model may pass.

`decide` never raises for what it is given. Whatever is missing, unreadable, of another version or about
another model becomes a failed check with its reason, and one failed check blocks.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar

from ml.gate.policy import Policy, parse_policy
from ml.gate.reports import ROUNDING, DataReport, Evaluation, Parity, Record

REPORTS = ("data_report", "evaluation", "parity")
Relation = Literal["<=", ">=", ">", "=="]
R = TypeVar("R", bound=Record)


class Check(Record):
    """One line of the verdict: ``value relation bound``, whether it passed, and why not."""

    name: str
    value: float | str
    relation: Relation
    bound: float | str
    passed: bool
    reason: str


class Verdict(Record):
    """All checks, and whether all of them passed."""

    passed: bool
    checks: tuple[Check, ...]

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that block, in the order of the policy."""
        return tuple(check for check in self.checks if not check.passed)


def decide(reports: Mapping[str, Any], policy_text: str, identity: Mapping[str, str]) -> Verdict:
    """Decide from the reports alone.

    Args:
        reports: the parsed JSON of each of `REPORTS`; ``{"unreadable": reason}`` where it could not be read.
        policy_text: the policy as YAML.
        identity: what the reports must be about: ``data_version``, and the digests of ``model.keras``,
            ``model.onnx`` and ``test.parquet``.
    """
    try:
        policy = parse_policy(policy_text)
    except ValueError as error:
        return _verdict([_readable("policy", "unreadable", str(error))])
    checks = []
    data, data_check = _load(DataReport, "data_report", reports)
    evaluation, evaluation_check = _load(Evaluation, "evaluation", reports)
    parity, parity_check = _load(Parity, "parity", reports)
    checks += [data_check, evaluation_check, parity_check]
    if data:
        checks += _about("data_report.data_version", data.data_version, identity.get("data_version"))
        checks += _data(data, policy)
    if evaluation:
        checks += _about("evaluation.model", evaluation.keras_digest, identity.get("model.keras"))
        checks += _about("evaluation.test_data", evaluation.test_digest, identity.get("test.parquet"))
        checks += _evaluation(evaluation, policy)
    if parity:
        checks += _about("parity.keras_model", parity.keras_digest, identity.get("model.keras"))
        checks += _about("parity.onnx_model", parity.onnx_digest, identity.get("model.onnx"))
        checks += _about("parity.test_data", parity.test_digest, identity.get("test.parquet"))
        checks += _parity(parity, policy)
        checks += _budget(parity, policy)
    if evaluation and parity:
        checks += _agreement(evaluation, parity, policy)
    return _verdict(checks)


def _verdict(checks: Iterable[Check]) -> Verdict:
    found = tuple(checks)
    return Verdict(passed=bool(found) and all(check.passed for check in found), checks=found)


def compare(name: str, value: float, relation: Relation, bound: float, reason: str = "") -> Check:
    """Make the check ``value relation bound``; the reason is kept only when it fails."""
    passed = {
        "<=": value <= bound,
        ">=": value >= bound,
        ">": value > bound,
        "==": value == bound,
    }[relation]
    failed = reason or f"{value:.6g} is not {relation} {bound:.6g}"
    return Check(
        name=name,
        value=float(value),
        relation=relation,
        bound=float(bound),
        passed=passed,
        reason="" if passed else failed,
    )


def _readable(name: str, found: str, reason: str) -> Check:
    return Check(name=name, value=found, relation="==", bound="readable", passed=not reason, reason=reason)


def _load(kind: type[R], name: str, reports: Mapping[str, Any]) -> tuple[R | None, Check]:
    raw = reports.get(name)
    if raw is None:
        return None, _readable(name, "missing", f"the report {name} is missing")
    if isinstance(raw, dict) and set(raw) == {"unreadable"}:
        return None, _readable(name, "unreadable", str(raw["unreadable"]))
    try:
        return kind.load(raw), _readable(name, "readable", "")
    except (TypeError, ValueError) as error:
        return None, _readable(name, "malformed", f"{name}.{error}")


def _about(name: str, found: str, expected: str | None) -> Iterator[Check]:
    passed = expected is not None and found == expected
    yield Check(
        name=name,
        value=found,
        relation="==",
        bound=expected or "unknown",
        passed=passed,
        reason="" if passed else "the report is about something else than this run's",
    )


def _data(data: DataReport, policy: Policy) -> Iterator[Check]:
    names = [check.name for check in data.checks]
    for name in dict.fromkeys((*policy.data.required_checks, *names)):
        if names.count(name) != 1:
            found = "missing from" if name not in names else "more than once in"
            yield _readable(f"data.{name}", "unclear", f"the check is {found} the data report")
            continue
        check = data.checks[names.index(name)]
        decided = compare(f"data.{name}", check.value, check.relation, check.bound, check.detail)
        if decided.passed and not check.passed:
            decided = decided.model_copy(
                update={"passed": False, "reason": f"reported as failed: {check.detail}"}
            )
        yield decided


def _evaluation(report: Evaluation, policy: Policy) -> Iterator[Check]:
    bounds = policy.evaluation
    yield compare("evaluation.songs", report.songs, ">=", bounds.min_songs)
    yield compare("evaluation.rows", report.rows, ">=", report.songs, "fewer chart rows than songs")
    yield compare("evaluation.resamples", report.bootstrap.resamples, ">=", bounds.min_resamples)
    yield compare("evaluation.confidence", report.bootstrap.confidence, ">=", bounds.min_confidence)
    for name, baseline in (("prior", report.prior), ("logistic", report.logistic)):
        gain = baseline.log_loss.value - report.model.log_loss.value
        stated = getattr(report, f"gain_over_{name}").value
        yield compare(
            f"evaluation.gain_over_{name}.adds_up",
            abs(stated - gain),
            "<=",
            ROUNDING,
            f"the stated gain {stated:.6g} is not the difference of the log losses, {gain:.6g}",
        )
    yield compare(
        "evaluation.gain_over_prior.low",
        report.gain_over_prior.low,
        ">",
        bounds.min_gain_over_prior_nats,
        "the model's log loss does not beat the country prior's by the margin",
    )
    yield compare(
        "evaluation.gain_over_prior",
        report.gain_over_prior.value,
        ">",
        bounds.min_gain_over_prior_nats,
    )
    yield compare(
        "evaluation.top5_mass",
        report.model.top5_mass.value,
        ">=",
        bounds.min_top5_mass_over_prior * report.prior.top5_mass.value,
        "the five most probable countries hold too little more than the prior's",
    )
    yield compare(
        "evaluation.gain_over_logistic.high",
        report.gain_over_logistic.high,
        ">=",
        bounds.min_gain_over_logistic_nats,
        "the network is worse than the logistic regression on the same features",
    )


def _parity(report: Parity, policy: Policy) -> Iterator[Check]:
    bounds = policy.parity
    yield compare("parity.atol", report.atol, "<=", bounds.max_atol)
    yield compare("parity.rtol", report.rtol, "<=", bounds.max_rtol)
    problems = report.interface_problems
    yield compare("parity.interface", len(problems), "==", 0, "; ".join(problems))
    names = [family.name for family in report.families]
    for name in dict.fromkeys((*bounds.required_families, *names)):
        if names.count(name) != 1:
            yield _readable(f"parity.{name}", "unclear", "the family was not compared exactly once")
            continue
        family = report.families[names.index(name)]
        worst = f"worst at {family.worst_row}, differs by {family.max_difference:.3g}"
        wanted = {*bounds.required_batch_sizes, family.rows}
        missing = sorted(wanted - set(family.batch_sizes))
        yield compare(f"parity.{name}.rows", family.rows, ">=", 1)
        yield compare(f"parity.{name}.batch_sizes_missing", len(missing), "==", 0, f"not compared: {missing}")
        yield compare(f"parity.{name}.violations", family.violations, "==", 0, worst)
        yield compare(f"parity.{name}.worst_ratio", family.worst_ratio, "<=", 1, worst)
        yield compare(f"parity.{name}.nonfinite", family.nonfinite, "==", 0)
        yield compare(f"parity.{name}.row_sum", family.row_sum_error, "<=", bounds.max_row_sum_error)
        yield compare(f"parity.{name}.top1_flips", family.top1_disagreements, "==", 0)
        yield compare(
            f"parity.{name}.top1_ties", family.top1_ties, "<=", bounds.max_top1_tie_share * family.rows
        )


def _agreement(evaluation: Evaluation, parity: Parity, policy: Policy) -> Iterator[Check]:
    rows = next((family.rows for family in parity.families if family.name == "test"), 0)
    yield compare("parity.test.all_songs", rows, "==", evaluation.songs, "not every test song was compared")
    for name, ours in parity.onnx.to_json().items():
        theirs = getattr(evaluation.model, name).value
        yield compare(
            f"onnx.{name}.difference",
            abs(ours - theirs),
            "<=",
            policy.parity.max_metric_difference,
            f"ONNX scores {ours:.6g} where Keras scores {theirs:.6g}",
        )


def _budget(report: Parity, policy: Policy) -> Iterator[Check]:
    yield compare("budget.model_bytes", report.model_bytes, "<=", policy.budget.max_model_bytes)
    yield compare("budget.latency_calls", report.latency.calls, ">=", policy.budget.min_latency_calls)
    yield compare("budget.p99_latency_ms", report.latency.p99_ms, "<=", policy.budget.max_p99_latency_ms)
