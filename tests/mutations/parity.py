"""Mutations of the parity report."""

from reports import BINDING, FAMILIES

from mutations.mutation import Mutation


def parity_mutations() -> dict[str, Mutation]:
    """Make the mutations."""
    found = {
        "parity": Mutation({"parity": None}),
        "parity.served.unpinned": Mutation({"parity.served.settings": {}}),
        "parity.served.other_precision": Mutation({"parity.runtimes.0.precision": "bfloat16"}),
        "parity.atol": Mutation({"parity.atol": 1.1e-5}),
        "parity.rtol": Mutation({"parity.rtol": 1.1e-3}),
        "parity.interface": Mutation({"parity.interface_problems": ["inputs: x instead of features"]}),
        "parity.openvino.worst_ratio": Mutation(
            {"parity.runtimes.2.families.4.worst_ratio": 1.01}, warns=True
        ),
        "parity.openvino.top1_flips": Mutation(
            {"parity.runtimes.2.families.4.top1_disagreements": 1}, warns=True
        ),
        "budget.model_bytes": Mutation({"parity.model_bytes": 5_000_001}),
        "budget.latency_calls": Mutation({"parity.latency.calls": 99}),
        "budget.p99_latency_ms": Mutation({"parity.latency.p99_ms": 50.1}),
    }
    for name, index in BINDING.items():
        runtime = f"parity.runtimes.{index}"
        found |= {
            f"parity.{name}.layouts": Mutation({f"{runtime}.layouts.strided": "different"}),
            f"parity.{name}.threads": Mutation({f"{runtime}.threads.threads": 3}),
            f"parity.{name}.threads.calls": Mutation({f"{runtime}.threads.calls": 99}),
            f"parity.{name}.threads.different": Mutation({f"{runtime}.threads.different": 1}),
            f"parity.{name}.log_loss.difference": Mutation({f"{runtime}.metrics.log_loss": 4.0002}),
            f"parity.{name}.top1_mass.difference": Mutation({f"{runtime}.metrics.top1_mass": 0.0623}),
            f"parity.{name}.top5_mass.difference": Mutation({f"{runtime}.metrics.top5_mass": 0.1877}),
            f"parity.{name}.hit_at_5.difference": Mutation({f"{runtime}.metrics.hit_at_5": 0.9377}),
        }
        for place, family in enumerate(FAMILIES):
            found |= _family(f"parity.{name}", f"{runtime}.families.{place}", family)
    return found


def _family(runtime: str, at: str, name: str) -> dict[str, Mutation]:
    check = f"{runtime}.{name}"
    return {
        f"{check}.batch_sizes_missing": Mutation({f"{at}.batch_sizes": [1, 64, 10000, FAMILIES[name]]}),
        f"{check}.worst_ratio": Mutation({f"{at}.worst_ratio": 1.01}),
        f"{check}.unanswered": Mutation({f"{at}.unanswered": 1 if name != "nonfinite" else 139}),
        f"{check}.nonfinite": Mutation({f"{at}.nonfinite": 1}),
        f"{check}.row_sum": Mutation({f"{at}.row_sum_error": 2e-4}),
        f"{check}.top1_flips": Mutation({f"{at}.top1_disagreements": 1}),
        f"{check}.top1_ties": Mutation({f"{at}.top1_ties": 2}),
    }
