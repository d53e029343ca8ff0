"""The part of the bench of mutants that runs within pytest; `covering.py` and `mutant_runs.py` load it.

Each environment variable asks for one thing. ``MUTANT_TESTS`` names a file of the tests to run, in their
order, with the seconds that each has; ``MUTANT_FAILED`` one that then holds the test which failed or did not
end; ``MUTANT_COLLECTED`` one for what was collected. While coverage measures, each test is a context.
"""

import faulthandler
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

LIMITS: dict[str, float] = {}
if "MUTANT_TESTS" in os.environ:
    LIMITS = json.loads(Path(os.environ["MUTANT_TESTS"]).read_text())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if LIMITS:
        turns = {test: turn for turn, test in enumerate(LIMITS)}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in turns])
        chosen = [item for item in items if item.nodeid in turns]
        items[:] = sorted(chosen, key=lambda item: turns[item.nodeid])


def pytest_collection_finish(session: pytest.Session) -> None:
    if path := os.environ.get("MUTANT_COLLECTED"):
        found = {
            "all": session.items,
            "properties": [item for item in session.items if item.get_closest_marker("hypothesis")],
            "finished_run": [item for item in session.items if "finished_run" in item.fixturenames],
        }
        names = {kind: [item.nodeid for item in items] for kind, items in found.items()}
        Path(path).write_text(json.dumps(names))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if LIMITS:
        # A test that does not end takes pytest with it.
        Path(os.environ["MUTANT_FAILED"]).write_text(item.nodeid)
        faulthandler.dump_traceback_later(LIMITS[item.nodeid], exit=True)
    measured = None
    if "COVERAGE_PROCESS_START" in os.environ:
        import coverage

        measured = coverage.Coverage.current()
    if measured:
        measured.switch_context(item.nodeid)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
        if measured:
            measured.switch_context("")
