"""Checks of `jukebox doctor` in the object store: the rights of the key, the version of the judge's code."""

import re
import secrets

from ml.core.errors import PlatformError
from ml.core.version import commits_since
from ml.core.within import NotInTime, call_within
from ml.dspa.doctor_check import Failed
from ml.dspa.timeouts import Timeouts
from ml.release.attestations import statement_of
from ml.release.store import ModelStore
from ml.storage.objects import create_object, delete_object, get_object

JUDGES = re.compile(
    "ml/(core|data|gate|judge|measure|onnx|release|storage)/.*|ml/problem.py|ml/problems/[^/]+/(definition|policy).py"
)
"""What decides about a model: other code may be newer than the judge's without a difference."""


def try_place(uri: str, timeouts: Timeouts) -> str:
    """Write, read, conditionally create and delete one small object, and return what the key may do.

    Raises:
        Failed: the place is not usable.
        JukeboxError: the store cannot be reached.
    """
    probe = f"{uri.rstrip('/')}/candidates/doctor-{secrets.token_hex(8)}"

    def tried() -> str:
        data = probe.encode()
        created = create_object(probe, data)
        try:
            if not created or get_object(probe, len(data)) != data:
                raise Failed(f"{probe} differs from what was written", "check that nothing rewrites objects")
            if create_object(probe, b""):
                raise Failed(
                    "the server overwrites an object in a conditional create (it ignores If-None-Match)",
                    "use a newer MinIO or Ceph: with this one two promotions could both succeed",
                )
        finally:
            left = _delete(probe)
        # `submit` reads the promotion log and the list of candidates first.
        store = ModelStore(uri)
        store.log()
        store.candidates()
        return f"read, write, create-if-absent{left}"

    try:
        return call_within(timeouts.storage, tried)
    except NotInTime:
        raise Failed(f"{uri} does not answer", "check endpoint and network") from None


def _delete(probe: str) -> str:
    """Delete the object; return a note if the key may not delete."""
    try:
        delete_object(probe)
    except PlatformError:
        return f"; no right to delete, so {probe} remains"
    return ""


def compare_judge(uri: str, timeouts: Timeouts) -> str:
    """Compare the code of the judge that made the newest attestation with this checkout.

    Raises:
        Failed: code that decides about a model differs.
        JukeboxError: the store cannot be read.
    """

    def newest() -> str:
        store = ModelStore(uri)
        attested = [entry for entry in store.log() if entry.attestation]
        return statement_of(store, attested[-1]).predicate.measured.judge_code if attested else ""

    code = call_within(timeouts.storage, newest)
    if not code:
        return "nothing is attested yet"
    since = commits_since(code)
    if since is None:
        return f"its code {code[7:19]} is of no commit known here (run this in a checkout to compare)"
    ahead, changed = since
    decides = sorted(path for path in changed if JUDGES.fullmatch(path))
    if decides:
        raise Failed(
            f"the judge is {ahead} commits behind; gate code differs ({', '.join(decides[:3])})",
            "move JUDGE_IMAGE and TOOLS_IMAGE forward (docs/security.md)",
        )
    return (
        f"the judge is {ahead} commits behind; gate code is the same" if ahead else "the code of this commit"
    )
