"""The contract: what the engine checks of any table, what it reports, and the drift beside a champion."""

import json
import os

import pytest
from spam import definition
from spam.tables import Tables, sample, write

from ml.core.canonical import digest
from ml.core.errors import DataError
from ml.data.contract import validate
from ml.gate.subjects.data import DataReport

VERSION = "0123456789abcdef"
CHECKS = [
    *("votes.columns", "votes.types", "messages.columns", "messages.types", "messages.rows"),
    *("messages.present", "messages.unique", "messages.in_range", "votes.unknown"),
]


@pytest.fixture
def check(tmp_path):
    """Return a function that runs `validate`, and gives the report, the profile's bytes, and what it said."""

    def run(tables: Tables, champion_profile: bytes | None = None, **source):
        names = ("champion.json", "source.json", "report.json", "profile.json")
        beside, origin, report, ours = (tmp_path / name for name in names)
        beside.write_bytes(champion_profile or b"")
        origin.write_text(json.dumps({"data_version": VERSION, "synthetic": True, **source}))
        champion = (os.devnull, "") if champion_profile is None else (beside, "c" * 64)
        try:
            said = validate(definition, write(tmp_path, tables), origin, *champion, report, ours)
        except DataError as error:
            said = str(error)
        return DataReport.load(json.loads(report.read_bytes())), ours.read_bytes(), said

    return run


def messages(change) -> Tables:
    return {**sample(), "messages": change(sample()["messages"])}


def test_sound_tables_are_reported_and_profiled_and_of_a_snapshot_what_that_leaves_out(check):
    report, profile, said = check(sample())
    assert said == "9 checks passed, 45 votes without a verdict left out"
    assert [check.name for check in report.checks if check.passed and not check.detail] == CHECKS
    about = (report.definition, report.nouns, report.examples_table)
    assert about == ("spam/v1", definition.NOUNS, "messages")
    assert report.rows == {name: len(table) for name, table in sample().items()}
    assert report.set_aside == {"votes without a verdict": 45}
    assert (report.data_version, report.synthetic, report.tables) == (VERSION, True, "source")
    assert (report.both_sides, report.near_copies, report.drift) == (0, 0, None)
    made = json.loads(profile)
    assert (made["synthetic"], made["examples"], made["data_version"]) == (True, 398, VERSION)
    left_out = {"both_sides": 2, "near_copies": 3}
    report, profile, _ = check(sample(), snapshot="/x", synthetic=False, left_out=left_out)
    assert (report.tables, report.synthetic, report.both_sides, report.near_copies) == (
        "snapshot",
        False,
        2,
        3,
    )
    assert json.loads(profile)["synthetic"] is False


@pytest.mark.parametrize(
    ("tables", "name", "detail"),
    [
        (messages(lambda m: m.drop(columns="links")), "messages.columns", "column links is missing; the"),
        (messages(lambda m: m.assign(links="many", capitals=None)), "messages.types",
         "column links is not a number, e.g. 'many' (row 1)"),
        ({**sample(), "votes": sample(500)["votes"]}, "votes.unknown", "messages that are not there"),
        (messages(lambda m: m.assign(links=-1)), "messages.in_range", "column links: 400 rows, e.g. -1.0 ("),
    ],
)  # fmt: skip
def test_a_broken_contract_is_an_error_that_names_the_check_and_leaves_a_report(check, tables, name, detail):
    report, profile, said = check(tables)
    failed = [check for check in report.checks if not check.passed]
    assert [check.name for check in failed] == [name]
    assert detail in failed[0].detail
    remedy = "correct the tables, or leave out what is wrong in them, and run again"
    assert said == f"the data contract is broken: {name}: {failed[0].detail}; {remedy}"
    assert (profile, report.drift) == (b"", None)


def test_drift_from_the_champion_or_why_it_cannot_be_measured_is_reported_said_and_fails_nothing(check):
    _, profile, _ = check(sample())
    report, again, _ = check(sample(), profile)
    assert again == profile
    assert (report.drift.champion, report.drift.profile_digest) == ("c" * 64, digest(profile))
    assert report.drift.measured.known_examples == 398
    report, _, said = check(messages(lambda m: m.assign(length=m["length"] / 40 + 1)), profile)
    psi = report.drift.measured.features["length"].psi
    assert psi > 1
    assert (
        said
        == f"9 checks passed, 45 votes without a verdict left out; drift at most {psi:.3f} (PSI of length)"
    )
    report, _, said = check(sample(), b"")
    assert report.drift.not_compared == "the champion has no profile of its training data"
    assert said.endswith("; the champion has no profile of its training data")
    report, none, said = check(messages(lambda m: m.assign(links=-1)), profile)
    assert (none, said[:30]) == (b"", "the data contract is broken: m")
    assert report.drift.not_compared.startswith("this run's tables have no profile")
