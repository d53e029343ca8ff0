"""What a site says of CPU, memory and minutes reaches the steps that it names, and no other."""

import pytest
import yaml

from ml.core.errors import UsageError
from ml.pipeline.bounds import default_bounds, read_bounds
from ml.pipeline.compiler import compile_pipeline

SITE = {"train": {"memory": "2Gi", "memory_limit": "8Gi", "minutes": 120}, "fetch": {"cpu_limit": "500m"}}


def test_what_is_named_changes_and_nothing_else_also_in_the_compiled_pipeline(tmp_path):
    site = tmp_path / "resources.yaml"
    site.write_text(yaml.safe_dump(SITE))
    default = {name: bound.model_dump() for name, bound in default_bounds().items()}
    expected = {name: bound | SITE.get(name, {}) for name, bound in default.items()}
    assert {name: bound.model_dump() for name, bound in read_bounds(site).items()} == expected
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
        ("train: {cpu: a lot}", "train: cpu: String should match pattern"),
        ("train: {memory: 4GB}", "train: memory: String should match pattern"),
        ("train: {minutes: 0}", "train: minutes: Input should be greater"),
        ("train: {cpu: '5'}", "cpu 5 is more than cpu_limit 4"),
        ("train: {memory: 4097Mi}", "memory 4097Mi is more than memory_limit 4Gi"),
        ("train: {1: 2}", "train: "),
        *((text, "write a line for a step") for text in ("train: 4Gi", "")),
        ("train: [", "is not YAML"),
        (None, "resources.yaml: No such file"),
    ],
)
def test_what_is_no_bound_is_refused_in_one_line(tmp_path, text, message):
    file = tmp_path / "resources.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_bounds(file)
    assert (message in str(caught.value), "\n" in str(caught.value)) == (True, False)
