"""Whoever changes anything that a run has left behind is found out, or named here as not to be found out.

Two intruders. One changes what lies there: the evidence object, or a byte of the candidate. The other may
write anything, and stores a candidate that agrees with the evidence he made up. Evidence has no signature: of
the second one's numbers, those that hang together and pass are believed. `FORGED` and `UNBOUND` name them.
"""

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from candidates import delete, forge, overwrite, paths, read, store_run
from reports import DAY, OTHER_DIGEST, POLICY, Path, another, at, dotted, leaves, replaced, subject
from submissions import files_of, world
from tiers import PARTS, SLOW, sampled

from ml.errors import EvidenceError, GateBlocked
from ml.gate.canonical import canonical_bytes
from ml.gate.evidence import read_evidence
from ml.gate.verdict import decide
from ml.release.judgement import Judgement, Proven, judge, prove
from ml.release.store import ModelStore

SUBJECT = subject()
FILES = files_of(SUBJECT)
DATA = FILES["evidence.json"]
EVIDENCE = json.loads(DATA)
RANGES = 24
"""Into how many ranges a file is divided; a byte is flipped in each."""

CHANGES = ("another", "null", "type", "removed", "extra key", "shorter", "longer")
REFUSED = (EvidenceError, GateBlocked)

FORGED = {
    "another": """
        reports.data_report.synthetic reports.data_report.*_rows reports.data_report.broken_songs
        reports.data_report.checks.*.bound reports.data_report.checks.*.detail
        reports.evaluation.champion.onnx_digest reports.evaluation.champion.shared.features
        reports.evaluation.champion.shared.champion_labels
        reports.evaluation.champion.shared.shared_labels reports.evaluation.champion.shared.resamples
        reports.evaluation.champion.shared.log_loss.difference.value
        reports.evaluation.champion.shared.seed reports.evaluation.champion.shared.*.difference.standard_error
        reports.data_report.drift.profile_digest reports.data_report.drift.measured.before.*
        reports.data_report.drift.measured.after.* reports.data_report.drift.measured.features.*
        reports.data_report.drift.measured.*_songs reports.data_report.drift.measured.correlat*
        reports.data_report.drift.measured.country_shift reports.data_report.drift.measured.lost_*
        reports.data_report.drift.measured.new_* reports.data_report.drift.measured.twins_*
        reports.evaluation.slices.resampling.* reports.evaluation.slices.slices.*.standard_error
        reports.evaluation.slices.slices.*.gain reports.evaluation.slices.slices.[4-7].name
        reports.evaluation.bootstrap.*
        reports.evaluation.*.macro_f1 reports.evaluation.*.calibration_error reports.evaluation.gain_over_*
        reports.evaluation.*_mass.[!s]* reports.evaluation.*.hit_at_5.[!s]* reports.evaluation.*.low
        reports.evaluation.*.high reports.evaluation.uniform.log_loss.value
        reports.parity.opset reports.parity.model_bytes reports.parity.latency.*
        reports.parity.runtimes.?.version reports.parity.runtimes.[12].precision
        reports.parity.runtimes.?.metrics.* reports.parity.runtimes.?.threads.threads
        reports.parity.runtimes.?.threads.calls reports.parity.runtimes.?.families.?.*_difference
        reports.parity.runtimes.?.families.?.worst_* reports.parity.runtimes.?.families.?.row_sum_error
        reports.parity.runtimes.?.families.[456].top1_ties reports.parity.runtimes.2.threads.different
        reports.parity.runtimes.2.families.?.violations reports.parity.runtimes.2.families.?.top1_*
        reports.parity.runtimes.2.families.?.unanswered reports.parity.runtimes.2.families.?.nonfinite
        reports.serving.server reports.serving.version reports.serving.bad_requests.*.status
        reports.serving.ready_seconds reports.serving.latency.* reports.serving.peak_memory_mb
        reports.serving.batches.?.max_difference
    """.split(),
    "removed": [
        "reports.data_report.drift.measured.new_countries.0",
    ],
    "longer": [
        "reports.data_report.drift.measured.*_countries",
        "reports.parity.runtimes.?.families.?.batch_sizes",
    ],
    "shorter": ["reports.data_report.drift.measured.new_countries"],
}
"""What may be changed in a candidate forged throughout, its verdict included: `another` is a change by so
little that it still passes (a billionth of the value), or another word. Only reports, never what they are
about."""

WITH_SLACK = (
    "rankings.rows",
    "rankings.countries",
    "rankings.known_songs",
    "rankings.release_date",
    "songs.rows",
    "songs.broken",
)
"""The checks of the data report whose value may be another one and still pass."""

