"""Mutations of the evaluation."""

from reports import BINDING, OTHER_DIGEST, interval

from mutations.mutation import Mutation
from mutations.slices import AT


def evaluation_mutations() -> dict[str, Mutation]:
    """Make the mutations."""
    return {
        "evaluation": Mutation({"evaluation.model.macro_f1": 1.5}),
        "evaluation.model": Mutation({"evaluation.keras_digest": OTHER_DIGEST}),
        "evaluation.test_data": Mutation({"evaluation.test_digest": OTHER_DIGEST}),
        "evaluation.songs": Mutation(
            {
                "evaluation.songs": 99,
                "evaluation.champion.shared.songs": 96,
                f"{AT['explicit=no']}.songs": 61,
                f"{AT['decade=2020s']}.songs": 90,
                f"{AT['released=earlier']}.songs": 50,
                **{
                    f"parity.runtimes.{index}.families.0.{field}": value
                    for index in BINDING.values()
                    for field, value in {
                        "rows": 99,
                        "batch_sizes": [1, 7, 64, 99, 10000],
                        "top1_ties": 0,
                    }.items()
                },
                "serving.rows": 99,
                "serving.batches.3.size": 99,
                "serving.batches.3.rows": 99,
            }
        ),
        "evaluation.gain_over_prior.low": Mutation({"evaluation.gain_over_prior.low": 0.05}),
        # The lower end of an interval lies below its value.
        "evaluation.gain_over_prior": Mutation(
            {
                "evaluation.gain_over_prior": interval(0.05),
                "evaluation.prior.log_loss": interval(4.05),
                f"{AT['explicit=yes']}.gain": 0.05,
                f"{AT['explicit=no']}.gain": 0.05,
            },
            frozenset({"evaluation.gain_over_prior.low"}),
        ),
        "evaluation.gain_over_prior.adds_up": Mutation({"evaluation.prior.log_loss": interval(4.4)}),
        "evaluation.gain_over_logistic.adds_up": Mutation({"evaluation.logistic.log_loss": interval(4.4)}),
        "evaluation.rows": Mutation(
            {"evaluation.rows": 127},
            frozenset(
                {"champion.rows.adds_up", "slices.sizes", "slices.explicit.rows", "slices.countries.all_rows"}
            ),
        ),
        "evaluation.resamples": Mutation({"evaluation.bootstrap.resamples": 999}),
        "evaluation.confidence": Mutation({"evaluation.bootstrap.confidence": 0.94}),
        "evaluation.top5_mass": Mutation({"evaluation.prior.top5_mass": interval(0.1)}),
        "evaluation.gain_over_logistic.high": Mutation(
            {"evaluation.gain_over_logistic": interval(-0.01), "evaluation.logistic.log_loss": interval(3.99)}
        ),
    }
