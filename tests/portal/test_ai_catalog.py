"""Our entities against what the AI Catalog page of Developer Hub 2.1 reads of them.

The page is not published as a package. What it reads is known from its source, the plugin ai-catalog of
redhat-developer/rhdh-plugins; docs/compatibility.md has the table.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.backstage.readers import Reader
from tests.backstage.rig import Entity
from tests.portal.portal import Portal
from tests.portal.scene import FRAUD, GRANITE, SERVED, Served

pytestmark = [pytest.mark.asyncio(loop_scope="session")]

PREFIX = "rhdh.io/ai-asset-"

SHOWN: dict[str, Callable[[Entity], Any]] = {
    "Listed": lambda entity: entity["metadata"]["annotations"].get(f"{PREFIX}category"),
    "Type": lambda entity: entity["spec"].get("type"),
    "Provider": lambda entity: entity["metadata"]["annotations"].get(f"{PREFIX}source"),
    "Version": lambda entity: entity["metadata"]["annotations"].get(f"{PREFIX}version"),
    "Title": lambda entity: entity["metadata"].get("title", entity["metadata"]["name"]),
    "Owner": lambda entity: entity["spec"].get("owner"),
    "Server type": lambda entity: entity["spec"].get("serverType"),
    "API key required": lambda entity: entity["spec"].get("requiresApiKey"),
    "Default model": lambda entity: entity["spec"].get("models", {}).get("default"),
    "Models": lambda entity: entity["spec"].get("models", {}).get("available"),
    "Usage": lambda entity: entity["spec"].get("serverUrl"),
}
"""What the page shows under which name, and where it finds that in an entity."""
SERVER_TYPES = {"openai": "openai-v1", "open-inference": "open-inference-protocol-v2", "kserve-v1": "kserve-v1"}
VERSIONS = {GRANITE: "1.0.0", FRAUD: "2.1.0"}

each_model = pytest.mark.parametrize("model", SERVED, ids=lambda model: model.entity)


@pytest.fixture(autouse=True)
def has_the_page(portal: Portal) -> None:
    if portal.reader not in (Reader.SECOND_GENERATION, Reader.SECOND_AND_PLAIN):
        pytest.skip("Developer Hub 2.1 has the page, and the plugin of the second generation")


@each_model
async def test_the_page_shows_what_a_caller_needs(portal: Portal, model: Served) -> None:
    entity = await portal.entity(f"aimodelserverapi:default/{model.entity}")

    assert {name: find(entity) for name, find in SHOWN.items()} == {
        "Listed": "model-server",
        "Type": "ai-model-server",
        "Provider": model.provider or None,
        "Version": VERSIONS.get(model),
        "Title": model.entity,
        "Owner": f"user:{model.owner.rpartition('/')[2]}",
        "Server type": SERVER_TYPES[model.protocol],
        "API key required": model.guarded,
        "Default model": model.name,
        "Models": [model.name],
        "Usage": portal.scene.address(model),
    }


@each_model
async def test_a_card_of_the_page_says_what_the_model_is(portal: Portal, model: Served) -> None:
    metadata = (await portal.entity(f"aimodelserverapi:default/{model.entity}"))["metadata"]

    first_line = metadata["description"].splitlines()[0]
    assert first_line.startswith(model.what)
    assert ("auth-required" if model.guarded else "auth-not-required") in metadata["tags"]
