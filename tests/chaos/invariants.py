"""What must hold after any schedule; each violation is a sentence."""

from dspa_server import RunRecord

from chaos.leavings import TRUE
from chaos.submitter import NONCE, WAITS
from chaos.world import TOKENS, World, cancelled
from ml.core.canonical import digest

SLACK = 20.0
"""Seconds beyond the submitter's deadline that a busy machine may take; more is a hang."""

PLATFORM = ("PlatformError", "Unavailable", "Refused", "Rejected", "DeadlineOver")
EXIT_CODES = {"GateBlocked": 10, "RunFailed": 20, **dict.fromkeys(PLATFORM, 30), "EvidenceError": 40}
"""What a submission may end in: never a UsageError, because the command is used correctly."""


def violations(world: World) -> list[str]:
    """Return what does not hold."""
    rules = (one_run, true_passes, in_time, named_failures, true_summaries)
    return [violation for rule in rules for violation in rule(world)]


def one_run(world: World) -> list[str]:
    """Never two runs count, and there is more than one only if the API does not allow to know better."""
    wrong, runs = [], world.runs()
    passed = {outcome.known.run_id for outcome in world.outcomes if outcome.known}
    names = ", ".join(f"{run.run_id} {run.state}" for run in runs)
    if len(passed) > 1:
        wrong.append(f"two runs count: {passed}")
    if world.blind and not world.schedule.twins:
        wrong.append(f"posted a run although one existed: {world.blind}")
    lives = len(world.outcomes)
    if world.answered > lives:
        wrong.append(f"{world.answered} POSTs were answered correctly, in {lives} lives of the submitter")
    if len([run for run in runs if not cancelled(run)]) > 1 and not may_be_two(world):
        wrong.append(f"several runs without a reason: {names}")
    # An older run existed before the last look. A cancelled one is replaced by the next.
    there = [run for run in runs if run.run_id in passed or not (run.vanished or cancelled(run))]
    if passed and there[0].run_id not in passed:
        wrong.append(f"the run that counts, {passed}, is not the oldest: {names}")
    last = world.outcomes[-1]
    if last.name in ("pass", "GateBlocked"):
        # A younger one that no list has shown cannot be found: it continues, and does not count.
        live = [run.run_id for run in there[1:] if run.run_id in world.listed and not world.ended(run)]
        if live:
            wrong.append(f"the younger {live} continue after the verdict: {names}")
    return wrong


def may_be_two(world: World) -> bool:
    """Return whether an answer was lost or late, or a submitter died, or two started at once."""
    plan = world.schedule
    died = any(outcome.error in ("killed", "DeadlineOver") for outcome in world.outcomes)
    # The next life looks before it posts, but a list may lag behind.
    forgotten = plan.list_lag > 0 and len(world.outcomes) > 1
    deleted = any(run.vanished for run in world.runs())
    return plan.twins or died or forgotten or deleted or world.posts > world.answered


def true_passes(world: World) -> list[str]:
    """Never a pass without SUCCEEDED, evidence of this run that passes, and its candidate's bytes."""
    wrong = []
    for outcome in world.outcomes:
        if not outcome.known:
            continue
        about = outcome.known
        run = world.dspa.runs.get(about.run_id)
        if run is None or not truly_passes(world, run):
            wrong.append(f"run {about.run_id} passed, but {world.schedule.leaves}, {run and run.state}")
        elif about.state != "SUCCEEDED" or not about.verdict or not about.verdict.passed:
            wrong.append(f"a pass that contradicts itself: {about}")
        elif about.model_digest != digest(b"graph of A") or NONCE not in about.evidence:
            wrong.append(f"a pass of another model or evidence: {about}")
    return wrong


def truly_passes(world: World, run: RunRecord) -> bool:
    """Return whether a run deserves to pass, by its schedule and not by its evidence."""
    return run.state == "SUCCEEDED" and not run.terminated and world.schedule.leaves in TRUE


def in_time(world: World) -> list[str]:
    """Never a wait beyond the deadline and the time to clean up."""
    most = world.schedule.deadline + WAITS["stop"] + SLACK
    return [f"took {outcome.seconds:.1f} s" for outcome in world.outcomes if outcome.seconds > most]


def named_failures(world: World) -> list[str]:
    """Every failure is one of ours, with its documented exit code, and one line that names a cause."""
    wrong = []
    for outcome in world.outcomes:
        text = f"{outcome.name}: {outcome.message!r}"
        if any(token in line for line in (outcome.message, *outcome.said) for token in TOKENS):
            wrong.append(f"the token is printed: {text}")
        if any("\n" in line for line in outcome.said):
            wrong.append(f"more than a line: {outcome.said}")
        if outcome.name in ("pass", "killed"):
            continue
        if EXIT_CODES.get(outcome.name) != outcome.exit_code:
            wrong.append(f"not a failure that is documented: {text}, exit code {outcome.exit_code}")
        message = outcome.message
        strange = [word for word in ("Traceback", "None", "\n", "object at 0x", "<class") if word in message]
        if strange or len(message) < 20 or len(message) > 2000 or not message.isprintable():
            wrong.append(f"no cause in one line ({strange}): {text}")
    return wrong


def true_summaries(world: World) -> list[str]:
    """A stopped submitter that says that no run is left running is right."""
    last, plan = world.outcomes[-1], world.schedule
    # A run that no list shows, or that starts later, cannot be found.
    hidden = plan.twins or plan.list_lag or "late commit" in world.hit
    live = [run.run_id for run in world.runs() if not world.ended(run)]
    if hidden or "no run is left running" not in last.message or not live:
        return []
    return [f"{live} continue, but: {last.message}"]
