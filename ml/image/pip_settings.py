"""What pip needs to reach its index, taken from this machine's pip, for builds to be given as secrets."""

import ast
import subprocess
import sys
from pathlib import Path

CA_IN_BUILD = "/run/secrets/ca.pem"
"""Where the Containerfile mounts the CA file."""

PASSED_ON = ("index-url", "extra-index-url", "trusted-host", "proxy", "retries", "timeout", "default-timeout")
"""Settings that mean the same in a container; paths of this machine do not."""


def pip_settings() -> tuple[str, str | None]:
    """Read pip's own settings: variables over files.

    Returns:
        the text of a pip.conf for the build, which may hold passwords, and the CA file here, or None.
    """
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        name, _, quoted = line.partition("=")
        section, _, key = name.partition(".")
        # Like pip, take no notice of a blank variable, and none of what it says beside (PIP_VERBOSE).
        if key and quoted not in ("", "''") and (section == ":env:" or key not in found):
            found[key] = str(ast.literal_eval(quoted))
    lines = ["[global]"]
    for key in PASSED_ON:
        words = [word for word in found.get(key, "").split() if not word.startswith("file:")]
        if words:
            lines.append(f"{key} = {' '.join(words)}")
    ca = found.get("cert")
    if ca:
        lines.append(f"cert = {CA_IN_BUILD}")
    return "\n".join(lines) + "\n", str(Path(ca).expanduser().absolute()) if ca else None
