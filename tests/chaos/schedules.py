"""Draws a schedule from a seed: the faults of server, run, evidence and submitter."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dspa_server import Fault, Script

LEAVINGS = {"pass": 20, "late": 5, "block": 4, **dict.fromkeys(("missing", "other run", "other nonce"), 2)}
LEAVINGS |= {"lying": 2, "candidate tampered": 2, "candidate missing": 1, "too late": 1, "other commit": 1}
LEAVINGS |= {"other champion": 1, "garbled": 1, "truncated": 1}
"""What gate and save leave when a run ends, and how often."""

HANG = 1.0
"""Seconds of silence, longer than the submitter's timeout of one request."""


def _edit(**changes: Any) -> Fault:
    return Fault.edited(lambda value: {**value, **changes} if isinstance(value, dict) else value)


FAULTS: dict[str, Callable[[random.Random], Fault]] = {
    "reset before": lambda _: Fault.reset(),
    "reset after": lambda _: Fault.reset(after=True),
    "close before": lambda _: Fault.close(),
    "close after": lambda _: Fault.close(after=True),
    "5xx before": lambda draw: Fault.status(draw.choice((500, 502, 503)), "oops\n"),
    "5xx after": lambda draw: Fault.status(draw.choice((500, 502, 503)), "oops\n", after=True),
    "5xx without a message": lambda _: Fault.json({"code": 13}, 500),
    "504 before": lambda _: Fault.gateway_timeout(after=False),
    "504 after": lambda _: Fault.gateway_timeout(),
    "late commit": lambda draw: Fault.late_commit(draw.choice((0.02, 0.1, 0.5)), reset=draw.random() < 0.5),
    "hang before": lambda _: Fault.hang(HANG),
    "hang after": lambda _: Fault.hang(HANG, after=True),
    "slow body": lambda draw: Fault.slow_body(draw.choice((0.001, 0.02)), piece=draw.choice((64, 512))),
    "slow headers": lambda draw: Fault.slow_headers(draw.choice((0.001, 0.05)), piece=32),
    "truncated": lambda _: Fault.truncated(),
    "truncated, fitting": lambda _: Fault.truncated(matching=True),
    "login page": lambda _: Fault.login_page(),
    "401": lambda _: Fault.unauthorized(),
    "403": lambda _: Fault.forbidden(),
    "redirect": lambda _: Fault.redirect("http://127.0.0.1:9/login"),
    "429": lambda draw: Fault.busy(429, draw.choice(("0", "1", "soon", None))),
    "503": lambda draw: Fault.busy(503, draw.choice(("0", "1", "Wed, 21 Oct 2015 07:28:00 GMT", None))),
    "list": lambda _: Fault.json([]),
    "empty": lambda _: Fault.json({}),
    "null": lambda _: Fault.json(None),
    "wrong types": lambda _: Fault.json({"runs": {}, "run_id": 7, "experiments": "x", "state": []}),
    "null lists": lambda _: Fault.json({"runs": None, "experiments": None, "next_page_token": None}),
    "404 of a router": lambda _: Fault.status(404, "no route\n"),
    "of another run": lambda _: _edit(run_id="another", display_name="another"),
    "no state": lambda _: _edit(state=None, run_details=None),
    "no parameters": lambda _: _edit(runtime_config=None),
    "huge": lambda draw: Fault.huge(33, chunked=draw.random() < 0.5),
}
"""The faults of one request, by name."""

LOST_ANSWERS = ("reset after", "close after", "5xx after", "504 after", "hang after", "late commit")
ODD_STATES = ("PAUSED", "RUNTIME_STATE_UNSPECIFIED", None, "CANCELING", "BOGUS", "RUNNING")


@dataclass(frozen=True)
class Schedule:
    """Everything that goes wrong, and when."""

    seed: int
    profile: str
    script: Script
    list_lag: int
    leaves: str
    late: float
    faults: dict[int, tuple[str, Fault]]
    """By the number of the request at the server."""
    posts: dict[int, tuple[str, Fault]]
    """By the number of the POST of a run; they take precedence."""
    token_expires: int | None
    token_rotated: int | None
    """How many requests later the file has the new token; None: never."""
    deadline: float
    lives: int
    """How often the submitter is started at most: again after each failure and each kill."""
    deaths: dict[int, int]
    """After how many requests a life ends by SIGKILL; 0: when its POST has been committed."""
    interrupted: int | None
    """At which change of the run the first life is interrupted."""
    twins: bool
    """Two submitters with one key at the same time."""

    @property
    def kinds(self) -> set[str]:
        """The kinds of faults in it."""
        return {name for name, _ in (*self.faults.values(), *self.posts.values())}


def schedule(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    draw = random.Random(seed)
    twins = draw.random() < 0.08
    density, length = draw.choice((0, 0, 0.05, 0.15, 0.3, 0.6)), draw.randint(5, 40)
    favourite = draw.choice(list(FAULTS))
    struck = [number for number in range(1, length) if draw.random() < density]
    weights = [0.1 if name == "huge" else 1.0 for name in FAULTS]
    names = [
        favourite if draw.random() < 0.3 and favourite != "huge" else draw.choices(list(FAULTS), weights)[0]
        for _ in struck
    ]
    faults = {number: (name, FAULTS[name](draw)) for number, name in zip(struck, names, strict=True)}
    lost = [draw.choice(LOST_ANSWERS) for _ in range(draw.choice((0, 0, 1, 1, 2, 3)))]
    lives = draw.choice((1, 1, 2, 3))
    deaths = {life: _death(draw) for life in range(draw.choice((1, 2)) if draw.random() < 0.3 else 0)}
    return Schedule(
        seed=seed,
        profile=draw.choice(("2.5", "2.16", "next")),
        script=_script(draw),
        list_lag=draw.choice((0, 0, 0, 1, 2, 3, 6)),
        leaves=draw.choices(list(LEAVINGS), list(LEAVINGS.values()))[0],
        late=draw.choice((0.01, 0.1, 0.2)),
        faults=faults,
        posts={number: (name, FAULTS[name](draw)) for number, name in enumerate(lost, 1)},
        token_expires=draw.randint(2, 20) if draw.random() < 0.12 else None,
        token_rotated=draw.choice((1, 2, 4, None)),
        deadline=draw.choice((0.2, 0.6, 1.5)) if draw.random() < 0.12 else 6.0,
        lives=max(lives, len(deaths) + 1),
        deaths=deaths,
        interrupted=draw.randint(1, 4) if draw.random() < 0.06 else None,
        twins=twins,
    )


def _death(draw: random.Random) -> int:
    return 0 if draw.random() < 0.4 else draw.randint(1, 14)


def _script(draw: random.Random) -> Script:
    how = draw.choices(
        ("succeeds", "fails", "cancelled", "skipped", "odd", "vanishes", "never ends"), (30, 5, 1, 1, 4, 1, 1)
    )[0]
    pending, running = draw.randint(0, 2), draw.randint(0, 4)
    final = {"fails": "FAILED", "cancelled": "CANCELED", "skipped": "SKIPPED"}.get(how, "SUCCEEDED")
    states = None
    if how == "odd":
        states = ("PENDING", *draw.choices(ODD_STATES, k=draw.randint(1, 3)), "RUNNING", final)
    return Script(
        pending=pending,
        running=running,
        final=final,
        states=states,
        vanish_after=draw.randint(1, 4) if how == "vanishes" else None,
        never_ends=how == "never ends",
        canceling=draw.choice((0, 2, None)),
        canceled=draw.choice(("FAILED", "FAILED", "CANCELED")),
    )
