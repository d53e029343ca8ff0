"""A pipeline for the commands that are given one, and an object store."""

import pytest
from dspa_command import IMAGE
from servers import s3_server

from ml.pipeline.compiler import compile_pipeline


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    home = tmp_path_factory.mktemp("ir")
    compile_pipeline(home / "fit.yaml", IMAGE)
    (home / "list.yaml").write_text("- 1\n")
    return home


@pytest.fixture(scope="module")
def s3():
    with s3_server() as environment:
        yield environment
