"""Mutations of the evaluation."""

from reports import interval

from mutations.mutation import Mutation

# The lower end of an interval is below its value.
BOTH = frozenset({"evaluation.gain_over_prior.low"})
EVALUATION = {
    "evaluation": Mutation({"evaluation.model.macro_f1": 1.5}),
    "evaluation.songs": Mutation({"evaluation.songs": 99}),
    "evaluation.gain_over_prior.low": Mutation({"evaluation.gain_over_prior.low": 0.05}),
    "evaluation.gain_over_prior": Mutation({"evaluation.gain_over_prior": interval(0.05)}, BOTH),
    "evaluation.resamples": Mutation({"evaluation.bootstrap.resamples": 999}),
    "evaluation.confidence": Mutation({"evaluation.bootstrap.confidence": 0.94}),
    "evaluation.top5_mass": Mutation({"evaluation.prior.top5_mass": interval(0.1)}),
    "evaluation.calibration": Mutation({"evaluation.model.calibration_error": 0.101}),
    "evaluation.gain_over_logistic.high": Mutation({"evaluation.gain_over_logistic": interval(-0.01)}),
}
