"""The hook for pre-commit and the examples for CI: valid, and of commands that exist."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from services.connector.cli import main

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "ci").glob("*.yaml"))


def options() -> set[str]:
    command = main.get_command(click.Context(main), "preview")
    assert command is not None
    return {name for parameter in command.params for name in parameter.opts}


def test_the_hook_calls_the_preview() -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert {"id", "name", "entry", "language"} <= hook.keys()
    assert hook["entry"].split() == ["connector", "preview"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_call_it_with_options_that_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    parsed: Any = yaml.safe_load(text)
    assert isinstance(parsed, dict)
    assert "preview" in text
    assert set(re.findall(r"--[a-z-]+", text)) <= options()


def test_a_job_in_the_image_of_the_connector_runs_nothing_else() -> None:
    jobs: Any = yaml.safe_load((ROOT / "examples" / "ci" / "gitlab.yaml").read_text("utf-8"))
    lines = [line for job in jobs.values() if "connector" in job["image"]["name"] for line in job["script"]]
    assert lines
    assert [line for line in lines if not line.startswith("connector ") or "|" in line] == []
