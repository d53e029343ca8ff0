"""The policy of a run's gate: a file beside the run's evidence, identified by its digest.

`jukebox submit` writes the file before the run begins, and gives the run the digest as a parameter. Runs can
write to that folder, too, so the gate accepts only bytes with that digest.
"""

from ml.core.canonical import digest
from ml.core.errors import EvidenceError
from ml.gate.policy import parse_policy
from ml.storage.objects import create_object, get_object, split_uri

POLICY_FILE = "policy.yaml"
"""The name of the file; runs share the folder only if they have the same policy."""

MOST = 1 << 20
"""Bytes of a policy; the default policy has about three thousand."""


def policy_place(evidence_uri: str) -> str:
    """Return the URI of a run's policy, from the URI of its evidence."""
    return f"{split_uri(evidence_uri)[0]}/{POLICY_FILE}"


def leave_policy(evidence_uri: str, policy_text: str) -> None:
    """Write the policy for the gate of a run, unless it exists.

    Args:
        evidence_uri: where the run writes its evidence.
        policy_text: a valid policy.

    Raises:
        EvidenceError: there is another file in its place.
        UsageError, PlatformError: it cannot be written, or the existing file cannot be read.
    """
    uri, data = policy_place(evidence_uri), parse_policy(policy_text).to_bytes()
    if not create_object(uri, data) and get_object(uri, MOST) != data:
        raise EvidenceError(f"{uri} is not the policy that was left there: use another --attempt")


def read_policy(evidence_uri: str, asked: str) -> str:
    """Return the text of the policy for the gate of a run.

    Args:
        evidence_uri: where the run writes its evidence.
        asked: the digest of the policy.

    Raises:
        EvidenceError: it is missing, or has another digest.
        UsageError, PlatformError: it cannot be read.
    """
    uri = policy_place(evidence_uri)
    data = get_object(uri, MOST)
    if data is None:
        raise EvidenceError(f"there is no policy at {uri}, where `jukebox submit` writes it: submit again")
    if digest(data) != asked:
        raise EvidenceError(f"{uri} is not the policy of this run, {asked}: submit with another --attempt")
    return data.decode()
