"""Metrics of the process itself."""

import asyncio

from common.metrics import Metrics


def sample(text: bytes, name: str) -> float:
    return next(float(line.split()[-1]) for line in text.decode().splitlines() if line.startswith(name + " "))


async def test_tasks_are_counted() -> None:
    metrics = Metrics("test", "1")
    alone = sample(metrics.render(), "rhoai_connector_tasks")
    task = asyncio.create_task(asyncio.sleep(60))
    assert sample(metrics.render(), "rhoai_connector_tasks") == alone + 1
    task.cancel()


def test_there_are_no_tasks_outside_of_an_event_loop() -> None:
    assert sample(Metrics("test", "1").render(), "rhoai_connector_tasks") == 0
