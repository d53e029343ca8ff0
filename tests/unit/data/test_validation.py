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

CHAMPION = "c" * 64
SOURCE = {"data_version": "0123456789abcdef", "synthetic": True}


@pytest.fixture
def check(tmp_path):
    """Return a function that runs `validate`, and gives the report, the profile's bytes, and what it said."""

    def run(tables: Tables, champion_profile: bytes | None = None, **source):
        names = ("champion.json", "source.json", "report.json", "profile.json")
        beside, origin, report, ours = (tmp_path / name for name in names)
        beside.write_bytes(champion_profile or b"")
        origin.write_text(json.dumps({**SOURCE, **source}))
        champion = (os.devnull, "") if champion_profile is None else (beside, CHAMPION)
        try:
            said = validate(definition, write(tmp_path, tables), origin, *champion, report, ours)
        except DataError as error:
            said = str(error)
        return DataReport.load(json.loads(report.read_bytes())), ours.read_bytes(), said

    return run


def messages(change) -> Tables:
    tables = sample()
    return {**tables, "messages": change(tables["messages"])}


def test_sound_tables_are_reported_and_profiled(check):
    report, profile, said = check(sample())
    assert said == "9 checks passed, 45 votes without a verdict left out"
    assert [check.name for check in report.checks if check.passed and not check.detail] == [
        "votes.columns", "votes.types", "messages.columns", "messages.types", "messages.rows",
        "messages.present", "messages.unique", "messages.in_range", "votes.unknown",
    ]  # fmt: skip
    assert (report.definition, report.nouns, report.examples_table) == (
        "spam/v1",
        definition.NOUNS,
        "messages",
    )
    assert report.rows == {name: len(table) for name, table in sample().items()}
    assert report.set_aside == {"votes without a verdict": 45}
    assert (report.data_version, report.synthetic, report.tables) == ("0123456789abcdef", True, "source")
    assert (report.both_sides, report.near_copies, report.drift) == (0, 0, None)
    made = json.loads(profile)
    assert (made["schema"], made["examples"], made["data_version"]) == (
        "jukebox.profile/v2",
        398,
        "0123456789abcdef",
    )


def test_of_a_snapshot_it_is_told_what_that_leaves_out(check):
    report, _, _ = check(
        sample(), snapshot="/x", synthetic=False, left_out={"both_sides": 2, "near_copies": 3}
    )
    assert (report.tables, report.synthetic, report.both_sides, report.near_copies) == (
        "snapshot",
        False,
        2,
        3,
    )


@pytest.mark.parametrize(
    ("tables", "name", "value", "detail"),
    [
        (messages(lambda m: m.drop(columns="links")), "messages.columns", 1,
         "column links is missing; the table has"),
        (messages(lambda m: m.assign(links="many", capitals=None)), "messages.types", 1,
         "column links is not a number, e.g. 'many' (row 1)"),
        (messages(lambda m: m[:99]).__or__({"votes": sample(99)["votes"]}), "messages.rows", 99,
         "only 99 rows"),
        ({**sample(), "votes": sample(500)["votes"]}, "votes.unknown", None, "messages that are not there"),
        (messages(lambda m: m.assign(links=-1)), "messages.in_range", 400,
         "column links: 400 rows, e.g. -1.0 (message m"),
        (messages(lambda m: m[:0]), "messages.rows", 0, "only 0 rows"),
    ],
)  # fmt: skip
def test_a_broken_contract_is_an_error_that_names_the_check_and_leaves_a_report(
    check, tables, name, value, detail
):
    report, profile, said = check(tables)
    failed = {check.name: check for check in report.checks if not check.passed}
    assert next(iter(failed)) == name
    assert value in (None, failed[name].value)
    assert detail in failed[name].detail
    assert said.startswith(f"the data contract is broken: {name}: {failed[name].detail}")
    assert said.endswith("; correct the tables, or leave out what is wrong in them, and run again")
    assert (profile, report.drift, "\n" in said) == (b"", None, False)


def test_drift_from_the_champion_is_reported_said_and_fails_nothing(check):
    _, profile, _ = check(sample())
    report, again, said = check(sample(), profile)
    assert again == profile
    assert (report.drift.champion, report.drift.profile_digest) == (CHAMPION, digest(profile))
    assert report.drift.measured.known_examples == 398
    assert "drift at most 0.000 (PSI of " in said
    report, _, said = check(messages(lambda m: m.assign(length=m["length"] / 40 + 1)), profile)
    assert report.drift.measured.features["length"].psi > 1
    assert "9 checks passed" in said
    assert said.endswith("(PSI of length)")


def test_drift_that_cannot_be_measured_is_said_and_fails_nothing(check):
    report, ours, said = check(sample(), b"")
    assert report.drift.not_compared == "the champion has no profile of its training data"
    assert said.endswith("; the champion has no profile of its training data")
    report, none, said = check(messages(lambda m: m.assign(links=-1)), ours)
    assert (none, said[:30]) == (b"", "the data contract is broken: m")
    assert report.drift.not_compared.startswith("this run's tables have no profile")
