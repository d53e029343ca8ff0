"""For every check of the gate: the smallest change of passing reports that fails it."""

from typing import Any, NamedTuple

from reports import DATA_CHECKS, FAMILIES, OTHER_DIGEST, interval


class Mutation(NamedTuple):
    """Edits of passing reports by dotted path, and checks that cannot but fail together with this one."""

    edits: dict[str, Any]
    others: frozenset[str] = frozenset()


def _mutations() -> dict[str, Mutation]:
    found = {
        "data_report": Mutation({"data_report.schema": "jukebox.data-report/v2"}),
        "data_report.data_version": Mutation({"data_report.data_version": "59ddef4777eb0126"}),
        "evaluation": Mutation({"evaluation.model.macro_f1": 1.5}),
        "evaluation.model": Mutation({"evaluation.keras_digest": OTHER_DIGEST}),
        "evaluation.test_data": Mutation({"evaluation.test_digest": OTHER_DIGEST}),
        "evaluation.songs": Mutation(
            {
                "evaluation.songs": 99,
                "parity.families.0.rows": 99,
                "parity.families.0.batch_sizes": [1, 7, 64, 99],
                "parity.families.0.top1_ties": 0,
            }
        ),
        "evaluation.gain_over_prior.low": Mutation({"evaluation.gain_over_prior.low": 0.05}),
        # The lower end of an interval lies below its value.
        "evaluation.gain_over_prior": Mutation(
            {"evaluation.gain_over_prior": interval(0.05), "evaluation.prior.log_loss": interval(4.05)},
            frozenset({"evaluation.gain_over_prior.low"}),
        ),
        "evaluation.gain_over_prior.adds_up": Mutation({"evaluation.prior.log_loss": interval(4.4)}),
        "evaluation.gain_over_logistic.adds_up": Mutation({"evaluation.logistic.log_loss": interval(4.4)}),
        "evaluation.rows": Mutation({"evaluation.rows": 127}),
        "evaluation.resamples": Mutation({"evaluation.bootstrap.resamples": 999}),
        "evaluation.confidence": Mutation({"evaluation.bootstrap.confidence": 0.94}),
        "evaluation.top5_mass": Mutation({"evaluation.prior.top5_mass": interval(0.1)}),
        "evaluation.gain_over_logistic.high": Mutation(
            {"evaluation.gain_over_logistic": interval(-0.01), "evaluation.logistic.log_loss": interval(3.99)}
        ),
        "parity": Mutation({"parity": None}),
        "parity.keras_model": Mutation({"parity.keras_digest": OTHER_DIGEST}),
        "parity.onnx_model": Mutation({"parity.onnx_digest": OTHER_DIGEST}),
        "parity.test_data": Mutation({"parity.test_digest": OTHER_DIGEST}),
        "parity.atol": Mutation({"parity.atol": 1.1e-5}),
        "parity.rtol": Mutation({"parity.rtol": 1.1e-3}),
        "parity.interface": Mutation({"parity.interface_problems": ["inputs: x instead of features"]}),
        "parity.test.all_songs": Mutation({"evaluation.songs": FAMILIES["test"] + 1}),
        "onnx.log_loss.difference": Mutation({"parity.onnx.log_loss": 4.0002}),
        "onnx.top1_mass.difference": Mutation({"parity.onnx.top1_mass": 0.0623}),
        "onnx.top5_mass.difference": Mutation({"parity.onnx.top5_mass": 0.1877}),
        "onnx.hit_at_5.difference": Mutation({"parity.onnx.hit_at_5": 0.9377}),
        "budget.model_bytes": Mutation({"parity.model_bytes": 5_000_001}),
        "budget.latency_calls": Mutation({"parity.latency.calls": 99}),
        "budget.p99_latency_ms": Mutation({"parity.latency.p99_ms": 50.1}),
    }
    for index, (name, (_, relation, bound)) in enumerate(DATA_CHECKS.items()):
        check = f"data_report.checks.{index}"
        worse = bound + 1 if relation == "<=" else bound - 0.5
        found[f"data.{name}"] = Mutation(
            {f"{check}.value": worse, f"{check}.passed": False, f"{check}.detail": "e.g. song 4uLU6h"}
        )
    for index, name in enumerate(FAMILIES):
        family = f"parity.families.{index}"
        # No row at all of the test songs is also not every test song.
        whole = frozenset({"parity.test.all_songs"} if name == "test" else ())
        found |= {
            f"parity.{name}.rows": Mutation(
                {f"{family}.rows": 0, f"{family}.top1_ties": 0, f"{family}.batch_sizes": [0, 1, 7, 64]}, whole
            ),
            f"parity.{name}.batch_sizes_missing": Mutation(
                {f"{family}.batch_sizes": [1, 64, FAMILIES[name]]}
            ),
            f"parity.{name}.violations": Mutation({f"{family}.violations": 1}),
            f"parity.{name}.worst_ratio": Mutation({f"{family}.worst_ratio": 1.01}),
            f"parity.{name}.nonfinite": Mutation({f"{family}.nonfinite": 1}),
            f"parity.{name}.row_sum": Mutation({f"{family}.row_sum_error": 2e-4}),
            f"parity.{name}.top1_flips": Mutation({f"{family}.top1_disagreements": 1}),
            f"parity.{name}.top1_ties": Mutation({f"{family}.top1_ties": 2}),
        }
    return found


MUTATIONS = _mutations()
