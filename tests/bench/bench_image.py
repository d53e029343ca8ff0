"""How long the images take from nothing, and for a commit that changes only code, built or assembled.

    .venv/bin/python tests/bench/bench_image.py [--base REF --python 3.12] [--runs 3]

Each image is built with its dependencies from no cache, then for commits that differ in one module, on the
dependencies that are there under their key. The component of these commits is assembled too, in a registry on
this machine: all that Tekton's build-image runs, with the start of Python. It prints medians and the
ratio. The times of the bills of materials are left out: they are the same in all. No test takes them.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from docker_registry import registry_server
from image.workshop import checkout_of, copy_of

REPOSITORY = "localhost/jukebox-bench"


Seconds = dict[str, dict[str, float]]


def build(checkout: Path, options: list[str]) -> tuple[Seconds, str]:
    """Build both images of a commit; returns the seconds of each stage, and the component's dependencies."""
    command = [sys.executable, "-m", "ml.cli", "image-build", "--json", "--repository", REPOSITORY, *options]
    done = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True)
    found: Seconds = {}
    told = json.loads(done.stdout)
    for stage in told["stages"]:
        target, _, part = stage["step"].partition("-")
        found.setdefault(target, {})[part] = stage["seconds"]
    return found, next(image["dependencies"] for image in told["images"] if image["target"] == "component")


def assemble(checkout: Path, below: str, python: str, tag: str) -> float:
    """Assemble the component of a commit, and return the seconds."""
    command = [sys.executable, "-m", "ml.cli", "ci", "image-assemble", "--plain-http", "--python", python]
    command += ["--repository", below.rpartition("/")[0], "--dependencies", below, "--tag", tag]
    start = time.monotonic()
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    return time.monotonic() - start


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="")
    parser.add_argument("--python", default="3.12")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    options = ["--python", given.python, *(["--base", given.base] if given.base else [])]
    with tempfile.TemporaryDirectory() as folder, registry_server(Path(folder)) as host:
        checkout = Path(folder, "0")
        checkout.mkdir()
        first, below = build(checkout_of(checkout), [*options, "--fresh"])
        copies = [copy_of(checkout, Path(folder, str(n)), change=str(n)) for n in range(1, given.runs + 1)]
        later = [build(copy, options)[0] for copy in copies]
        pushed = below.replace(REPOSITORY, f"{host}/jukebox")
        engine = "podman" if shutil.which("podman") else "buildah"
        subprocess.run(
            [engine, "push", "--quiet", "--tls-verify=false", below, f"docker://{pushed}"], check=True
        )
        # Once before: that mounts what lies below, which each later commit finds.
        assemble(checkout, pushed, given.python, "first")
        assembled = statistics.median(assemble(copy, pushed, given.python, copy.name) for copy in copies)
    print(f"{'':<12}{'from nothing':>14}{'code only':>12}{'ratio':>8}{'assembled':>12}")
    for target, stages in first.items():
        whole = stages["dependencies"] + stages[""]
        code = statistics.median(found[target][""] for found in later)
        assert all("dependencies" not in found[target] for found in later)
        last = f"{assembled:>10.1f} s" if target == "component" else ""
        print(f"{target:<12}{whole:>12.1f} s{code:>10.1f} s{whole / code:>8.0f}{last}")


if __name__ == "__main__":
    main()
