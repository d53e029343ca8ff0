"""The tag of the files that lint and tests read: every byte counts, and documentation does not."""

import pytest
from checkouts import append

from ml.core.errors import UsageError
from ml.image.checked import checked_tag

UNREAD = ("docs/page.md", "README.md", ".git/HEAD", "ml/__pycache__/a.pyc", ".mypy_cache/x", "../secret")


def tag(checkout, tests: str = "tests/unit", base: str = "sha256:0", python: str = "3.12") -> str:
    return checked_tag(checkout, tests, base, python)


@pytest.fixture
def here(tmp_path):
    for name in ("ml/a.py", "tests/unit/test_a.py", "tekton/README.md", *UNREAD[:3]):
        append(tmp_path / "here" / name)
    (tmp_path / "here/ml/link").symlink_to(tmp_path / "secret")
    return tmp_path / "here"


def test_documentation_history_caches_and_targets_of_links_change_nothing(here):
    before = tag(here)
    for name in UNREAD:
        append(here / name)
    assert tag(here, tests=" tests/unit ") == before


def test_every_other_change_changes_the_tag(here):
    tags = [tag(here), tag(here, tests="tests"), tag(here, base="sha256:1"), tag(here, python="3.11")]
    for change in (
        lambda: append(here / "ml/a.py"),
        lambda: append(here / "tests/unit/test_a.py"),
        lambda: append(here / "tekton/README.md"),
        lambda: (here / "ml/a.py").chmod(0o755),
        lambda: (here / "ml/a.py").rename(here / "ml/b.py"),
        lambda: (here / "ml/other").symlink_to("b.py"),
        lambda: (here / "ml/folder").symlink_to("../tests"),
    ):
        change()
        tags.append(tag(here))
    assert len(set(tags)) == len(tags)


def test_the_order_of_files_in_a_folder_does_not_count(tmp_path):
    for folder, names in (("first", "ab"), ("second", "ba")):
        for name in names:
            append(tmp_path / folder / name)
    assert tag(tmp_path / "first") == tag(tmp_path / "second")


def test_a_folder_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*none: No such file"):
        tag(tmp_path / "none")
