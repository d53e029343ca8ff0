"""Find a problem's modules by the problem's name: no room imports a problem."""

import importlib
import os
from types import ModuleType
from typing import Literal

from ml.core.errors import UsageError

VARIABLE = "JUKEBOX_PROBLEM"
"""The environment variable that names a problem where no option does."""


def problem_name(name: str = "") -> str:
    """Return the name of a problem: the one given, that of `VARIABLE`, or the repository's own."""
    return name or os.environ.get(VARIABLE, "") or default_problem()


def default_problem() -> str:
    """Return the name of the repository's own problem."""
    return str(importlib.import_module("ml.problems").DEFAULT)


def load_part(name: str, part: Literal["definition", "policy", "solution"]) -> ModuleType:
    """Return a module of a problem.

    Args:
        name: a package of `ml.problems`, or with a dot the path of any package; "" as `problem_name`.
        part: which module; `ml.problem` says what is in it.

    Raises:
        UsageError: there is none of that name.
    """
    name = problem_name(name)
    module = f"{name if '.' in name else f'ml.problems.{name}'}.{part}"
    missing = f"problem {name!r}: there is no module {module}; `jukebox init NAME` writes a problem"
    if name.startswith("."):
        # A relative name, which the import machinery would resolve from nowhere.
        raise UsageError(missing)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not error.name or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise UsageError(missing) from error
