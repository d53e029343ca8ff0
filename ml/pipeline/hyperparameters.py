"""Hyperparameters: declared once, as the solution's pydantic model, and read from what a user typed.

The compiled pipeline has them as one parameter, a JSON object whose default holds every name and value.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from ml.core.errors import UsageError
from ml.core.pairs import split_pairs
from ml.core.records import first_problem
from ml.problem import Solution


def defaults(solution: Solution) -> dict[str, Any]:
    """Return every hyperparameter with its default."""
    return solution.Hyperparameters().model_dump()


def read_hyperparameters(solution: Solution, values: Mapping[str, Any]) -> BaseModel:
    """Return hyperparameters; what is left out has its default, and numbers may be text.

    Raises:
        UsageError: one is unknown or out of range.
    """
    try:
        return solution.Hyperparameters.model_validate(dict(values))
    except ValidationError as error:
        known = ", ".join(solution.Hyperparameters.model_fields)
        raise UsageError(f"--param {first_problem(error)}; the hyperparameters are {known}") from error


def typed(solution: Solution, params: Sequence[str]) -> dict[str, Any]:
    """Return all hyperparameters from what a user typed, as ``epochs=50``.

    Raises:
        UsageError: a text is no pair, or names an unknown hyperparameter, or gives a value out of range.
    """
    return read_hyperparameters(solution, split_pairs("--param", params)).model_dump()
