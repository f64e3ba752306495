"""`connector preview --diff URL`: what would change in a running connector; and `--registry URL`."""

import asyncio
import base64
import json
import re
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from common.commandline import progress_bar
from tests import objects
from tests.connector.running import ROOT, connector
from tests.fakes.registry import MODELS, FakeRegistry
from tests.processes import environment
from tests.waiting import eventually

DOCUMENT = {"models": [{"name": "models-m", "owner": "o", "lifecycle": "l", "description": "d"}]}


async def preview(*arguments: object) -> tuple[int, str, str]:
    """Run the command; return status, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.connector", "preview", *map(str, arguments)),
        cwd=ROOT,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


def write(folder: Path, *objs: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for obj in objs:
        (folder / f"{obj['metadata']['name']}.yaml").write_text(yaml.safe_dump(obj), encoding="utf-8")
    return folder


async def test_what_would_change_in_a_running_connector_is_said(tmp_path: Path) -> None:
    served = write(tmp_path / "served", objects.isvc("same"), objects.isvc("other"), objects.isvc("alone"))
    mine = write(tmp_path / "mine", objects.isvc("same"), objects.isvc("new"))
    write(mine, objects.isvc("other", annotations={"rhdh.io/description": "now with words"}))
    undeployed = {name: value for name, value in objects.isvc("same").items() if name != "status"}
    write(mine, undeployed)  # what is only written down says nothing of a server

    async with connector("--manifests", str(served), "--state", str(tmp_path / "state")) as running:
        await eventually(lambda: running.url)
        await eventually(lambda: any("models are served" in line for line in running.lines))
        status, out, errors = await preview(mine, "--diff", running.url)
        assert status == 0, errors
        assert "+ models_new (added)" in out
        assert "~ models_other (changed)" in out
        assert re.search(r'^  \+ +"description": "now with words"', out, re.MULTILINE)
        assert "- models_alone (served" in out
        assert "1 added, 1 changed, 1 same, 1 only served" in out

        status, out, _ = await preview(mine, "--diff", running.url, "--format", "json")
        changes = {entry["key"]: (entry["change"], entry["served"] is None) for entry in json.loads(out)}
        assert changes == {
            "models_new": ("added", True),
            "models_other": ("changed", False),
            "models_same": ("same", False),
            "models_alone": ("only-served", False),
        }


async def test_a_storage_is_compared_with_as_well(tmp_path: Path) -> None:
    body = {"body": base64.b64encode(json.dumps(DOCUMENT).encode()).decode(), "reconcilerType": "kserve"}

    async def keys(_: web.Request) -> web.Response:
        return web.json_response({"keys": ["models_m", "models_gone"]})

    async def fetch(request: web.Request) -> web.Response:
        if request.query["key"] == "models_gone":
            raise web.HTTPNotFound
        return web.json_response(body)

    app = web.Application()
    app.router.add_get("/list", keys)
    app.router.add_get("/fetch", fetch)
    async with TestServer(app) as storage:
        folder = write(tmp_path / "mine", objects.isvc("n"))
        _, out, errors = await preview(folder, "--diff", str(storage.make_url("")).rstrip("/"), "--format", "json")
    assert {entry["key"]: entry["change"] for entry in json.loads(out)} == {
        "models_n": "added",
        "models_m": "only-served",
    }, errors


@pytest.mark.parametrize("answer", ["{}", "[]", "<html>"])
async def test_what_is_no_connector_is_said_to_be_none(tmp_path: Path, answer: str) -> None:
    app = web.Application()

    async def something(_: web.Request) -> web.Response:
        return web.Response(text=answer)

    app.router.add_get("/list", something)
    async with TestServer(app) as other:
        folder = write(tmp_path / "mine", objects.isvc("n"))
        status, _, errors = await preview(folder, "--diff", str(other.make_url("")))
    assert (status, "Traceback" in errors) == (2, False)
    assert "Error: --diff http" in errors


async def test_no_one_who_answers_is_a_wrong_command(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", objects.isvc("n"))
    status, _, errors = await preview(folder, "--diff", "http://127.0.0.1:1")
    assert (status, "cannot connect to " in errors) == (2, True)
    status, _, errors = await preview(folder, "--diff", "http://127.0.0.1:1", "--format", "sarif")
    assert (status, "--diff needs --format table, json, yaml" in errors) == (2, True)


async def test_a_registry_given_with_manifests_describes_them(tmp_path: Path) -> None:
    async with FakeRegistry() as registry:
        model = registry.add_model("Granite", description="From the registry")
        version = registry.add_version(model, "1.0")
        labels = {
            "modelregistry.opendatahub.io/registered-model-id": model,
            "modelregistry.opendatahub.io/model-version-id": version,
        }
        folder = write(tmp_path / "mine", objects.isvc("granite", labels=labels))
        status, out, errors = await preview(folder, "--registry", registry.url, "--format", "json")
        assert status == 0, errors
        (entry,) = json.loads(out)
        assert entry["key"] == "Granite_10"
        assert entry["document"]["models"][0]["description"].startswith("From the registry")
        assert entry["document"]["modelServer"]["name"]

        status, out, _ = await preview("--registry", registry.url, "--format", "json")
        assert [each["key"] for each in json.loads(out)] == ["Granite_10"]


async def test_what_is_malformed_in_a_registry_is_a_problem_of_it(tmp_path: Path) -> None:
    async with FakeRegistry() as registry:
        registry.populate(1)
        registry.add_raw(MODELS, {"id": "7", "description": "it has no name"})
        status, out, errors = await preview("--registry", registry.url)
    assert (status, "Traceback" in errors) == (1, False)
    assert "error: RegisteredModel '7' in registry" in out


async def test_a_registry_that_does_not_answer_is_a_wrong_command() -> None:
    status, _, errors = await preview("--registry", "http://127.0.0.1:1")
    assert (status, "cannot be read completely: unreachable" in errors) == (2, True)


class Terminal(StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "seen"), [(Terminal(), True), (StringIO(), False)])
def test_a_bar_is_drawn_on_a_terminal_after_a_second_and_taken_away(stream: StringIO, seen: bool) -> None:
    now = 0.0
    draw = progress_bar(stream, clock=lambda: now)
    draw(0, 4)
    now = 0.9
    draw(1, 4)
    assert stream.getvalue() == ""
    now = 1.5
    draw(2, 4)
    assert ("2 of 4 files" in stream.getvalue()) is seen
    now = 1.7
    draw(3, 4)
    assert stream.getvalue().endswith("\r") is seen
