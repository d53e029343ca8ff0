"""What runs in the judge's place of its own reaches nothing, sees little, changes nothing, and ends."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from processes import wait_for

from ml.core.errors import EvidenceError, GateBlocked, PlatformError, RunFailed
from ml.judge import confine, sandbox
from ml.judge.confine import SandboxLimits, run_confined

BOUNDS = SandboxLimits(memory=1 << 30, file=1 << 20, cpu=30, seconds=60)


@pytest.fixture(scope="module")
def permitted():
    """Skip where the kernel permits no namespaces, whatever the sandbox says."""
    command = ["unshare", "--user", "--net", "--mount", "--pid", "--ipc", "--fork", "true"]
    if not shutil.which("unshare") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this system permits no namespaces")


@pytest.fixture
def inside(permitted, tmp_path, monkeypatch):
    """Return a function that runs Python inside, and reads the JSON that it writes to its one folder."""
    for name in ("results", "given", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "given/here").write_text("x")
    (tmp_path / "labels").write_text("secret")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))

    def run(code: str, bounds: SandboxLimits = BOUNDS):
        text = f"import json, os, pathlib, socket, subprocess, sys, time\nhome = {str(tmp_path)!r}\n"
        text += "def fails(attempt, *arguments):\n  try: attempt(*arguments)\n"
        text += "  except OSError as error: return error.strerror\n"
        text += "def tell(value): pathlib.Path(home, 'results/told').write_text(json.dumps(value))\n"
        command = [sys.executable, "-c", text + textwrap.dedent(code)]
        run_confined(command, [str(tmp_path / "given")], [str(tmp_path / "results")], bounds)
        assert list((tmp_path / "tmp").iterdir()) == []
        return json.loads((tmp_path / "results/told").read_text())

    return run


def test_it_sees_what_it_is_given_and_writes_its_results_and_nothing_else(inside, tmp_path):
    seen, listed, writable = inside("""
        import ml
        places = [home + "/labels", "/root", "/home", "/var", "/work", "/etc/shadow", "/etc/ssh"]
        seen = [place for place in places if os.path.exists(place) and not os.path.isdir(place)]
        listed = [sorted(os.listdir(home)), os.listdir(home + "/given")]
        folders = ["/", "/usr", "/tmp", home, home + "/given", home + "/results", ml.__path__[0], sys.prefix]
        writable = [one for one in folders if not fails(pathlib.Path(one, "written").write_text, "x")]
        tell([seen, listed, writable])
    """)
    assert (seen, listed) == ([], [["given", "results"], ["here"]])
    # What is around the paths that it was given is made up, in memory.
    assert set(writable) - {"/tmp", str(tmp_path)} == {f"{tmp_path}/results"}
    assert not (tmp_path / "written").exists()
    assert not Path("/tmp/written").exists()


def test_it_reaches_nothing_and_has_no_rights_and_no_secrets(inside, monkeypatch):
    """Under root the settings are root's, and core_pattern is run by the kernel, outside of the place."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    network, processes, rights, opened, secrets = inside("""
        import ctypes
        assert open("/dev/urandom", "rb").read(1)
        with socket.socket() as server, socket.socket() as client:
            server.bind(("127.0.0.1", 0)); server.listen(); client.connect(server.getsockname())
        reached = fails(socket.socket(type=socket.SOCK_DGRAM).connect, ("192.0.2.1", 53))
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        opened = [name for name in ("core_pattern", "hostname")
                  if not fails(os.open, f"/proc/sys/kernel/{name}", os.O_WRONLY)]
        # New namespaces of users, mounts and processes.
        if ctypes.CDLL(None).unshare(0x10000000 | 0x20000 | 0x20000000) == 0:
            opened.append("a namespace below")
        tell([
            [*(name for _, name in socket.if_nameindex()), reached],
            [os.getpid(), *(name for name in os.listdir("/proc") if name.isdigit())],
            [int(status[f"Cap{name}"], 16) for name in ("Eff", "Prm", "Bnd", "Amb")] +
                [status["NoNewPrivs"].strip(), os.getuid()],
            opened, [name for name in os.environ if "AWS" in name or "SECRET" in name],
        ])
    """)
    assert (network, processes) == (["lo", "Network is unreachable"], [1, "1"])
    assert rights == [0, 0, 0, 0, "1", 1000]
    assert (opened, secrets) == ([], [])


def sleepers(folder: Path) -> list[bytes]:
    """List the processes that sleep and have a folder among their arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in command and b"sleep" in command:
            found.append(command)
    return found


@pytest.mark.parametrize("ends", [True, False])
def test_what_it_started_ends_with_it_and_what_does_not_end_is_ended_in_time(inside, tmp_path, ends):
    code = f"""
        subprocess.Popen(["sleep", "97531", {str(tmp_path)!r}], start_new_session=True)
        tell("done")
        time.sleep({0 if ends else 1000})
    """
    if ends:
        inside(code)
    else:
        with pytest.raises(RunFailed, match="was not finished after 2 s"):
            inside(code, SandboxLimits(seconds=2))
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
        ("print('jukebox: uses X', file=sys.stderr); sys.exit(10)", GateBlocked, "^uses X$"),
        ("print('n\\njukebox: stale', file=sys.stderr); sys.exit(40)", EvidenceError, "^stale$"),
        ("sys.exit(3)", RunFailed, "ended with code 3: it said nothing$"),
        ("print('jukebox: x', file=sys.stderr); sys.exit(3)", RunFailed, "ended with code 3: jukebox: x$"),
        ("1 / 0", RunFailed, "ended with code 1: ZeroDivisionError: division by zero$"),
        ("bytes(2 << 30)", RunFailed, "MemoryError"),
        ("pathlib.Path(home, 'results/x').write_bytes(bytes(2 << 20))", RunFailed, "File too large|code"),
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


def test_infer_sees_no_labels(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(confine, "run_confined", lambda *given: calls.append(given))
    confine.infer_confined(tmp_path)
    ((command, read, write, bounds),) = calls
    assert command[1:] == ["-m", "ml.cli", "judge", "infer", "--work", str(tmp_path)]
    assert read == [f"{tmp_path}/{name}" for name in ("asked.json", "model", "champion", "features")]
    assert (write, bounds) == ([f"{tmp_path}/answers"], SandboxLimits())
    assert (tmp_path / "answers").is_dir()
