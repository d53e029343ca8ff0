"""Reports that pass the default policy, and how to walk and change JSON.

The numbers are those of a small real run, rounded. The data is made up: images of digits, seen in views. Only
what the policy asks for by name comes from the repository's own problem.
"""

import copy
import datetime
import json
import operator
from collections.abc import Iterator, Mapping
from typing import Any

from policies import default_policy

from ml.core.canonical import canonical_bytes, digest
from ml.gate.candidate import manifest_of
from ml.gate.check import Check
from ml.gate.evidence import Evidence, Subject, make_evidence
from ml.gate.verdict import Verdict, decide

Path = tuple[str | int, ...]

POLICY = default_policy().text
STRICT = POLICY.replace('"min_examples":100', '"min_examples":1000000')
"""A policy that blocks what passes the package's own."""

DAY = datetime.date(2026, 11, 25)
"""The day of all decisions."""

KERAS, ONNX = b"the weights", b"the graph"
PROFILE = canonical_bytes({"schema": "jukebox.profile/v2"})
DATA_VERSION = "59ddef4777eb0125"
PINNED = {"INFERENCE_PRECISION_HINT": "f32"}
SERVED = {"schema": "jukebox.served/v1", "runtime": "openvino", "settings": PINNED}
"""``served.json``."""

DIGESTS = {
    "model.keras": digest(KERAS),
    "model.onnx": digest(ONNX),
    "test.parquet": digest(b"test examples"),
    "profile.json": digest(PROFILE),
    "served.json": digest(canonical_bytes(SERVED)),
}
CHAMPION, CHAMPION_ONNX = "c0ffee" + 58 * "1", b"the graph in production"
MANIFEST = manifest_of({"model.keras": KERAS, "model.onnx": ONNX, "served.json": canonical_bytes(SERVED)})
OTHER_DIGEST = digest(b"something else")
IMAGE = "localhost/jukebox@" + digest(b"image")

WORDS = ("image", "images", "digit", "digits", "view", "views")
NOUNS = dict(zip(("example", "examples", "class_", "classes", "row", "rows"), WORDS, strict=True))
OPTIONAL_CHECK = "views.colour"
"""A check of the data report that the policy does not ask for."""

REQUIRED_CHECKS = {
    name: (relation, float(bound))
    for name, relation, bound in (text.split() for text in default_policy().data.required_checks)
}
DATA_CHECKS = {
    **{
        name: (bound + {"<=": 0, ">=": 0.5}[how], how, bound)
        for name, (how, bound) in REQUIRED_CHECKS.items()
    },
    OPTIONAL_CHECK: (0.0, "<=", 0.0),
}
"""The checks of the data report: value, relation, bound."""

FEATURES = default_policy().drift.required_features

EXAMPLES = 128
"""Test examples."""

REQUIRED_SLICES = default_policy().slices.required
SLICES = {
    "digit=1": (90, 2617, 0.35),
    "digit=7": (80, 2617, 0.25),
    **dict(zip(REQUIRED_SLICES, ((38, 1234, 0.3), (90, 4000, 0.3)), strict=True)),
    "size=tiny": (8, 300, -0.125),
    "size=large": (110, 4700, 0.375),
    "ink=new": (48, 1000, 0.375),
    "ink=old": (70, 4000, 0.3375),
}
"""Test examples, rows and gain of each slice; the tiny ones are too few to be judged."""

MARGINS = {"log_loss": 0.05, "top5_mass": 0.03, "hit_at_5": 0.05}
"""The margins of the default policy."""

POINTS = {"log_loss": (4.0, 4.0 + 2**-8), "top5_mass": (0.1875, 0.1875 - 2**-8), "hit_at_5": (0.875, 0.9375)}
"""Each metric of the champion and of the challenger on what they share: worse, worse and better."""

