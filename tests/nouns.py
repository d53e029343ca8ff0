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

if __name__ == "__main__":
    lines = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for folder in ENGINE
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and not path.is_relative_to(PROBLEMS)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if WORDS.search(line)
    ]
    if lines:
        sys.exit("\n".join([*lines, "these words belong to ml/problems/songs: the problem names its nouns"]))
