from common.wire import Batch
from services.storage_rest.stores.local import MemoryStore
from tests.storage_rest.running import running, upsert


async def test_takes_everything_and_forgets_it() -> None:
    store = MemoryStore()
    async with running(store) as storage:
        outcome = await storage.service.apply(
            Batch(upserts=(upsert(card_key="c"),), cards={"c": "text"}, complete=True)
        )
        assert not outcome.problems
        assert storage.service.stored.complete
    async with running(store) as storage:
        await storage.service.stored.loaded()
        assert (storage.service.stored.keys, storage.service.stored.complete) == ([], False)
