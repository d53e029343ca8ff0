"""How long the images take from nothing, and how long for a commit that changes only code.

    .venv/bin/python tests/bench/bench_image.py [--base REF --python 3.12] [--runs 3]

Each image is built with its dependencies from no cache, then for commits that differ in one module, on the
dependencies that are there under their key. It prints medians, the ratio, and the sizes beyond the base.
The times of the bills of materials are left out: they are the same in both. Nothing here decides a test.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from image.workshop import checkout_of, copy_of

REPOSITORY = "localhost/jukebox-bench"


def build(checkout: Path, options: list[str]) -> dict[str, dict[str, float]]:
    """Build both images of a commit, and return the seconds of each stage by image."""
    command = [sys.executable, "-m", "ml.cli", "image-build", "--json", "--repository", REPOSITORY, *options]
    done = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True)
    found: dict[str, dict[str, float]] = {}
    for stage in json.loads(done.stdout)["stages"]:
        target, _, part = stage["step"].partition("-")
        found.setdefault(target, {})[part] = stage["seconds"]
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="")
    parser.add_argument("--python", default="3.12")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    options = ["--python", given.python, *(["--base", given.base] if given.base else [])]
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder, "0")
        checkout.mkdir()
        first = build(checkout_of(checkout), [*options, "--fresh"])
        copies = [copy_of(checkout, Path(folder, str(n)), change=str(n)) for n in range(1, given.runs + 1)]
        later = [build(copy, options) for copy in copies]
    print(f"{'':<12}{'from nothing':>14}{'code only':>12}{'ratio':>8}")
    for target, stages in first.items():
        whole = stages["dependencies"] + stages[""]
        code = statistics.median(found[target][""] for found in later)
        assert all("dependencies" not in found[target] for found in later)
        print(f"{target:<12}{whole:>12.1f} s{code:>10.1f} s{whole / code:>8.0f}")


if __name__ == "__main__":
    main()
