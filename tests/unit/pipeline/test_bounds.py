"""What a site says of CPU, memory and minutes reaches the steps that it names, and no other."""

import pytest
import yaml
from command import called

from ml.core.errors import UsageError
from ml.pipeline.bounds import default_bounds, read_bounds
from ml.pipeline.compiler import compile_pipeline

SITE = {"train": {"memory": "2Gi", "memory_limit": "8Gi", "minutes": 120}, "fetch": {"cpu_limit": "500m"}}


@pytest.fixture
def site(tmp_path):
    file = tmp_path / "resources.yaml"
    file.write_text(yaml.safe_dump(SITE))
    return file


def test_what_is_named_changes_and_nothing_else(site):
    found, default = read_bounds(site), default_bounds()
    changed = {name for name in default if found[name] != default[name]}
    assert changed == set(SITE)
    for name, given in SITE.items():
        assert found[name].model_dump() == {**default[name].model_dump(), **given}


def test_the_compiled_pipeline_has_it(site, tmp_path):
    compile_pipeline(tmp_path / "p.yaml", resources=site)
    spec, platform = yaml.load_all((tmp_path / "p.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    train = spec["deploymentSpec"]["executors"]["exec-train"]["container"]["resources"]
    assert (train["resourceMemoryRequest"], train["resourceMemoryLimit"]) == ("2Gi", "8Gi")
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["exec-train"]["activeDeadlineSeconds"] == "7200"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: {cpu: 1}", "training is not a step; the steps are champion, fetch"),
        ("train: {gpu: 1}", "train: gpu: unknown key"),
        ("train: {cpu: 1}", "train: cpu: Input should be a valid string"),
        ("train: {cpu: a lot}", "train: cpu: String should match pattern"),
        ("train: {memory: 4GB}", "train: memory: String should match pattern"),
        ("train: {minutes: 0}", "train: minutes: Input should be greater"),
        ("train: {cpu: '5'}", "cpu 5 is more than cpu_limit 4"),
        ("train: {memory: 4097Mi}", "memory 4097Mi is more than memory_limit 4Gi"),
        ("fetch: {cpu_limit: 50m}", "cpu 100m is more than cpu_limit 50m"),
        ("train: 4Gi", "write a line for a step"),
        ("train: {1: 2}", "train: "),
        ("[]", "write a line for a step"),
        ("", "write a line for a step"),
        ("train: [", "is not YAML"),
    ],
)
def test_what_is_no_bound_is_refused_in_one_line(tmp_path, text, message):
    file = tmp_path / "resources.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_bounds(file)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told_by_the_command(tmp_path):
    done = called(
        "compile", "--output", str(tmp_path / "p.yaml"), "--resources", "nowhere.yaml", cwd=tmp_path
    )
    assert (done.returncode, "--resources nowhere.yaml: No such file" in done.stderr) == (2, True)
    assert not (tmp_path / "p.yaml").exists()
