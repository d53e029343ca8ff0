"""Executes a run: a process of its own runs the IR with kfp.local.

It has only what a pod would have: the test's variables, the secrets that the IR names, and Python's path.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

JOB_ID = "{{$.pipeline_job_uuid}}"
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")
STATES = {"start": "RUNNING", "end": "SUCCEEDED", "error": "FAILED"}


class SecretMissing(Exception):
    pass


@dataclass
class LocalExecution:
    """A run's process; None if it could not start."""

    folder: Path
    process: subprocess.Popen | None = None

    def poll(self):
        return 1 if self.process is None else self.process.poll()

    def kill(self):
        """Kill it with all of its steps."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def task_states(self) -> dict[str, str]:
        """Return the states that the steps wrote themselves."""
        events = self.folder / "events.jsonl"
        lines = events.read_text(encoding="utf-8").split("\n")[:-1] if events.exists() else []
        told = [json.loads(line) for line in lines]
        return {event["step"]: STATES[event["event"]] for event in told if event["event"] in STATES}


def kfp_local(folder: Path, env: dict[str, str], secrets: dict[str, dict[str, str]]):
    """Return an executor that runs each run in ``folder/<run_id>/``, where ``run.log`` is what it printed.

    ``env`` are the variables of every step, ``secrets`` those of the cluster; a run that needs another fails.
    """

    def execute(run):
        home = folder / run.run_id
        if home.exists():
            home = folder / f"{run.run_id}-{time.monotonic_ns()}"
        (home / "tmp").mkdir(parents=True)
        text = "\n---\n".join(json.dumps(each) for each in (run.pipeline_spec, run.platform_spec) if each)
        (home / "pipeline.yaml").write_text(text.replace(JOB_ID, run.run_id))
        (home / "parameters.json").write_text(json.dumps(run.parameters))
        with open(home / "run.log", "wb") as log:
            try:
                variables = secret_variables(run, secrets)
            except SecretMissing as error:
                log.write(f"{error}\n".encode())
                return LocalExecution(home)
            inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
            told = {"JUKEBOX_EVENTS": str(home / "events.jsonl"), "TMPDIR": str(home / "tmp")}
            process = subprocess.Popen(
                # -P: the child must not import the modules beside this file.
                [sys.executable, "-P", __file__, str(home), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=home,
                env={**inherited, **told, **env, **variables},
                start_new_session=True,
            )
        return LocalExecution(home, process)

    return execute


def secret_variables(run, secrets):
    """Return the variables that all steps take from secrets, or raise if one is missing and not optional."""
    kubernetes = run.platform_spec.get("platforms", {}).get("kubernetes", {})
    variables = {}
    for executor in kubernetes.get("deploymentSpec", {}).get("executors", {}).values():
        for item in executor.get("secretAsEnv", ()):
            name = item.get("secretName") or item["secretNameParameter"]["runtimeValue"]["constant"]
            for key in item.get("keyToEnv", ()):
                value = secrets.get(name, {}).get(key["secretKey"])
                if value is not None:
                    variables[key["envVar"]] = value
                elif not item.get("optional"):
                    raise SecretMissing(f'secret "{name}" with the key "{key["secretKey"]}" not found')
    return variables


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os.killpg(0, signal.SIGKILL)


def main(home: Path, parent: int) -> None:
    """Run the IR in a folder, in the child process."""
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    from kfp import components, local
    from kfp.local import subprocess_task_handler

    from ml.pipeline.local_child import name_interpreter

    subprocess_task_handler.replace_python_executable = name_interpreter
    runner = local.SubprocessRunner(use_venv=False)
    local.init(runner=runner, pipeline_root=str(home / "artifacts"), enable_caching=False)
    parameters = json.loads((home / "parameters.json").read_bytes())
    components.load_component_from_file(str(home / "pipeline.yaml"))(**parameters)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
