"""Where runs go to: the DSPA that JUKEBOX_TEST_DSPA=namespace/name names, or a double.

The secret jukebox-test of the DSPA's namespace holds a data connection to an object store (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_S3_ENDPOINT, AWS_S3_BUCKET, AWS_DEFAULT_REGION), the CA of the DSPA's service as
dspa.crt, and, if the object store has a CA of its own, that as ca-bundle.crt.
"""

import base64
import json
import os
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlparse

import pytest
import requests
import trustme
import urllib3
from cluster.namespaces import Namespace

SERVER = "jukebox-test"
"""The deployment in the runs' namespace with a git server, and with the double where there is no DSPA."""

KEYS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Backend:
    """A pipeline server with an object store: the namespace of its runs, and that of the Pipeline.

    ``store`` is a data connection that opens everything, ``ca`` has the keys of the config map jukebox-ca,
    ``dspa`` is the name of a real DSPA, or "" for the double.
    """

    runs: Namespace
    owner: Namespace
    host: str
    store: dict[str, str]
    bucket: str
    ca: dict[str, str]
    dspa: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """What settings.env says of the server and the object store."""
        endpoint = urlparse(self.store["AWS_S3_ENDPOINT"])
        port = endpoint.port or {"http": 80, "https": 443}[endpoint.scheme]
        folder, trusted = f"s3://{self.bucket}/{self.owner.namespace}", "ca-bundle.crt" in self.ca
        told = {name: f"{folder}/{name.lower()}" for name in ("STORE", "EVIDENCE", "HOLDOUT", "SNAPSHOTS")}
        told |= {"RUNS_NAMESPACE": self.runs.namespace, "DSPA": self.dspa or "dspa", "DSPA_HOST": self.host}
        told |= {"CA_CONFIG_MAP": "jukebox-ca" if trusted else "", "STORE_PORT": str(port)}
        return {**told, "EXPERIMENT": self.owner.namespace}

    def known(self) -> list[dict[str, Any]]:
        """Return the state and the parameters of each run of this site."""
        if not self.dspa:
            with self.runs.forwarded(f"service/{SERVER}", 8080) as port:
                return requests.get(f"http://127.0.0.1:{port}", timeout=30).json()["runs"]
        token = self.owner.kubectl("create", "token", "jukebox-submit").strip()
        name, trusted = urlparse(self.host).hostname, ssl.create_default_context(cadata=self.ca["dspa.crt"])
        tls: dict[str, Any] = {"ssl_context": trusted, "server_hostname": name, "assert_hostname": name}
        chosen = {"operation": "EQUALS", "key": "display_name", "stringValue": self.owner.namespace}
        # The API is forwarded to a port of this machine, under the name on its certificate.
        with self.runs.forwarded(f"service/ds-pipeline-{self.dspa}", 8443) as port:
            pool = urllib3.HTTPSConnectionPool("127.0.0.1", port, **tls)

            def get(path: str, **query: str) -> list[dict[str, Any]]:
                headers, url = {"Authorization": f"Bearer {token}"}, f"/apis/v2beta1/{path}"
                answer = pool.request("GET", url, fields=query, headers=headers, timeout=60)
                assert answer.status == 200, answer.data
                return answer.json().get(path, [])

            known = get("experiments", filter=json.dumps({"predicates": [chosen]}))
            asked = [{"experiment_id": each["experiment_id"], "page_size": "100"} for each in known]
            runs = [run for query in asked for run in get("runs", **query)]
        return [{"state": run["state"], "parameters": run["runtime_config"]["parameters"]} for run in runs]


def open_backend(owner: Namespace) -> Backend:
    """Find the cluster's DSPA, or make a namespace for the double; nothing is started in it yet."""
    named = os.environ.get("JUKEBOX_TEST_DSPA", "")
    if not named:
        return _double(owner)
    namespace, _, dspa = named.partition("/")
    if not dspa:
        pytest.fail(f"JUKEBOX_TEST_DSPA={named}: write namespace/name")
    runs = Namespace(namespace)
    if runs.kubectl("get", "role", "jukebox-submit", "--ignore-not-found"):
        pytest.fail(f"namespace {namespace} serves an installation of jukebox: test with another DSPA")
    secret = json.loads(runs.kubectl("get", "secret", "jukebox-test", "--output", "json"))["data"]
    data = {name: base64.b64decode(value).decode() for name, value in secret.items()}
    if lacking := {*KEYS, "AWS_S3_ENDPOINT", "AWS_S3_BUCKET", "dspa.crt"} - data.keys():
        pytest.fail(f"secret jukebox-test of namespace {namespace} lacks {', '.join(sorted(lacking))}")
    host, store = f"https://ds-pipeline-{dspa}.{namespace}.svc:8443", (*KEYS, "AWS_S3_ENDPOINT")
    ca = {name: data[name] for name in ("dspa.crt", "ca-bundle.crt") if name in data}
    return Backend(runs, owner, host, {name: data[name] for name in store}, data["AWS_S3_BUCKET"], ca, dspa)


def _double(owner: Namespace) -> Backend:
    runs = Namespace(f"{owner.namespace}-runs")
    runs.kubectl("create", "namespace", runs.namespace)
    name, ca = f"{SERVER}.{runs.namespace}.svc", trustme.CA()
    certificate = ca.issue_cert(name)
    host, store = f"https://{name}:8443", {**KEYS, "AWS_S3_ENDPOINT": f"http://{name}:5000"}
    subject = f"system:serviceaccount:{owner.namespace}:jukebox-submit"
    files = {
        "tls.crt": certificate.cert_chain_pems[0].bytes().decode(),
        "tls.key": certificate.private_key_pem.bytes().decode(),
        "settings.json": json.dumps({"subject": subject, "url": host, "secrets": {"jukebox-store": store}}),
    }
    runs.apply_secrets({"double": files})
    return Backend(runs, owner, host, store, "bucket", {"dspa.crt": ca.cert_pem.bytes().decode()})