OTHERS = {"extremes": 26, "zeros": 1, "out_of_range": 26, "denormals": 112, "huge": 112, "nonfinite": 140}
FAMILIES = {"test": EXAMPLES, **OTHERS}
"""The families of inputs that parity compares, and how many rows each has."""

RUNTIMES = {
    "served": ("openvino", "2026.4.1", SERVED["settings"]),
    "onnxruntime": ("onnxruntime", "1.32.0", {}),
    "openvino": ("openvino", "2026.4.1", {}),
}
"""The runtimes: engine, version, settings."""

BINDING = {"served": 0, "onnxruntime": 1}
"""Those that bind, and where they stand in the report."""

BATCHES = {1: 100, 7: 18, 64: 2, EXAMPLES: 1}
"""By batch size, how many requests were made."""

REFUSED = "not_text wrong_shape shape_of_other_data wrong_name wrong_type text nan no_input huge".split()
BAD_REQUESTS = {"empty": 422, "not_json": 422, **dict.fromkeys(REFUSED, 400)}
"""By what is wrong with it, what a request was answered."""


# fmt: off
def data_report(champion: str = CHAMPION) -> dict[str, Any]:
    return {
        "schema": "jukebox.data-report/v4", "definition": "images/v1", "nouns": dict(NOUNS),
        "data_version": DATA_VERSION, "synthetic": True, "tables": "source",
        "rows": {"views": 25550, "images": 600}, "examples_table": "images", "set_aside": {"blank images": 2},
        "both_sides": 3, "near_copies": 3, "drift": drift(champion),
        "checks": [
            {"name": name, "value": value, "relation": how, "bound": bound, "passed": True, "detail": ""}
            for name, (value, how, bound) in DATA_CHECKS.items()
        ],
    }


def drift(champion: str = CHAMPION) -> dict[str, Any] | None:
    """Make a drift that passes without a warning; None for the champion ""."""
    measured = {
        "before": {"examples": 500, "rows": 20_000}, "after": {"examples": 550, "rows": 25_000},
        "trained_on_synthetic": True, "features": {name: {"psi": 0.0625, "ks": 0.03125} for name in FEATURES},
        "class_shift": 0.125, "lost_classes": ["3"], "new_classes": ["8"], "lost_share": 0.0078125,
        "correlation_change": 0.125, "correlated": "width and height",
        "known_examples": 256, "changed_examples": 1, "moved_examples": 64,
        "twins_before": 0.0078125, "twins_after": 0.015625,
    }
    about = {"champion": champion, "profile_digest": digest(PROFILE), "not_compared": ""}
    return {**about, "measured": measured} if champion else None


def interval(value: float, half: float = 0.0078125) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def metrics(log_loss: float, top1: float, top5: float, hit: float) -> dict[str, Any]:
    masses = {"top1_mass": interval(top1), "top5_mass": interval(top5), "hit_at_5": interval(hit)}
    return {"log_loss": interval(log_loss), **masses, "macro_f1": 0.025, "calibration_error": 0.015}


def slice_of(name: str, examples: int, rows: int, gain: float, p_value: float = 1.0) -> dict[str, Any]:
    about = {"name": name, "examples": examples, "rows": rows}
    return {**about, "gain": gain, "standard_error": 0.0625, "p_value": p_value}


def evaluation(digests: Mapping[str, str] = DIGESTS, champion: str = CHAMPION) -> dict[str, Any]:
    return {
        "schema": "jukebox.evaluation/v3",
        "model_digest": digests["model.keras"], "test_digest": digests["test.parquet"],
        "examples": EXAMPLES, "rows": 5234, "labels": 73,
        "model": metrics(4.0, 0.0625, 0.1875, 0.9375),
        "uniform": metrics(4.3125, 0.015625, 0.078125, 0.78125),
        "prior": metrics(4.3, 0.015625, 0.046875, 0.65625),
        "logistic": metrics(4.0625, 0.03125, 0.15625, 0.921875),
        "gain_over_prior": interval(0.3), "gain_over_logistic": interval(0.0625),
        "classes": {
            "1": {"log_loss": 3.9, "prior_log_loss": 4.25, "rows": 2617, "examples": 90},
            "7": {"log_loss": 4.1, "prior_log_loss": 4.35, "rows": 2617, "examples": 80},
        },
        "slices": {
            "floor": -0.25, "resampling": {"resamples": 10_000, "alpha": 0.05, "seed": 7},
            "slices": [slice_of(name, *numbers) for name, numbers in SLICES.items()],
        },
        "bootstrap": {"resamples": 2000, "confidence": 0.95, "seed": 7},
        "champion": comparison(champion),
    }


