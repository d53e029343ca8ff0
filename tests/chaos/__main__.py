"""`python -m chaos SEED`: live through one schedule again, and tell the story."""

import sys

from chaos.batches import hurried, live_through_all
from chaos.invariants import violations
from chaos.schedules import schedule
from chaos.world import live_through


def tell(seed: int) -> bool:
    """Live through one schedule and tell all; return whether everything held."""
    plan = schedule(seed)
    print(plan)
    with hurried():
        world = live_through(plan)
    for request in world.dspa.requests:
        planned = plan.faults.get(request.number, ("", None))[0]
        print(f"{request.number:4} {request.method} {request.path} {planned}")
    for run in world.runs():
        print(f"run {run.run_id} {run.created_at} {run.state} terminated={run.terminated}")
    for outcome in world.outcomes:
        print(f"{outcome.name} after {outcome.seconds:.2f} s: {outcome.message}")
        print(*(f"    {line}" for line in outcome.said), sep="\n")
    wrong = violations(world)
    print(*(wrong or ["everything holds"]), sep="\n")
    return not wrong


if __name__ == "__main__":
    if len(sys.argv) > 2:
        tally = live_through_all(range(int(sys.argv[1]), int(sys.argv[2])))
        print(tally.ends, tally.faults, f"several runs: {tally.several}, killed: {tally.killed}", sep="\n")
        print(f"slowest {tally.slowest:.1f} s", *tally.wrong, sep="\n")
        sys.exit(bool(tally.wrong))
    sys.exit(not tell(int(sys.argv[1])))
