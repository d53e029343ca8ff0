"""Mutations of the comparison with the champion."""

from reports import MARGINS, POINTS, standing

from mutations.mutation import Mutation

SHARED = "evaluation.champion.shared"


def champion_mutations() -> dict[str, Mutation]:
    """Make the mutations."""
    found = {
        "champion.subject": Mutation({"evaluation.champion.champion": "f" * 64}),
        "champion.comparable": Mutation(
            {"evaluation.champion.incomparable": "its model is empty", SHARED: None}
        ),
        "champion.songs.adds_up": Mutation({f"{SHARED}.songs_left_out": 4}),
        "champion.rows.adds_up": Mutation({f"{SHARED}.rows_left_out": 235}),
        "champion.rows": Mutation(
            {"evaluation.rows": 128, f"{SHARED}.rows": 124, f"{SHARED}.rows_left_out": 4},
            frozenset({"slices.sizes", "slices.explicit.rows", "slices.countries.all_rows"}),
        ),
        "champion.rows_left_out": Mutation({f"{SHARED}.rows": 5232, f"{SHARED}.rows_left_out": 2}),
        "champion.shared_rows": Mutation({f"{SHARED}.rows": 4710, f"{SHARED}.rows_left_out": 524}),
        "champion.shared_songs": Mutation({f"{SHARED}.songs": 115, f"{SHARED}.songs_left_out": 13}),
        "champion.labels": Mutation({f"{SHARED}.challenger_labels": 74}),
        "champion.resamples": Mutation({f"{SHARED}.resamples": 9999}),
        "champion.alpha": Mutation({f"{SHARED}.alpha": 0.051}),
    }
    whole = {
        "songs": 128,
        "songs_left_out": 0,
        "rows": 5234,
        "rows_left_out": 0,
        "champion_labels": 73,
        "challenger_labels": 73,
        "shared_labels": 73,
    }
    alone = {"log_loss": 4.0, "top5_mass": 0.1875, "hit_at_5": 0.9375}
    for name, (champion, _) in POINTS.items():
        sign = -1 if name == "log_loss" else 1
        at = f"{SHARED}.{name}"
        # Within the margin by itself, and below it by its lower bound.
        just = champion - sign * (MARGINS[name] - 2**-8)
        scores = {f"{SHARED}.{other}": standing(value, value) for other, value in alone.items()}
        found |= {
            f"champion.{name}.adds_up": Mutation({f"{at}.champion": champion + 2**-10}),
            f"champion.{name}.not_worse": Mutation({at: standing(champion, just, sign)}),
            f"champion.{name}.power": Mutation(
                {f"{at}.difference.standard_error": MARGINS[name] / 2.4}, warns=True
            ),
            f"champion.{name}.challenger": Mutation(
                {
                    **{f"{SHARED}.{key}": value for key, value in whole.items()},
                    **scores,
                    at: standing(alone[name] + 2**-18, alone[name] + 2**-18, sign),
                }
            ),
        }
    return found
