"""Run the IR of a run's folder through `kfp.local`, in a process of its own.

    python -m ml.pipeline.local_child FOLDER PARENT

Its output is the run's log. It ends with the process PARENT.
"""

import json
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path


def _die_with(parent: int) -> None:
    """End the run when the command that began it is gone: nobody waits for it, or would promote it."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os.killpg(0, signal.SIGKILL)


def name_interpreter(command: list[str], interpreter: str) -> list[str]:
    """Return a step's command with our Python in place of `python3`, where its shell script calls it.

    kfp.local's own function puts the path unquoted into the script, which a space ends, and also replaces
    the word in values, such as a table's path.
    """
    called = "python3 -m kfp."
    return [part.replace(called, f"{shlex.quote(interpreter)} -m kfp.") for part in command]


def main(folder: Path, parent: int) -> None:
    """Run the IR in a run's folder for a parent process; this is the child."""
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    from kfp import components, dsl, local
    from kfp.local import subprocess_task_handler

    subprocess_task_handler.replace_python_executable = name_interpreter
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / "artifacts"),
        # Its key ignores the installed code: a cached step could be the work of another commit.
        enable_caching=False,
    )
    parameters = json.loads((folder / "parameters.json").read_bytes())
    # kfp.local would make up an id; the run has one name everywhere.
    text = (folder / "pipeline.yaml").read_text(encoding="utf-8")
    components.load_component_from_text(text.replace(dsl.PIPELINE_JOB_ID_PLACEHOLDER, folder.name))(
        **parameters
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
