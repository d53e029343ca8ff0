"""Output that cannot be written, and commands that make no sense: one line, and nothing half written."""

import pytest
from processes import assert_nothing_half_written, assert_one_line, call_at, fill, run_at, small_disk
from tiers import SLOW, sampled

from ml.problems.songs.sample_spec import SampleSpec

SPEC = SampleSpec(songs=600, days=2, seed=7)
SAMPLE = ("--data", SPEC.uri)


@pytest.mark.parametrize(
    ("kilobytes", "code"),
    [
        pytest.param(0, 2, id="nothing fits"),
        pytest.param(48, 2, id="the pipeline fits", marks=SLOW),
        pytest.param(60, 20, id="the parameters fit", marks=SLOW),
    ],
)
def test_a_full_disk_under_the_runs(tmp_path, kilobytes, code):
    with small_disk(tmp_path / "disk") as disk:
        fill(disk, leaving=1024 * kilobytes)
        done = run_at(tmp_path, "run", *SAMPLE, "--runs", disk / "runs")
        line = assert_one_line(done, done.returncode)
        # Where the disk fills up before the first step is the user's affair or the run's failure.
        assert done.returncode in (code, 20)
        # A log that cannot be written cannot say why it could not.
        assert "No space left on device" in line or kilobytes == 60
        assert ": None" not in line
        assert list(disk.glob("runs/*/tmp")) == []
        assert_nothing_half_written(tmp_path)


@pytest.mark.parametrize("option", ["--runs", "--store"])
def test_a_folder_that_is_read_only(tmp_path, option):
    with small_disk(tmp_path / "disk", "ro") as disk:
        line = assert_one_line(run_at(tmp_path, "run", *SAMPLE, option, disk / "new"), 2)
        assert "Read-only file system" in line
        assert str(disk / "new") in line
        assert_nothing_half_written(tmp_path)


@pytest.mark.parametrize("command", [("sample", "--out"), ("compile", "-o")])
@pytest.mark.parametrize("state", sampled(["full", "ro"], ["full"]))
def test_a_file_that_cannot_be_written(tmp_path, command, state):
    with small_disk(tmp_path / "disk", *(["ro"] if state == "ro" else [])) as disk:
        if state == "full":
            fill(disk)
        line = assert_one_line(call_at(tmp_path, *command, disk / "out"), 2)
        assert {"full": "No space left on device", "ro": "Read-only file system"}[state] in line
        assert [path for path in disk.rglob("*") if path.is_file() and path.name != "filler"] == []
