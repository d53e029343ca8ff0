"""The Containerfile: its key, its hashes, and that it describes the image that is assembled."""

import re

from checkouts import ROOT

from ml.image.assemble import LABELS, SOURCE
from ml.image.key import FILES, STAGES

INSTALL = (ROOT / "ml/image/install.sh").read_text().replace("\\\n", "")
TEXT = re.sub(r"^#.*\n", "", (ROOT / "Containerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
# The instructions of each stage, by its name.
OURS = {
    block.split()[3]: [" ".join(line.split()) for line in block.splitlines() if line.strip()]
    for block in re.split(r"^(?=FROM )", TEXT, flags=re.MULTILINE)[1:]
}
LINES = [line for lines in OURS.values() for line in lines]


def needs(stage: str) -> set[str]:
    """Return the stages that a stage is made of, and itself."""
    named = {name for line in OURS[stage] for name in re.findall(r"^(?:FROM|COPY) (?:--from=)?(\S+) ", line)}
    return {stage}.union(*(needs(each) for each in named & OURS.keys()))


def copied(stage: str) -> set[str]:
    lines = [line for each in needs(stage) for line in OURS[each] if re.match(r"COPY (?!--from=)", line)]
    return {file for line in lines for file in line.split()[1:-1]}


def test_dependencies_are_built_from_the_files_of_their_key():
    assert set().union(*map(copied, STAGES)) | {"Containerfile"} == set(FILES)
    assert "requirements/build.txt" in set.intersection(*map(copied, STAGES))


def test_the_component_is_the_image_that_is_assembled():
    assert copied("code") == {"pyproject.toml", "LICENSE", "ml"}
    assert OURS["code"][-1] == "RUN python${PYTHON} -m ml.image.package /"
    labels = " ".join([*(f'{name}="{text}"' for name, text in LABELS.items()), f"{SOURCE}=${{SOURCE}}"])
    copy, label = "COPY --from=code /opt/jukebox /opt/jukebox", f"LABEL {labels}"
    assert OURS["component"] == ["FROM component-dependencies AS component", "ARG SOURCE", copy, label]


def test_an_install_either_requires_hashes_or_uses_no_index():
    commands = [command for line in (*LINES, INSTALL) for command in re.split(r"&&|\n", line)]
    commands = [command for command in commands if re.search(r"pip.* (install|wheel|download) ", command)]
    assert len(commands) >= 4
    for command in commands:
        assert ("--require-hashes" in command) != ("--no-index" in command), command
    reaching = {name for name, lines in OURS.items() if any("id=pip.conf" in line for line in lines)}
    assert reaching == {"build", "component-build", "server-build", "tools-build", "test-build", "bill"}
    for name in reaching:
        assert "--require-hashes" in " ".join(OURS[name]).replace("sh install.sh", INSTALL)


def test_a_stage_starts_from_the_base_a_stage_or_nothing():
    taken = {name for line in LINES for name in re.findall(r"^(?:FROM |COPY --from=)(\S+)", line)}
    assert taken <= {"${BASE_IMAGE}", "scratch", *OURS}
