"""Stores in a bucket: the credentials of a run do not open the log, and a conditional create is required."""

import pytest
from candidates import candidate_files, paths, put, read
from promotions import EVERYWHERE, refused
from reports import POLICY
from servers import only_allowed, s3_server

from ml.core.errors import PlatformError, UsageError
from ml.release.promotion import promote
from ml.release.rollback import rollback
from ml.release.store import ModelStore
from ml.storage.objects import put_object


def test_a_run_can_save_and_write_evidence_and_only_a_promoter_can_promote(bucket, connect):
    uri, objects = bucket.uri, bucket.uri.replace("s3://", "arn:aws:s3:::")
    reads = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bucket"}
    writes = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"]}
    # The policy of docs/how-to/storage.md.
    run = {**writes, "Resource": [f"{objects}/candidates/*", f"{objects}/evidence/*"]}
    with only_allowed({"Version": "2012-10-17", "Statement": [run, reads]}) as keys:
        connect(keys)
        # The step that saves may be tried again.
        candidate = put(ModelStore(uri))
        assert put(ModelStore(uri)) == candidate
        put_object(f"{uri}/evidence/run.json", b"{}")
        cannot = {"error": PlatformError}
        refused(ModelStore(uri), f"^cannot write {uri}/probe/", promote, candidate, EVERYWHERE, **cannot)
        for name in ("promotions/00000001.json", f"promoted/{candidate}/model.onnx", "serving/jukebox/1/x"):
            with pytest.raises(PlatformError, match="access denied"):
                put_object(f"{uri}/{name}", b"forged")
        assert {path.split("/")[0] for path in paths(uri)} == {"candidates", "evidence"}
    promoter = {**writes, "Resource": f"{objects}/*"}
    with only_allowed({"Version": "2012-10-17", "Statement": [promoter, reads]}) as keys:
        connect(keys)
        assert promote(ModelStore(uri), candidate, EVERYWHERE).new


def test_promotion_and_rollback_in_a_bucket_leave_nothing_of_the_check_for_conditional_writes(bucket):
    first = put(bucket)
    refused(bucket, "takes attested models only", promote, first, POLICY, error=UsageError)
    assert promote(bucket, first, EVERYWHERE).new
    assert not bucket.append(bucket.log()[0])
    assert promote(bucket, put(bucket, "B", champion=first), EVERYWHERE).new
    assert rollback(bucket).promotion.candidate == first
    assert read(bucket.uri, "serving/jukebox/3/model.onnx") == candidate_files()["model.onnx"]
    assert not [path for path in paths(bucket.uri) if path.startswith("probe/")]


def test_a_store_that_ignores_conditional_writes_is_refused_before_anything_is_promoted(connect):
    with s3_server(ignores=("HTTP_IF_NONE_MATCH",)) as there:
        connect(there)
        store = ModelStore("s3://bucket/heedless")
        message = r"ignores conditional writes \(If-None-Match: \*\)"
        refused(store, message, promote, put(store), EVERYWHERE, error=PlatformError)
