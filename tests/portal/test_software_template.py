"""The software template of docs/ makes an application from a model's entry, and the application talks to the model."""

import asyncio
import base64
import os
import sys
from pathlib import Path

import pytest
import yaml

from tests.backstage.readers import Reader
from tests.backstage.sidecars import ROOT
from tests.fakes.model_server import ANSWER, TOKEN
from tests.portal.portal import Portal
from tests.portal.scene import GRANITE, LLAMA, Served

pytestmark = [pytest.mark.asyncio(loop_scope="session")]

TEMPLATE = ROOT / "docs" / "software-template"


@pytest.mark.parametrize("model", [GRANITE, LLAMA], ids=lambda model: model.entity)
async def test_the_application_talks_to_the_model(portal: Portal, model: Served, tmp_path: Path) -> None:
    if portal.reader is Reader.SECOND_GENERATION:
        pytest.skip("the second generation makes no Components: the plain feed in addition has them")
    component = f"component:default/{model.entity}"

    await render(portal, {"name": "assistant", "owner": "group:default/assistants-team", "model": component}, tmp_path)

    entity = yaml.safe_load((tmp_path / "catalog-info.yaml").read_text())
    assert entity["spec"]["dependsOn"] == [component]
    assert ANSWER in await run(tmp_path / "app.py", proxy=portal.scene.servers[model.entity].url)
    assert {call.status for call in portal.scene.servers[model.entity].calls[-1:]} == {200}


async def render(portal: Portal, values: dict[str, object], into: Path) -> None:
    """Let the portal's scaffolder run the template without consequences, and write what it made."""
    files = [path for path in TEMPLATE.rglob("*") if path.is_file()]
    made = await portal.post(
        "/api/scaffolder/v2/dry-run",
        {
            "template": yaml.safe_load((TEMPLATE / "template.yaml").read_text()),
            "values": values,
            "secrets": {},
            "directoryContents": [
                {"path": str(path.relative_to(TEMPLATE)), "base64Content": base64.b64encode(path.read_bytes()).decode()}
                for path in files
            ],
        },
    )
    for file in made["directoryContents"]:
        into.joinpath(file["path"]).write_bytes(base64.b64decode(file["base64Content"]))


async def run(application: Path, *, proxy: str) -> str:
    """Return what an application prints; Python looks names below `localhost` up, so it asks by way of a proxy."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(application), "Hello?"),
        env={**os.environ, "MODEL_TOKEN": TOKEN, "http_proxy": proxy},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return said.decode()
