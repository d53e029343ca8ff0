"""Stores in a bucket: the credentials of a run do not open the log, and a conditional create is required."""

import uuid

import pytest
import trustme
from candidates import candidate_files, model_of, paths, put, read
from promotions import EVERYWHERE
from servers import only_allowed, s3_server

from ml.core.errors import PlatformError
from ml.release.promotion import promote
from ml.release.store import ModelStore
from ml.storage.objects import put_object


def _policy(*allowed: tuple[str, str]) -> dict:
    """Return a policy of S3 that allows actions below paths of all buckets."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": actions.split(), "Resource": [f"arn:aws:s3:::{path}"]}
            for actions, path in allowed
        ],
    }


def test_the_keys_of_a_data_connection_are_enough(connect, tmp_path):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with s3_server(ca.issue_cert("127.0.0.1")) as there:
        keys = {name: there[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        blank = {"AWS_DEFAULT_REGION": "", "AWS_S3_BUCKET": "bucket"}
        place = {"AWS_S3_ENDPOINT": there["AWS_ENDPOINT_URL"], "AWS_CA_BUNDLE": str(tmp_path / "ca.pem")}
        connect(keys | blank | place)
        store = ModelStore(f"s3://bucket/{uuid.uuid4().hex}")
        assert store.read_candidate(put(store)) == model_of(candidate_files())


def test_a_run_can_save_and_write_evidence_and_only_a_promoter_can_promote(connect, s3_environment):
    prefix = uuid.uuid4().hex
    uri = f"s3://bucket/{prefix}"
    write, objects = "s3:GetObject s3:PutObject", f"bucket/{prefix}"
    # The policy of docs/how-to/storage.md.
    run = _policy(
        (write, f"{objects}/candidates/*"), (write, f"{objects}/evidence/*"), ("s3:ListBucket", "bucket")
    )
    with only_allowed(run) as keys:
        connect(s3_environment | keys)
        # The step that saves may be tried again.
        candidate = put(ModelStore(uri), policy=EVERYWHERE)
        assert put(ModelStore(uri), policy=EVERYWHERE) == candidate
        put_object(f"{uri}/evidence/run.json", b"{}")
        with pytest.raises(PlatformError, match=rf"^cannot write {uri}/probe/[^\n]+$"):
            promote(ModelStore(uri), candidate, EVERYWHERE)
        for name in (
            "promotions/00000001.json",
            f"promoted/{candidate}/model.onnx",
            "serving/jukebox/1/model.onnx",
        ):
            with pytest.raises(PlatformError, match="access denied"):
                put_object(f"{uri}/{name}", b"forged")
        assert {path.split("/")[0] for path in paths(uri)} == {"candidates", "evidence"}
    with only_allowed(_policy((f"{write} s3:ListBucket", "*"))) as keys:
        connect(s3_environment | keys)
        assert promote(ModelStore(uri), candidate, EVERYWHERE).new
        assert read(uri, "promotions/00000001.json")


def test_a_store_that_ignores_conditional_writes_is_refused_before_anything_is_promoted(connect):
    with s3_server(ignores=("HTTP_IF_NONE_MATCH",)) as there:
        connect(there)
        store = ModelStore("s3://bucket/heedless")
        candidate = put(store, policy=EVERYWHERE)
        before = paths(store.uri)
        with pytest.raises(PlatformError, match=r"ignores conditional writes \(If-None-Match: \*\)"):
            promote(store, candidate, EVERYWHERE)
        assert paths(store.uri) == before


def test_a_store_that_keeps_the_second_object_is_refused(folder, monkeypatch):
    monkeypatch.setattr(folder.objects, "get", lambda *_: b"second")
    with pytest.raises(PlatformError, match="ignores conditional writes"):
        folder.objects.require_conditional_create()


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_nothing_is_left_of_the_check_for_conditional_writes(request, kind):
    store = request.getfixturevalue(kind)
    assert promote(store, put(store, policy=EVERYWHERE), EVERYWHERE).new
    assert not [path for path in paths(store.uri) if path.startswith("probe/")]
