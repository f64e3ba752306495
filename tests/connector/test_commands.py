"""What all commands of the command line have in common: help, colours, and how they end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from common.commandline import UrlType
from services.connector.cli import main
from tests import objects
from tests.processes import environment

ROOT = Path(__file__).parents[2]
PREVIEW = (sys.executable, "-m", "services.connector", "preview")


def groups(command: click.Command = main, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the names that lead to each command with commands of its own."""
    if isinstance(command, click.Group):
        yield path
        context = click.Context(command)
        for name in command.list_commands(context):
            further = command.get_command(context, name)
            assert further is not None
            yield from groups(further, *path, name)


@pytest.mark.parametrize(
    "command", [["preview"], ["run"], ["doctor"], ["doctor", "model"], ["removals", "list"]], ids=" ".join
)
def test_help_fits_into_80_columns(command: list[str]) -> None:
    lines = CliRunner().invoke(main, [*command, "--help"]).stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("path", list(groups()), ids=" ".join)
def test_the_list_of_commands_says_in_whole_sentences_what_they_do(path: tuple[str, ...]) -> None:
    listed = CliRunner().invoke(main, [*path, "--help"]).stdout.partition("Commands:\n")[2].splitlines()
    assert listed
    assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_respected_on_a_terminal(variables: dict[str, str], coloured: bool, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: InferenceService\n")
    leader, terminal = os.openpty()
    subprocess.run([*PREVIEW, tmp_path], stdout=terminal, cwd=ROOT, env=environment(**variables), check=False)
    os.close(terminal)
    printed = os.read(leader, 65536)
    os.close(leader)
    assert b"warning" in printed
    assert (b"\x1b[" in printed) is coloured


def test_a_reader_that_goes_early_does_not_change_the_status(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}.json").write_text(str(objects.isvc(f"m{number}")).replace("'", '"'))
    process = subprocess.Popen(
        [*PREVIEW, tmp_path, "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    with process.stderr as errors:
        assert errors.read() == b""
    assert process.wait() == 0


def test_ctrl_c_has_a_status_of_its_own() -> None:
    # The signal is ignored where the tests are a background job of a shell, and a process inherits that.
    program = "import signal as s; s.signal(s.SIGINT, s.default_int_handler); import services.connector.__main__"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "preview", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
    )
    assert process.stdin is not None
    # More than a pipe holds: when all of it is written, the command is reading.
    process.stdin.write(b"#" * 200_000)
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert errors == b"\nconnector: interrupted\n"
    assert process.returncode == 130


@pytest.mark.parametrize(
    "arguments",
    [
        ("preview", "--registry", "localhost:9090"),
        ("preview", ".", "--diff", "localhost:9090"),
        ("run", "--registry", "localhost:9090"),
        ("run", "--catalog", "localhost:9090"),
        ("doctor", "--location", "localhost:9090"),
        ("doctor", "model", "x", "--normalizer", "localhost:9090"),
        ("removals", "list", "--url", "localhost:9090"),
    ],
    ids=" ".join,
)
def test_an_address_without_a_scheme_is_a_wrong_command(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "'localhost:9090' is not a URL: write http://localhost:9090 or https://localhost:9090" in result.stderr


def test_a_registry_may_be_named() -> None:
    assert UrlType(named=True).convert("team=https://a/b?x=y", None, None) == "team=https://a/b?x=y"
    assert UrlType().convert(" https://a/b?x=y ", None, None) == "https://a/b?x=y"
