"""A run's credentials: a data connection is enough, and need not open the promotion log."""

import uuid
from types import SimpleNamespace

import obstore
import pytest
import trustme
from candidates import candidate_files, model_of, paths, put
from promotions import EVERYWHERE
from servers import only_allowed, s3_server

from ml.core.errors import PlatformError
from ml.gate.candidate import CANDIDATE_FILES
from ml.pipeline import steps
from ml.release.promotion import promote
from ml.release.store import ModelStore
from ml.storage.objects import open_folder, put_object

READ = ["s3:GetObject"]
WRITE = [*READ, "s3:PutObject"]


def _policy(prefix: str) -> dict:
    """The policy of docs/how-to/storage.md: what a run may do below a prefix of the bucket."""
    objects = f"arn:aws:s3:::bucket/{prefix}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": WRITE, "Resource": [f"{objects}/candidates/*"]},
            {"Effect": "Allow", "Action": WRITE, "Resource": [f"{objects}/evidence/*"]},
            {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::bucket"]},
        ],
    }


@pytest.fixture
def connect(monkeypatch):
    """Have only these AWS_* variables."""

    def connect(environment):
        for name in ("ENDPOINT_URL", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "REGION", "CA_BUNDLE"):
            monkeypatch.delenv(f"AWS_{name}", raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    return connect


@pytest.fixture
def saved(tmp_path):
    """The artifacts that the step `save` gets: the evidence, the candidate, the other reports."""
    artifacts = {}
    for name, data in candidate_files(policy=EVERYWHERE).items():
        (tmp_path / name).write_bytes(data)
        artifacts[name] = SimpleNamespace(path=str(tmp_path / name), metadata={})
    model = {name: artifacts.pop(name) for name in CANDIDATE_FILES}
    return artifacts.pop("evidence.json"), model, artifacts


def test_the_keys_of_a_data_connection_are_enough(connect, tmp_path):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with s3_server(ca.issue_cert("127.0.0.1")) as there:
        connect(
            {
                "AWS_ACCESS_KEY_ID": "someone",
                "AWS_SECRET_ACCESS_KEY": "something",
                "AWS_S3_ENDPOINT": there["AWS_ENDPOINT_URL"],
                "AWS_DEFAULT_REGION": "",
                "AWS_S3_BUCKET": "bucket",
                "AWS_CA_BUNDLE": str(tmp_path / "ca.pem"),
            }
        )
        store = ModelStore(f"s3://bucket/{uuid.uuid4().hex}")
        assert store.read_candidate(put(store)) == model_of(candidate_files())


def test_a_run_can_save_and_write_evidence_but_not_promote(connect, saved):
    uri = f"s3://bucket/{uuid.uuid4().hex}"
    with s3_server() as there, only_allowed(_policy(uri.rpartition("/")[2])) as keys:
        connect({**there, **keys})
        steps.save(uri, *saved)
        # A step is tried again after an end that nobody saw: the same candidate, once more.
        steps.save(uri, *saved)
        put_object(f"{uri}/evidence/run.json", b"{}")
        store = ModelStore(uri)
        (candidate,) = store.candidates()
        with pytest.raises(PlatformError) as caught:
            promote(store, candidate, EVERYWHERE)
        assert caught.value.exit_code == 30
        line = str(caught.value)
        assert line.startswith(f"cannot write {uri}/probe/")
        assert "\n" not in line
        for name in (
            "promotions/00000001.json",
            f"promoted/{candidate}/model.onnx",
            "serving/jukebox/1/model.onnx",
        ):
            with pytest.raises(PlatformError, match="access denied"):
                put_object(f"{uri}/{name}", b"forged")
        assert {path.split("/")[0] for path in paths(uri)} == {"candidates", "evidence"}


def test_a_promoter_who_may_write_all_promotes_what_such_a_run_saved(connect, saved):
    prefix = uuid.uuid4().hex
    uri = f"s3://bucket/{prefix}"
    with s3_server() as there:
        with only_allowed(_policy(prefix)) as keys:
            connect({**there, **keys})
            steps.save(uri, *saved)
        whole = {"Effect": "Allow", "Action": [*WRITE, "s3:ListBucket"], "Resource": "arn:aws:s3:::*"}
        with only_allowed({"Version": "2012-10-17", "Statement": [whole]}) as keys:
            connect({**there, **keys})
            store = ModelStore(uri)
            assert promote(store, store.candidates()[0], EVERYWHERE).new
            assert obstore.get(open_folder(uri), "promotions/00000001.json").bytes()
