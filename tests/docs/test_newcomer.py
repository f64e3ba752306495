"""The first steps in README.md, as someone takes them who has read nothing else: an own manifest with a mistake."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

from tests.connector.running import ROOT, connector
from tests.processes import environment
from tests.waiting import eventually

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.split("### Your own manifests")[1].split("\n## ")[0]
BLOCKS = re.findall(r"^```\w*\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


def recipe(target: str, *variables: str) -> list[str]:
    """What `make` would run, by this Python."""
    command = ["make", "--dry-run", "--silent", target, *variables, "--assume-old=.venv/runtime"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in printed.splitlines() if "services.connector" in line]
    return [sys.executable, *line.split()[1:]]


async def run(arguments: list[str], folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *arguments,
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT)),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    return printed.decode()


async def test_a_mistake_is_named_and_what_is_corrected_is_served(tmp_path: Path) -> None:
    manifest, preview, serve = BLOCKS
    file = tmp_path / "mine/granite.yaml"
    file.parent.mkdir()
    file.write_text(manifest, encoding="utf-8")

    first, _, shown = preview.partition("\n")
    assert first == "$ make preview MANIFESTS=mine"
    printed = await run(recipe("preview", "MANIFESTS=mine"), tmp_path)
    assert printed == shown

    wrong, right = re.findall(r"the annotation (\S+) is unknown; did you mean (\S+)\?", printed)[0]
    file.write_text(manifest.replace(wrong, right), encoding="utf-8")
    corrected = await run(recipe("preview", "MANIFESTS=mine"), tmp_path)
    assert corrected.endswith("1 model is shown in 1 file\n")

    paths = re.findall(r"curl '?localhost:9090(/[^\s']+)", serve)
    assert "$ make run MANIFESTS=mine" in serve
    arguments = recipe("run", "MANIFESTS=mine")
    assert arguments[arguments.index("--manifests") + 1] == "mine"
    async with connector("--manifests", str(file.parent), "--state", str(tmp_path / "state")) as running:
        await eventually(lambda: running.url, what="the address")
        await eventually(running.uris, what="the model")
        entry, explanation = paths
        document = json.loads((await running.get(entry))[1])
        assert document["models"][0]["owner"] == "ml-team"
        assert document["models"][0]["description"].startswith("Answers questions about our products.")

        async def is_shown() -> bool:
            found = json.loads((await running.get(explanation))[1])["found"]
            return [each["state"] for each in found] == ["shown"]

        await eventually(is_shown, what="the explanation")


def test_each_folder_has_a_cache_of_its_own() -> None:
    """Serving the examples first, and then an own folder, needs no clearing up."""
    states = {
        arguments[arguments.index("--state") + 1]
        for arguments in (recipe("run"), recipe("run", "MANIFESTS=mine"), recipe("run", "MANIFESTS=a/b"))
    }
    assert states == {"state", "state-mine", "state-a-b"}
