"""A namespace of the cluster of this kubeconfig."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from docker_registry import process, wait_for
from servers import closed_port


@dataclass
class Namespace:
    """A namespace, and the way to what is in it."""

    namespace: str

    def kubectl(self, *arguments: object, stdin: str | None = None, check: bool = True) -> str:
        command = ["kubectl", "--namespace", self.namespace, *map(str, arguments)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
        return done.stdout

    def get(self, kind: str, name: str = "", selector: str = "") -> Any:
        words = [kind, *([name] if name else []), *(["--selector", selector] if selector else [])]
        return json.loads(self.kubectl("get", *words, "--output", "json"))

    def apply(self, *objects: dict) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("apply", "--filename", "-", stdin=json.dumps(listed))

    def apply_secrets(self, secrets: dict[str, dict[str, str]]) -> None:
        kind = {"apiVersion": "v1", "kind": "Secret"}
        named = secrets.items()
        self.apply(*({**kind, "metadata": {"name": name}, "stringData": data} for name, data in named))

    def apply_config_map(self, name: str, data: dict[str, str]) -> None:
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})

    @contextlib.contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[int]:
        """Reach a service at a port of this machine; anew for each use, since a broken connection ends it."""
        local = closed_port()
        command = ["kubectl", "--namespace", self.namespace, "port-forward", target, f"{local}:{port}"]
        with process("/dev/null", *command):
            wait_for(f"127.0.0.1:{local}")
            yield local
