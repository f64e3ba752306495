"""What a developer sees of a model in the pages of a portal, in each way of reading the connector."""

import pytest

from tests.backstage.readers import Reader
from tests.portal.browser import Visit
from tests.portal.portal import Portal
from tests.portal.scene import SERVED, Served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

SECOND = (Reader.SECOND_GENERATION, Reader.SECOND_AND_PLAIN)
each_model = pytest.mark.parametrize("model", SERVED, ids=lambda model: model.entity)


def kind(portal: Portal) -> str:
    """The kind of the entity that a developer opens."""
    return "AiModelServerAPI" if portal.reader in SECOND else "Component"


def entry(portal: Portal, model: Served) -> str:
    """The reference of that entity."""
    return f"{kind(portal).lower()}:default/{model.entity}"


async def test_nothing_is_refused(portal: Portal) -> None:
    assert await portal.refusals() == [], await portal.explain()


async def test_the_list_shows_every_model(portal: Portal, visit: Visit) -> None:
    seen = await visit.catalog(kind(portal))
    assert [model.entity for model in SERVED if model.entity not in seen] == []
    assert await visit.warnings() == []


@each_model
async def test_the_entry_says_what_the_model_is(portal: Portal, visit: Visit, model: Served) -> None:
    assert model.what in await visit.entry(entry(portal, model))


@each_model
async def test_search_finds_the_model_by_what_it_is(portal: Portal, visit: Visit, model: Served) -> None:
    async def found() -> bool:
        return model.entity in await visit.search(model.what)

    await portal.wait_for(found, what=f"{model.entity} is found", timeout=60)