OPTIONAL = "rankings.colour"
"""A check that the policy does not ask for: whether it is there, and its name, nobody can know."""

EMPTY = (
    "parity.interface_problems",
    "parity.runtimes.1.settings",
    "parity.runtimes.2.settings",
    "serving.interface_problems",
)
"""What the parity report says nothing in: no value to be changed."""

EXTRA = ("extra key", "digests")
"""A digest of nothing: has a test of its own below."""

UNBOUND = {"labels.json"}
"""Files of a candidate that the evidence says nothing of."""


def nodes(value: Any, path: Path = ()) -> Iterator[Path]:
    """Walk JSON: the path of every value, the whole included."""
    yield path
    children: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from nodes(child, (*path, key))


def put(value: Any, path: Path, new: Any) -> Any:
    """Copy JSON with another value at a path, sharing the rest; `KeyError` as the value removes it."""
    if not path:
        return new
    copy = value.copy()
    if len(path) == 1 and new is KeyError:
        del copy[path[0]]
    else:
        copy[path[0]] = new if len(path) == 1 else put(copy[path[0]], path[1:], new)
    return copy


def other_type(value: Any) -> Any:
    """Return something of another type that looks alike."""
    if isinstance(value, dict | list):
        return [] if isinstance(value, dict) else {}
    return 7 if isinstance(value, str) else str(value)


def changed(old: Any, *, whole: bool) -> Iterator[tuple[str, Any]]:
    """List what a value may be changed to."""
    if not whole:
        yield from (("null", None), ("type", other_type(old)), ("removed", KeyError))
        if not isinstance(old, dict | list):
            yield "another", another(old)
    if isinstance(old, dict):
        yield "extra key", {**old, "intruder": OTHER_DIGEST}
    if isinstance(old, list):
        yield "longer", [*old, old[-1] if old else "x"]
        if old:
            yield "shorter", old[:-1]


def variants() -> Iterator[tuple[str, str, Any]]:
    """List every change of every value in the evidence: how, where, and what comes of it."""
    for path in nodes(EVIDENCE):
        for how, new in changed(at(EVIDENCE, path), whole=not path):
            yield how, dotted(path), put(EVIDENCE, path, new)


def judged(data: bytes) -> Judgement:
    """Judge evidence as `jukebox submit` does, before it looks for the candidate."""
    judgement = judge(data, "the evidence", SUBJECT.to_json(), POLICY)
    if not judgement.verdict.passed:
        raise GateBlocked("it does not pass")
    return judgement


def believed(uri: str, data: bytes) -> Proven:
    """Judge evidence, and prove the candidate in a store, as `jukebox submit` does."""
    judged(data)
    return prove(ModelStore(uri), data)


def holds(call: Callable[[], Any]) -> bool:
    """Tell whether something is believed; any other error than a refusal is one of the test."""
    try:
        call()
    except REFUSED:
        return False
    return True


def passes(uri: str, data: bytes) -> bool:
    """Tell whether evidence and the candidate in a store are believed."""
    return holds(lambda: believed(uri, data))


def stored(home, files: dict[str, bytes]) -> str:
    """Store a candidate where nothing else is."""
    shutil.rmtree(home, ignore_errors=True)
    store_run(ModelStore(str(home), create=True), files)
    return str(home)


def forgery(evidence: Any) -> dict[str, bytes]:
    """Make a candidate that agrees with evidence, where that can be."""
    try:
        return forge(FILES, evidence)
    except (LookupError, TypeError, AttributeError):
        return {**FILES, "evidence.json": canonical_bytes(evidence)}


@pytest.fixture(scope="module")
def genuine(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("genuine") / "store", FILES)


@pytest.fixture
def candidate(tmp_path):
    return stored(tmp_path / "store", FILES)


def test_what_was_not_tampered_with_passes(genuine):
    assert believed(genuine, DATA).candidate == ModelStore(genuine).candidates()[0]
    assert canonical_bytes(EVIDENCE) == DATA


@SLOW
def test_the_matrix_holds_every_value_of_the_evidence():
    found = list(variants())
    assert {path for how, path, _ in found if how == "another"} == (
        {dotted(path) for path in leaves(EVIDENCE)} - {f"reports.{part}" for part in EMPTY}
    )
    assert {how for how, _, _ in found} == set(CHANGES)
    assert len(found) > 3000
    assert all(canonical_bytes(evidence) != DATA for _, _, evidence in found)


