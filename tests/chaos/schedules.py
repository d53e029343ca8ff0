"""Draws a schedule from a seed: the faults of server, run, evidence and submitter."""

import random
from dataclasses import dataclass, field

from dspa_server import Fault, Script

LEAVINGS = {"pass": 20, "late": 5, "block": 4, "missing": 2, "other run": 4, "lying": 3, "truncated": 2}
LEAVINGS |= {"candidate tampered": 2, "candidate missing": 1, "too late": 1}
"""What gate and save leave when a run ends, and how often."""

HANG = 1.0
"""Seconds of silence, longer than the submitter's timeout of one request."""


def _edit(**changes) -> Fault:
    return Fault.edited(lambda value: {**value, **changes} if isinstance(value, dict) else value)


def _5xx(draw, *, after=False) -> Fault:
    return Fault.status(draw.choice((500, 502, 503)), "oops\n", after=after)


FAULTS = {
    "reset before": lambda _: Fault.reset(),
    "reset after": lambda _: Fault.reset(after=True),
    "close after": lambda _: Fault.close(after=True),
    "5xx before": _5xx,
    "5xx after": lambda draw: _5xx(draw, after=True),
    "504 after": lambda _: Fault.gateway_timeout(),
    "late commit": lambda draw: Fault.late_commit(draw.choice((0.02, 0.1, 0.5)), reset=draw.random() < 0.5),
    "hang before": lambda _: Fault.hang(HANG),
    "hang after": lambda _: Fault.hang(HANG, after=True),
    "slow body": lambda draw: Fault.slow_body(draw.choice((0.001, 0.02)), piece=draw.choice((64, 512))),
    "slow headers": lambda draw: Fault.slow_headers(draw.choice((0.001, 0.05)), piece=32),
    "truncated": lambda draw: Fault.truncated(matching=draw.random() < 0.5),
    "login page": lambda _: Fault.login_page(),
    "401": lambda _: Fault.unauthorized(),
    "403": lambda _: Fault.forbidden(),
    "redirect": lambda _: Fault.redirect("http://127.0.0.1:9/login"),
    "429": lambda draw: Fault.busy(429, draw.choice(("0", "1", "soon", None))),
    "503": lambda draw: Fault.busy(503, draw.choice(("0", "1", "Wed, 21 Oct 2015 07:28:00 GMT", None))),
    "empty": lambda _: Fault.json({}),
    "no object": lambda draw: Fault.json(draw.choice(([], None))),
    "wrong types": lambda _: Fault.json({"runs": {}, "run_id": 7, "experiments": "x", "state": []}),
    "null lists": lambda _: Fault.json({"runs": None, "experiments": None, "next_page_token": None}),
    "404 of a router": lambda _: Fault.status(404, "no route\n"),
    "of another run": lambda _: _edit(run_id="another", display_name="another"),
    "no state": lambda _: _edit(state=None, run_details=None),
    "no parameters": lambda _: _edit(runtime_config=None),
}
"""The faults of one request, by name."""

LOST_ANSWERS = ("reset after", "close after", "5xx after", "504 after", "hang after", "late commit")
ODD_STATES = ("PAUSED", "RUNTIME_STATE_UNSPECIFIED", None, "CANCELING", "BOGUS", "RUNNING")


@dataclass(frozen=True)
class Schedule:
    """Everything that goes wrong, and when. Nothing does by default."""

    seed: int = 0
    profile: str = "2.16"
    script: Script = field(default_factory=lambda: Script(running=3))
    list_lag: int = 0
    leaves: str = "pass"
    late: float = 0.1
    faults: dict[int, tuple[str, Fault]] = field(default_factory=dict)  # by the number of the request
    posts: dict[int, tuple[str, Fault]] = field(default_factory=dict)  # by that of a run's POST; they win
    token_expires: int | None = None
    token_rotated: int | None = None  # how many requests later the file has the new token; None: never
    deadline: float = 6.0
    lives: int = 1  # how often the submitter is started at most: again after each failure and each kill
    # After how many requests a life ends by SIGKILL; 0: when its POST has been committed.
    deaths: dict[int, int] = field(default_factory=dict)
    interrupted: int | None = None  # at which change of the run the first life is interrupted
    twins: bool = False  # two submitters with one key at the same time


def schedule(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    draw = random.Random(seed)
    density, length = draw.choice((0, 0, 0.05, 0.15, 0.3, 0.6)), draw.randint(5, 40)
    struck = [number for number in range(1, length) if draw.random() < density]
    favourite, *others = draw.choices(list(FAULTS), k=len(struck) + 1)
    names = [favourite if draw.random() < 0.3 else other for other in others]
    lost = [draw.choice(LOST_ANSWERS) for _ in range(draw.choice((0, 0, 1, 1, 2, 3)))]
    deaths = range(draw.choice((1, 2)) if draw.random() < 0.3 else 0)
    return Schedule(
        seed=seed,
        profile=draw.choice(("2.5", "2.16", "next")),
        script=_script(draw),
        list_lag=draw.choice((0, 0, 0, 1, 2, 3, 6)),
        leaves=draw.choices(list(LEAVINGS), list(LEAVINGS.values()))[0],
        late=draw.choice((0.01, 0.1, 0.2)),
        faults={number: (name, FAULTS[name](draw)) for number, name in zip(struck, names, strict=True)},
        posts={number: (name, FAULTS[name](draw)) for number, name in enumerate(lost, 1)},
        token_expires=draw.randint(2, 20) if draw.random() < 0.12 else None,
        token_rotated=draw.choice((1, 2, 4, None)),
        deadline=draw.choice((0.2, 0.6, 1.5)) if draw.random() < 0.12 else 6.0,
        lives=max(draw.choice((1, 1, 2, 3)), len(deaths) + 1),
        deaths={life: 0 if draw.random() < 0.4 else draw.randint(1, 14) for life in deaths},
        interrupted=draw.randint(1, 4) if draw.random() < 0.06 else None,
        twins=draw.random() < 0.08,
    )


def _script(draw: random.Random) -> Script:
    ways = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED", "odd", "vanishes", "never ends")
    (how,) = draw.choices(ways, (30, 5, 1, 1, 4, 1, 1))
    odd = ("PENDING", *draw.choices(ODD_STATES, k=draw.randint(1, 3)), "RUNNING", "SUCCEEDED")
    return Script(
        pending=draw.randint(0, 2),
        running=draw.randint(0, 4),
        final=how if how.isupper() else "SUCCEEDED",
        states=odd if how == "odd" else None,
        vanish_after=draw.randint(1, 4) if how == "vanishes" else None,
        never_ends=how == "never ends",
        canceling=draw.choice((0, 2, None)),
        canceled=draw.choice(("FAILED", "FAILED", "CANCELED")),
    )
