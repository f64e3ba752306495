"""What storage-rest says of itself."""

from collections.abc import AsyncIterator

import pytest

from common.status import StorageStatus
from common.wire import Batch, Leaving
from services.storage_rest.settings import StorageSettings
from services.storage_rest.status import report
from tests.storage_rest.running import Running, document, running, upsert


@pytest.fixture
async def storage() -> AsyncIterator[Running]:
    async with running() as storage:
        yield storage


async def status(storage: Running) -> StorageStatus:
    return report(storage.service, health=storage.health, settings=StorageSettings.load())


async def test_arrivals_and_departures_are_reported_with_what_is_leaving(storage: Running) -> None:
    await storage.service.apply(Batch(upserts=(upsert("a_1", source="kserve", ref="isvc:local:a/1"), upsert("a_2"))))
    await storage.service.apply(Batch(upserts=(upsert("a_1", document("other")),)))
    await storage.service.apply(
        Batch(removals={"a_2": "stopped"}, leaving={"a_1": Leaving(since=1_700_000_000, reason="not-listed")})
    )

    told = await status(storage)

    assert [(each.key, each.object) for each in told.arrivals] == [("a_2", ""), ("a_1", "isvc:local:a/1")]
    assert [(each.key, each.reason) for each in told.departures] == [("a_2", "stopped")]
    (leaving,) = told.leaving
    assert (leaving.key, leaving.reason, leaving.confirm) == ("a_1", "not-listed", "connector removals confirm a_1")
    assert leaving.due is not None
    assert (leaving.due - leaving.since).total_seconds() == 3600


async def test_what_was_refused_is_reported(storage: Running) -> None:
    await storage.service.apply(Batch(upserts=(upsert("a_1", b'{"models": []}'),)))

    (problem,) = (await status(storage)).problems

    assert (problem.object, problem.severity) == ("a_1", "error")
    assert "models" in problem.message
