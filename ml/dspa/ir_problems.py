"""What is unknown, missing or invalid in a document of the IR, one line each."""

from typing import Any

from pydantic import ValidationError

from ml.dspa.ir import Part


def field_problems(model: type[Part], document: Any) -> list[str]:
    """Return the fields of a document that are unknown, missing or invalid, one line each."""
    try:
        model.model_validate(document)
    except ValidationError as error:
        problems = error.errors()
        unknown = {problem["loc"][:-1] for problem in problems if problem["type"] == "extra_forbidden"}
        # Beside an unknown field, a missing one is most likely the same field under its other name.
        return [
            _line(problem["loc"], problem["type"], problem["msg"])
            for problem in problems
            if problem["type"] != "missing" or problem["loc"][:-1] not in unknown
        ]
    return []


WHOSE = (
    (("deploymentSpec", "executors"), "executor"),
    (("platforms", "kubernetes", "deploymentSpec", "executors"), "executor"),
    (("components",), "component"),
    (("root", "dag", "tasks"), "task"),
    (("root", "inputDefinitions", "parameters"), "parameter"),
)
"""Paths of the IR at which a name follows, and what that name is of."""


def _line(where: tuple[int | str, ...], kind: str, message: str) -> str:
    """Return one line about an invalid field of the IR."""
    subject, path = "the pipeline", where
    for place, what in WHOSE:
        if where[: len(place)] == place and len(where) > len(place):
            subject, path = f"{what} {where[len(place)]}", where[len(place) + 1 :]
    field = ".".join(map(str, path)) or "it"
    said = {"extra_forbidden": "is not allowed", "missing": "is missing"}.get(kind)
    return f"{subject}: {field} {said}" if said else f"{subject}: {field}: {message}"
