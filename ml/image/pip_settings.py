"""What pip needs to reach its index, taken from this machine's pip, for builds to be given as secrets."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ml.core.errors import UsageError

CA_IN_BUILD = "/run/secrets/ca.pem"
"""Where the Containerfile mounts the CA file."""

SECTIONS = ("global", "install", ":env:")
"""Where a setting of `pip install` comes from; the last one counts."""

PASSED_ON = ("index-url", "extra-index-url", "trusted-host", "proxy", "retries", "timeout", "default-timeout")
"""Settings that mean the same in a container; paths of this machine do not."""


def pip_secrets(folder: Path) -> list[str]:
    """Write what a build needs of pip's settings into a folder, and return the options that pass it on.

    Raises:
        UsageError: pip cannot say its settings, or its CA file is not there.
    """
    text, ca = pip_settings()
    options = []
    if text:
        conf = folder / "pip.conf"
        conf.write_text(text, encoding="utf-8")
        conf.chmod(0o600)
        options.append(f"--secret=id=pip.conf,src={conf}")
    if ca:
        copy = folder / "ca.pem"
        try:
            shutil.copyfile(ca, copy)
        except OSError as error:
            raise UsageError(f"pip's CA file {ca} cannot be read: {error.strerror}") from error
        options.append(f"--secret=id=ca.pem,src={copy}")
    return options


def pip_settings() -> tuple[str, str | None]:
    """Read pip's own settings: variables over files.

    Returns:
        the text of a pip.conf for the build, which may hold passwords, or "" for none; and the CA file here.

    Raises:
        UsageError: pip cannot say them.
    """
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise UsageError(f"pip cannot say its settings: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in done.stdout.splitlines():
        name, _, quoted = line.partition("=")
        section, _, key = name.partition(".")
        # Like pip, take no notice of a blank variable, and none of what it says beside (PIP_VERBOSE).
        if section in found and quoted not in ("", "''"):
            found[section][key] = str(ast.literal_eval(quoted))
    settings = {key: value for section in SECTIONS for key, value in found[section].items()}
    lines = []
    for key in PASSED_ON:
        words = [word for word in settings.get(key, "").split() if not word.startswith("file:")]
        if words:
            lines.append(f"{key} = {' '.join(words)}")
    ca = settings.get("cert") or os.environ.get("REQUESTS_CA_BUNDLE")
    if ca:
        lines.append(f"cert = {CA_IN_BUILD}")
    text = "\n".join(["[global]", *lines]) + "\n" if lines else ""
    return text, str(Path(ca).expanduser().absolute()) if ca else None
