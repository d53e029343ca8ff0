"""The tag of what lint and tests read: every byte of it counts, and prose does not."""

from ml.image.checked import checked_tag

BASE = f"sha256:{'0' * 64}"


def tag(checkout, tests: str = "tests/unit", base: str = BASE, python: str = "3.12") -> str:
    return checked_tag(checkout, tests, base, python)


def checkout_in(folder):
    for name in ("ml/a.py", "tests/unit/test_a.py", "docs/page.md", "README.md", "tekton/README.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("x")
    return folder


def test_prose_and_history_change_nothing(tmp_path):
    here = checkout_in(tmp_path)
    before = tag(here)
    for name in ("docs/page.md", "README.md", ".git/HEAD"):
        (here / name).write_text("y")
    for name in ("ml/__pycache__/a.pyc", ".hypothesis/x", ".mypy_cache/x"):
        (here / name).parent.mkdir()
        (here / name).write_text("y")
    assert tag(here) == before


def test_whatever_else_changes_is_another_tag(tmp_path):
    here = checkout_in(tmp_path)
    seen = [
        tag(here),
        tag(here, tests="tests"),
        tag(here, base=BASE.replace("0", "1")),
        tag(here, python="3.11"),
    ]
    for change in (
        lambda: (here / "ml/a.py").write_text("y"),
        lambda: (here / "tests/unit/test_a.py").write_text("y"),
        lambda: (here / "tekton/README.md").write_text("y"),
        lambda: (here / "ml/a.py").chmod(0o755),
        lambda: (here / "ml/a.py").rename(here / "ml/b.py"),
        lambda: (here / "ml/link").symlink_to("b.py"),
        lambda: (here / "ml/folder").symlink_to("../tests"),
    ):
        change()
        seen.append(tag(here))
    assert len(set(seen)) == len(seen)


def test_the_order_of_a_folder_and_of_the_options_does_not_count(tmp_path):
    first, second = (tmp_path / name for name in ("first", "second"))
    for folder, names in ((first, "ab"), (second, "ba")):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(name)
    assert tag(first, tests="a  b") == tag(second, tests="a b")


def test_a_link_is_not_followed(tmp_path):
    here = checkout_in(tmp_path / "here")
    (tmp_path / "secret").write_text("x")
    (here / "ml" / "link").symlink_to(tmp_path / "secret")
    before = tag(here)
    (tmp_path / "secret").write_text("y")
    assert tag(here) == before
