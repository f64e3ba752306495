"""The controller with a storage that comes and goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from common.health import Health
from common.http.client import Unreachable
from common.metrics import Metrics
from common.wire import Applied, Batch, Listing
from services.normalizer.contents import IsvcSource
from services.normalizer.controller import Controller
from services.normalizer.normalize.isvc import read_isvc
from services.normalizer.service import create_controller
from services.normalizer.settings import NormalizerSettings
from tests import objects
from tests.normalizer.test_publish import MemoryStorage
from tests.waiting import eventually

SOURCE = IsvcSource("kserve", "local")


class FlakyStorage(MemoryStorage):
    """A storage that can be away."""

    away = True

    async def listing(self, known: str = "") -> Listing | None:
        if self.away:
            raise Unreachable("http://storage", "refused")
        return await super().listing(known)

    async def apply(self, batch: Batch) -> Applied:
        if self.away:
            raise Unreachable("http://storage", "refused")
        return await super().apply(batch)


@asynccontextmanager
async def running(storage: MemoryStorage, health: Health) -> AsyncIterator[Controller]:
    controller = create_controller(
        settings=NormalizerSettings.load(), storage=storage, health=health, metrics=Metrics("test", "0")
    )
    controller.listener.declare("kserve")
    controller.listener.isvc_changed(SOURCE, ("models", "m"), read_isvc(objects.isvc("m")), explicit=True)
    controller.listener.source_listed("kserve")
    task = asyncio.create_task(controller.run())
    try:
        yield controller
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def reason(health: Health) -> str:
    return "".join(c["reason"] for c in health.report()["conditions"] if c["name"] == "storage")


@pytest.mark.parametrize("again", [False, True], ids=["at the start", "later"])
async def test_a_storage_that_is_away_is_told_once_and_given_everything_when_it_is_back(again: bool) -> None:
    storage, health = FlakyStorage(), Health()
    storage.away = not again
    with capture_logs() as logs:
        async with running(storage, health) as controller:
            if again:
                await eventually(lambda: health.ready)
                storage.away = True
                changed = objects.isvc("m", annotations={"modelcatalogbridge.rhdh.io/owner": "ml-team"})
                controller.listener.isvc_changed(SOURCE, ("models", "m"), read_isvc(changed), explicit=True)
            await eventually(lambda: "is the container storage-rest running" in reason(health))
            storage.away = False
            await eventually(lambda: health.ready and storage.complete and "models_m" in storage.entries)
    events = [entry["event"] for entry in logs]
    assert events.count("storage does not take what it is sent") == 1
    assert events.count("storage takes what it is sent again") == 1