@pytest.mark.parametrize("part", PARTS)
def test_every_change_of_the_evidence_is_refused(genuine, tmp_path, part):
    """Alone in the object store; and, but for what `FORGED` names, with a candidate that agrees with it."""
    alone, forged = [], []
    for how, path, evidence in itertools.islice(variants(), part.start, None, part.step):
        data = canonical_bytes(evidence)
        # What is refused without a look at any candidate is refused beside all of them.
        if holds(lambda data=data: judged(data)):
            alone += [(how, path)] if passes(genuine, data) else []
            forged += [(how, path)] if passes(stored(tmp_path / "store", forgery(evidence)), data) else []
    assert alone == []
    assert [entry for entry in forged if entry != EXTRA and not is_forgeable(*entry)] == []


def test_a_digest_of_nothing_in_a_forged_candidate_is_refused(tmp_path):
    evidence = put(EVIDENCE, ("digests", "intruder"), OTHER_DIGEST)
    assert not passes(stored(tmp_path / "store", forgery(evidence)), canonical_bytes(evidence))


@pytest.mark.parametrize("part", PARTS)
def test_only_numbers_and_words_of_reports_can_be_forged_and_these_are_all(tmp_path, part):
    """The limit of evidence without a signature: its verdict made anew, these changes cannot be found out."""
    forged, everything = set(), set()
    for how, path, evidence in itertools.islice(variants(), part.start, None, part.step):
        if path.startswith("reports."):
            everything.add((how, path))
            verdict = decide(evidence["reports"], POLICY, read_evidence(DATA).identity, DAY)
            data = canonical_bytes({**evidence, "verdict": verdict.to_json()})
            if verdict.passed and passes(stored(tmp_path / "store", forgery(json.loads(data))), data):
                forged.add((how, path))
    assert forged == {entry for entry in everything if is_forgeable(*entry)}


@SLOW
def test_every_way_to_forge_that_is_listed_is_there():
    assert {*FORGED} <= {how for how, path, _ in variants() if is_forgeable(how, path)}


def is_forgeable(how: str, path: str) -> bool:
    """Tell whether a change is one of those that nobody can know of, as they are listed above."""
    if any(fnmatchcase(path, pattern) for pattern in FORGED.get(how, ())):
        return True
    checks = EVIDENCE["reports"]["data_report"]["checks"]
    listed = "reports.data_report.checks"
    if how == "another":
        slack = [index for index, check in enumerate(checks) if check["name"] in WITH_SLACK]
        values = {f"{listed}.{index}.value" for index in slack}
        return path in values | {f"{listed}.{optional()}.name"}
    return (how, path) in {("removed", f"{listed}.{optional()}"), ("shorter", listed)}


def optional() -> int:
    """Tell where the optional check stands: at the end, for a list is shortened there."""
    checks = EVIDENCE["reports"]["data_report"]["checks"]
    (index,) = [index for index, check in enumerate(checks) if check["name"] == OPTIONAL]
    assert index == len(checks) - 1
    return index


def test_a_run_that_was_made_up_from_end_to_end_needs_a_signature_to_be_found_out(tmp_path):
    """The limit once more: who may write to evidence and store passes off his own model."""
    files = files_of(SUBJECT, name="the intruder's")
    assert passes(stored(tmp_path / "store", files), files["evidence.json"])
    for field in SUBJECT.to_json():
        about = {field: another(getattr(SUBJECT, field)) if field != "champion" else "c" * 64}
        files = files_of(subject(**about), name="the intruder's")
        assert not passes(stored(tmp_path / "store", files), files["evidence.json"]), field


