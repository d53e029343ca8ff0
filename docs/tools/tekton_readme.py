"""Tables of the parameters, results and workspaces of Tekton objects, and tekton/tasks/README.md of them.

`python docs/tools/tekton_readme.py` writes the README; with `--check` it only compares, and fails if the
README is not current.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
ROOT = Path(__file__).parents[2]
README = Path("tekton/tasks/README.md")
COMMAND = "python docs/tools/tekton_readme.py"
INTRODUCTION = f"""\
<!-- Generated from the YAML by `{COMMAND}`: change that, not this. -->
# Tasks

The Pipeline [`jukebox-train`](../pipelines/jukebox-train.yaml) consists of these Tasks, and
`kubectl apply -k tekton/overlays/openshift` (or `kubernetes`) installs all of them.

A Task also runs alone, by its sample in [`samples/`](../samples). The samples share one volume, on which each
finds what those before it have left. Replace their images and addresses by those of your `settings.env`, and
what a Task takes from another by that one's results (`tkn taskrun describe --last`).

    kubectl apply -n jukebox -f tekton/samples/claim.yaml
    kubectl create -n jukebox -f tekton/samples/fetch-source.yaml

On Kubernetes, add the content of [`pod-template.yaml`](../overlays/kubernetes/pod-template.yaml) as
`spec.podTemplate`; OpenShift needs none.
"""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; each row has a cell for each word of the head."""
    lines = [head, ["---"] * len(head), *rows]
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def parameters(spec: Object) -> str:
    """Return the table of the parameters of a Task's or Pipeline's spec; "" if there are none."""
    rows = [[f"`{each['name']}`", _default(each), each["description"]] for each in spec.get("params", ())]
    return table(["parameter", "default", "description"], rows) if rows else ""


def results(spec: Object) -> str:
    """Return the table of the results of a Task's or Pipeline's spec; "" if there are none."""
    rows = [[f"`{each['name']}`", _type(each), each["description"]] for each in spec.get("results", ())]
    return table(["result", "type", "description"], rows) if rows else ""


def workspaces(spec: Object) -> str:
    """Return the table of the workspaces of a Task's or Pipeline's spec; "" if there are none."""
    rows = [[f"`{each['name']}`", _use(each), each["description"]] for each in spec.get("workspaces", ())]
    return table(["workspace", "use", "description"], rows) if rows else ""


def section(found: Object, level: int = 2) -> str:
    """Return the section of a Task or Pipeline: heading, description, needs and the three tables.

    Args:
        found: the object, as its file has it.
        level: the heading's level.
    """
    metadata, spec = found["metadata"], found["spec"]
    notes = metadata["annotations"]
    needs = (
        f"Version {metadata['labels']['app.kubernetes.io/version']}; "
        f"needs Tekton Pipelines {notes['tekton.dev/pipelines.minVersion']} or later; "
        f"runs on {notes['tekton.dev/platforms']}."
    )
    parts = [f"{'#' * level} {metadata['name']}\n", f"{spec['description']}\n", f"{needs}\n"]
    return "\n".join([*parts, *filter(None, (parameters(spec), results(spec), workspaces(spec)))])


def tasks(root: Path) -> list[Object]:
    """Return the Tasks below a checkout, in the order of their kustomization."""
    folder = root / README.parent
    names = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    return [yaml.safe_load((folder / name).read_text(encoding="utf-8")) for name in names]


def readme(root: Path) -> str:
    """Return the text of tekton/tasks/README.md for a checkout."""
    parts = [INTRODUCTION]
    for task in tasks(root):
        name = task["metadata"]["name"]
        sample = f"Sample: [`{name}.yaml`](../samples/{name}.yaml)\n"
        parts += [section(task), sample]
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write tekton/tasks/README.md, or compare; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write tekton/tasks/README.md from the YAML of the Tasks.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if the README is not current"
    )
    check = parser.parse_args(arguments).check
    file, text = root / README, readme(root)
    if not check:
        file.write_text(text, encoding="utf-8")
    elif not file.exists() or file.read_text(encoding="utf-8") != text:
        sys.stderr.write(f"{README} is not what the YAML says; run: {COMMAND}\n")
        return 1
    return 0


def _default(param: Object) -> str:
    if "default" not in param:
        return "required"
    return f"`{param['default']}`" if param["default"] else "empty"


def _type(result: Object) -> str:
    keys = ", ".join(f"`{key}`" for key in result.get("properties", ()))
    return f"object of {keys}" if keys else "string"


def _use(workspace: Object) -> str:
    optional = "optional" if workspace.get("optional") else "required"
    return f"{optional}, read only" if workspace.get("readOnly") else optional


if __name__ == "__main__":
    sys.exit(main())
