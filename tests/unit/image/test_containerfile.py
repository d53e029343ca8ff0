"""The Containerfile as a graph, on made-up ones; and what must hold of the project's own."""

import re

import pytest
from checkouts import ROOT

from ml.errors import UsageError
from ml.image.containerfile import read_containerfile

SMALL = """\
ARG BASE=somewhere/base
FROM ${BASE} AS tools
COPY --chown=1:0 a.lock b.lock locks/
RUN install && \\
    tidy
FROM ${BASE} AS middle
ADD notes.txt ./
FROM tools AS code
COPY code ./
FROM middle AS end
COPY --from=tools /opt /opt
FROM scratch AS lonely
"""


@pytest.fixture
def read(tmp_path):
    def read(text: str | bytes):
        path = tmp_path / "Containerfile"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_containerfile(path)

    return read


def instructions(found, target: str) -> list[str]:
    return found.part(target)[0]


def test_a_stage_needs_what_it_is_from_and_what_it_copies_from(read):
    found = read(SMALL)
    starts = [line for line in instructions(found, "end") if line.startswith("FROM")]
    assert starts == ["FROM ${BASE} AS tools", "FROM ${BASE} AS middle", "FROM middle AS end"]
    assert instructions(found, "lonely") == ["FROM scratch AS lonely"]


def test_the_files_are_those_of_every_needed_stage_and_no_other(read):
    found = read(SMALL)
    assert found.part("end")[1] == ["a.lock", "b.lock", "notes.txt"]
    assert found.part("code")[1] == ["a.lock", "b.lock", "code"]
    assert found.part("lonely")[1] == []


def test_defaults_are_those_before_the_first_stage(read):
    found = read("ARG BASE=a/b@sha256:1\nARG NONE\nFROM x AS y\nARG LATER=1\n")
    assert found.defaults == {"BASE": "a/b@sha256:1", "NONE": ""}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("FROM ${BASE} AS tools", "# why\n\nFROM ${BASE} AS tools"),
        ("RUN install", "# why\nRUN install"),
        ("RUN install && \\\n", "RUN install && \\\n# why\n"),
        ("RUN install", "RUN \\\ninstall"),
        ("a.lock b.lock", "a.lock \\\nb.lock"),
    ],
)
def test_comments_and_continued_lines_are_no_part_of_an_instruction(read, old, new):
    plain = read(SMALL)
    assert old in SMALL
    changed = read(SMALL.replace(old, new))
    assert changed.part("end") == plain.part("end")


def test_every_instruction_of_a_needed_stage_is_a_part(read):
    assert instructions(read(SMALL + "RUN more\n"), "lonely") == ["FROM scratch AS lonely", "RUN more"]


def refused(function, *arguments) -> str:
    with pytest.raises(UsageError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("text", ["FROM base\n", "FROM base AS x\nFROM x\n", "FROM\n"])
def test_a_stage_without_a_name_is_refused(read, text):
    assert "name the stage" in refused(read, text)


@pytest.mark.parametrize("text", ["FROM x AS y\nCOPY 'a b\n", b"FROM x AS y\nLABEL \xff=1\n"])
def test_what_is_no_containerfile_is_refused(read, text):
    assert "Containerfile" in refused(read, text)


def test_an_unknown_stage_and_a_file_that_is_not_there_are_refused(read, tmp_path):
    assert "no stage other" in refused(read(SMALL).part, "other")
    for path in (tmp_path / "none", tmp_path):
        assert f"cannot read {path}" in refused(read_containerfile, path)


INSTALL = (ROOT / "ml" / "image" / "install.sh").read_text()
"""What the stages of the dependencies run."""


@pytest.fixture(scope="module")
def ours():
    return read_containerfile(ROOT / "Containerfile")


@pytest.mark.parametrize(
    ("target", "lock"), [("component", "component"), ("tools", "tools"), ("test", "all")]
)
def test_our_dependencies_are_made_of_locks_and_not_of_code(ours, target, lock):
    server = [] if target == "tools" else ["requirements/server.txt"]
    assert ours.part(f"{target}-dependencies")[1] == sorted(
        [
            "ml/image/install.sh",
            "ml/image/slim.py",
            "requirements/build.txt",
            f"requirements/{lock}.txt",
            *server,
        ]
    )


@pytest.mark.parametrize("target", ["component", "tools"])
def test_our_images_have_the_code(ours, target):
    assert "ml" in ours.part(target)[1]


def test_what_we_install_from_an_index_has_a_hash_and_what_has_none_comes_from_no_index(ours):
    commands = [
        command
        for stage in ours.stages.values()
        for line in (*stage.instructions, INSTALL.replace("\\\n", ""))
        for command in re.split(r"&&|\n", line)
        if re.search(r"pip.* (install|wheel|download) ", command)
    ]
    assert len(commands) >= 6
    for command in commands:
        assert ("--require-hashes" in command) != ("--no-index" in command), command


def test_every_stage_that_reaches_an_index_requires_hashes(ours):
    reaching = {
        name: stage
        for name, stage in ours.stages.items()
        if any("id=pip.conf" in line for line in stage.instructions)
    }
    assert set(reaching) == {"build", "component-build", "server-build", "tools-build", "test-build", "bill"}
    for stage in reaching.values():
        told = " ".join(stage.instructions).replace("sh install.sh", INSTALL)
        assert "--require-hashes" in told


def test_we_start_from_the_base_or_a_stage_or_nothing(ours):
    for stage in ours.stages.values():
        for name in stage.needs:
            assert name in ("${BASE_IMAGE}", "scratch", *ours.stages)


def test_our_base_is_named_by_digest(ours):
    assert re.fullmatch(r"[\w./-]+@sha256:[0-9a-f]{64}", ours.defaults["BASE_IMAGE"])


def test_files_that_the_key_would_not_see_are_refused(read):
    with pytest.raises(UsageError, match="type=bind takes files that the key does not see"):
        read("FROM scratch AS a\nRUN --mount=type=bind,source=x,target=/x cat /x\n")
