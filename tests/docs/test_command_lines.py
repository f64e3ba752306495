"""Every command in the documents is one that exists: parsed by the real parsers, with files and targets that are there.

Commands in blocks of code and between backquotes count, also those that tests/docs/test_commands.py does not run.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from services.connector.cli import main
from tests.connector.running import ROOT

DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md"), ROOT / "examples/README.md"]
)
FENCED = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
SEPARATORS = {"|", "||", "&&", ";", ">", "<"}


def commands(path: Path) -> Iterator[list[str]]:
    """Yield the words of each simple command in a document; what a shell could not read is left out."""
    text = path.read_text(encoding="utf-8")
    lines = [line for block in FENCED.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *INLINE.findall(FENCED.sub("", text))]:
        lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:
            continue
        command: list[str] = []
        for word in [*words, ";"]:
            if word in SEPARATORS:
                yield command
                command = []
            else:
                command.append(word)


ALL = [(path.relative_to(ROOT).as_posix(), command) for path in DOCUMENTS for command in commands(path) if command]


def of_connector(command: list[str]) -> list[str] | None:
    """Return the arguments for `connector` in a command, also in one that runs it in a container."""
    if "--" in command:
        command = command[command.index("--") + 1 :]
    if command[:1] == ["connector"] and len(command) > 1 and command[1] in [*main.commands, "doctor", "removals"]:
        return [word for word in command[1:] if word != "…"]
    return None


CONNECTOR = [(place, found) for place, command in ALL if (found := of_connector(command)) is not None]


@pytest.mark.parametrize(("place", "arguments"), CONNECTOR, ids=[f"{place}: {' '.join(a)}" for place, a in CONNECTOR])
def test_the_command_line_accepts_what_documents_say(
    place: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fault = _fault(arguments)
    for name in arguments if fault else ():  # a file that must exist; others must not
        if re.fullmatch(r"[\w./-]+", name) and not name.startswith(("-", "/")):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()
    fault = fault and _fault(arguments)
    assert not fault, f"{place}: connector {' '.join(arguments)}: {fault}"


def _fault(arguments: list[str]) -> str:
    """Return what the command line refuses; a mention without the argument that would follow is accepted."""
    command: click.Command = main
    parent: click.Context | None = None
    last = arguments[-1:]
    try:
        while True:
            parent = command.make_context(command.name, list(arguments), parent)
            rest = [*parent._protected_args, *parent.args]
            if not isinstance(command, click.Group) or not rest:
                return ""
            name, found, arguments = command.resolve_command(parent, rest)
            assert found is not None, name
            command = found
    except (click.MissingParameter, click.exceptions.NoArgsIsHelpError):
        return ""
    except click.BadOptionUsage as error:
        return "" if [error.option_name] == last else error.format_message()
    except click.ClickException as error:
        return error.format_message()


def test_make_has_every_target_that_documents_name() -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {(place, word) for place, command in ALL if command[0] == "make" for word in command[1:2]}
    assert named
    assert (
        sorted((place, word) for place, word in named if re.fullmatch(r"[a-z-]+", word) and word not in targets) == []
    )


def test_every_folder_that_documents_apply_exists() -> None:
    applied = {
        (place, command[command.index("-k") + 1])
        for place, command in ALL
        if command[0] in ("kubectl", "oc") and "-k" in command[:-1]
    }
    assert applied
    assert (
        sorted(
            (place, folder)
            for place, folder in applied
            if folder.startswith("deploy/") and not (ROOT / folder / "kustomization.yaml").is_file()
        )
        == []
    )
