"""`python -m chaos SEED`: run one schedule, and print what happened."""

import sys

from chaos.invariants import violations
from chaos.schedules import schedule
from chaos.submitter import hurried
from chaos.world import live_through

plan = schedule(int(sys.argv[1]))
print(plan)
with hurried():
    world = live_through(plan)
for request in world.dspa.requests:
    print(f"{request.number:4} {request.method} {request.path} {plan.faults.get(request.number, ('',))[0]}")
for run in world.runs():
    print(f"run {run.run_id} {run.created_at} {run.state} terminated={run.terminated}")
for outcome in world.outcomes:
    print(f"{outcome.name} after {outcome.seconds:.2f} s: {outcome.message}", *outcome.said, sep="\n    ")
wrong = violations(world)
print(*(wrong or ["everything holds"]), sep="\n")
sys.exit(bool(wrong))
