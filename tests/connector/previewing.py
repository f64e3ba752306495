"""Runs `connector preview` in this process."""

from pathlib import Path

from click.testing import CliRunner, Result

from services.connector.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"


def preview(*arguments: object, output: str = "json", given: str | bytes | None = None) -> Result:
    """Return the result of the command; `given` is its standard input."""
    return CliRunner().invoke(main, ["preview", *map(str, arguments), "--format", output], input=given)
