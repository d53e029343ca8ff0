"""What must hold of our Containerfile, and that the assembled image is the one that it describes."""

import re

import pytest
from checkouts import ROOT

from ml.image.assemble import LABELS, SOURCE
from ml.image.key import FILES, STAGES, default_base

TEXT = (ROOT / "Containerfile").read_text()
INSTALL = (ROOT / "ml" / "image" / "install.sh").read_text()
"""What the stages of the dependencies run."""


def stages() -> dict[str, list[str]]:
    """Return the instructions of each stage, comments and line breaks left out."""
    lines = re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    found: dict[str, list[str]] = {}
    for line in (" ".join(line.split()) for line in lines):
        if line.startswith("FROM "):
            name = re.fullmatch(r"FROM (\S+) AS ([a-z-]+)", line)[2]
            assert name not in found
            found[name] = []
        if found and line:
            found[name].append(line)
    return found


OURS = stages()


def needs(stage: str) -> set[str]:
    """Return the stages that a stage is made of, and itself."""
    named = {line.split()[1] for line in OURS[stage][:1]}
    named |= set(re.findall(r"^COPY --from=(\S+) ", "\n".join(OURS[stage]), re.MULTILINE))
    return {stage}.union(*(needs(each) for each in named & OURS.keys()))


def copied(stage: str) -> set[str]:
    lines = [line for each in needs(stage) for line in OURS[each] if re.match(r"COPY (?!--from=)", line)]
    return {file for line in lines for file in line.split()[1:-1]}


@pytest.mark.parametrize("stage", STAGES)
def test_dependencies_are_built_from_what_their_key_is_made_of(stage):
    assert copied(stage) < set(FILES)
    assert {f"requirements/{name}.txt" for name in ("build",)} < copied(stage)


def test_each_file_of_the_key_is_built_from():
    assert set().union(*(copied(stage) for stage in STAGES)) | {"Containerfile"} == set(FILES)


def test_the_code_is_made_of_what_is_assembled():
    assert copied("code") == {"pyproject.toml", "LICENSE", "ml"}
    assert OURS["code"][-1] == "RUN python${PYTHON} -m ml.image.package /"


def test_the_component_is_what_is_assembled():
    """One layer of the code, and these labels: what is added here has to be added in ml/image/assemble.py."""
    labels = " ".join([*(f'{name}="{text}"' for name, text in LABELS.items()), f"{SOURCE}=${{SOURCE}}"])
    assert OURS["component"] == [
        "FROM component-dependencies AS component",
        "ARG SOURCE",
        "COPY --from=code /opt/jukebox /opt/jukebox",
        f"LABEL {labels}",
    ]


def test_what_we_install_from_an_index_has_a_hash_and_what_has_none_comes_from_no_index():
    lines = [line for stage in OURS.values() for line in stage]
    commands = [
        command
        for line in (*lines, INSTALL.replace("\\\n", ""))
        for command in re.split(r"&&|\n", line)
        if re.search(r"pip.* (install|wheel|download) ", command)
    ]
    assert len(commands) >= 4
    for command in commands:
        assert ("--require-hashes" in command) != ("--no-index" in command), command


def test_every_stage_that_reaches_an_index_requires_hashes():
    reaching = {name for name, lines in OURS.items() if any("id=pip.conf" in line for line in lines)}
    assert reaching == {"build", "component-build", "server-build", "tools-build", "test-build", "bill"}
    for name in reaching:
        assert "--require-hashes" in " ".join(OURS[name]).replace("sh install.sh", INSTALL)


def test_we_start_from_the_base_or_a_stage_or_nothing():
    for name in OURS:
        for line in OURS[name]:
            for taken in re.findall(r"^(?:FROM |COPY --from=)(\S+)", line):
                assert taken in ("${BASE_IMAGE}", "scratch", *OURS)


def test_our_base_is_named_by_digest():
    assert re.fullmatch(r"[\w./-]+@sha256:[0-9a-f]{64}", default_base(ROOT))
