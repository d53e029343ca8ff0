"""The tag of the files that lint and tests read: every byte counts, and documentation does not."""

import pytest
from checkouts import append

from ml.core.errors import UsageError
from ml.image.checked import checked_tag

UNREAD = ("docs/page.md", "README.md", ".git/HEAD", "ml/__pycache__/a.pyc", ".mypy_cache/x", "../secret")


def test_every_change_but_of_documentation_caches_and_what_links_name_changes_the_tag(tmp_path):
    here = tmp_path / "here"

    def tag(tests: str = "tests/unit", base: str = "sha256:0", python: str = "3.12") -> str:
        return checked_tag(here, tests, base, python)

    for name in ("ml/a.py", "tekton/README.md", *UNREAD):
        append(here / name)
    (here / "ml/link").symlink_to(tmp_path / "secret")
    tags = [tag(), tag(tests="tests"), tag(base="sha256:1"), tag(python="3.11")]
    for name in (*UNREAD, ".venv/new"):
        append(here / name)
    assert tag(tests=" tests/unit ") == tags[0]
    for change in (
        lambda: append(here / "ml/a.py"),
        lambda: append(here / "tekton/README.md"),
        lambda: append(here / "ml/docs/page.md"),
        lambda: (here / "ml/a.py").chmod(0o755),
        lambda: (here / "ml/a.py").rename(here / "ml/b.py"),
        lambda: (here / "ml/other").symlink_to("b.py"),
        lambda: (here / "ml/folder").symlink_to("../tekton"),
    ):
        change()
        tags.append(tag())
    assert len(set(tags)) == len(tags)
    with pytest.raises(UsageError, match=r"cannot read .*none: No such file"):
        checked_tag(tmp_path / "none", "tests", "sha256:0", "3.12")
