"""Pipelines for the commands that are given one."""

import pytest
from dspa_command import IMAGE

from ml.pipeline.compiler import compile_pipeline


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """IRs: of this machine only, and one that is fit."""
    home = tmp_path_factory.mktemp("ir")
    compile_pipeline(home / "local.yaml", None)
    compile_pipeline(home / "fit.yaml", IMAGE)
    (home / "garbage.yaml").write_text("a: [b")
    (home / "list.yaml").write_text("- 1\n")
    (home / "file").write_text("")
    return home
