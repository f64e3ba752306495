"""The second-generation feed asks for Backstage's service tokens when it knows where their keys are."""

from pathlib import Path

import aiohttp

from tests.backstage import rich_set
from tests.backstage.conftest import StartBackstage
from tests.backstage.readers import CONNECTOR_ID, Reader
from tests.backstage.sidecars import LOCATION
from tests.backstage.world import World
from tests.objects import isvc

HOLDER = rich_set.CARD_HOLDERS[Reader.SECOND_GENERATION]


async def test_a_backstage_is_let_in_with_its_own_tokens_and_no_one_else(
    tmp_path: Path, start_backstage: StartBackstage
) -> None:
    async with World(tmp_path) as world:
        rich_set.add_card(world)
        sidecars = await world.connect()
        async with start_backstage(Reader.SECOND_GENERATION, sidecars.feed) as backstage:
            await backstage.wait_for_references({HOLDER})
            keys = f"{backstage.base_url}/api/catalog/.backstage/auth/v1/jwks.json"
            await sidecars.stop(LOCATION)
            await sidecars.start(LOCATION, BACKSTAGE_JWKS_URL=keys)

            async with aiohttp.ClientSession() as session:
                for token in ("", "Bearer guessed", f"Bearer {backstage.token}"):
                    headers = {"Authorization": token} if token else {}
                    async with session.get(f"{sidecars.feed}/api/{CONNECTOR_ID}/list", headers=headers) as answer:
                        assert answer.status in (401, 403), token

            world.cluster.apply(isvc("late"))
            await backstage.wait_for_references({HOLDER, "aimodelserverapi:default/models-late"})
            title = rich_set.CARD.partition("\n")[0]
            assert (await backstage.card(HOLDER)).page.startswith(title)
