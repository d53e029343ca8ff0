"""For every check of the gate: the smallest change of passing reports that fails it."""

from mutations.champion import champion_mutations
from mutations.data import data_mutations
from mutations.drift import drift_mutations
from mutations.evaluation import evaluation_mutations
from mutations.mutation import Mutation
from mutations.parity import parity_mutations
from mutations.serving import serving_mutations
from mutations.slices import slice_mutations

__all__ = ["BLOCKING", "MUTATIONS", "ONE_OF_EACH", "Mutation"]

MUTATIONS = {
    **data_mutations(),
    **drift_mutations(),
    **evaluation_mutations(),
    **champion_mutations(),
    **slice_mutations(),
    **parity_mutations(),
    **serving_mutations(),
}
"""By the name of the check."""

BLOCKING = {name: mutation for name, mutation in MUTATIONS.items() if not mutation.warns}
"""Those of checks that block."""

ONE_OF_EACH = sorted({name.partition(".")[0]: name for name in BLOCKING}.values())
"""Of each subject, one check that blocks: what the layers above the gate are tested with in the fast tier."""
