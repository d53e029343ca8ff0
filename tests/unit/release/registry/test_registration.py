"""The registry shows what the log says, whatever interrupts its registration."""

import itertools
import os
import uuid

import pytest
import trustme
from attestations import trust_file
from candidates import put
from promotions import release_attested
from registry_double import Registry, registry_server
from reports import POLICY
from servers import Site as SimpleSite
from servers import serving

from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.release.promotion import champion_of, promote
from ml.release.registry import client as clients
from ml.release.registry.client import RegistryClient
from ml.release.registry.http import Connection, Site
from ml.release.registry.registration import read_status, sync
from ml.release.rollback import rollback
from ml.release.store import ModelStore
from ml.release.trust import read_trust

REAL = "JUKEBOX_TEST_REGISTRY_URL"
ADDRESS = os.environ.get(REAL, "")
"""The address of a real Model Registry; the tests write into it, under names of their own."""


class Interrupted(Exception):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(clients, "PAUSES", (0.0, 0.0))


@pytest.fixture
def double():
    with registry_server(Registry()) as registry:
        yield registry


@pytest.fixture(
    params=[
        "double",
        pytest.param(
            "real",
            marks=pytest.mark.skipif(not ADDRESS, reason=f"set {REAL} to the address of a Model Registry"),
        ),
    ]
)
def site(request):
    """Where a registry is: the double, and a real server where one is named."""
    return Site(ADDRESS if request.param == "real" else request.getfixturevalue("double").url)


@pytest.fixture
def client(site):
    return RegistryClient(site)


@pytest.fixture
def model():
    return f"m-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def store(tmp_path):
    return ModelStore(str(tmp_path / "store"), create=True)


def promoted(store, name, model):
    candidate = put(store, name, champion=champion_of(store.log()), model_name=model)
    return promote(store, candidate, POLICY, why=f"because of {name}").promotion


def states(client, model):
    """Return the state of each version by its name."""
    there = client.find("registered_model", model)
    return {one["name"]: one["state"] for one in client.versions(str(there["id"]))}


def test_a_promotion_is_a_model_a_version_and_an_artifact_with_lineage(client, store, model):
    entry = promoted(store, "A", model)
    (record,) = sync(store, client, "music")
    version = client.find("model_version", entry.candidate[:12], record.model)
    known = {
        name: next(iter(set(value) - {"metadataType"})) for name, value in version["customProperties"].items()
    }
    assert known["promotion"] == "int_value"
    assert known["log_loss"] == "double_value"
    assert known["synthetic"] == "bool_value"
    assert version["customProperties"]["candidate"]["string_value"] == entry.candidate
    assert version["state"] == "LIVE"
    artifact = client.find("model_artifact", model, record.version)
    assert artifact["uri"] == f"{store.uri}/promoted/{entry.candidate}/model.onnx"
    lineage = {name: artifact[f"modelSource{name}"] for name in ("Kind", "Class", "Group", "Id")}
    assert lineage == {"Kind": "kfp", "Class": "pipelinerun", "Group": "music", "Id": "run-of-A"}
    assert read_status(store, client.url).pending == ()
    assert sync(store, client) == []


def test_the_champion_is_live_and_what_it_replaced_is_archived_and_a_rollback_turns_that_round(
    client, store, model
):
    first = promoted(store, "A", model).candidate[:12]
    sync(store, client)
    second = promoted(store, "B", model).candidate[:12]
    sync(store, client)
    assert states(client, model) == {first: "ARCHIVED", second: "LIVE"}
    rollback(store, None, "slow")
    (record,) = sync(store, client)
    assert states(client, model) == {first: "LIVE", second: "ARCHIVED"}
    properties = client.find("model_version", first, record.model)["customProperties"]
    assert (properties["promotion"]["int_value"], properties["reason"]["string_value"]) == ("3", "slow")
    assert properties["candidate"]["string_value"].startswith(first)


def test_what_a_person_has_written_beside_ours_stays(client, store, model):
    first = promoted(store, "A", model).candidate[:12]
    (record,) = sync(store, client)
    version = client.find("model_version", first, record.model)
    theirs = {"ticket": {"metadataType": "MetadataStringValue", "string_value": "OPS-7"}}
    client.change("model_version", version, "LIVE", theirs)
    promoted(store, "B", model)
    sync(store, client)
    version = client.find("model_version", first, record.model)
    assert version["state"] == "ARCHIVED"
    assert version["customProperties"]["ticket"]["string_value"] == "OPS-7"


