"""What runs in the judge's place of its own reaches nothing, sees little, changes nothing, and ends."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from processes import wait_for

from ml.core.errors import EvidenceError, GateBlocked, PlatformError, RunFailed
from ml.judge import confine, sandbox
from ml.judge.confine import SandboxLimits, run_confined

BOUNDS = SandboxLimits(memory=1 << 30, file=1 << 20, cpu=30, seconds=60)


@pytest.fixture(scope="module")
def permitted():
    """Skip where the kernel permits no user namespaces."""
    try:
        run_confined([sys.executable, "-c", ""], [], [], BOUNDS)
    except PlatformError as error:
        pytest.skip(str(error))


@pytest.fixture
def inside(permitted, tmp_path):
    """Return a function that runs Python inside, and reads the JSON that it writes to its one folder."""
    (tmp_path / "results").mkdir()
    (tmp_path / "given").mkdir()
    (tmp_path / "given/here").write_text("x")
    (tmp_path / "labels").write_text("secret")

    def run(code: str, bounds: SandboxLimits = BOUNDS):
        text = f"import json, os, pathlib, socket, subprocess, sys\nhome = {str(tmp_path)!r}\n"
        text += "def tell(value): pathlib.Path(home, 'results/told').write_text(json.dumps(value))\n"
        command = [sys.executable, "-c", text + textwrap.dedent(code)]
        run_confined(command, [str(tmp_path / "given")], [str(tmp_path / "results")], bounds)
        return json.loads((tmp_path / "results/told").read_text())

    return run


def test_it_reaches_no_network_but_loopback_and_sees_no_process_but_its_own(inside):
    found = inside("""
        with socket.socket() as server, socket.socket() as client:
            server.bind(("127.0.0.1", 0)); server.listen(); client.connect(server.getsockname())
        try:
            with socket.socket(type=socket.SOCK_DGRAM) as out:
                out.connect(("192.0.2.1", 53))
            reached = "reached"
        except OSError as error:
            reached = error.strerror
        numbers = sorted(name for name in os.listdir("/proc") if name.isdigit())
        tell([sorted(name for _, name in socket.if_nameindex()), reached, os.getpid(), numbers])
    """)
    assert found == [["lo"], "Network is unreachable", 1, ["1"]]


def test_it_sees_what_it_is_given_and_writes_its_results_and_nothing_else(inside, tmp_path):
    seen, listed, writable = inside("""
        import ml
        places = [home + "/labels", "/root", "/home", "/var", "/work", "/etc/shadow", "/etc/ssh"]
        seen = [place for place in places if os.path.exists(place) and not os.path.isdir(place)]
        listed = [sorted(os.listdir(home)), os.listdir(home + "/given")]
        def writable(folder):
            try:
                pathlib.Path(folder, "written").write_text("x")
            except OSError:
                return False
            return True
        folders = ["/", "/usr", home, home + "/given", os.path.dirname(ml.__file__), sys.prefix, "/tmp"]
        tell([seen, listed, [folder for folder in [*folders, home + "/results"] if writable(folder)]])
    """)
    assert (seen, listed) == ([], [["given", "results"], ["here"]])
    # What is around the paths that it was given is made up, in memory.
    assert set(writable) - {"/tmp", str(tmp_path)} == {f"{tmp_path}/results"}
    assert not (tmp_path / "written").exists()
    assert not Path("/tmp/written").exists()
    assert (tmp_path / "labels").read_text() == "secret"


def test_it_has_no_rights_and_no_secrets_and_changes_no_setting_of_the_kernel(inside, monkeypatch):
    """Under root the settings are root's, and core_pattern is run by the kernel, outside of the place."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    capabilities, no_more, user, names, opened = inside("""
        import ctypes
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        opened = []
        for name in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname"):
            try:
                os.close(os.open(name, os.O_WRONLY))
                opened.append(name)
            except OSError:
                pass
        CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID = 0x10000000, 0x20000, 0x20000000
        if ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) == 0:
            opened.append("a namespace below")
        tell([[int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")],
              status["NoNewPrivs"].strip(), os.getuid(), sorted(os.environ), opened])
    """)
    assert (capabilities, no_more, user, opened) == ([0, 0, 0, 0], "1", 1000, [])
    assert not [name for name in names if "AWS" in name or "SECRET" in name]


def test_too_much_memory_and_too_large_a_file_are_refused(inside):
    found = inside("""
        try:
            bytes(2 << 30)
            told = "had"
        except MemoryError:
            told = "refused"
        tell(told)
    """)
    assert found == "refused"
    with pytest.raises(RunFailed, match=r"File too large|code"):
        inside("pathlib.Path(home, 'results/large').write_bytes(bytes(2 << 20))")


def sleepers(folder: Path) -> list[str]:
    """Find the processes that have a folder among their arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command and "sleep" in command:
            found.append(command)
    return found


@pytest.mark.parametrize("ends", [True, False])
def test_what_it_started_ends_with_it_and_what_does_not_end_is_ended_in_time(inside, tmp_path, ends):
    code = f"""
        import time
        for _ in range(3):
            subprocess.Popen(["sleep", "97531", {str(tmp_path)!r}], start_new_session=True)
        tell("done")
        time.sleep({0 if ends else 1000})
    """
    start = time.monotonic()
    if ends:
        inside(code)
    else:
        with pytest.raises(RunFailed, match="was not finished after 2 s"):
            inside(code, SandboxLimits(seconds=2))
    assert time.monotonic() - start < 30
    wait_for(lambda: not sleepers(tmp_path), 10)


def test_it_ends_with_whoever_started_it(permitted, tmp_path):
    code = f"import time\nopen({str(tmp_path / 'sleep-began')!r}, 'w')\ntime.sleep(1000)"
    starter = f"""
import sys
from ml.judge.confine import SandboxLimits, run_confined
run_confined([sys.executable, "-c", {code!r}], [], [{str(tmp_path)!r}], SandboxLimits())
"""
    env = {**os.environ, "PYTHONPATH": str(Path(confine.__file__).parents[2]), "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", starter], env=env) as process:
        wait_for((tmp_path / "sleep-began").exists, 30)
        assert sleepers(tmp_path)
        process.kill()
    wait_for(lambda: not sleepers(tmp_path), 10)


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("print('jukebox: model.onnx uses X', file=sys.stderr); sys.exit(10)", GateBlocked,
         "^model.onnx uses X$"),
        ("print('n\\njukebox: stale', file=sys.stderr); sys.exit(40)", EvidenceError, "^stale$"),
        ("sys.exit(3)", RunFailed, "ended with code 3: it said nothing$"),
        ("1 / 0", RunFailed, "ended with code 1: ZeroDivisionError: division by zero$"),
        ("import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass", RunFailed,
         "ended with code 137: it said nothing$"),
        ("sys.stderr.write('x' * 99999); sys.exit(1)", RunFailed, "^.{100,1100}$"),
    ],
)  # fmt: skip
def test_how_it_ended_is_raised_as_such_in_one_line(inside, code, kind, message):
    with pytest.raises(kind, match=message):
        inside(code)


def test_where_the_kernel_permits_no_such_place_nothing_is_run(monkeypatch, tmp_path):
    script = tmp_path / "refuses.py"
    script.write_text("import sys; sys.stderr.write('unshare: Operation not permitted\\n'); sys.exit(71)")
    monkeypatch.setattr(sandbox, "__file__", str(script))
    told = r"this system forbids \(unshare: Operation not permitted\): allow user namespaces, or let"
    with pytest.raises(PlatformError, match=told):
        run_confined(["/bin/true"], [], [], BOUNDS)


def test_no_folder_is_left(permitted, monkeypatch, tmp_path):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    run_confined([sys.executable, "-c", ""], [], [], BOUNDS)
    assert list((tmp_path / "tmp").iterdir()) == []