@pytest.mark.parametrize("name", sampled([*FILES, "manifest.json"], ["model.onnx"]))
def test_a_byte_changed_anywhere_in_a_file_of_the_candidate_is_refused(candidate, name):
    (path,) = (path for path in paths(candidate) if path.endswith(f"/{name}"))
    data = read(candidate, path)
    assert passes(candidate, DATA)
    size = len(data)
    places = sorted({index * size // RANGES for index in range(RANGES)} | {size - 1})
    spoilt = [data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :] for at in places]
    spoilt += [
        data[:-1],
        data[1:],
        data[: size // 2],
        b"",
        data + b"\0",
        data + b"\n",
        b" " + data,
        data + data,
    ]
    for new in spoilt:
        assert new != data
        overwrite(candidate, path, new)
        assert not passes(candidate, DATA)
    delete(candidate, path)
    assert not passes(candidate, DATA)
    overwrite(candidate, path, data)
    assert passes(candidate, DATA)


@SLOW
def test_two_files_of_the_candidate_swapped_are_refused(candidate):
    for one, other in itertools.combinations(paths(candidate), 2):
        first, second = read(candidate, one), read(candidate, other)
        overwrite(candidate, one, second)
        overwrite(candidate, other, first)
        assert not passes(candidate, DATA), (one, other)
        overwrite(candidate, one, first)
        overwrite(candidate, other, second)
    assert passes(candidate, DATA)


@pytest.mark.parametrize("part", PARTS)
def test_a_byte_changed_anywhere_in_the_evidence_is_refused(genuine, part):
    size = len(DATA)
    for place in sorted({index * size // 250 for index in range(250)} | {size - 1})[part]:
        spoilt = DATA[:place] + bytes([DATA[place] ^ 1]) + DATA[place + 1 :]
        assert not passes(genuine, spoilt), place
    for spoilt in (
        DATA[:-1],
        DATA[1:],
        DATA[: size // 2],
        b"",
        DATA + b"\n",
        DATA + DATA,
        b"\xef\xbb\xbf" + DATA,
    ):
        assert not passes(genuine, spoilt)


@SLOW
def test_another_file_in_a_candidate_made_anew_is_refused_unless_nothing_binds_it(tmp_path):
    """The manifest agrees again: what the evidence does not name may be anything."""
    through = set()
    for name in FILES:
        for new in (FILES[name][:-2] + b"x\n", b"", canonical_bytes({})):
            if passes(stored(tmp_path / "store", {**FILES, name: new}), DATA):
                through.add(name)
        rest = {key: data for key, data in FILES.items() if key != name}
        if passes(stored(tmp_path / "store", rest), DATA):
            through.add(name)
    assert through == UNBOUND
    assert passes(stored(tmp_path / "store", {**FILES, "extra": b"anything"}), DATA)


def test_a_candidate_with_other_labels_beside_the_genuine_one_is_not_taken_for_it(candidate):
    store = ModelStore(candidate)
    (genuine,) = store.candidates()
    store.put_candidate({**FILES, "labels.json": b'["SE","BR"]\n'})
    try:
        assert believed(candidate, DATA).candidate == genuine
    except EvidenceError:
        return


def edits() -> dict[str, Any]:
    """Make some changes of evidence, one of each kind of place."""
    numbers = {"data_version": SUBJECT.data_version, **EVIDENCE["digests"]}
    better = replaced(EVIDENCE, (("reports", "evaluation", "model", "log_loss", "value"), 3.999))
    remade = {**better, "verdict": decide(better["reports"], POLICY, numbers, DAY).to_json()}
    return {
        "nonce": lambda found: put(found, ("subject", "nonce"), "0" * 32),
        "champion": lambda found: put(found, ("subject", "champion"), "c" * 64),
        "digest": lambda found: put(found, ("digests", "model.onnx"), OTHER_DIGEST),
        "policy": lambda found: put(found, ("policy_digest",), OTHER_DIGEST),
        "verdict": lambda found: put(found, ("verdict", "checks"), found["verdict"]["checks"][:-1]),
        "report gone": lambda found: put(found, ("reports", "parity"), KeyError),
        "number": lambda found: put(found, ("reports", "parity", "model_bytes"), 1),
        "schema": lambda found: put(found, ("schema",), "jukebox.evidence/v1"),
        "extra": lambda found: {**found, "extra": 1},
        "gain": lambda found: {**found, "reports": remade["reports"], "verdict": remade["verdict"]},
    }


@pytest.mark.parametrize("with_candidate", [False, True], ids=["evidence alone", "a candidate too"])
@pytest.mark.parametrize("name", edits())
def test_tampering_with_a_run_is_found_out_by_its_submission(tmp_path, name, with_candidate):
    with world(tmp_path) as here:

        def tamper(run):
            files = here.files(run)
            evidence = edits()[name](json.loads(files["evidence.json"]))
            left = forgery(evidence) if with_candidate else files
            store_run(ModelStore(str(here.store)), left)
            here.write_evidence(run, canonical_bytes(evidence))

        here.dspa.on_finish = tamper
        with pytest.raises(REFUSED) as caught:
            here.submit()
        (run,) = here.runs()
        assert caught.value.exit_code in (10, 40)
        assert caught.value.details["run_id"] == run.run_id


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_candidate_that_was_tampered_with_is_found_out_by_its_submission(tmp_path, name):
    with world(tmp_path) as here:

        def tamper(run):
            here.leave(run)
            (path,) = (path for path in paths(str(here.store)) if path.endswith(f"/{name}"))
            data = read(str(here.store), path)
            overwrite(str(here.store), path, data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])

        here.dspa.on_finish = tamper
        with pytest.raises(EvidenceError) as caught:
            here.submit()
        assert not caught.value.details.get("candidate")