@pytest.mark.parametrize("effect", [False, True], ids=["request lost", "answer lost"])
def test_a_process_that_ends_between_any_two_requests_is_repaired_by_the_next(
    site, tmp_path, monkeypatch, effect
):
    send = Connection.send
    for last in itertools.count(1):
        model, left = f"m-{uuid.uuid4().hex[:12]}", last
        store = ModelStore(str(tmp_path / str(last)), create=True)
        first, newest = (promoted(store, name, model).candidate[:12] for name in "AB")

        def ends(self, *arguments):
            nonlocal left
            left -= 1
            if left > 0 or effect:
                answer = send(self, *arguments)
            if left == 0:
                raise Interrupted
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(Connection, "send", ends)
            try:
                sync(store, RegistryClient(site))
            except Interrupted:
                assert read_status(store, site.url).pending == (1, 2)
            else:
                break
        client = RegistryClient(site)
        records = sync(store, client)
        assert [record.number for record in records] == [1, 2]
        assert states(client, model) == {first: "ARCHIVED", newest: "LIVE"}
        for record in records:
            assert client.find("model_artifact", model, record.version)["id"] == record.artifact
    assert last > 10


@pytest.mark.skipif(not ADDRESS, reason=f"set {REAL} to the address of a Model Registry")
def test_the_official_client_reads_what_was_registered(store, model):
    registry = pytest.importorskip("model_registry", reason="pip install model-registry")
    candidate = promoted(store, "A", model).candidate
    sync(store, RegistryClient(Site(ADDRESS)), "music")
    host, _, port = ADDRESS.rpartition(":")
    reader = registry.ModelRegistry(host, int(port), author="test", is_secure=False)
    version = reader.get_model_version(model, candidate[:12])
    assert version.custom_properties["candidate"] == candidate
    artifact = reader.get_model_artifact(model, candidate[:12])
    assert (artifact.model_source_kind, artifact.model_source_group) == ("kfp", "music")
    assert artifact.uri.endswith(f"/promoted/{candidate}/model.onnx")


def test_a_promotion_that_another_process_registers_meanwhile_stays_live(double, store, monkeypatch):
    first = promoted(store, "A", "m").candidate[:12]
    versions, newer = RegistryClient.versions, []

    def overtaken(self, model):
        if not newer:
            newer.append(promoted(store, "B", "m").candidate[:12])
            sync(store, RegistryClient(Site(double.url)))
        return versions(self, model)

    monkeypatch.setattr(RegistryClient, "versions", overtaken)
    client = RegistryClient(Site(double.url))
    sync(store, client)
    assert states(client, "m") == {first: "ARCHIVED", newer[0]: "LIVE"}


def test_an_answer_that_breaks_off_is_no_answer():
    pages = {"/api/model_registry/v1/registered_models": b'{"items": []}' * 100}
    with serving(SimpleSite(pages, cut_off=True)) as there, pytest.raises(PlatformError, match="no answer"):
        RegistryClient(Site(there.url)).find("registered_model", "m")


@pytest.mark.parametrize("before", [True, False], ids=["request lost", "answer lost"])
@pytest.mark.parametrize("path", ["/registered_models", "/model_versions", "/artifacts"])
def test_a_post_without_an_answer_is_looked_up_before_it_is_sent_again(double, store, path, before):
    lost = []

    def fault(what, early):
        hit = what.startswith("POST") and what.endswith(path) and early is before and not lost
        lost.extend([what] if hit else [])
        return hit

    double.fault = fault
    promoted(store, "A", "m")
    sync(store, RegistryClient(Site(double.url)))
    assert len(lost) == 1
    assert len(double.objects) == 3


def test_a_registry_that_is_down_leaves_the_promotion_pending(store, double):
    entry = promoted(store, "A", "m")
    double.fault = lambda *_: True
    with pytest.raises(PlatformError, match=r"^http://127\.0\.0\.1:\d+: GET \S+: no answer"):
        sync(store, RegistryClient(Site(double.url)))
    assert read_status(store, double.url).pending == (entry.number,)
    assert store.is_served(entry)


