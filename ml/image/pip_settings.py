"""Read the settings with which pip reaches its index on this machine, and pass them to builds as secrets."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ml.core.errors import UsageError

CA_IN_BUILD = "/run/secrets/ca.pem"
"""The path at which the Containerfile mounts the CA file."""

SECTIONS = ("global", "install", ":env:")
"""The sources of a setting of `pip install`; the last one has precedence."""

PASSED_ON = ("index-url", "extra-index-url", "trusted-host", "proxy", "retries", "timeout", "default-timeout")
"""The settings that are valid in a container too. Settings with paths of this machine are not."""


def pip_secrets(folder: Path) -> list[str]:
    """Write the pip settings for a build into a folder, and return the build options that mount them.

    Raises:
        UsageError: pip cannot list its settings, or its CA file cannot be read.
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
    """Read pip's own settings; variables have precedence over files.

    Returns:
        the text of a pip.conf for the build, which may have passwords, or "" if there are no settings; and
        the path of the CA file on this machine, or None.

    Raises:
        UsageError: pip cannot list its settings.
    """
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise UsageError(f"`pip config list` failed: {done.stderr.strip().splitlines()[-1:]}")
    values: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in done.stdout.splitlines():
        name, _, quoted = line.partition("=")
        section, _, key = name.partition(".")
        # pip ignores a blank variable; other lines are pip's log (PIP_VERBOSE).
        if section in values and quoted not in ("", "''"):
            values[section][key] = str(ast.literal_eval(quoted))
    settings = {key: value for section in SECTIONS for key, value in values[section].items()}
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
