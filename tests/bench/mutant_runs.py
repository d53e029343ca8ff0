"""One mutant against its tests: a copy of the checkout, the tests in it, and the end of all they started."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from bench.covering import collected, environment, pytest_command
from bench.mutants import Mutant

FIRST = 20.0
"""Seconds of tests that run first, the fastest ones; what survives them meets the rest."""

START, LONG = 600.0, 120.0
"""Seconds that pytest has to collect the tests, and a test to end, if five times its own are not more."""

PASSED, FAILED = 0, (1, 2, 3, 4)
"""Exit codes of pytest. Above 1 the tests could not even be collected, which those of the original can."""


@dataclass(frozen=True)
class End:
    """What came of a mutant: the test that killed it, "import", or "" where it survived.

    ``flaky`` are the tests that failed, and either passed when they ran again or fail without the mutant too.
    """

    killed_by: str = ""
    seconds: float = 0.0
    flaky: tuple[str, ...] = ()


@dataclass
class Bench:
    """A clean copy of a checkout, and what is known of its tests.

    Args:
        folder: where the copy and those of the mutants lie.
        budget: the seconds of tests that one mutant meets at most in a tier, the fastest first.
        seconds: of each test that may be used.
        late: tests whose seconds do not tell what they cost.
    """

    folder: Path
    budget: float
    seconds: Mapping[str, float] = field(default_factory=dict)
    late: Set[str] = frozenset()
    sound: set[str] = field(default_factory=set)
    """Tests that passed here, alone, without a mutant."""

    @property
    def original(self) -> Path:
        """The copy that stays as it is."""
        return self.folder / "original"

    def copy(self, tree: Path) -> None:
        """Copy what git would commit of a checkout, and commit it: some tests read the files from git."""
        listed = ["git", "-C", str(tree), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
        for name in filter(None, names):
            if (tree / name).is_file():
                (self.original / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(tree / name, self.original / name)
        _commit(self.original, "init")

    def collected(self, arguments: Sequence[str]) -> dict[str, list[str]]:
        """Return the tests that pytest runs with these arguments; it leaves compiled tests in the copy."""
        return collected(self.original, self.folder / "collected", arguments)

    def passes(self, tests: Sequence[str]) -> list[list[str]]:
        """Divide tests into the fastest and the rest, each by file, the fastest files first."""
        parts: tuple[list[str], list[str]] = ([], [])
        total = 0.0
        for test in sorted(tests, key=lambda test: (self.seconds[test], test)):
            total += self.seconds[test]
            if total <= self.budget:
                parts[total > FIRST or test in self.late].append(test)
        return [self._by_file(part) for part in parts if part]

    def _by_file(self, tests: Sequence[str]) -> list[str]:
        files: dict[str, float] = {}
        for test in tests:
            file = test.partition("::")[0]
            files[file] = files.get(file, 0) + self.seconds[test]
        turn = {test: number for number, test in enumerate(self.seconds)}
        return sorted(tests, key=lambda test: (files[file := test.partition("::")[0]], file, turn[test]))

    def run(self, mutant: Mutant, tests: Sequence[str], **variables: str) -> End:
        """Run tests with a mutant, until one fails because of it or all have passed."""
        start, flaky, killed_by = time.monotonic(), [], ""
        with self._changed(mutant) as tree:
            for part in self.passes(tests):
                while not killed_by and (left := [test for test in part if test not in flaky]):
                    failed = self._failed(tree, left, variables)
                    if not failed:
                        break
                    if failed == "import" or self._confirmed(tree, failed, variables):
                        killed_by = failed
                    else:
                        flaky.append(failed)
        return End(killed_by, time.monotonic() - start, tuple(flaky))

    def _confirmed(self, tree: Path, test: str, variables: Mapping[str, str]) -> bool:
        """Tell whether a test fails again, alone, and passes without the mutant."""
        if not self._failed(tree, [test], variables):
            return False
        if test not in self.sound:
            with self._changed(None) as unchanged:
                if not self._failed(unchanged, [test], variables):
                    self.sound.add(test)
        return test in self.sound

    @contextlib.contextmanager
    def _changed(self, mutant: Mutant | None) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix="m", dir=self.folder))
        tree = folder / "tree"
        try:
            shutil.copytree(self.original, tree, symlinks=True)
            if mutant:
                path = tree / mutant.path
                path.write_text(mutant.applied(path.read_text()))
                for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
                    compiled.unlink()
                _commit(tree, "commit")
            yield tree
        finally:
            end_all(folder)
            shutil.rmtree(folder, ignore_errors=True)

    def _failed(self, tree: Path, tests: Sequence[str], variables: Mapping[str, str]) -> str:
        """Return the first test that fails or does not end, "import", or "" where all pass."""
        folder = tree.parent
        chosen, failed = folder / "tests", folder / "failed"
        limits = {test: max(LONG, 5 * self.seconds[test]) for test in tests}
        chosen.write_text(json.dumps(limits))
        failed.unlink(missing_ok=True)
        (folder / "tmp").mkdir(exist_ok=True)
        ours = {"MUTANT_TESTS": chosen, "MUTANT_FAILED": failed, "TMPDIR": folder / "tmp"}
        env = environment(tree, **ours, **variables)
        options = ["-x", "-n0", "-m", "", "-p", "no:cacheprovider", "--tb=no", "--hypothesis-seed=0"]
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                pytest_command(*options, f"--basetemp={folder}/tmp/t", *files),
                cwd=tree,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                code = process.wait(START + sum(limits.values()))
            except subprocess.TimeoutExpired:
                code = 1
            finally:
                end_all(folder)
                process.wait()
        if code not in (PASSED, *FAILED):
            raise RuntimeError(f"pytest ended with {code}:\n{(folder / 'log').read_text()[-2000:]}")
        if code == PASSED:
            return ""
        return failed.read_text() if failed.exists() else "import"


def end_all(folder: Path) -> None:
    """Kill every process that has a path below a folder in its environment or among its arguments."""
    mark = f"{folder}/".encode()
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (process / "environ").read_bytes() + (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)


def _commit(tree: Path, how: str) -> None:
    git = ["git", "-C", str(tree), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    if how == "init":
        subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
        subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "-q", "-a", "-m", how], check=True)
