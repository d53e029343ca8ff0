"""Mutations of the evaluation's slices."""

from typing import Any

from reports import SLICES

from mutations.mutation import Mutation

AT = {name: f"evaluation.slices.slices.{index}" for index, name in enumerate(SLICES)}
"""Where each slice stands."""


def _worse(newest: float, earlier: float, p_value: float) -> dict[str, Any]:
    gains = {AT["decade=2020s"]: newest, AT["released=earlier"]: earlier}
    return {f"{at}.gain": gain for at, gain in gains.items()} | {f"{at}.p_value": p_value for at in gains}


SLICED = {
    **{
        f"slices.required.explicit={few}": Mutation(
            {f"{AT[f'explicit={few}']}.songs": 9, f"{AT[f'explicit={many}']}.songs": 119}
        )
        for few, many in (("yes", "no"), ("no", "yes"))
    },
    "slices.measured_floor": Mutation({"evaluation.slices.floor": -0.26}),
    "slices.smallest_p": Mutation({"evaluation.slices.resampling.resamples": 198}),
    "slices.floor": Mutation(_worse(-1.0, -1.278125, 0.0002)),
    "slices.worst": Mutation(_worse(-0.2501, -0.3969925, 0.9), warns=True),
}
