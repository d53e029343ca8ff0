"""Mutations of the data report."""

from reports import DATA_CHECKS

from mutations.mutation import Mutation


def _worse(index: int, relation: str, bound: float) -> Mutation:
    at = f"data_report.checks.{index}"
    value = bound + 1 if relation == "<=" else bound - 0.5
    return Mutation({f"{at}.value": value, f"{at}.passed": False, f"{at}.detail": "e.g. song 4uLU6h"})


DATA = {
    "data_report": Mutation({"data_report.schema": "jukebox.data-report/v1"}),
    "data.left_out": Mutation({"data_report.near_copies": 100}),
    **{
        f"data.{name}": _worse(index, relation, bound)
        for index, (name, (_, relation, bound)) in enumerate(DATA_CHECKS.items())
    },
}
