"""Mutations of the serving report."""

from reports import BAD_REQUESTS, BATCHES

from mutations.mutation import Mutation


def serving_mutations() -> dict[str, Mutation]:
    """Make the mutations."""
    found = {
        "serving": Mutation({"serving.protocol": "v1"}),
        "serving.interface": Mutation({"serving.interface_problems": ["inputs: tempo instead of features"]}),
        "serving.ready_seconds": Mutation({"serving.ready_seconds": 60.1}),
        "serving.atol": Mutation({"serving.atol": 1.1e-5}),
        "serving.rtol": Mutation({"serving.rtol": 1.1e-3}),
        # Of the size of no other batch.
        "serving.batch_sizes_missing": Mutation({"serving.batches.1.size": 9, "serving.batches.1.rows": 162}),
        "serving.wrong_after_bad": Mutation({"serving.wrong_after_bad": 1}),
        "serving.latency_calls": Mutation({"serving.latency.calls": 199}),
        "serving.p99_latency_ms": Mutation({"serving.latency.p99_ms": 100.1}),
        "serving.memory_mb": Mutation({"serving.peak_memory_mb": 1000.5}),
        "serving.ended_badly": Mutation({"serving.ended_cleanly": False}),
        "serving.processes_left": Mutation({"serving.processes_left": 1}),
    }
    for index, size in enumerate(BATCHES):
        batch, check = f"serving.batches.{index}", f"serving.batches_of_{size}"
        found |= {
            f"{check}.requests": Mutation({f"{batch}.requests": 0, f"{batch}.rows": 0}),
            f"{check}.violations": Mutation({f"{batch}.violations": 1}),
            f"{check}.top1_flips": Mutation({f"{batch}.top1_flips": 1}),
        }
    for index, name in enumerate(BAD_REQUESTS):
        found[f"serving.refuses.{name}"] = Mutation({f"serving.bad_requests.{index}.status": 500})
    return found