def standing(champion: float, challenger: float, sign: int = 1, error: float = 2**-7) -> dict[str, Any]:
    """Make a standing with a standard error; the bounds are three of these away."""
    difference = {"standard_error": error, **interval(sign * (challenger - champion), 3 * error)}
    superior = difference["low"] > 1e-6
    return {"champion": champion, "challenger": challenger, "difference": difference, "superior": superior}


def comparison(champion: str = CHAMPION, model: bytes = CHAMPION_ONNX) -> dict[str, Any] | None:
    """Make the comparison with a champion and its model; None for the champion ""."""
    shared = {
        "features": 13, "champion_labels": 72, "challenger_labels": 73, "shared_labels": 71,
        "examples": 125, "examples_left_out": 3, "rows": 5000, "rows_left_out": 234,
        **{name: standing(*points, -1 if name == "log_loss" else 1) for name, points in POINTS.items()},
        "resamples": 10_000, "alpha": 0.05, "seed": 7,
    }
    about = {"champion": champion, "onnx_digest": digest(model), "incomparable": "", "shared": shared}
    return about if champion else None


def family(name: str) -> dict[str, Any]:
    rows = FAMILIES[name]
    return {
        "name": name, "rows": rows, "batch_sizes": list(dict.fromkeys((1, 7, 64, 10000, rows))),
        "max_difference": 6e-8, "p99_difference": 1e-8, "worst_ratio": 0.0005, "violations": 0,
        "worst_row": "row 0, 7, batches of 1", "top1_disagreements": 0, "top1_ties": int(name == "test"),
        "unanswered": rows if name == "nonfinite" else 0, "nonfinite": 0,
        "row_sum_error": 2e-7 if name == "test" else 1e-7,
    }


def runtime(name: str) -> dict[str, Any]:
    engine, version, settings = RUNTIMES[name]
    return {
        "name": name, "engine": engine, "version": version, "precision": "float32",
        "settings": dict(settings),
        "families": [family(name) for name in FAMILIES],
        "layouts": {"fortran": "same", "strided": "refused", "reversed": "same"},
        "threads": {"threads": 4, "calls": 100, "different": 0},
        "metrics": {"log_loss": 4.0 + 2**-20, "top1_mass": 0.0625, "top5_mass": 0.1875, "hit_at_5": 0.9375},
    }


def parity(digests: Mapping[str, str] = DIGESTS) -> dict[str, Any]:
    return {
        "schema": "jukebox.parity/v3", "reference": "native", "model_digest": digests["model.keras"],
        "onnx_digest": digests["model.onnx"], "test_digest": digests["test.parquet"],
        "served": copy.deepcopy(SERVED), "opset": 18, "atol": 1e-5, "rtol": 1e-3, "interface_problems": [],
        "runtimes": [runtime(name) for name in RUNTIMES],
        "model_bytes": 46767, "latency": {"p50_ms": 0.0055, "p99_ms": 0.0625, "calls": 1000},
    }


