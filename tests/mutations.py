"""For every check of the gate: the smallest change of passing reports that fails it."""

from typing import Any, NamedTuple

from reports import (
    BAD_REQUESTS,
    BATCHES,
    BINDING,
    DATA_CHECKS,
    FAMILIES,
    FEATURES,
    MARGINS,
    POINTS,
    REQUIRED_SLICES,
    SLICES,
    interval,
    standing,
)


class Mutation(NamedTuple):
    """Edits of passing reports by dotted path, and checks that cannot but fail together with this one."""

    edits: dict[str, Any]
    others: frozenset[str] = frozenset()
    warns: bool = False

    def edits_beside(self, champion: str) -> dict[str, Any]:
        """Give the edits of reports that were made beside a champion, or "" for none."""
        return {
            path: new
            for path, new in self.edits.items()
            if champion or not path.startswith(("evaluation.champion.", "data_report.drift."))
        }

    @property
    def blocking(self) -> frozenset[str]:
        """Those of the others that block, too: an early warning does not."""
        return frozenset(name for name in self.others if not name.endswith(".early"))


DRIFT = "data_report.drift"
MEASURED = f"{DRIFT}.measured"
SHARED = "evaluation.champion.shared"

WORSE = {
    "psi": (f"features.{FEATURES[0]}.psi", 0.2, 0.3),
    "ks": (f"features.{FEATURES[1]}.ks", 0.15, 0.21),
    "class_shift": ("class_shift", 0.25, 0.34),
    "lost_classes": ("lost_share", 0.02, 0.06),
    "correlation": ("correlation_change", 0.25, 0.31),
    "changed_examples": ("changed_examples", 2, 6),
    "moved_examples": ("moved_examples", 91, 155),
    "twins": ("twins_after", 0.03, 0.06),
    "volume": ("after.examples", 350, 299),
    "growth": ("after.rows", 30_001, 38_001),
}
"""For each measure of drift: where it stands, a value that warns, and one that blocks."""

AT = {name: f"evaluation.slices.slices.{index}" for index, name in enumerate(SLICES)}
"""Where each slice stands."""

PLAIN: dict[str, dict[str, Any]] = {
    "data_report": {"data_report.schema": "jukebox.data-report/v1"},
    "data.left_out": {"data_report.near_copies": 100},
    "drift.compared": {f"{DRIFT}.not_compared": "it cannot be read", MEASURED: None},
    "drift.synthetic": {f"{MEASURED}.trained_on_synthetic": False},
    "drift.features": {f"{MEASURED}.features": {FEATURES[0]: {"psi": 0.0625, "ks": 0.03125}}},
    "evaluation": {"evaluation.model.macro_f1": 1.5},
    "evaluation.examples": {"evaluation.examples": 99},
    "evaluation.gain_over_prior.low": {"evaluation.gain_over_prior.low": 0.05},
    "evaluation.resamples": {"evaluation.bootstrap.resamples": 999},
    "evaluation.confidence": {"evaluation.bootstrap.confidence": 0.94},
    "evaluation.top5_mass": {"evaluation.prior.top5_mass": interval(0.1)},
    "evaluation.calibration": {"evaluation.model.calibration_error": 0.101},
    "evaluation.gain_over_logistic.high": {"evaluation.gain_over_logistic": interval(-0.01)},
    "champion.comparable": {"evaluation.champion.incomparable": "its model is empty", SHARED: None},
    "champion.shared_rows": {f"{SHARED}.rows": 4710, f"{SHARED}.rows_left_out": 524},
    "champion.shared_examples": {f"{SHARED}.examples": 115, f"{SHARED}.examples_left_out": 13},
    "champion.resamples": {f"{SHARED}.resamples": 9999},
    "champion.alpha": {f"{SHARED}.alpha": 0.051},
    "slices.measured_floor": {"evaluation.slices.floor": -0.26},
    "slices.smallest_p": {"evaluation.slices.resampling.resamples": 198},
    "slices.floor": {f"{AT['size=large']}.gain": -1.0, f"{AT['size=large']}.p_value": 0.0002},
    "parity": {"parity": None},
    "parity.self_reported": {"parity.reference": "self-reported"},
    "parity.served.unpinned": {"parity.served.settings": {}},
    "parity.served.other_precision": {"parity.runtimes.0.precision": "bfloat16"},
    "parity.atol": {"parity.atol": 1.1e-5},
    "parity.rtol": {"parity.rtol": 1.1e-3},
    "parity.interface": {"parity.interface_problems": ["inputs: x instead of features"]},
    "budget.model_bytes": {"parity.model_bytes": 5_000_001},
    "budget.latency_calls": {"parity.latency.calls": 99},
    "budget.p50_latency_ms": {"parity.latency.p50_ms": 5.1},
    "budget.p99_latency_ms": {"parity.latency.p99_ms": 50.1},
    "serving": {"serving.protocol": "v1"},
    "serving.interface": {"serving.interface_problems": ["inputs: width instead of features"]},
    "serving.ready_seconds": {"serving.ready_seconds": 60.1},
    "serving.atol": {"serving.atol": 1.1e-5},
    "serving.rtol": {"serving.rtol": 1.1e-3},
    # Of the size of no other batch.
    "serving.batch_sizes_missing": {"serving.batches.1.size": 9, "serving.batches.1.rows": 162},
    "serving.wrong_after_bad": {"serving.wrong_after_bad": 1},
    "serving.latency_calls": {"serving.latency.calls": 199},
    "serving.p99_latency_ms": {"serving.latency.p99_ms": 100.1},
    "serving.memory_mb": {"serving.peak_memory_mb": 1000.5},
    "serving.ended_badly": {"serving.ended_cleanly": False},
    "serving.processes_left": {"serving.processes_left": 1},
    **{
        f"data.{name}": {
            f"data_report.checks.{index}.value": bound + 1 if relation == "<=" else bound - 0.5,
            f"data_report.checks.{index}.passed": False,
            f"data_report.checks.{index}.detail": "e.g. image 4uLU6h",
        }
        for index, (name, (_, relation, bound)) in enumerate(DATA_CHECKS.items())
    },
    **{f"slices.required.{name}": {f"{AT[name]}.examples": 9} for name in REQUIRED_SLICES},
    **{
        f"serving.batches_of_{size}.{field}": {f"serving.batches.{index}.{field}": wrong}
        for index, size in enumerate(BATCHES)
        for field, wrong in (("requests", 0), ("violations", 1), ("top1_flips", 1))
    },
    **{
        f"serving.refuses.{name}": {f"serving.bad_requests.{index}.status": 500}
        for index, name in enumerate(BAD_REQUESTS)
    },
}
"""Checks that fail alone and block."""

