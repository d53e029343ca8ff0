"""Mutations of the evaluation's slices."""

from reports import SLICES

from mutations.mutation import Mutation

AT = {name: f"evaluation.slices.slices.{index}" for index, name in enumerate(SLICES)}
"""Where each slice stands."""


def slice_mutations() -> dict[str, Mutation]:
    """Make the mutations."""
    newest, earlier = AT["decade=2020s"], AT["released=earlier"]
    return {
        "slices.required.explicit=yes": Mutation(
            {f"{AT['explicit=yes']}.songs": 9, f"{AT['explicit=no']}.songs": 119}
        ),
        "slices.required.explicit=no": Mutation(
            {f"{AT['explicit=no']}.songs": 9, f"{AT['explicit=yes']}.songs": 119}
        ),
        "slices.measured_floor": Mutation({"evaluation.slices.floor": -0.26}),
        "slices.smallest_p": Mutation({"evaluation.slices.resampling.resamples": 198}),
        "slices.floor": Mutation(
            {
                f"{newest}.gain": -1.0,
                f"{newest}.p_value": 0.0002,
                f"{earlier}.gain": -1.278125,
                f"{earlier}.p_value": 0.0002,
            }
        ),
        "slices.worst": Mutation(
            {
                f"{newest}.gain": -0.2501,
                f"{newest}.p_value": 0.9,
                f"{earlier}.gain": -0.3969925,
                f"{earlier}.p_value": 0.9,
            },
            warns=True,
        ),
    }
