"""Reports that pass the default policy, and how to walk and change JSON: shared by gate and release tests.

The numbers are those of a small real run, rounded. Each report has a module here.
"""

import operator
from collections.abc import Mapping
from typing import Any

from ml.core.canonical import digest
from ml.gate.evidence import Evidence, Subject, make_evidence
from policies import default_policy
from ml.gate.verdict import Verdict, decide
from reports.champion import MARGINS, POINTS, comparison, standing
from reports.data import DATA_CHECKS, OPTIONAL_CHECK, data_report
from reports.drift import FEATURES, drift
from reports.evaluation import SLICES, SONGS, evaluation, slice_of
from reports.identity import (
    CHAMPION,
    CHAMPION_ONNX,
    DATA_VERSION,
    DAY,
    DIGESTS,
    KERAS,
    MANIFEST,
    ONNX,
    OTHER_DIGEST,
    PROFILE,
    SERVED,
)
from reports.jsons import Path, another, at, dotted, edited, leaves, removed, replaced
from reports.measures import interval, metrics
from reports.parity import BINDING, FAMILIES, RUNTIMES, family, parity, runtime
from reports.serving import BAD_REQUESTS, BATCHES, serving

__all__ = [
    "BAD_REQUESTS",
    "BATCHES",
    "BINDING",
    "CHAMPION",
    "CHAMPION_ONNX",
    "DATA_CHECKS",
    "DATA_VERSION",
    "DAY",
    "DIGESTS",
    "FAMILIES",
    "FEATURES",
    "KERAS",
    "MANIFEST",
    "MARGINS",
    "ONNX",
    "OPTIONAL_CHECK",
    "OTHER_DIGEST",
    "POINTS",
    "POLICY",
    "PROFILE",
    "RUNTIMES",
    "SERVED",
    "SLICES",
    "SONGS",
    "STRICT",
    "Path",
    "another",
    "at",
    "comparison",
    "data_report",
    "dotted",
    "drift",
    "edited",
    "evaluation",
    "failing",
    "family",
    "interval",
    "judge",
    "leaves",
    "metrics",
    "parity",
    "passing_evidence",
    "passing_reports",
    "removed",
    "replaced",
    "runtime",
    "serving",
    "slice_of",
    "standing",
    "subject",
    "unmet",
]

POLICY = default_policy().text
STRICT = POLICY.replace('"min_songs":100', '"min_songs":1000000')
"""A policy that blocks what passes the package's own."""

_RELATIONS = {"<=": operator.le, ">=": operator.ge, ">": operator.gt, "==": operator.eq}


def passing_reports(digests: Mapping[str, str] = DIGESTS, champion: str = CHAMPION) -> dict[str, Any]:
    """Make the reports of a model that passes, beside a champion or "" for none."""
    return {
        "data_report": data_report(champion),
        "evaluation": evaluation(digests, champion),
        "parity": parity(digests),
        "serving": serving(digests),
    }


def subject(**changes: Any) -> Subject:
    """Make what the evidence is about."""
    values = {
        "run_id": "40564379",
        "nonce": "1473488091b832078092e2636c865f50",
        "model_name": "jukebox",
        "model_version": "1",
        "commit": "01b945fae5ea18936b79d1d1ec0dd341b22d6aac",
        "dirty": False,
        "image": "localhost/jukebox@" + digest(b"image"),
        "data_version": DATA_VERSION,
        "champion": CHAMPION,
    }
    return Subject(**{**values, **changes})


def passing_evidence() -> Evidence:
    """Make the evidence of a model that passes."""
    return make_evidence(subject(), MANIFEST, passing_reports(), POLICY, DAY)


def judge(reports: Any, policy: str = POLICY) -> Verdict:
    """Decide on reports."""
    return decide(reports, policy, DAY)


def failing(verdict: Verdict) -> set[str]:
    """Return the names of the checks that block, after a look at the verdict's own consistency."""
    assert verdict.passed == (not verdict.failures)
    assert all(check.reason for check in verdict.checks if not check.passed)
    for check in verdict.checks:
        if check.passed:
            assert not check.reason
            assert _RELATIONS[check.relation](check.value, check.bound), check
            assert isinstance(check.value, float) or check.relation == "=="
    return {check.name for check in verdict.failures}


def unmet(verdict: Verdict) -> set[str]:
    """Return the names of the checks that did not pass, whether they block, warn or are waived."""
    failing(verdict)
    return {check.name for check in verdict.checks if not check.passed}
