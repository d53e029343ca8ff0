"""What each check says when it fails: `reasons.json` holds the words, for people to read in a review.

After a wanted change ``PYTHONPATH=tests python tests/unit/gate/test_reasons.py`` writes them again.
"""

import json
from pathlib import Path

import pytest
from mutations import MUTATIONS
from reports import BAD_REQUESTS, BATCHES, BINDING, DATA_CHECKS, FAMILIES, MARGINS, NOUNS, changed, check_of

from ml.problems.songs.definition import NOUNS as SONGS

WORDS = Path(__file__).with_name("reasons.json")
SAME = ({f"data.{name}" for name in DATA_CHECKS}, {*BINDING}, {*FAMILIES}, {*MARGINS}, {*BAD_REQUESTS})


def kind(name: str) -> tuple[str, ...]:
    """Return a check's name without what only says which of several runtimes, families and so on it is."""
    parts = ["data.*"] if name in SAME[0] else name.replace("batches_of_", "batches_of.").split(".")
    sizes = {str(size) for size in BATCHES}
    return tuple("*" if any(part in same for same in (*SAME, sizes)) else part for part in parts)


def reasons() -> dict[str, str]:
    """Break one check of each kind by its mutation, and return what it says."""
    names = {kind(name): name for name in reversed(MUTATIONS)}
    return {name: check_of(changed(MUTATIONS[name].edits), name).reason for name in sorted(names.values())}


def test_each_check_says_what_is_wrong_in_its_own_words():
    told = reasons()
    assert told == json.loads(WORDS.read_text(encoding="utf-8"))
    assert all(reason and "\n" not in reason for reason in told.values())


@pytest.mark.parametrize(
    ("name", "reason"),
    {
        "drift.class_shift": "34.0% of the {rows} moved to other {classes}",
        "drift.moved_examples": "155 have most {rows} in another {class_} now",
        "evaluation.gain_over_prior.low": "does not beat the {class_} prior's by the margin",
        "champion.shared_rows": "{classes} that both models know hold too few {rows} of the test {examples}",
        "slices.floor": "nats over the prior: size=large -1.000 nats (110 {examples})",
    }.items(),
)
def test_a_reason_takes_its_nouns_from_the_data_report_and_has_plain_ones_without(name, reason):
    plain = {key: key.rstrip("_") for key in NOUNS}
    for nouns in (NOUNS, SONGS.to_json()):
        named = {**MUTATIONS[name].edits, "data_report.nouns": nouns}
        assert check_of(changed(named), name).reason.endswith(reason.format(**nouns))
    if not name.startswith("drift"):
        unnamed = {**MUTATIONS[name].edits, "data_report": None}
        assert check_of(changed(unnamed), name).reason.endswith(reason.format(**plain))


if __name__ == "__main__":
    text = json.dumps(reasons(), indent=1, sort_keys=True, ensure_ascii=False)
    WORDS.write_text(text + "\n", encoding="utf-8")
