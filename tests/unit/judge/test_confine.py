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


def test_there_is_no_network_but_loopback(inside):
    found = inside("""
        with socket.socket() as server, socket.socket() as client:
            server.bind(("127.0.0.1", 0)); server.listen(); client.connect(server.getsockname())
        try:
            with socket.socket(type=socket.SOCK_DGRAM) as out:
                out.connect(("192.0.2.1", 53))
            reached = "reached"
        except OSError as error:
            reached = error.strerror
        tell([sorted(name for _, name in socket.if_nameindex()), reached])
    """)
    assert found == [["lo"], "Network is unreachable"]


def test_it_sees_what_it_is_given_and_no_other_file(inside, tmp_path):
    found = inside("""
        places = [home + "/labels", "/root", "/home", "/var", "/work", "/etc/shadow", "/etc/ssh"]
        seen = [place for place in places if os.path.exists(place) and not os.path.isdir(place)]
        tell([sorted(os.listdir(home)), os.listdir(home + "/given"), seen])
    """)
    assert found == [["given", "results"], ["here"], []]
    assert (tmp_path / "labels").read_text() == "secret"


def test_it_can_write_its_results_and_nothing_else(inside, tmp_path):
    found = inside("""
        import ml
        def writable(folder):
            try:
                pathlib.Path(folder, "written").write_text("x")
            except OSError:
                return False
            return True
        folders = ("/", "/usr", home, home + "/given", os.path.dirname(ml.__file__), sys.prefix)
        tell({folder: writable(folder) for folder in (*folders, "/tmp", home + "/results")})
    """)
    # What is around the paths that it was given is made up, in memory.
    made_up = {"/tmp", str(tmp_path)}
    assert {folder for folder, writable in found.items() if writable} - made_up == {f"{tmp_path}/results"}
    assert not (tmp_path / "written").exists()
    assert not Path("/tmp/written").exists()


def test_it_has_no_rights_and_no_secrets(inside, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    found = inside("""
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        tell([{name: int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")},
              status["NoNewPrivs"].strip(), os.getuid(), sorted(os.environ), os.listdir("/proc/self/fd")])
    """)
    capabilities, no_more, user, names, _ = found
    assert set(capabilities.values()) == {0}
    assert (no_more, user) == ("1", 1000)
    assert not [name for name in names if "AWS" in name or "SECRET" in name]


def test_it_changes_no_setting_of_the_kernel(inside):
    """Under root they are root's, and core_pattern is run by the kernel, outside of the place."""
    assert (
        inside("""
        import ctypes
        found = []
        def attempt(name):
            try:
                os.close(os.open(name, os.O_WRONLY))
                found.append(name)
            except OSError:
                pass
        attempt("/proc/sys/kernel/core_pattern")
        attempt("/proc/sys/kernel/hostname")
        libc = ctypes.CDLL(None)
        CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID = 0x10000000, 0x20000, 0x20000000
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) == 0:
            found.append("a namespace below")
        tell(found)
    """)
        == []
    )


def test_it_sees_no_process_but_its_own(inside):
    found = inside("""
        tell([os.getpid(), sorted(name for name in os.listdir("/proc") if name.isdigit())])
    """)
    assert found == [1, ["1"]]


def test_too_much_memory_is_refused(inside):
    found = inside("""
        try:
            bytes(2 << 30)
            told = "had"
        except MemoryError:
            told = "refused"
        tell(told)
    """)
    assert found == "refused"


def test_too_large_a_file_ends_it(inside):
    with pytest.raises(RunFailed, match=r"File too large|code"):
        inside("pathlib.Path(home, 'results/large').write_bytes(bytes(2 << 20))")


def test_what_does_not_end_is_ended_in_time_with_all_that_it_started(inside, tmp_path):
    start = time.monotonic()
    with pytest.raises(RunFailed, match="was not done after 2 s"):
        inside(
            f"""
            for _ in range(3):
                subprocess.Popen(["sleep", "97531", {str(tmp_path)!r}], start_new_session=True)
            import time
            time.sleep(1000)
            """,
            SandboxLimits(seconds=2),
        )
    assert time.monotonic() - start < 30
    wait_for(lambda: not sleepers(tmp_path), 10)


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


def test_what_it_leaves_behind_ends_with_it(inside, tmp_path):
    inside(f"""
        subprocess.Popen(["sleep", "97531", {str(tmp_path)!r}], start_new_session=True)
        tell("done")
    """)
    wait_for(lambda: not sleepers(tmp_path), 10)


def test_it_ends_with_whoever_started_it(permitted, tmp_path):
    code = f"import time\nopen({str(tmp_path / 'sleep-began')!r}, 'w')\ntime.sleep(1000)"
    (tmp_path / "starter.py").write_text(
        textwrap.dedent(f"""
            import sys
            from ml.judge.confine import SandboxLimits, run_confined
            run_confined([sys.executable, "-c", {code!r}], [], [{str(tmp_path)!r}], SandboxLimits())
        """)
    )
    env = {**os.environ, "PYTHONPATH": str(Path(confine.__file__).parents[2]), "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, str(tmp_path / "starter.py")], env=env) as starter:
        wait_for((tmp_path / "sleep-began").exists, 30)
        assert sleepers(tmp_path)
        starter.kill()
    wait_for(lambda: not sleepers(tmp_path), 10)


def test_what_the_command_says_of_its_end_is_raised_as_such(inside):
    with pytest.raises(GateBlocked, match=r"^model.onnx uses the operator X$"):
        inside("print('jukebox: model.onnx uses the operator X', file=sys.stderr); sys.exit(10)")
    with pytest.raises(EvidenceError, match=r"^stale$"):
        inside("print('note', file=sys.stderr); print('jukebox: stale', file=sys.stderr); sys.exit(40)")


def test_any_other_end_is_one_line(inside):
    with pytest.raises(RunFailed, match=r"ended with code 3: it said nothing$"):
        inside("sys.exit(3)")
    with pytest.raises(RunFailed, match=r"ended with code 1: ZeroDivisionError: division by zero$"):
        inside("1 / 0")
    with pytest.raises(RunFailed, match=r"ended with code 137: it said nothing$"):
        inside("import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass")
    with pytest.raises(RunFailed) as caught:
        inside("sys.stderr.write('x' * 99999); sys.exit(1)")
    assert len(str(caught.value)) < 1100


def test_where_the_kernel_permits_no_such_place_nothing_is_run(monkeypatch, tmp_path):
    script = tmp_path / "refuses.py"
    script.write_text("import sys; sys.stderr.write('unshare: Operation not permitted\\n'); sys.exit(71)")
    monkeypatch.setattr(sandbox, "__file__", str(script))
    with pytest.raises(PlatformError) as caught:
        run_confined(["/bin/true"], [], [], BOUNDS)
    assert "permits none (unshare: Operation not permitted): allow user namespaces, or let the Task" in str(
        caught.value
    )


def test_no_folder_is_left(permitted, monkeypatch, tmp_path):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    run_confined([sys.executable, "-c", ""], [], [], BOUNDS)
    assert list((tmp_path / "tmp").iterdir()) == []
