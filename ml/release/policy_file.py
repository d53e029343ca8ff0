"""The policy that the gate of a run decides by: a file beside the run's evidence, known by its digest.

The run has the digest as a parameter. `jukebox submit` writes the file before the run begins. Runs can write
to that place too, so the gate accepts only the bytes with that digest.
"""

from ml.core.canonical import digest
from ml.core.errors import EvidenceError
from ml.gate.policy import parse_policy
from ml.storage.objects import create_object, get_object, split_uri

POLICY_FILE = "policy.yaml"
"""The name of the file; the place of evidence is one run's, or those of one attempt with one policy."""

MOST = 1 << 20
"""Bytes of a policy; the package's own has some three thousand."""


def policy_place(evidence_uri: str) -> str:
    """Return where the policy of a run lies, from where its evidence belongs."""
    return f"{split_uri(evidence_uri)[0]}/{POLICY_FILE}"


def leave_policy(evidence_uri: str, policy_text: str) -> None:
    """Leave a policy for the gate of a run; one that is there already stays.

    Args:
        evidence_uri: where the run's evidence belongs.
        policy_text: the policy, valid.

    Raises:
        EvidenceError: something else is in its place.
        UsageError, PlatformError: it cannot be written, or what is there cannot be read.
    """
    uri, data = policy_place(evidence_uri), parse_policy(policy_text).to_bytes()
    if not create_object(uri, data) and get_object(uri, MOST) != data:
        raise EvidenceError(f"{uri} is not the policy that was left there: use another --attempt")


def read_policy(evidence_uri: str, asked: str) -> str:
    """Return the text of the policy that was left for the gate of a run.

    Args:
        evidence_uri: where the run's evidence belongs.
        asked: the digest of the policy.

    Raises:
        EvidenceError: it is not there, or is another.
        UsageError, PlatformError: it cannot be read.
    """
    uri = policy_place(evidence_uri)
    data = get_object(uri, MOST)
    if data is None:
        raise EvidenceError(f"there is no policy at {uri}, where `jukebox submit` leaves it: submit again")
    if digest(data) != asked:
        raise EvidenceError(f"{uri} is not the policy of this run, {asked}: submit with another --attempt")
    return data.decode()
