"""What `jukebox compile` mounts: the store's claim, its keys and the CA, where needed and nowhere else."""

import pytest
import yaml
from command import called
from tiers import sampled

from ml.core.settings import STORE_MOUNT, Mounts
from ml.pipeline.compiler import compile_pipeline

OUTSIDE = {"champion", "fetch", "gate", "save"}
"""The steps that touch tables, evidence or store."""

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_S3_ENDPOINT", "AWS_DEFAULT_REGION")
CA_FILE = "/mnt/jukebox-ca/ca-bundle.crt"
MOUNTED = {
    "store_pvc": {"pvcMount": [{"constant": "models", "mountPath": STORE_MOUNT}]},
    "store_secret": {
        "secretAsEnv": [
            {"secretName": "models", "keyToEnv": [{"secretKey": key, "envVar": key} for key in KEYS]}
        ]
    },
    "ca_config_map": {"configMapAsVolume": [{"configMapName": "models", "mountPath": "/mnt/jukebox-ca"}]},
}
"""What each option adds to a step. Servers before KFP 2.5 know these fields; new ones read them as well."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Compile with options: each step's platform spec, and its environment."""
    folder = tmp_path_factory.mktemp("ir")

    def compiled(**options):
        compile_pipeline(folder / "p.yaml", mounts=Mounts(**options))
        spec, platform = yaml.load_all((folder / "p.yaml").read_bytes(), Loader=yaml.CSafeLoader)
        executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        containers = spec["deploymentSpec"]["executors"]
        return (
            {name.removeprefix("exec-"): settings for name, settings in executors.items()},
            {name.removeprefix("exec-"): item["container"].get("env") for name, item in containers.items()},
        )

    return compiled


@pytest.mark.parametrize("option", sampled(MOUNTED, ["store_secret"]))
def test_an_option_reaches_the_steps_that_reach_outside_and_no_other(compiled, option):
    steps, _ = compiled(**{option: "models"})
    for name, settings in steps.items():
        timeout = {"activeDeadlineSeconds": settings["activeDeadlineSeconds"]}
        assert settings == timeout | (MOUNTED[option] if name in OUTSIDE else {}), name


def test_the_ca_is_named_to_s3_and_to_https(compiled):
    _, environments = compiled(ca_config_map="models")
    trusted = [{"name": name, "value": CA_FILE} for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")]
    assert environments == {name: trusted if name in OUTSIDE else None for name in environments}


@pytest.mark.slow
def test_options_and_variables_are_the_same_and_of_one_compile_only(compiled, tmp_path, monkeypatch):
    plain = compiled()
    assert not any(plain[1].values())
    names = {"STORE_PVC": "models", "STORE_SECRET": "my.connection", "CA_CONFIG_MAP": "odh-trusted-ca-bundle"}
    options = [f"--{name.lower().replace('_', '-')}={value}" for name, value in names.items()]
    assert called("compile", "-o", "a.yaml", *options, cwd=tmp_path).returncode == 0
    for name, value in names.items():
        monkeypatch.setenv(f"JUKEBOX_{name}", value)
    assert called("compile", "-o", "b.yaml", cwd=tmp_path).returncode == 0
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()
    assert compiled() == plain


@pytest.mark.parametrize(
    ("option", "name"),
    [("--store-pvc", "my.claim"), ("--store-secret", "a\n"), ("--ca-config-map", "ca/bundle")],
)
def test_a_name_that_kubernetes_does_not_know_is_wrong_use(tmp_path, option, name):
    done = called("compile", "-o", "p.yaml", f"{option}={name}", cwd=tmp_path)
    assert f"{option} {name!r} is not a name in Kubernetes" in done.stderr
    assert (done.returncode, done.stderr.count("\n"), (tmp_path / "p.yaml").exists()) == (2, 1, False)
