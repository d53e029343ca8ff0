"""The site of docs/, built as `make docs` builds it: no link is broken, nothing is loaded from elsewhere."""

import os
import re
import subprocess

import pytest

from .graphs import ROOT

MKDOCS = ROOT / ".venv" / "docs" / "bin" / "mkdocs"
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^\">\s]+")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MKDOCS.exists(), reason="`make docs` has not set up mkdocs"),
]


def build(folder, *options) -> subprocess.CompletedProcess:
    command = [MKDOCS, "build", "--strict", "--site-dir", folder / "site", *options]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_the_site_is_built_and_has_no_broken_link(tmp_path):
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    assert [page for page in pages if LOADED.search(page.read_text())] == []


def test_a_broken_link_ends_the_build(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("[one](nowhere.md) [two](index.md#nowhere)\n")
    config = tmp_path / "mkdocs.yml"
    config.write_text((ROOT / "mkdocs.yml").read_text().partition("\nnav:")[0])
    done = build(tmp_path, "--config-file", config)
    assert done.returncode == 1
    assert "nowhere.md" in done.stderr and "#nowhere" in done.stderr
