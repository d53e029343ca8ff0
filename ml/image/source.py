"""The source of an image: the commit that is checked out, without uncommitted changes."""

import io
import posixpath
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from ml.core.errors import UsageError
from ml.data.uris import public_uri

PLAIN = ("tar.umask=0022", "core.autocrlf=false", "core.eol=lf", "core.attributesFile=/dev/null")
"""Git settings under which a commit exports the same bytes on every machine."""


@dataclass(frozen=True)
class Source:
    """A commit: its hash, its date in ISO 8601, and the address of its remote ("" if it has none to publish).

    ``dirty`` tells whether the work tree differs from it.
    """

    commit: str
    created: str
    url: str
    dirty: bool


def read_source(checkout: Path) -> Source:
    """Read the commit of a checkout from git.

    Raises:
        UsageError: it is not a checkout, or has no commit.
    """
    line = _git(checkout, "-c", "log.showSignature=false", "log", "-1", "--format=%H %cI")
    commit, created = line.split()
    remote = _git(checkout, "config", "--default", "", "--get", "remote.origin.url")
    # git@host:team/repository is an ssh address in scp's form. A path is valid on this machine only, and
    # `public_uri` removes passwords.
    remote = re.sub(r"^(?:[^@/:]+@)?([\w.-]+):(?!/)(.+)$", r"ssh://\1/\2", remote)
    url = public_uri(remote) if remote.startswith(("https://", "http://", "ssh://")) else ""
    return Source(commit, created, url, bool(_git(checkout, "status", "--porcelain")))


def export(checkout: Path, commit: str, folder: Path) -> None:
    """Write the files of a commit into a folder, with modes that do not depend on a umask.

    Raises:
        UsageError: git fails, or a link leads out of the checkout.
    """
    plain = [word for setting in PLAIN for word in ("-c", setting)]
    archive = _run(checkout, *plain, "archive", "--format=tar", commit)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for link in (member for member in tar if member.issym()):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(link.name), link.linkname))
            if target.startswith(("/", "../")) or target == "..":
                raise UsageError(f"cannot build from {checkout}: {link.name} is a link out of the checkout")
        # Python before 3.11.4 (Debian 12 has 3.11.2) has no extraction filters.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(folder)  # noqa: S202
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _git(checkout: Path, *arguments: str) -> str:
    return _run(checkout, *arguments).decode().strip()


def _run(checkout: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, check=False)
    except OSError as error:
        raise UsageError("git is not installed; images are built from commits") from error
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().split("\n")[-1]
        raise UsageError(f"cannot build from {checkout}: {reason}")
    return done.stdout
