"""Mutations of the data report."""

from reports import DATA_CHECKS

from mutations.mutation import Mutation


def data_mutations() -> dict[str, Mutation]:
    """Make the mutations."""
    found = {
        "data_report": Mutation({"data_report.schema": "jukebox.data-report/v1"}),
        "data.left_out": Mutation({"data_report.near_copies": 100}),
    }
    for index, (name, (_, relation, bound)) in enumerate(DATA_CHECKS.items()):
        check = f"data_report.checks.{index}"
        worse = bound + 1 if relation == "<=" else bound - 0.5
        found[f"data.{name}"] = Mutation(
            {f"{check}.value": worse, f"{check}.passed": False, f"{check}.detail": "e.g. song 4uLU6h"}
        )
    return found
