"""The commands in documents: each block is run against a connector that serves the examples, or says why it is not."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.connector.running import ROOT, connector
from tests.waiting import eventually

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "deploy/README.md", "examples/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(r"(?P<mark><!-- not run: [^\n]+-->\n)?^ *```\w*\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(
    r"^ *(?P<prompt>\$ )?(?P<line>(?:curl|connector|kubectl|oc|helm|docker|make|python3|cosign|for|grep)\b(?! *\|).*)$",
    re.MULTILINE,
)
SERVED = re.compile(r"(?:http://)?localhost:(?:9090|8081)")


class Block(NamedTuple):
    """A block of commands, and whether it says that it is not run."""

    place: str
    text: str
    marked: bool


def blocks() -> list[Block]:
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            if COMMAND.search(block["text"]):
                place = f"{document.relative_to(ROOT)}:{text.count(chr(10), 0, block.start()) + 1}"
                found.append(Block(place, block["text"], bool(block["mark"])))
    return found


RUN = [block for block in blocks() if not block.marked]


def test_there_are_commands_of_both_kinds() -> None:
    assert {block.place.split(":")[0] for block in RUN} >= {"README.md", "docs/install.md", "docs/operate.md"}
    assert any(block.marked for block in blocks())


@pytest.mark.parametrize("block", RUN, ids=lambda block: block.place)
async def test_a_command_works_as_it_is_written(block: Block) -> None:
    """Where a block shows what a command prints, that is compared too."""
    async with connector("--manifests", "examples") as running:
        await eventually(lambda: running.url, what="the address")
        await eventually(running.uris, what="the examples")
        for command in COMMAND.finditer(block.text):
            line = command["line"]
            if line == "make run":
                continue
            assert line.startswith("curl"), f"{block.place}: mark the block: <!-- not run: WHY -->"
            process = await asyncio.create_subprocess_exec(
                *("bash", "-o", "pipefail", "-c", SERVED.sub(running.url, line)),
                env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
                stdout=asyncio.subprocess.PIPE,
            )
            printed, _ = await process.communicate()
            assert process.returncode == 0, f"{block.place}: {line}"
            assert printed.strip(), f"{block.place}: {line} prints nothing"
            if command["prompt"]:
                assert block.text[command.end() :].lstrip("\n").startswith(printed.decode()), f"{block.place}: {line}"
