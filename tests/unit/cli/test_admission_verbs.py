"""`jukebox admit`, and the same check before `jukebox submit` asks anybody for anything."""

import pytest
import yaml
from submissions import IMAGE, OTHER_IMAGE, compiled

from ml.core.settings import Mounts
from ml.pipeline.compiler import compile_pipeline

PLACES = ("--evidence", "s3://bucket/evidence", "--store", "s3://bucket/store")
NOWHERE = ("--host", "http://127.0.0.1:9")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A folder with a pipeline that is fit, and one whose training step is given another secret."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JUKEBOX_IMAGE", raising=False)
    monkeypatch.delenv("JUKEBOX_ADMISSION", raising=False)
    (tmp_path / "fit.yaml").write_bytes(compiled())
    spec, platform = yaml.load_all(compiled(), Loader=yaml.CSafeLoader)
    given = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train"]
    given["secretAsVolume"] = [{"secretName": "jukebox-promotion\x1b[31m", "mountPath": "/keys"}]
    given["hostPath"] = {}
    (tmp_path / "greedy.yaml").write_text(yaml.safe_dump_all([spec, platform]))
    return tmp_path


LINES = (
    "executor exec-train: hostPath is not allowed",
    "executor exec-train: secret jukebox-promotion [31m is not allowed; the policy allows jukebox-store",
)


def test_a_pipeline_is_admitted(jukebox):
    done = jukebox("admit", "fit.yaml", "--image", IMAGE)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("admitted: 11 executors, sha256:")
    done = jukebox("admit", "fit.yaml", "--image", IMAGE, "--json")
    assert (done.code, done.json["admitted"], done.json["violations"]) == (0, True, [])
    assert done.json["image"] == IMAGE


def test_each_finding_is_a_line_and_the_first_one_is_the_error(jukebox):
    done = jukebox("admit", "greedy.yaml", "--image", IMAGE)
    assert (done.code, tuple(done.out.splitlines())) == (10, LINES)
    assert done.refusal == f"greedy.yaml is not admitted: {LINES[0]} (and 1 more)"
    done = jukebox("admit", "greedy.yaml", "--image", IMAGE, "--json")
    assert (done.code, done.json["exit_code"], len(done.json["violations"])) == (10, 10, 2)


def test_another_image_than_the_one_that_was_built_is_refused(jukebox):
    done = jukebox("admit", "fit.yaml", "--image", OTHER_IMAGE)
    assert done.code == 10
    assert len(done.out.splitlines()) == 12
    assert f"image {IMAGE} is not allowed; the policy allows {OTHER_IMAGE}" in done.refusal


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("none.yaml", "--image", IMAGE), "cannot read none.yaml"),
        (
            ("fit.yaml", "--image", "localhost/jukebox:latest"),
            "--image localhost/jukebox:latest: name the image by",
        ),
        (("fit.yaml",), "--image"),
        (
            ("fit.yaml", "--image", IMAGE, "--policy", "fit.yaml"),
            "the admission policy fit.yaml cannot be used",
        ),
        (
            ("fit.yaml", "--image", IMAGE, "--policy", "none.yaml"),
            "the admission policy none.yaml cannot be read",
        ),
    ],
)
def test_what_cannot_be_read_is_wrong_use(jukebox, arguments, word):
    done = jukebox("admit", *arguments)
    assert (done.code, word in done.refusal) == (2, True), done.err


def test_a_site_names_what_it_allows(jukebox, home, monkeypatch):
    compile_pipeline(home / "own.yaml", IMAGE, Mounts(store_secret="my-connection"))
    assert jukebox("admit", "own.yaml", "--image", IMAGE).code == 10
    default = (home / "admission.yaml", "ml/dspa/admission.yaml")
    from importlib import resources

    text = resources.files("ml.dspa").joinpath("admission.yaml").read_text()
    default[0].write_text(text.replace("[jukebox-store]", "[my-connection]"))
    monkeypatch.setenv("JUKEBOX_ADMISSION", "admission.yaml")
    monkeypatch.setenv("JUKEBOX_IMAGE", IMAGE)
    assert jukebox("admit", "own.yaml").code == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("greedy.yaml",), LINES[0]),
        (("fit.yaml", "--image", OTHER_IMAGE), f"image {IMAGE} is not allowed"),
        (
            ("fit.yaml", "--data", "s3://bucket/../x"),
            "parameter table_uris: s3://bucket/../x/rankings.parquet is not allowed",
        ),
    ],
)
def test_nothing_is_submitted_that_is_not_admitted(jukebox, home, arguments, line):
    done = jukebox("submit", *arguments, *PLACES, *NOWHERE, "--results-dir", "results")
    assert (done.code, line in done.refusal) == (10, True), done.err
    assert done.out.splitlines()[0].startswith(("executor exec-", "parameter "))
    assert (home / "results/VERDICT").read_text() == "block"
