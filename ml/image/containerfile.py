"""The Containerfile as a graph of stages: what a stage needs, and what that copies from the checkout."""

import io
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser

from ml.errors import UsageError


@dataclass
class Stage:
    """One stage: its instructions, the stages it takes from, and the files it copies from the checkout."""

    instructions: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


@dataclass
class Containerfile:
    """The stages by name, and the defaults of the arguments before the first of them."""

    stages: dict[str, Stage]
    defaults: dict[str, str]

    def part(self, target: str) -> tuple[list[str], list[str]]:
        """Return the instructions of every stage that a stage needs, and all files that these copy.

        Comments and line breaks are no part of an instruction.

        Raises:
            UsageError: there is no such stage.
        """
        if target not in self.stages:
            raise UsageError(f"the Containerfile has no stage {target}")
        needed, waiting = {target}, [target]
        while waiting:
            found = {name for name in self.stages[waiting.pop()].needs if name in self.stages}
            waiting += found - needed
            needed |= found
        chosen = [stage for name, stage in self.stages.items() if name in needed]
        files = {file for stage in chosen for file in stage.files}
        return [line for stage in chosen for line in stage.instructions], sorted(files)


def read_containerfile(path: Path) -> Containerfile:
    """Read the stages of a Containerfile.

    Raises:
        UsageError: it cannot be read or makes no sense, or a stage has no name.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}; run this in a checkout, or name it"
        ) from error
    try:
        return _stages(path, text)
    except ValueError as error:
        raise UsageError(f"cannot make sense of {path}: {error}") from error


def _stages(path: Path, text: bytes) -> Containerfile:
    found = Containerfile({}, {})
    stage = Stage()
    for entry in DockerfileParser(fileobj=io.BytesIO(text)).structure:
        name, value = entry["instruction"], entry["value"]
        words = shlex.split(value) if name in ("FROM", "COPY", "ADD", "ARG") else []
        if name == "FROM":
            if len(words) != 3 or words[1].upper() != "AS":
                raise UsageError(
                    f"{path}: name the stage, as in FROM {' '.join(words[:1]) or 'base'} AS name"
                )
            stage = found.stages[words[2]] = Stage(needs=[words[0]])
        elif name == "ARG" and not found.stages:
            key, _, default = words[0].partition("=")
            found.defaults[key] = default
        elif name in ("COPY", "ADD"):
            options = [word for word in words if word.startswith("--")]
            source = [option.removeprefix("--from=") for option in options if option.startswith("--from=")]
            stage.needs += source
            if not source:
                stage.files += [word for word in words if not word.startswith("--")][:-1]
        elif name == "RUN" and "type=bind" in value:
            raise UsageError(f"{path}: RUN --mount=type=bind takes files that the key does not see; use COPY")
        if name != "COMMENT":
            stage.instructions.append(f"{name} {value}")
    return found
