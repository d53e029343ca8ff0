"""The page of a run's states: each row is what `ml.dspa` does when it meets that state, tried out here.

The DSPA is a stand-in that always gives the same answer; every wait is long, but for the one that a row
names. A row that is wrong is an error.
"""

import datetime
import tempfile
from pathlib import Path
from unittest import mock

from ml.core.errors import EvidenceError, JukeboxError
from ml.dspa import outcome
from ml.dspa.answers import Run
from ml.dspa.duplicates import ENDED
from ml.dspa.failures import Refused, Rejected, Unavailable
from ml.dspa.follow import WAITED_FOR, follow
from ml.dspa.session import Session
from ml.dspa.timeouts import Deadline, Timeouts
from ml.gate.check import compare
from ml.gate.evidence import Subject
from ml.gate.verdict import sum_up
from ml.release.judgement import Judgement, Proven

from .exit_codes import words
from .markdown import code, page, table

LONG, SHORT = 30.0, 0.01
"""Seconds that a wait of the stand-in takes; a row that needs another one than it names is wrong."""

EVIDENCE = ("none", "passes", "blocks", "not this run's", "passes, its candidate is missing or changed")
"""What evidence a run may have left."""


def failing(error: JukeboxError) -> mock.Mock:
    """Return what answers with an error."""
    return mock.Mock(side_effect=error)


def always(state: str) -> mock.Mock:
    """Return what answers with a run in a state."""
    created = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    names = {"run_id": "run-1", "experiment_id": "experiment-1", "display_name": "jukebox"}
    return mock.Mock(return_value=Run(**names, state=state, created_at=created))


ROWS = (
    *((code(state), always(state), "waited for until it ends", "deadline") for state in WAITED_FOR),
    ("`CANCELING`", always("CANCELING"), "waited for, then taken for cancelled", "canceling"),
    ("a state that this version does not know", always("NEW"), "waited for; the run goes on", "unknown"),
    ("deleted", failing(Rejected("no such run", 404)), "looked for again", "vanished"),
    ("no answer", failing(Unavailable("no answer")), "asked again; the run goes on", "outage"),
    ("the token is refused", failing(Refused("refused")), "asked again; the run goes on", "refused"),
)
"""What does not end a run at once: a state, or what comes instead of one; the answer; what is done; what
ends that."""


def exit_code(answer: mock.Mock, evidence: str = "none", wait: str = "evidence") -> int:
    """Follow a run that answers like this and has left such evidence; return the exit code."""
    # The first of the two, so that it is over when a wait of the session is that began later.
    begun = Deadline(LONG)
    waits = dict.fromkeys(Timeouts.model_fields, LONG) | {"poll": 0.001, "poll_most": 0.002, wait: SHORT}
    timeouts = Timeouts(**{**waits, "posts": 1, "tries": 1})
    client = mock.Mock(run=lambda *_: answer(), connection=mock.Mock(link=lambda *_: ""))
    session = Session(client, timeouts, Deadline(timeouts.deadline), lambda _: None)
    first = answer() if wait == "evidence" else always("RUNNING")()
    try:
        ended = follow(session, first, lambda *_: None)
        with tempfile.TemporaryDirectory() as folder:
            _conclude(session, ended, Path(folder), evidence)
    except JukeboxError as error:
        if not begun.remaining:
            raise ValueError(f"this was not ended by the wait {wait}: {error}") from error
        return error.exit_code
    return 0


def _conclude(session: Session, ended: Run, folder: Path, evidence: str) -> None:
    """Conclude with evidence of a kind."""
    verdict = sum_up([compare("check", 0.0 if evidence == "blocks" else 1.0, ">=", 1.0)])
    judged = mock.Mock(return_value=Judgement(mock.Mock(), verdict, "sha256:"))
    proven = mock.Mock(return_value=Proven("candidate", "sha256:", "model"))
    if evidence == "not this run's":
        judged.side_effect = EvidenceError(evidence)
    if evidence == EVIDENCE[-1]:
        proven.side_effect = EvidenceError(evidence)
    where = folder / "evidence.json"
    if evidence != "none":
        where.write_text("{}")
    parameters = {**dict.fromkeys(Subject.model_fields, ""), "dirty": False}
    parameters |= {"evidence_uri": str(where), "store_uri": str(folder)}
    with mock.patch.multiple(outcome, judge=judged, prove=proven, ModelStore=mock.Mock()):
        outcome.conclude(session, ended, parameters, "")


def states_page() -> str:
    """Return docs/reference/states.md."""
    waits = Timeouts.model_fields

    def told(number: int) -> str:
        return f"{number}: {words()[number]}"

    going_on = []
    for state, answer, seen_to, wait in ROWS:
        most = "`--timeout`" if wait == "deadline" else f"{waits[wait].default:g} s"
        going_on.append((state, seen_to, most, told(exit_code(answer, wait=wait))))
    return page(
        "States of a run",
        "`jukebox submit` and `jukebox follow` decide by the state of the run and by its evidence together, "
        "and by nothing else. What a run says of its tasks is shown, and never decides.",
        "## A run that has ended",
        "A pass needs both: the state SUCCEEDED, and evidence about this run that passes our policy, for a "
        "candidate that is in the store byte for byte. Where state and evidence disagree, the run is "
        "blocked.",
        table(
            ("evidence", *ENDED),
            ((left, *(told(exit_code(always(state), left)) for state in ENDED)) for left in EVIDENCE),
        ),
        "## A run that goes on",
        "The last column holds if nothing changes until the time is over.",
        table(("state", "the run is", "for at most", "then"), going_on),
        "At the end of `--timeout`, `jukebox submit` terminates the run unless `--leave-running` is given; "
        "`jukebox follow` leaves it alone.",
        "## Every wait",
        table(
            ("wait", "default", "for what"),
            ((code(name), f"{field.default:g}", field.description) for name, field in waits.items()),
        ),
        "All are seconds, but for `tries` and `posts`. `deadline` is `--timeout`, `stuck` is `--stuck`; the "
        "others are fixed.",
    )