WARNING: dict[str, dict[str, Any]] = {
    "drift.known_examples": {
        f"{MEASURED}.known_examples": 24,
        f"{MEASURED}.changed_examples": 0,
        f"{MEASURED}.moved_examples": 6,
    },
    **{f"drift.{name}.early": {f"{MEASURED}.{where}": warns} for name, (where, warns, _) in WORSE.items()},
    **{
        f"champion.{name}.power": {f"{SHARED}.{name}.difference.standard_error": MARGINS[name] / 2.4}
        for name in POINTS
    },
    "slices.worst": {f"{AT['size=large']}.gain": -0.2501, f"{AT['size=large']}.p_value": 0.9},
    "parity.openvino.worst_ratio": {"parity.runtimes.2.families.4.worst_ratio": 1.01},
    "parity.openvino.top1_flips": {"parity.runtimes.2.families.4.top1_disagreements": 1},
}
"""Checks that fail alone and warn."""


def _not_worse(name: str) -> dict[str, Any]:
    """Edit a metric to be within the margin by itself, and below it by its lower bound."""
    champion, sign = POINTS[name][0], -1 if name == "log_loss" else 1
    return {f"{SHARED}.{name}": standing(champion, champion - sign * (MARGINS[name] - 2**-8), sign)}


def _of_runtime(name: str, at: str) -> dict[str, dict[str, Any]]:
    """Make the mutations of a runtime that binds."""
    metrics = {"log_loss": 4.0002, "top1_mass": 0.0623, "top5_mass": 0.1877, "hit_at_5": 0.9377}
    found: dict[str, dict[str, Any]] = {
        "layouts": {f"{at}.layouts.strided": "different"},
        "threads": {f"{at}.threads.threads": 3},
        "threads.calls": {f"{at}.threads.calls": 99},
        "threads.different": {f"{at}.threads.different": 1},
        **{f"{metric}.difference": {f"{at}.metrics.{metric}": value} for metric, value in metrics.items()},
    }
    for place, (family, rows) in enumerate(FAMILIES.items()):
        where = f"{at}.families.{place}"
        found |= {
            f"{family}.batch_sizes_missing": {f"{where}.batch_sizes": [1, 64, 10000, rows]},
            f"{family}.worst_ratio": {f"{where}.worst_ratio": 1.01},
            f"{family}.unanswered": {f"{where}.unanswered": 1 if family != "nonfinite" else 139},
            f"{family}.nonfinite": {f"{where}.nonfinite": 1},
            f"{family}.row_sum": {f"{where}.row_sum_error": 2e-4},
            f"{family}.top1_flips": {f"{where}.top1_disagreements": 1},
            f"{family}.top1_ties": {f"{where}.top1_ties": 2},
        }
    return {f"parity.{name}.{check}": edits for check, edits in found.items()}


MUTATIONS = {
    **{name: Mutation(edits) for name, edits in PLAIN.items()},
    **{name: Mutation(edits, warns=True) for name, edits in WARNING.items()},
    **{f"champion.{name}.not_worse": Mutation(_not_worse(name)) for name in POINTS},
    **{
        f"drift.{name}": Mutation({f"{MEASURED}.{where}": blocks}, frozenset({f"drift.{name}.early"}))
        for name, (where, _, blocks) in WORSE.items()
    },
    # The lower end of an interval lies below its value.
    "evaluation.gain_over_prior": Mutation(
        {"evaluation.gain_over_prior": interval(0.05)}, frozenset({"evaluation.gain_over_prior.low"})
    ),
    **{
        name: Mutation(edits)
        for runtime, index in BINDING.items()
        for name, edits in _of_runtime(runtime, f"parity.runtimes.{index}").items()
    },
}
"""By the name of the check."""

BLOCKING = {name: mutation for name, mutation in MUTATIONS.items() if not mutation.warns}
"""Those of checks that block."""

ONE_OF_EACH = sorted({name.partition(".")[0]: name for name in BLOCKING}.values())
"""Of each subject, one check that blocks: what the layers above the gate are tested with in the fast tier."""
