"""Mutations of the drift from the champion's training data."""

from mutations.mutation import Mutation

DRIFT = "data_report.drift"
MEASURED = f"{DRIFT}.measured"

WORSE = {
    "psi": ("features.energy.psi", 0.2, 0.3),
    "ks": ("features.tempo.ks", 0.15, 0.21),
    "country_shift": ("country_shift", 0.25, 0.34),
    "lost_countries": ("lost_share", 0.02, 0.06),
    "correlation": ("correlation_change", 0.25, 0.31),
    "changed_songs": ("changed_songs", 2, 6),
    "moved_songs": ("moved_songs", 91, 155),
    "twins": ("twins_after", 0.03, 0.06),
    "volume": ("after.songs", 350, 299),
    "growth": ("after.rows", 30_001, 38_001),
}
"""For each measure: where it stands, a value that warns, and one that blocks."""


def drift_mutations() -> dict[str, Mutation]:
    """Make the mutations."""
    found = {
        "drift.compared": Mutation({f"{DRIFT}.not_compared": "it cannot be read", MEASURED: None}),
        "drift.synthetic": Mutation({f"{MEASURED}.trained_on_synthetic": False}),
        "drift.features": Mutation({f"{MEASURED}.features": {"energy": {"psi": 0.0625, "ks": 0.03125}}}),
        "drift.known_songs": Mutation(
            {
                f"{MEASURED}.known_songs": 24,
                f"{MEASURED}.changed_songs": 0,
                f"{MEASURED}.moved_songs": 6,
            },
            warns=True,
        ),
    }
    for name, (where, warns, blocks) in WORSE.items():
        early = f"drift.{name}.early"
        found[f"drift.{name}"] = Mutation({f"{MEASURED}.{where}": blocks}, frozenset({early}))
        found[early] = Mutation({f"{MEASURED}.{where}": warns}, warns=True)
    return found
