"""What Tekton's catalogue asks of each Task and of the Pipeline: a version, annotations, a current README."""

import copy
import importlib.util
import shutil
import tomllib

import pytest
from tekton.manifests import ROOT, TEKTON, find, load, rendered

import ml

SPEC = importlib.util.spec_from_file_location("tekton_readme", ROOT / "docs" / "tools" / "tekton_readme.py")
tekton_readme = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tekton_readme)

FOUND = {
    found["metadata"]["name"]: found
    for folder in ("pipelines", "tasks")
    for file in sorted((TEKTON / folder).glob("*.yaml"))
    for found in load(file)
    if "metadata" in found
}
TASKS = {name: found for name, found in FOUND.items() if found["kind"] == "Task"}


def minimum(found: dict) -> str:
    """Return the first release of Tekton Pipelines that takes an object as its default configuration is.

    0.43 is the first that serves tekton.dev/v1 (with computeResources, and taskRunTemplate in runs). An
    object as a result is a beta feature since 0.46, which the default configuration allows since 0.49. The
    Pipeline needs what its Tasks need.
    """
    spec = found["spec"]
    specs = [spec, *(TASKS[task["taskRef"]["name"]]["spec"] for task in spec.get("tasks", ()))]
    types = {result.get("type") for each in specs for result in each.get("results", ())}
    return "0.49.0" if "object" in types else "0.43.0"


@pytest.mark.parametrize("name", FOUND)
def test_the_minimum_of_pipelines_follows_from_what_is_used(name):
    assert FOUND[name]["apiVersion"] == "tekton.dev/v1"
    assert FOUND[name]["metadata"]["annotations"]["tekton.dev/pipelines.minVersion"] == minimum(FOUND[name])


def test_an_object_as_a_result_raises_the_minimum():
    task = copy.deepcopy(TASKS["lint"])
    assert minimum(task) == "0.43.0"
    task["spec"]["results"] = [{"name": "X", "description": "x", "type": "object"}]
    assert minimum(task) == "0.49.0"


def test_the_version_is_the_packages():
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == ml.__version__
    for name, found in FOUND.items():
        assert found["metadata"]["labels"]["app.kubernetes.io/version"] == ml.__version__, name


def test_the_catalogues_metadata_reaches_the_cluster():
    for kind, name in [("Task", "promote"), ("Pipeline", "jukebox-train")]:
        metadata = find(rendered("openshift"), kind, name)["metadata"]
        assert metadata["annotations"].items() >= FOUND[name]["metadata"]["annotations"].items()
        assert metadata["labels"] == FOUND[name]["metadata"]["labels"]


# The README of the Tasks.


@pytest.fixture
def checkout(tmp_path):
    shutil.copytree(TEKTON / "tasks", tmp_path / "tekton" / "tasks")
    return tmp_path


def test_the_readme_is_current():
    assert tekton_readme.main(["--check"]) == 0


def test_a_readme_that_is_not_current_is_told_of_and_written(checkout, capsys):
    task = checkout / "tekton" / "tasks" / "lint.yaml"
    task.write_text(task.read_text().replace("The linters, by digest", "The linters | by digest"))
    readme = checkout / "tekton" / "tasks" / "README.md"
    before = readme.read_text()
    assert tekton_readme.main(["--check"], checkout) == 1
    assert readme.read_text() == before
    said = "tekton/tasks/README.md is not what the YAML says; run: python docs/tools/tekton_readme.py\n"
    assert capsys.readouterr().err == said
    assert tekton_readme.main([], checkout) == 0
    assert r"| `tools-dependencies` | required | The linters \| by digest" in readme.read_text()
    assert tekton_readme.main(["--check"], checkout) == 0


def test_a_readme_that_is_not_there_is_told_of(checkout):
    (checkout / "tekton" / "tasks" / "README.md").unlink()
    assert tekton_readme.main(["--check"], checkout) == 1


def test_the_readme_has_all_tasks_with_all_that_they_have():
    text = tekton_readme.readme(ROOT)
    assert text.count("\n## ") == len(TASKS)
    for name, task in TASKS.items():
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for part in ("params", "results", "workspaces"):
            for item in task["spec"].get(part, ()):
                assert f"| `{item['name']}` | " in section, (name, item["name"])
                assert item["description"] in section


def test_a_section_says_what_is_required_and_what_is_not():
    task = {
        "metadata": {
            "name": "t",
            "labels": {"app.kubernetes.io/version": "1.2.3"},
            "annotations": {
                "tekton.dev/pipelines.minVersion": "0.43.0",
                "tekton.dev/platforms": "linux/arm64",
            },
        },
        "spec": {
            "description": "Does it.",
            "params": [
                {"name": "a", "description": "A."},
                {"name": "b", "description": "B.", "default": ""},
                {"name": "c", "description": "C.", "default": "x"},
            ],
            "results": [{"name": "R", "description": "R.", "type": "object", "properties": {"uri": {}}}],
            "workspaces": [{"name": "w", "description": "W.", "optional": True, "readOnly": True}],
        },
    }
    assert tekton_readme.section(task, level=3) == (
        "### t\n\nDoes it.\n\n"
        "Version 1.2.3; needs Tekton Pipelines 0.43.0 or later; runs on linux/arm64.\n\n"
        "| parameter | default | description |\n| --- | --- | --- |\n"
        "| `a` | required | A. |\n| `b` | empty | B. |\n| `c` | `x` | C. |\n\n"
        "| result | type | description |\n| --- | --- | --- |\n| `R` | object of `uri` | R. |\n\n"
        "| workspace | use | description |\n| --- | --- | --- |\n| `w` | optional, read only | W. |\n"
    )
