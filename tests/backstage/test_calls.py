"""What a real catalog shows of calling a model works, for each reader and each kind of model server."""

import json
import re
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.backstage.conftest import StartBackstage
from tests.backstage.readers import Reader
from tests.backstage.world import World
from tests.location.commands import run
from tests.location.runtimes import runtime
from tests.objects import isvc, service_account_for

pytestmark = pytest.mark.timeout(300)

SPEAKS = {
    "openai-v1": ("chat", True),
    "open-inference-protocol-v2": ("tensors", False),
    "kserve-v1": ("instances", False),
}
"""What is spoken, by whom, and whether it asks for a token."""
COMMANDS = re.compile(r"```bash\n(.*?)\n *```", re.DOTALL)


@pytest.mark.parametrize("reader", list(Reader), ids=lambda reader: reader.value)
async def test_the_commands_that_an_entry_shows_work(
    reader: Reader, tmp_path: Path, start_backstage: StartBackstage
) -> None:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(World(tmp_path))
        for speaks, (name, guarded) in SPEAKS.items():
            url = await stack.enter_async_context(runtime(speaks, called=name, token=guarded))
            said = {"rhdh.io/serverType": speaks, "security.opendatahub.io/enable-auth": str(guarded).lower()}
            obj = isvc(name, "models", url=url, annotations=said)
            obj["status"]["address"]["url"] = url  # of two addresses inside, this is the one that KServe means
            world.cluster.apply(obj)
            if guarded:
                world.cluster.apply(service_account_for(obj))
        sidecars = await world.connect()
        backstage = await stack.enter_async_context(start_backstage(reader, sidecars.feed))
        second = reader in (Reader.SECOND_GENERATION, Reader.SECOND_AND_PLAIN)
        for speaks, (name, guarded) in SPEAKS.items():
            ref = f"{'aimodelserverapi' if second else 'component'}:default/models-{name}"
            await backstage.wait_for(partial(backstage.entity, ref), what=f"{ref} is there")
            page = (await backstage.card(ref)).page
            (commands,) = COMMANDS.findall(page)
            await run(re.sub("(?m)^    ", "", commands))
            if second:
                spec = (await backstage.entity(ref))["spec"]
                assert (spec["serverType"], spec["models"]["default"]) == (speaks, name)
                assert spec["requiresApiKey"] == guarded
            if reader is not Reader.SECOND_GENERATION:
                api = await backstage.entity(f"api:default/models-{name}")
                description = json.loads(api["spec"]["definition"])["info"]["description"]
                await run(COMMANDS.findall(description)[0])
