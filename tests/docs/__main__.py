"""`python -m tests.docs` writes every generated page and picture; what has no source any more goes."""

import os

from .generated import SCHEMAS, generated
from .graphs import ROOT


def write() -> None:
    """Write what has changed, and say what it was."""
    # The pages are about no cluster that this machine may know.
    os.environ["KUBECONFIG"] = os.devnull
    texts = generated()
    for path, text in texts.items():
        file = ROOT / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
            print(f"wrote {path}")
    for file in (ROOT / SCHEMAS).glob("*.json"):
        path = file.relative_to(ROOT).as_posix()
        if path not in texts:
            file.unlink()
            print(f"removed {path}")


if __name__ == "__main__":
    write()