def test_a_version_whose_artifact_was_never_written_is_completed(double, store):
    promoted(store, "A", "m")
    sync(store, RegistryClient(Site(double.url)))
    double.objects = [one for one in double.objects if one[0] != "model_artifact"]
    store.objects.put("registered/00000001.json", b"{}", mode="overwrite")
    with pytest.raises(EvidenceError, match=r"is damaged: .*; remove it, and sync again$"):
        sync(store, RegistryClient(Site(double.url)))
    os.remove(f"{store.uri}/registered/00000001.json")
    assert len(sync(store, RegistryClient(Site(double.url)))) == 1
    assert [kind for kind, _, _ in double.objects].count("model_artifact") == 1


def test_a_name_in_another_case_is_refused(double, store):
    double.objects.append(("registered_model", "", {"id": "1", "name": "Jukebox", "state": "LIVE"}))
    promoted(store, "A", "jukebox")
    with pytest.raises(EvidenceError, match="has the registered_model 'Jukebox' and does not distinguish it"):
        sync(store, RegistryClient(Site(double.url)))


def test_an_older_server_is_asked_by_its_own_api(double, store):
    double.bases = double.bases[1:]
    promoted(store, "A", "m")
    assert len(sync(store, RegistryClient(Site(double.url)))) == 1


def test_an_attested_promotion_names_attestation_judge_and_holdout(double, store, tmp_path):
    key, trust = trust_file(tmp_path / "keys")
    release_attested(store, "A", (key, read_trust(trust)))
    (record,) = sync(store, RegistryClient(Site(double.url)))
    version = next(one for kind, _, one in double.objects if kind == "model_version")
    properties = version["customProperties"]
    assert properties["attestation"]["string_value"] == store.log()[0].attestation
    assert properties["holdout"]["string_value"]
    assert properties["judgeImage"]["string_value"]
    assert record.version == version["id"]


@pytest.mark.parametrize(
    "url", ["registry.example", "ftp://registry", "https://", "https://ada:s3cret@registry"]
)
def test_an_address_that_cannot_be_one_is_wrong_use(url):
    with pytest.raises(UsageError, match="--registry: give an address") as caught:
        RegistryClient(Site(url))
    assert "s3cret" not in str(caught.value)


def test_the_token_comes_from_its_file_for_each_request(double, tmp_path):
    double.token = "s3cret"
    client = RegistryClient(Site(double.url, tmp_path / "token"))
    with pytest.raises(UsageError, match="--registry-token-file cannot be read"):
        client.find("registered_model", "m")
    (tmp_path / "token").write_text("old\n")
    with pytest.raises(PlatformError, match=r"refused \(HTTP 401\): check --registry-token-file"):
        client.find("registered_model", "m")
    (tmp_path / "token").write_text("s3cret\n")
    assert client.find("registered_model", "m") is None


def test_a_certificate_of_a_private_ca_is_refused_unless_it_is_named(tmp_path):
    ca = trustme.CA()
    pem = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(pem))
    page = SimpleSite({"/api/model_registry/v1/registered_models": b'{"items": []}'})
    with serving(page, ca.issue_cert("127.0.0.1")) as there:
        with pytest.raises(PlatformError, match=r"the certificate is not trusted: give --registry-ca FILE$"):
            RegistryClient(Site(there.url)).find("registered_model", "m")
        # The address is a registry's; this page has no finder.
        with pytest.raises(PlatformError, match=r"cannot look up registered_model m: HTTP 404$"):
            RegistryClient(Site(there.url, ca=pem)).find("registered_model", "m")


@pytest.mark.parametrize(
    ("pages", "message"),
    [
        (
            {"/api/model_registry/v1/registered_models": b"<html>log in</html>"},
            "HTTP 200 without JSON: a login",
        ),
        ({}, "no Model Registry answers here; check --registry"),
    ],
)
def test_another_server_is_no_registry(pages, message):
    with serving(SimpleSite(pages)) as there, pytest.raises(PlatformError, match=message):
        RegistryClient(Site(there.url)).find("registered_model", "m")
