"""Reports that pass the default policy, and how to walk and change JSON: shared by gate and release tests.

The numbers are those of a small real run, rounded. They hang together: an interval holds its value, a gain
is the difference of its log losses, ONNX scores what Keras scores.
"""

import copy
import operator
from collections.abc import Iterator, Mapping
from typing import Any

from ml.gate.canonical import digest
from ml.gate.evidence import Evidence, Subject, make_evidence
from ml.gate.policy import default_policy
from ml.gate.verdict import Verdict, decide

POLICY = default_policy().text
KERAS, ONNX = b"the weights", b"the graph"
DATA_VERSION = "59ddef4777eb0125"
DIGESTS = {"model.keras": digest(KERAS), "model.onnx": digest(ONNX), "test.parquet": digest(b"test songs")}
IDENTITY = {"data_version": DATA_VERSION, **DIGESTS}
OTHER_DIGEST = digest(b"something else")
FAMILIES = {"test": 128, "extremes": 26, "zeros": 1, "out_of_range": 26}
"""The families of inputs that parity compares, and how many rows each has."""

OPTIONAL_CHECK = "rankings.colour"
"""A check of the data report that the policy does not ask for."""

DATA_CHECKS = {
    **dict.fromkeys((*default_policy().data.required_checks, OPTIONAL_CHECK), (0.0, "<=", 0.0)),
    "rankings.rows": (25550.0, ">=", 1000.0),
    "rankings.countries": (72.0, ">=", 5.0),
    "rankings.known_songs": (1.0, ">=", 0.99),
    "songs.rows": (600.0, ">=", 100.0),
    "songs.broken": (0.003, "<=", 0.01),
}
"""The checks of the data report: value, relation, bound."""

_RELATIONS = {"<=": operator.le, ">=": operator.ge, ">": operator.gt, "==": operator.eq}
Path = tuple[str | int, ...]


def interval(value: float, half: float = 0.0078125) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def metrics(log_loss: float, top1: float, top5: float, hit: float) -> dict[str, Any]:
    return {
        "log_loss": interval(log_loss),
        "top1_mass": interval(top1),
        "top5_mass": interval(top5),
        "hit_at_5": interval(hit),
        "macro_f1": 0.025,
        "calibration_error": 0.015,
    }


def data_report() -> dict[str, Any]:
    return {
        "schema": "jukebox.data-report/v1",
        "data_version": DATA_VERSION,
        "synthetic": True,
        "rankings_rows": 25550,
        "global_rows": 350,
        "songs_rows": 600,
        "broken_songs": 2,
        "checks": [
            {"name": name, "value": value, "relation": how, "bound": bound, "passed": True, "detail": ""}
            for name, (value, how, bound) in DATA_CHECKS.items()
        ],
    }


def evaluation(digests: Mapping[str, str] = DIGESTS) -> dict[str, Any]:
    return {
        "schema": "jukebox.evaluation/v1",
        "keras_digest": digests["model.keras"],
        "test_digest": digests["test.parquet"],
        "songs": FAMILIES["test"],
        "rows": 5234,
        "model": metrics(4.0, 0.0625, 0.1875, 0.9375),
        "uniform": metrics(4.3125, 0.015625, 0.078125, 0.78125),
        "prior": metrics(4.3, 0.015625, 0.046875, 0.65625),
        "logistic": metrics(4.0625, 0.03125, 0.15625, 0.921875),
        "gain_over_prior": interval(0.3),
        "gain_over_logistic": interval(0.0625),
        "countries": {
            "BR": {"log_loss": 3.9, "prior_log_loss": 4.25, "rows": 2617},
            "SE": {"log_loss": 4.1, "prior_log_loss": 4.35, "rows": 2617},
        },
        "bootstrap": {"resamples": 2000, "confidence": 0.95, "seed": 7},
    }


