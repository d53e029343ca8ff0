"""The site of docs/, built as `make docs` builds it: no link is broken, nothing is loaded from elsewhere."""

import os
import re
import subprocess

import pytest

from .graphs import ROOT

MKDOCS = ROOT / ".venv" / "docs" / "bin" / "mkdocs"
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^\">\s]+")


@pytest.fixture(scope="module")
def mkdocs():
    if not MKDOCS.exists():
        pytest.skip("`make docs` has not set up mkdocs")
    return MKDOCS


def build(mkdocs, folder, *options) -> subprocess.CompletedProcess:
    command = [mkdocs, "build", "--strict", "--site-dir", folder, *options]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_site_is_built_and_has_no_broken_link(mkdocs, tmp_path):
    done = build(mkdocs, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert not LOADED.search(page.read_text(encoding="utf-8")), page


@pytest.mark.slow
def test_a_broken_link_ends_the_build(mkdocs, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("[one](nowhere.md) [two](index.md#nowhere)\n")
    config = tmp_path / "mkdocs.yml"
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    config.write_text(text[: text.index("\nnav:")], encoding="utf-8")
    done = build(mkdocs, tmp_path / "site", "--config-file", config)
    assert done.returncode == 1
    assert "nowhere.md" in done.stderr and "#nowhere" in done.stderr
    (docs / "index.md").write_text("nothing\n")
    assert build(mkdocs, tmp_path / "site", "--config-file", config).returncode == 0
