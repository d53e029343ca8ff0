"""Write a new problem into a checkout: `ml.problems.template` under another name, and its tests."""

import keyword
import re
from importlib import resources
from pathlib import Path
from typing import Literal

from ml.core.errors import UsageError
from ml.core.files import write_bytes

TEMPLATE = "template"
SELF_REPORTED = """    "parity.reference": (
        "self-reported",
        "The judge loads no scikit-learn model, so only the run compares the exported model with it.",
    ),
}
"""


def write_skeleton(name: str, kind: Literal["keras", "sklearn"], checkout: Path) -> list[Path]:
    """Write a problem and its tests, and return the files.

    Args:
        name: of the problem: a name in Python, in lower case.
        kind: what the model is made with.
        checkout: the root of a checkout of this repository.

    Raises:
        UsageError: the name cannot be used or is taken, or this is no checkout.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or name == TEMPLATE:
        raise UsageError(f"{name!r} cannot be a problem's name: use lower-case letters, digits and _")
    folder, tests = checkout / "ml/problems" / name, checkout / "tests/unit/problems" / f"test_{name}.py"
    if not folder.parent.is_dir():
        raise UsageError(f"{checkout} has no ml/problems: run this in a checkout of the repository")
    for path in (folder, tests):
        if path.exists():
            raise UsageError(f"{path} is there already; choose another name")
    solution = "solution.py" if kind == "keras" else "solution_sklearn.py"
    policy = _copy("policy.py", name)
    texts = {
        folder / "__init__.py": f'"""The problem {name}: its data, its policy and its model."""\n',
        folder / "definition.py": _copy("definition.py", name),
        folder / "policy.py": policy if kind == "keras" else policy.removesuffix("}\n") + SELF_REPORTED,
        folder / "solution.py": _copy(solution, name),
        tests: _copy("test_problem.txt", name),
    }
    for path, text in texts.items():
        write_bytes(path, text.encode())
    return list(texts)


def _copy(file: str, name: str) -> str:
    """Return a file of the template under the new name."""
    text = resources.files("ml.problems.template").joinpath(file).read_text(encoding="utf-8")
    return re.sub(rf"\b{TEMPLATE}\b", name, text)
