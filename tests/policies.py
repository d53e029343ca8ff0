"""The default policy of the repository's own problem."""

from functools import cache

from ml.gate import policy
from ml.problems.songs.policy import THRESHOLDS


@cache
def default_text() -> str:
    return policy.default_text(THRESHOLDS)


def default_policy() -> policy.Policy:
    return policy.parse_policy(default_text())
