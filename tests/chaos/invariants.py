"""What must hold after any schedule. Each violation is a sentence."""

from dspa_server import RunRecord

from chaos.leavings import TRUE
from chaos.submitter import NONCE, WAITS
from chaos.world import TOKENS, World, cancelled
from ml.core.canonical import digest

SLACK = 20.0
"""Seconds that a busy machine may take longer than the submitter's deadline: beyond, it is a hang."""

EXIT_CODES = {
    "GateBlocked": 10,
    "RunFailed": 20,
    "PlatformError": 30,
    "Unavailable": 30,
    "Refused": 30,
    "Rejected": 30,
    "DeadlineOver": 30,
    "EvidenceError": 40,
}
"""What a submission may end in. Nobody has used the command wrongly, so it is never a UsageError."""


def violations(world: World) -> list[str]:
    """Say what does not hold."""
    rules = (one_run, true_passes, in_time, named_failures, true_farewells)
    return [violation for rule in rules for violation in rule(world)]


def one_run(world: World) -> list[str]:
    """Never two runs that count; more than one only where the API itself lets nobody know better."""
    found, runs = [], world.runs()
    passed = {outcome.known.run_id for outcome in world.outcomes if outcome.known}
    names = ", ".join(f"{run.run_id} {run.state}" for run in runs)
    if len(passed) > 1:
        found.append(f"two runs count: {passed}")
    if world.blind and not world.schedule.twins:
        found.append(f"asked for a run although there was one: {world.blind}")
    lives = len(world.outcomes)
    if world.answered > lives:
        found.append(f"{world.answered} POSTs were answered in good order, in {lives} lives of the submitter")
    if len([run for run in runs if not cancelled(run)]) > 1 and not may_be_two(world):
        found.append(f"several runs without a reason: {names}")
    # What is older than the run that counts was there before it, and so before the last look. One that was
    # cancelled has given its place to the next.
    there = [run for run in runs if run.run_id in passed or not (run.vanished or cancelled(run))]
    if passed and there[0].run_id not in passed:
        found.append(f"the run that counts, {passed}, is not the oldest: {names}")
    last = world.outcomes[-1]
    if last.name in ("pass", "GateBlocked"):
        # A younger one that no list has ever shown is nobody's to find: it goes on, and does not count.
        live = [run.run_id for run in there[1:] if run.run_id in world.listed and not world.ended(run)]
        if live:
            found.append(f"the younger {live} go on after the verdict: {names}")
    return found


def may_be_two(world: World) -> bool:
    """Tell whether the answer of a POST was lost or late, or its submitter died, or two began at once."""
    plan = world.schedule
    died = any(outcome.error in ("killed", "DeadlineOver") for outcome in world.outcomes)
    # The next life looks before it posts, but a list may lag behind.
    forgotten = plan.list_lag > 0 and len(world.outcomes) > 1
    deleted = any(run.vanished for run in world.runs())
    return plan.twins or died or forgotten or deleted or world.posts > world.answered


def true_passes(world: World) -> list[str]:
    """Never a pass without SUCCEEDED, evidence of this run that passes, and its candidate's true bytes."""
    found = []
    for outcome in world.outcomes:
        if not outcome.known:
            continue
        about = outcome.known
        run = world.dspa.runs.get(about.run_id)
        if run is None or not truly_passes(world, run):
            found.append(f"run {about.run_id} passed, but {world.schedule.leaves}, {run and run.state}")
        elif about.state != "SUCCEEDED" or not about.verdict or not about.verdict.passed:
            found.append(f"a pass that contradicts itself: {about}")
        elif about.model_digest != digest(b"graph of A") or NONCE not in about.evidence:
            found.append(f"a pass of another model or evidence: {about}")
    return found


def truly_passes(world: World, run: RunRecord) -> bool:
    """Tell, from what was arranged and not from what was found, whether a run deserves to pass."""
    return run.state == "SUCCEEDED" and not run.terminated and world.schedule.leaves in TRUE


def in_time(world: World) -> list[str]:
    """Never a wait beyond the deadline, and the time to clean up."""
    most = world.schedule.deadline + WAITS["stop"] + SLACK
    return [f"took {outcome.seconds:.1f} s" for outcome in world.outcomes if outcome.seconds > most]


def named_failures(world: World) -> list[str]:
    """Every failure is one of ours, has its documented exit code, and one line that names a cause."""
    found = []
    for outcome in world.outcomes:
        text = f"{outcome.name}: {outcome.message!r}"
        if any(token in line for line in (outcome.message, *outcome.said) for token in TOKENS):
            found.append(f"the token is told: {text}")
        if any("\n" in line for line in outcome.said):
            found.append(f"more than a line: {outcome.said}")
        if outcome.name in ("pass", "killed"):
            continue
        if EXIT_CODES.get(outcome.name) != outcome.exit_code:
            found.append(f"not a failure that is documented: {text}, exit code {outcome.exit_code}")
        message = outcome.message
        strange = [word for word in ("Traceback", "None", "\n", "object at 0x", "<class") if word in message]
        if strange or len(message) < 20 or len(message) > 2000 or not message.isprintable():
            found.append(f"no cause in one line ({strange}): {text}")
    return found


def true_farewells(world: World) -> list[str]:
    """A submitter that was stopped and says that it has left no run behind, tells the truth."""
    last, plan = world.outcomes[-1], world.schedule
    # What no list shows yet, and what has yet to come to pass, is nobody's to find.
    hidden = plan.twins or plan.list_lag or "late commit" in world.hit
    live = [run.run_id for run in world.runs() if not world.ended(run)]
    if hidden or "no run is left running" not in last.message or not live:
        return []
    return [f"{live} go on, but: {last.message}"]
