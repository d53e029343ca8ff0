"""What each check says when it fails: `reasons.json` holds the words, for people to read in a review.

After a wanted change ``PYTHONPATH=tests python tests/unit/gate/test_reasons.py`` writes them again.
"""

import functools
import json
from pathlib import Path

from mutations import MUTATIONS
from reports import edited, judge, passing_reports

WORDS = Path(__file__).with_name("reasons.json")


@functools.cache
def reasons() -> dict[str, dict[str, str]]:
    """Break each check by its mutation; return what all checks that then fail say, by the broken one."""
    return {
        name: {
            check.name: check.reason
            for check in judge(edited(passing_reports(), mutation.edits)).checks
            if not check.passed
        }
        for name, mutation in MUTATIONS.items()
    }


def test_each_check_says_what_is_wrong_in_its_own_words():
    assert reasons() == json.loads(WORDS.read_text(encoding="utf-8"))


def test_no_reason_is_empty_or_more_than_a_line():
    told = [reason for failed in reasons().values() for reason in failed.values()]
    assert all(reason and "\n" not in reason for reason in told)


if __name__ == "__main__":
    text = json.dumps(reasons(), indent=1, sort_keys=True, ensure_ascii=False)
    WORDS.write_text(text + "\n", encoding="utf-8")
