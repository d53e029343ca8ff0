"""Podman or buildah as far as the command can see: it holds images, and writes down what it was asked.

Run as ``python fake_engine.py HOME NAME ARGUMENTS…``. HOME/told.json says what goes wrong; HOME/held has a
file for each image that is here, HOME/registry one for each that is there; HOME/calls.jsonl is the record.
"""

import json
import os
import sys
import time
from pathlib import Path

HOME, NAME, ARGUMENTS = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
TOLD = json.loads((HOME / "told.json").read_text())


def place(shelf: str, reference: str) -> Path:
    return HOME / shelf / reference.replace("/", "%")


def fail(text: str) -> None:
    print(text, file=sys.stderr)
    sys.exit(125)


def inspect(reference: str) -> None:
    if not place("held", reference).exists():
        fail(f"Error: {reference}: image not known")
    architecture = TOLD["architecture"]
    if NAME == "podman":
        print(json.dumps([{"Architecture": architecture, "Digest": "sha256:elsewhere"}]))
    else:
        print(json.dumps({"OCIv1": {"architecture": architecture}}))


def build() -> None:
    options = [word.removeprefix("--secret=") for word in ARGUMENTS if word.startswith("--secret=")]
    secrets = [dict(part.split("=", 1) for part in option.split(",")) for option in options]
    seen = {secret["id"]: Path(secret["src"]).read_text() for secret in secrets}
    modes = {secret["id"]: oct(os.stat(secret["src"]).st_mode & 0o777) for secret in secrets}
    files = sorted(str(path) for path in Path().rglob("*") if path.is_file())
    (HOME / "seen.json").write_text(json.dumps({"secrets": seen, "modes": modes, "files": files}))
    target = ARGUMENTS[ARGUMENTS.index("--target") + 1]
    print(f"STEP 1/1: FROM base AS {target}", flush=True)
    if TOLD["hangs_at"] == target:
        (HOME / "pid").write_text(str(os.getpid()))
        time.sleep(120)
    if TOLD["broken"] == target:
        fail(TOLD["says"])
    if TOLD["busy"] > len(list(HOME.glob("busy-*"))):
        (HOME / f"busy-{time.monotonic_ns()}").touch()
        fail("Close_Fd sealing memfd copy: Device or resource busy\nsubprocess exited with status 1")
    for word in ARGUMENTS:
        if word.startswith("--tag="):
            place("held", word.removeprefix("--tag=")).touch()


with open(HOME / "calls.jsonl", "a") as record:
    record.write(json.dumps([NAME, *ARGUMENTS]) + "\n")
match ARGUMENTS:
    case ["image", "inspect", reference] if NAME == "podman":
        inspect(reference)
    case ["inspect", "--type", "image", reference] if NAME == "buildah":
        inspect(reference)
    case ["images", "--format", "{{.Digest}} {{.Size}}", reference]:
        print(f"sha256:{'a' * 64} 12.3 MB")
    case ["pull", "--quiet", reference]:
        if not place("registry", reference).exists():
            fail(f"Trying to pull {reference}...\nError: initializing source: {TOLD['missing']}\nmore")
        place("held", reference).touch()
    case ["push", "--quiet", "--digestfile", file, reference]:
        if TOLD["refuses_push"]:
            fail("Error: writing blob: denied\nsee the registry's log")
        place("registry", reference).touch()
        Path(file).write_text(f"sha256:{'b' * 64}\n")
    case ["build", *_]:
        build()
    case _:
        fail(f"Error: unknown command {ARGUMENTS}")
