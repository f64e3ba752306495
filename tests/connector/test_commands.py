"""The help of the command line."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from services.connector.cli import main


def groups(command: click.Command = main, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the names that lead to each command with commands of its own."""
    if isinstance(command, click.Group):
        yield path
        context = click.Context(command)
        for name in command.list_commands(context):
            further = command.get_command(context, name)
            assert further is not None
            yield from groups(further, *path, name)


@pytest.mark.parametrize("path", list(groups()), ids=" ".join)
def test_the_list_of_commands_says_in_whole_sentences_what_they_do(path: tuple[str, ...]) -> None:
    listed = CliRunner().invoke(main, [*path, "--help"]).stdout.partition("Commands:\n")[2].splitlines()
    assert listed
    assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []
