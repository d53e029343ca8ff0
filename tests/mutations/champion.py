"""Mutations of the comparison with the champion."""

from reports import MARGINS, POINTS, standing

from mutations.mutation import Mutation

SHARED = "evaluation.champion.shared"


def champion_mutations() -> dict[str, Mutation]:
    """Make the mutations."""
    found = {
        "champion.comparable": Mutation(
            {"evaluation.champion.incomparable": "its model is empty", SHARED: None}
        ),
        "champion.shared_rows": Mutation({f"{SHARED}.rows": 4710, f"{SHARED}.rows_left_out": 524}),
        "champion.shared_songs": Mutation({f"{SHARED}.songs": 115, f"{SHARED}.songs_left_out": 13}),
        "champion.resamples": Mutation({f"{SHARED}.resamples": 9999}),
        "champion.alpha": Mutation({f"{SHARED}.alpha": 0.051}),
    }
    for name, (champion, _) in POINTS.items():
        sign = -1 if name == "log_loss" else 1
        at = f"{SHARED}.{name}"
        # Within the margin by itself, and below it by its lower bound.
        just = champion - sign * (MARGINS[name] - 2**-8)
        found |= {
            f"champion.{name}.not_worse": Mutation({at: standing(champion, just, sign)}),
            f"champion.{name}.power": Mutation(
                {f"{at}.difference.standard_error": MARGINS[name] / 2.4}, warns=True
            ),
        }
    return found