def serving(digests: Mapping[str, str] = DIGESTS) -> dict[str, Any]:
    right = {"max_difference": 3e-8, "violations": 0, "top1_flips": 0}
    return {
        "schema": "jukebox.serving/v2", "model_digest": digests["model.keras"],
        "onnx_digest": digests["model.onnx"], "test_digest": digests["test.parquet"],
        "served_digest": digests["served.json"],
        "server": "kserve", "version": "0.21.0", "protocol": "v2 over HTTP", "interface_problems": [],
        "ready_seconds": 2.5, "rows": EXAMPLES, "atol": 1e-5, "rtol": 1e-3,
        "batches": [
            {"size": size, "requests": requests, "rows": size * requests, **right}
            for size, requests in BATCHES.items()
        ],
        "bad_requests": [{"name": name, "status": status} for name, status in BAD_REQUESTS.items()],
        "wrong_after_bad": 0, "latency": {"p50_ms": 1.5, "p99_ms": 6.5, "calls": 300},
        "peak_memory_mb": 218.5, "ended_cleanly": True, "processes_left": 0,
    }
# fmt: on


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
    run = {"run_id": "40564379", "nonce": "1473488091b832078092e2636c865f50", "image": IMAGE}
    model = {
        "model_name": "jukebox",
        "model_version": "1",
        "champion": CHAMPION,
        "data_version": DATA_VERSION,
    }
    return Subject(
        **{**run, **model, "commit": "01b945fae5ea18936b79d1d1ec0dd341b22d6aac", "dirty": False, **changes}
    )


def passing_evidence() -> Evidence:
    """Make the evidence of a model that passes."""
    return make_evidence(subject(), MANIFEST, passing_reports(), POLICY, DAY)


def judge(reports: Any, policy: str = POLICY) -> Verdict:
    """Decide on reports."""
    return decide(reports, policy, DAY)


def changed(edits: Mapping[str, Any], policy: str = POLICY) -> Verdict:
    """Decide on passing reports with other values at dotted paths."""
    return judge(edited(passing_reports(), edits), policy)


def policy_with(edits: Mapping[str, Any]) -> str:
    """Return the default policy with other thresholds, by dotted path."""
    return json.dumps(edited(json.loads(POLICY), edits))


def check_of(verdict: Verdict, name: str) -> Check:
    """Return the one check of a name."""
    (found,) = [check for check in verdict.checks if check.name == name]
    return found


_RELATIONS = {"<=": operator.le, ">=": operator.ge, ">": operator.gt, "==": operator.eq}


def failing(verdict: Verdict) -> set[str]:
    """Return the names of the checks that block, after a look at the verdict's own consistency."""
    assert verdict.passed == (not verdict.failures)
    for check in verdict.checks:
        assert bool(check.reason) != check.passed
        if check.passed:
            assert _RELATIONS[check.relation](check.value, check.bound), check
            assert isinstance(check.value, float) or check.relation == "=="
    return {check.name for check in verdict.failures}


def unmet(verdict: Verdict) -> set[str]:
    """Return the names of the checks that did not pass, whether they block, warn or are waived."""
    failing(verdict)
    return {check.name for check in verdict.checks if not check.passed}


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


def path_of(text: str) -> Path:
    """Return the path that a dotted text writes."""
    return tuple(int(key) if key.isdigit() else key for key in text.split("."))


def edited(value: Any, edits: Mapping[str, Any]) -> Any:
    """Copy JSON with other values at dotted paths, as ``{"evaluation.examples": 0}``."""
    return replaced(value, *((path_of(text), new) for text, new in edits.items()))


def another(value: Any) -> Any:
    """Return a value of the same kind that is not the same; for null, an object."""
    if value is None:
        return {}
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return OTHER_DIGEST if value.startswith("sha256:") else value + "x"
    if isinstance(value, list):
        return [*value, "x"]
    if isinstance(value, dict):
        return {**value, "x": "x"}
    return value + 1 if isinstance(value, int) else value * (1 + 1e-9) + 1e-12


def dotted(path: Path) -> str:
    """Write a path as one word."""
    return ".".join(map(str, path))
