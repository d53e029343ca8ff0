"""Where runs go to: the DSPA that JUKEBOX_TEST_DSPA=namespace/name names, or a double.

The secret jukebox-test of the DSPA's namespace holds a data connection to an object store (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_S3_ENDPOINT, AWS_S3_BUCKET, AWS_DEFAULT_REGION), the CA of the DSPA's service as
dspa.crt, and, if the object store has a CA of its own, that as ca-bundle.crt.
"""

import base64
import json
import os
import ssl
import subprocess
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlparse

import pytest
import requests
import trustme
import urllib3
from cluster.images import Registry
from cluster.namespaces import Namespace

SECRET = "jukebox-test"
SERVER = "jukebox-test"
"""The deployment in the runs' namespace with a git server, and with the double where there is no DSPA."""

KEYS = {
    "AWS_ACCESS_KEY_ID": "someone",
    "AWS_SECRET_ACCESS_KEY": "something",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True)
class Backend:
    """A pipeline server with an object store."""

    runs: Namespace
    """The namespace of the server and its runs."""
    owner: Namespace
    """The namespace of the Pipeline that submits to it."""
    host: str
    store: dict[str, str]
    """A data connection that opens everything."""
    bucket: str
    ca: dict[str, str]
    """The keys of the config map jukebox-ca."""
    dspa: str = ""
    """The name of a real DSPA, or "" for the double."""

    @property
    def folder(self) -> str:
        """Where this site keeps everything."""
        return f"s3://{self.bucket}/{self.owner.namespace}"

    @property
    def settings(self) -> dict[str, str]:
        """What settings.env says of the server and the object store."""
        endpoint = urlparse(self.store["AWS_S3_ENDPOINT"])
        port = endpoint.port or {"http": 80, "https": 443}[endpoint.scheme]
        return {
            "RUNS_NAMESPACE": self.runs.namespace,
            "DSPA": self.dspa or "dspa",
            "DSPA_HOST": self.host,
            "EXPERIMENT": self.owner.namespace,
            "STORE_PORT": str(port),
            "CA_CONFIG_MAP": "jukebox-ca" if "ca-bundle.crt" in self.ca else "",
            **{
                name: f"{self.folder}/{name.lower()}"
                for name in ("STORE", "EVIDENCE", "HOLDOUT", "SNAPSHOTS")
            },
        }

    def known(self) -> list[dict[str, Any]]:
        """Return the runs of this site: run_id, state and parameters of each."""
        return self._ask() if self.dspa else self._ask_double()

    def _ask_double(self) -> list[dict[str, Any]]:
        with self.runs.forwarded(f"service/{SERVER}", 8080) as port:
            return requests.get(f"http://127.0.0.1:{port}", timeout=30).json()["runs"]

    def _ask(self) -> list[dict[str, Any]]:
        """Ask the API, which is forwarded to a port of this machine, under the name on its certificate."""
        token = self.owner.kubectl("create", "token", "jukebox-submit").strip()
        name = urlparse(self.host).hostname
        with self.runs.forwarded(f"service/ds-pipeline-{self.dspa}", 8443) as port:
            trusted = ssl.create_default_context(cadata=self.ca["dspa.crt"])
            pool = urllib3.HTTPSConnectionPool(
                "127.0.0.1", port, ssl_context=trusted, server_hostname=name, assert_hostname=name
            )

            def get(path: str, **query: str) -> dict[str, Any]:
                headers = {"Authorization": f"Bearer {token}"}
                url = f"/apis/v2beta1/{path}"
                answer = pool.request("GET", url, fields=query, headers=headers, timeout=60)
                assert answer.status == 200, answer.data
                return answer.json()

            chosen = {"operation": "EQUALS", "key": "display_name", "stringValue": self.owner.namespace}
            found = get("experiments", filter=json.dumps({"predicates": [chosen]}))
            ids = [one["experiment_id"] for one in found.get("experiments", [])]
            pages = [get("runs", experiment_id=one, page_size="100") for one in ids]
            runs = [run for each in pages for run in each.get("runs", [])]
        return [
            {"id": run["run_id"], "state": run["state"], "parameters": run["runtime_config"]["parameters"]}
            for run in runs
        ]


def open_backend(owner: Namespace, registry: Registry) -> Backend:
    """Find the cluster's DSPA, or make a namespace for the double; nothing is started in it yet."""
    named = os.environ.get("JUKEBOX_TEST_DSPA", "")
    if not named:
        return _double(owner)
    namespace, _, dspa = named.partition("/")
    if not dspa or ":" in named:
        pytest.fail(f"JUKEBOX_TEST_DSPA={named}: write namespace/name")
    runs = Namespace(namespace)
    if runs.kubectl("get", "role", "jukebox-submit", "--ignore-not-found"):
        pytest.fail(
            f"namespace {namespace} serves an installation of jukebox already: test with another DSPA"
        )
    secret = json.loads(runs.kubectl("get", "secret", SECRET, "--output", "json"))["data"]
    data = {name: base64.b64decode(value).decode() for name, value in secret.items()}
    if lacking := {*KEYS, "AWS_S3_ENDPOINT", "AWS_S3_BUCKET", "dspa.crt"} - data.keys():
        pytest.fail(f"secret {SECRET} of namespace {namespace} lacks {', '.join(sorted(lacking))}")
    return Backend(
        runs=runs,
        owner=owner,
        host=f"https://ds-pipeline-{dspa}.{namespace}.svc:8443",
        store={name: data[name] for name in (*KEYS, "AWS_S3_ENDPOINT")},
        bucket=data["AWS_S3_BUCKET"],
        ca={name: data[name] for name in ("dspa.crt", "ca-bundle.crt") if name in data},
        dspa=dspa,
    )


def _double(owner: Namespace) -> Backend:
    runs = Namespace(f"{owner.namespace}-runs")
    subprocess.run(["kubectl", "create", "namespace", runs.namespace], check=True, capture_output=True)
    name = f"{SERVER}.{runs.namespace}.svc"
    ca = trustme.CA()
    certificate = ca.issue_cert(name)
    store = {**KEYS, "AWS_S3_ENDPOINT": f"http://{name}:5000"}
    settings = {
        "subject": f"system:serviceaccount:{owner.namespace}:jukebox-submit",
        "url": f"https://{name}:8443",
        "secrets": {"jukebox-store": store},
    }
    files = {
        "tls.crt": certificate.cert_chain_pems[0].bytes().decode(),
        "tls.key": certificate.private_key_pem.bytes().decode(),
        "settings.json": json.dumps(settings),
    }
    runs.apply_secrets({"double": files})
    return Backend(runs, owner, settings["url"], store, "bucket", {"dspa.crt": ca.cert_pem.bytes().decode()})
