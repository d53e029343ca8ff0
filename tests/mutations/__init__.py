"""For every check of the gate: the smallest change of passing reports that fails it."""

from mutations.champion import champion_mutations
from mutations.data import DATA
from mutations.drift import drift_mutations
from mutations.evaluation import EVALUATION
from mutations.mutation import Mutation
from mutations.parity import parity_mutations
from mutations.serving import serving_mutations
from mutations.slices import SLICED

__all__ = ["BLOCKING", "MUTATIONS", "ONE_OF_EACH", "Mutation"]

MUTATIONS = {
    **DATA,
    **drift_mutations(),
    **EVALUATION,
    **champion_mutations(),
    **SLICED,
    **parity_mutations(),
    **serving_mutations(),
}
"""By the name of the check."""

BLOCKING = {name: mutation for name, mutation in MUTATIONS.items() if not mutation.warns}
"""Those of checks that block."""

ONE_OF_EACH = sorted({name.partition(".")[0]: name for name in BLOCKING}.values())
"""Of each subject, one check that blocks: what the layers above the gate are tested with in the fast tier."""
