"""Check that the engine names nothing of one problem: its messages take their nouns from the problem.

    python -m tests.nouns

Prints each line of the engine, its Tasks and its tests with such a word, and ends with 1 if there is one.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORDS = re.compile(r"\b(songs?|countr(?:y|ies)|charts?|spotify)\b", re.IGNORECASE)
ENGINE = (
    "ml",
    "examples",
    "tekton",
    *(f"tests/unit/{room}" for room in ("data", "judge", "measure", "onnx")),
)
PROBLEMS = ROOT / "ml" / "problems"
"""What is about a problem may name it."""


def found(path: Path) -> list[str]:
    """Return the lines of a file that name something of one problem."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for number, line in enumerate(lines, 1)
        if WORDS.search(line)
    ]


def main() -> int:
    """Check all files of the engine."""
    files = [path for folder in ENGINE for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    checked = [
        path for path in files if "__pycache__" not in path.parts and not path.is_relative_to(PROBLEMS)
    ]
    lines = [line for path in checked for line in found(path)]
    for line in lines:
        print(line)
    if lines:
        print("these words belong to ml/problems/songs: the engine takes its nouns from the problem")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
