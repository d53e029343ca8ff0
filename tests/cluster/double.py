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

from dspa_server import Dspa, kfp_local
from dspa_server.server import Server

EVERYWHERE = "0.0.0.0"


class Accounts(set):
    """The tokens of one service account, known by their claims."""

    def __init__(self, subject):
        super().__init__()
        self.subject = subject

    def __contains__(self, token):
        try:
            payload = str(token).split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (IndexError, ValueError):
            return False
        return claims.get("sub") == self.subject


def store():
    """Make a server of the S3 API with a bucket."""
    from moto.backends import get_backend
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].create_bucket("bucket", "us-east-1")
    return make_server(EVERYWHERE, 5000, DomainDispatcherApplication(create_backend_app), threaded=True)


def main(folder: Path):
    """Serve all of it until the pod is stopped; the third server tells the tests of the runs."""
    settings = json.loads((folder / "settings.json").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")

    def executor(run):
        code = {"PYTHONPATH": f"/srv/git/code/{run.parameters['commit']}"}
        return kfp_local(Path("/tmp/runs"), code, settings["secrets"])(run)

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

    dspa = Dspa(tokens=Accounts(settings["subject"]), executor=executor, url=settings["url"])
    for server in (store(), Server(dspa, context, 8443, EVERYWHERE)):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    ThreadingHTTPServer((EVERYWHERE, 8080), Handler).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
