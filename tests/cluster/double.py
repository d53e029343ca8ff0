"""What the cluster lacks, in one pod: a DSPA that executes runs, and an object store.

Started in the cluster by `tests/cluster/site.py`, in an image of the tests' dependencies: ``python -m
cluster.double FOLDER``, where FOLDER holds ``tls.crt``, ``tls.key`` and ``settings.json``. The DSPA takes the
token of one service account only; it reads the claims, and leaves the signature to the cluster. The steps run
the code of the run's commit, from ``/srv/git/code/<commit>``: it is what would be in the image.
"""

import base64
import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dspa_server import Dspa, RunRecord, kfp_local
from dspa_server.server import Server

EVERYWHERE = "0.0.0.0"


class Accounts(set):
    """The tokens of one service account, known by their claims."""

    def __init__(self, subject: str):
        super().__init__()
        self.subject = subject

    def __contains__(self, token: object) -> bool:
        try:
            payload = str(token).split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (IndexError, ValueError):
            return False
        return claims.get("sub") == self.subject


def serve_store(port: int) -> None:
    """Serve the S3 API with a bucket."""
    from moto.backends import get_backend
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    server = make_server(EVERYWHERE, port, DomainDispatcherApplication(create_backend_app), threaded=True)
    get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].create_bucket("bucket", "us-east-1")
    threading.Thread(target=server.serve_forever, daemon=True).start()


def serve_dspa(folder: Path, settings: dict[str, Any], port: int) -> Dspa:
    """Serve a DSPA whose runs are executed in this pod."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")

    def executor(run: RunRecord) -> Any:
        code = {"PYTHONPATH": f"/srv/git/code/{run.parameters['commit']}"}
        return kfp_local(Path("/tmp/runs"), code, settings["secrets"])(run)

    dspa = Dspa(tokens=Accounts(settings["subject"]), executor=executor)
    server = Server(dspa, context, port, EVERYWHERE)
    dspa.url = settings["url"]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return dspa


def serve_records(dspa: Dspa, port: int) -> ThreadingHTTPServer:
    """Tell the tests of the runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            runs = [
                {"id": run.run_id, "state": run.state, "parameters": run.parameters}
                for run in dspa.runs.values()
            ]
            data = json.dumps({"runs": runs}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return ThreadingHTTPServer((EVERYWHERE, port), Handler)


def main(folder: Path) -> None:
    """Serve all of it until the pod is stopped."""
    settings = json.loads((folder / "settings.json").read_bytes())
    serve_store(5000)
    dspa = serve_dspa(folder, settings, 8443)
    serve_records(dspa, 8080).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
