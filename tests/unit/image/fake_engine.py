"""A fake podman or buildah: it stores names of images, and records its calls.

Run as ``python fake_engine.py HOME NAME ARGUMENTS…``. HOME/behaviour.json says what fails, HOME/held has a
file for each local image, HOME/registry for each image of the registry, HOME/calls.jsonl is the record.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

HOME, NAME, ARGUMENTS = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
BEHAVIOUR = json.loads((HOME / "behaviour.json").read_text())


def place(shelf: str, reference: str) -> Path:
    return HOME / shelf / reference.replace("/", "%")


def fail(text: str) -> None:
    print(text, file=sys.stderr)
    sys.exit(125)


def inspect(reference: str) -> None:
    if not place("held", reference).exists():
        fail(f"Error: {reference}: image not known")
    architecture = BEHAVIOUR["architecture"]
    podman = [{"Architecture": architecture, "Digest": "sha256:elsewhere"}]
    print(json.dumps(podman if NAME == "podman" else {"OCIv1": {"architecture": architecture}}))


def build() -> None:
    matches = [re.fullmatch("--secret=id=(.*),src=(.*)", word) for word in ARGUMENTS]
    paths = {match[1]: Path(match[2]) for match in matches if match}
    secrets = {name: [oct(path.stat().st_mode & 0o777), path.read_text()] for name, path in paths.items()}
    files = [str(path) for path in Path().rglob("*") if path.is_file()]
    (HOME / "seen.json").write_text(json.dumps({"secrets": secrets, "files": files}))
    target = ARGUMENTS[ARGUMENTS.index("--target") + 1]
    print(f"STEP 1/1: FROM base AS {target}", flush=True)
    if BEHAVIOUR.get("hangs_at") == target:
        (HOME / "pid").write_text(str(os.getpid()))
        time.sleep(120)
    if BEHAVIOUR.get("broken") == target:
        fail(BEHAVIOUR["says"])
    if BEHAVIOUR.get("busy", 0) > len(list(HOME.glob("busy-*"))):
        (HOME / f"busy-{time.monotonic_ns()}").touch()
        fail("Close_Fd sealing memfd copy: Device or resource busy\nsubprocess exited with status 1")
    for word in ARGUMENTS:
        if word.startswith("--tag=") and BEHAVIOUR.get("loses") != target:
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
            said = BEHAVIOUR.get("missing", "manifest unknown")
            fail(f"Trying to pull {reference}...\nError: initializing source: {said}\nmore")
        place("held", reference).touch()
    case ["push", "--quiet", "--digestfile", file, reference]:
        if BEHAVIOUR.get("refuses_push"):
            fail("Error: writing blob: denied\nsee the registry's log")
        place("registry", reference).touch()
        Path(file).write_text(f"sha256:{'b' * 64}\n")
    case ["build", *_]:
        build()
    case _:
        fail(f"Error: unknown command {ARGUMENTS}")
