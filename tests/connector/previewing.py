"""Runs `connector preview` in this process."""

from pathlib import Path

from click.testing import CliRunner, Result

from services.connector.cli import main
from services.connector.reading import Files, Reading

EXAMPLES = Path(__file__).parents[2] / "examples"


def preview(*arguments: object, output: str = "json", given: str | bytes | None = None) -> Result:
    """Return the result of the command; `given` is its standard input."""
    return CliRunner().invoke(main, ["preview", *map(str, arguments), "--format", output], input=given)


def read(*paths: Path) -> Files:
    """Return what the files in and below some paths say."""
    with Reading(paths) as reading:
        return reading.files()