def family(name: str) -> dict[str, Any]:
    rows = FAMILIES[name]
    return {
        "name": name,
        "rows": rows,
        "batch_sizes": list(dict.fromkeys((1, 7, 64, rows))),
        "max_difference": 6e-8,
        "p99_difference": 1e-8,
        "worst_ratio": 0.0005,
        "worst_row": "row 0, SE, batches of 1",
        "violations": 0,
        "top1_disagreements": 0,
        "top1_ties": 1 if name == "test" else 0,
        "nonfinite": 0,
        "row_sum_error": 2e-7 if name == "test" else 1e-7,
    }


def parity(digests: Mapping[str, str] = DIGESTS) -> dict[str, Any]:
    return {
        "schema": "jukebox.parity/v1",
        "keras_digest": digests["model.keras"],
        "onnx_digest": digests["model.onnx"],
        "test_digest": digests["test.parquet"],
        "runtime": "onnxruntime 1.32.0",
        "opset": 18,
        "atol": 1e-5,
        "rtol": 1e-3,
        "interface_problems": [],
        "families": [family(name) for name in FAMILIES],
        "onnx": {"log_loss": 4.0 + 2**-20, "top1_mass": 0.0625, "top5_mass": 0.1875, "hit_at_5": 0.9375},
        "model_bytes": 46767,
        "latency": {"p50_ms": 0.0055, "p99_ms": 0.0625, "calls": 1000},
    }


def passing_reports(digests: Mapping[str, str] = DIGESTS) -> dict[str, Any]:
    """Make the three reports of a model that passes."""
    return {
        "data_report": data_report(),
        "evaluation": evaluation(digests),
        "parity": parity(digests),
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
        "champion": "",
    }
    return Subject(**{**values, **changes})


def passing_evidence() -> Evidence:
    """Make the evidence of a model that passes."""
    return make_evidence(subject(), DIGESTS, passing_reports(), POLICY)


def judge(reports: Any, policy: str = POLICY, identity: Mapping[str, str] = IDENTITY) -> Verdict:
    """Decide on reports about the model above."""
    return decide(reports, policy, identity)


def failing(verdict: Verdict) -> set[str]:
    """Return the names of the checks that block, after a look at the verdict's own consistency."""
    assert verdict.passed == (not verdict.failures)
    assert all(check.reason for check in verdict.failures)
    for check in verdict.checks:
        if check.passed:
            assert not check.reason
            assert _RELATIONS[check.relation](check.value, check.bound), check
            assert isinstance(check.value, float) or check.relation == "=="
    return {check.name for check in verdict.failures}


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Walk JSON: the path of every value that holds no other; an empty list is one."""
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    if not children or value == []:
        yield path
    for key, child in children:
        yield from leaves(child, (*path, key))


def at(value: Any, path: Path) -> Any:
    """Return what lies at a path."""
    for key in path:
        value = value[key]
    return value


def replaced(value: Any, *changes: tuple[Path, Any]) -> Any:
    """Copy JSON with other values at some paths."""
    value = copy.deepcopy(value)
    for path, new in changes:
        at(value, path[:-1])[path[-1]] = new
    return value


def removed(value: Any, *paths: Path) -> Any:
    """Copy JSON without some paths; none may lie within another."""
    value = copy.deepcopy(value)
    for path in sorted(paths, key=lambda path: [str(key).zfill(9) for key in path], reverse=True):
        del at(value, path[:-1])[path[-1]]
    return value


def edited(value: Any, edits: Mapping[str, Any]) -> Any:
    """Copy JSON with other values at dotted paths, as ``{"parity.families.0.rows": 0}``."""
    parts = {text: [int(key) if key.isdigit() else key for key in text.split(".")] for text in edits}
    return replaced(value, *((tuple(parts[text]), new) for text, new in edits.items()))


def another(value: Any) -> Any:
    """Return a value of the same kind that is not the same."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return OTHER_DIGEST if value.startswith("sha256:") else value + "x"
    if isinstance(value, list):
        return [*value, "x"]
    return value + 1 if isinstance(value, int) else value * (1 + 1e-9) + 1e-12


def dotted(path: Path) -> str:
    """Write a path as one word."""
    return ".".join(map(str, path))
