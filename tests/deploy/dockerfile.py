"""A Dockerfile read as a list of instructions, and its build stage run in a directory, without a container engine.

Only the plain subset is understood that our Dockerfile keeps to; anything else raises.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Instruction:
    keyword: str
    value: str

    @property
    def words(self) -> list[str]:
        """The exec form's words; raises for the shell form."""
        if not self.value.startswith("["):
            raise ValueError(f"{self.keyword} {self.value}: not in exec form, the shell would be PID 1")
        words: list[str] = json.loads(self.value)
        return words


@dataclass
class Stage:
    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        return [instruction.value for instruction in self.instructions if instruction.keyword == keyword]


def read(path: Path = ROOT / "Dockerfile") -> dict[str, Stage]:
    """The stages by name, in the order of the file."""
    text = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        keyword, _, value = line.strip().partition(" ")
        if keyword == "FROM":
            base, _, name = value.partition(" AS ")
            stage = stages[name] = Stage(name=name, base=base)
        elif stage is not None:
            stage.instructions.append(Instruction(keyword, value.strip()))
    return stages


def build(stage: Stage, directory: Path, arguments: Mapping[str, str]) -> None:
    """Do in `directory` what the stage's COPY and RUN do in its WORKDIR; `arguments` override the ARGs.

    Raises `AssertionError` with the step and its output when a step fails.
    """
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "PIP_INDEX_URL") if name in os.environ}
    for instruction in stage.instructions:
        match instruction.keyword:
            case "ARG":
                name, _, default = instruction.value.partition("=")
                environment[name] = arguments.get(name, default)
            case "ENV":
                for pair in instruction.value.split():
                    name, _, value = pair.partition("=")
                    environment[name] = value
            case "COPY":
                *sources, target = instruction.value.split()
                for source in sources:
                    _copy(ROOT / source, directory / target)
            case "RUN":
                _run(instruction.value, directory, environment)
            case "SHELL" | "WORKDIR":
                pass
            case other:
                raise ValueError(f"the build stage has an instruction that this test cannot run: {other}")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _run(command: str, directory: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-o", "errexit", "-o", "pipefail", "-c", command],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"RUN {command}\n{done.stdout}"
