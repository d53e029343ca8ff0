"""How long the images take from nothing, and for a commit that changes only code.

    .venv/bin/python tests/bench/bench_image.py [--base REF --python 3.12]

Each image is built with its dependencies from no cache, then for commits that differ in one module, on the
dependencies that are there under their key. It prints medians and the ratio. The times of the bills of
materials are left out: they are the same in all.
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


def build(checkout: Path, options: list[str]) -> dict[str, dict[str, float]]:
    """Build both images of a commit; returns the seconds of each stage by target."""
    command = [sys.executable, "-m", "ml.cli", "image-build", "--json", "--repository", "localhost/bench"]
    done = subprocess.run([*command, *options], cwd=checkout, check=True, capture_output=True, text=True)
    seconds: dict[str, dict[str, float]] = {}
    for stage in json.loads(done.stdout)["stages"]:
        target, _, part = stage["step"].partition("-")
        seconds.setdefault(target, {})[part] = stage["seconds"]
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="")
    parser.add_argument("--python", default="3.12")
    given = parser.parse_args()
    options = ["--python", given.python, *(["--base", given.base] if given.base else [])]
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder, "0")
        checkout.mkdir()
        first = build(checkout_of(checkout), [*options, "--fresh"])
        copies = [copy_of(checkout, Path(folder, str(n)), change=str(n)) for n in (1, 2, 3)]
        later = [build(copy, options) for copy in copies]
    print("| image | from nothing | code only | ratio |\n|---|---|---|---|")
    for target, stages in first.items():
        assert all("dependencies" not in seconds[target] for seconds in later)
        whole = stages["dependencies"] + stages[""]
        code = statistics.median(seconds[target][""] for seconds in later)
        print(f"| {target} | {whole:.1f} s | {code:.1f} s | {whole / code:.0f} |")


if __name__ == "__main__":
    main()
