"""What must hold after any schedule; each violation is a sentence."""

from collections.abc import Iterator

from chaos.world import NONCE, TOKENS, TRUE, WAITS, World, cancelled, over
from ml.core.canonical import digest

SLACK = 20.0
"""Seconds beyond the submitter's deadline that a busy machine may take; more is a hang."""

PLATFORM = ("PlatformError", "Unavailable", "Refused", "Rejected", "DeadlineOver")
EXIT_CODES = {"GateBlocked": 10, "RunFailed": 20, **dict.fromkeys(PLATFORM, 30), "EvidenceError": 40}
"""What a submission may end in: never a UsageError, because the command is used correctly."""


def violations(world: World) -> list[str]:
    """Return what does not hold, with all that happened."""
    wrong = [text for rule in (one_run, true_passes, ends, true_summaries) for text in rule(world)]
    if not wrong:
        return []
    plan = world.schedule
    runs = [f"run {run.run_id} {run.created_at} {run.state} {run.terminated}" for run in world.runs()]
    ended = [f"{one.name} after {one.seconds:.2f} s: {one.message} {one.said}" for one in world.outcomes]
    calls = ", ".join(f"{request.number} {request.kind}" for request in world.dspa.requests)
    return [*wrong, "\n".join([f"seed {plan.seed}: {plan}", calls, f"hit: {world.hit}", *runs, *ended])]


def one_run(world: World) -> Iterator[str]:
    """Never two runs count, and there is more than one only if the API does not allow to know better."""
    runs, lives, last = world.runs(), len(world.outcomes), world.outcomes[-1]
    passed = {outcome.known.run_id for outcome in world.outcomes if outcome.known}
    names = ", ".join(f"{run.run_id} {run.state}" for run in runs)
    if len(passed) > 1:
        yield f"two runs count: {passed}"
    if world.blind and not world.schedule.twins:
        yield f"posted a run although one existed: {world.blind}"
    if world.answered > lives:
        yield f"{world.answered} POSTs were answered correctly, in {lives} lives of the submitter"
    if len([run for run in runs if not cancelled(run)]) > 1 and not may_be_two(world):
        yield f"several runs without a reason: {names}"
    # An older run existed before the last look. A cancelled one is replaced by the next.
    there = [run for run in runs if run.run_id in passed or not (run.vanished or cancelled(run))]
    if passed and there[0].run_id not in passed:
        yield f"the run that counts, {passed}, is not the oldest: {names}"
    if last.name in ("pass", "GateBlocked"):
        # A younger one that no list has shown cannot be found: it continues, and does not count.
        live = [run.run_id for run in there[1:] if run.run_id in world.listed and not over(run)]
        if live:
            yield f"the younger {live} continue after the verdict: {names}"


def may_be_two(world: World) -> bool:
    """Return whether an answer was lost or late, or a submitter died, or two started at once."""
    plan = world.schedule
    died = any(outcome.name in ("killed", "DeadlineOver") for outcome in world.outcomes)
    # The next life looks before it posts, but a list may lag behind.
    forgotten = plan.list_lag > 0 and len(world.outcomes) > 1
    deleted = any(run.vanished for run in world.runs())
    return plan.twins or died or forgotten or deleted or world.posts > world.answered


def true_passes(world: World) -> Iterator[str]:
    """Never a pass without SUCCEEDED, evidence of this run that passes, and its candidate's bytes."""
    leaves = world.schedule.leaves
    for about in [outcome.known for outcome in world.outcomes if outcome.known]:
        run = world.dspa.runs.get(about.run_id)
        if not run or run.state != "SUCCEEDED" or run.terminated or leaves not in TRUE:
            yield f"run {about.run_id} passed, but {leaves}, {run and run.state}"
        elif about.state != "SUCCEEDED" or not about.verdict or not about.verdict.passed:
            yield f"a pass that contradicts itself: {about}"
        elif about.model_digest != digest(b"graph of A") or NONCE not in about.evidence:
            yield f"a pass of another model or evidence: {about}"


def ends(world: World) -> Iterator[str]:
    """Each life ends in time, and a failure is one of ours, with its exit code, and a line with a cause."""
    for outcome in world.outcomes:
        message, text = outcome.message, f"{outcome.name}: {outcome.message!r}"
        if outcome.seconds > world.schedule.deadline + WAITS["stop"] + SLACK:
            yield f"took {outcome.seconds:.1f} s"
        if any(token in line for line in (message, *outcome.said) for token in TOKENS):
            yield f"the token is printed: {text}"
        if any("\n" in line for line in outcome.said):
            yield f"more than a line: {outcome.said}"
        if outcome.name in ("pass", "killed"):
            continue
        if EXIT_CODES.get(outcome.name) != outcome.exit_code:
            yield f"not a failure that is documented: {text}, exit code {outcome.exit_code}"
        strange = [word for word in ("Traceback", "None", "object at 0x", "<class") if word in message]
        if strange or not 20 <= len(message) <= 2000 or not message.isprintable():
            yield f"no cause in one line ({strange}): {text}"


def true_summaries(world: World) -> Iterator[str]:
    """A stopped submitter that says that no run is left running is right."""
    plan, said = world.schedule, world.outcomes[-1].message
    # A run that no list shows, or that starts later, cannot be found.
    hidden = plan.twins or plan.list_lag or any(name.startswith("late commit") for name in world.hit)
    live = [run.run_id for run in world.runs() if not over(run)]
    if live and not hidden and "no run is left running" in said:
        yield f"{live} continue, but: {said}"
