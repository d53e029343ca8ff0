"""Starts coverage in every Python of a recording (see `covering.record`), for the test that started it."""

import os
from pathlib import Path

if "COVERAGE_PROCESS_START" in os.environ:
    import coverage

    if Path.cwd().name == "finished-run":
        # It is made beside the tests, whichever runs at that moment.
        os.environ["PYTEST_CURRENT_TEST"] = "finished_run (setup)"
    coverage.process_startup()
    if measured := coverage.Coverage.current():
        measured.switch_context(os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0])
