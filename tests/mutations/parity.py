"""Mutations of the parity report."""

from reports import FAMILIES, OTHER_DIGEST

from mutations.mutation import Mutation
from mutations.slices import AT


def parity_mutations() -> dict[str, Mutation]:
    """Make the mutations."""
    found = {
        "parity": Mutation({"parity": None}),
        "parity.keras_model": Mutation({"parity.keras_digest": OTHER_DIGEST}),
        "parity.onnx_model": Mutation({"parity.onnx_digest": OTHER_DIGEST}),
        "parity.test_data": Mutation({"parity.test_digest": OTHER_DIGEST}),
        "parity.atol": Mutation({"parity.atol": 1.1e-5}),
        "parity.rtol": Mutation({"parity.rtol": 1.1e-3}),
        "parity.interface": Mutation({"parity.interface_problems": ["inputs: x instead of features"]}),
        "parity.test.all_songs": Mutation(
            {
                "evaluation.songs": FAMILIES["test"] + 1,
                "evaluation.champion.shared.songs_left_out": 4,
                f"{AT['explicit=no']}.songs": 101,
            }
        ),
        "onnx.log_loss.difference": Mutation({"parity.onnx.log_loss": 4.0002}),
        "onnx.top1_mass.difference": Mutation({"parity.onnx.top1_mass": 0.0623}),
        "onnx.top5_mass.difference": Mutation({"parity.onnx.top5_mass": 0.1877}),
        "onnx.hit_at_5.difference": Mutation({"parity.onnx.hit_at_5": 0.9377}),
        "budget.model_bytes": Mutation({"parity.model_bytes": 5_000_001}),
        "budget.latency_calls": Mutation({"parity.latency.calls": 99}),
        "budget.p99_latency_ms": Mutation({"parity.latency.p99_ms": 50.1}),
    }
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
