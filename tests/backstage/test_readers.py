"""Real catalogs of every set-up and of two releases read what the three real services serve of models of every sort."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.backstage import rich_set
from tests.backstage.conftest import StartBackstage
from tests.backstage.expectation import assert_expected
from tests.backstage.judgement import CARD_REFERENCE, TREES, Judge
from tests.backstage.readers import FEED_IN_A_POD, Reader
from tests.backstage.rig import BACKEND, OLDER_BACKEND, Backstage, Entity, reference
from tests.backstage.sidecars import Sidecars
from tests.backstage.world import World

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def sidecars(tmp_path: Path) -> AsyncIterator[Sidecars]:
    async with World(tmp_path) as world:
        rich_set.fill(world)
        yield await world.connect()


RELEASES = {"newest": BACKEND, "older": OLDER_BACKEND}


@pytest.fixture(
    params=[(reader, package) for package in RELEASES.values() for reader in Reader],
    ids=[f"{reader.value}-{release}" for release in RELEASES for reader in Reader],
)
async def backstage(
    request: pytest.FixtureRequest, sidecars: Sidecars, start_backstage: StartBackstage
) -> AsyncIterator[Backstage]:
    reader, package = request.param
    async with start_backstage(reader, sidecars.feed, package) as backstage:
        yield backstage


async def test_every_model_becomes_its_entities(backstage: Backstage, sidecars: Sidecars) -> None:
    first, second = await sidecars.first_documents(), await sidecars.documents()
    await backstage.read_again()
    await backstage.wait_for(backstage.entities, what="what was read is in the catalog", timeout=60)
    entities = await backstage.settled()

    assert await backstage.refusals() == [], await backstage.explain()
    judge = Judge(backstage.reader, entities, first=first.values(), second=second.values(), feed=sidecars.feed)
    faults = judge.faults()
    assert faults == [], "\n".join([*faults, await backstage.explain()])
    for reader, part in parts_of(backstage.reader, entities):
        assert_expected(part, f"rich.{reader.value}.json", feed=sidecars.feed)
        await assert_cards_are_read(backstage, reader, part)


def parts_of(reader: Reader, entities: list[Entity]) -> list[tuple[Reader, list[Entity]]]:
    """The entities by the reader that brings them: side by side, two bring what each brings alone."""
    if reader is not Reader.SECOND_AND_PLAIN:
        return [(reader, entities)]
    second = [entity for entity in entities if entity["kind"] == "AiModelServerAPI"]
    plain = [entity for entity in entities if entity["kind"] != "AiModelServerAPI"]
    return [(Reader.SECOND_GENERATION, second), (Reader.PLAIN, plain)]


async def assert_cards_are_read(backstage: Backstage, reader: Reader, entities: list[Entity]) -> None:
    """Every model has a page, read through the backend's URL reader; one shows the card of the model catalog."""
    pages = {}
    for entity in entities:
        page = entity["metadata"]["annotations"].get(CARD_REFERENCE, "")
        if page.startswith((f"url:{FEED_IN_A_POD}", f"url:{backstage.feed}", f"url:{TREES}")):
            pages[reference(entity)] = (await backstage.card(reference(entity))).page
    assert "How to call it" in pages[rich_set.CARD_HOLDERS[reader]]
    assert "räksmörgås 模型 🚀" in pages[rich_set.CARD_HOLDERS[reader]]
    assert all(page.startswith("# ") for page in pages.values())
