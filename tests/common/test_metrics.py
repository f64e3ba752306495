"""Metrics of the process itself."""

import asyncio

from common.health import Health
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


def test_conditions_are_shown_with_the_kind_of_reason() -> None:
    metrics, health = Metrics("test", "1"), Health()
    metrics.watch(health)
    metrics.watch(health)
    health.set("kserve", False, "forbidden: 403; apply deploy/rbac")
    health.set("feed", False, "not complete yet, waiting for storage: it is away")
    health.set("llm", True, "not followed, absent: the cluster has none")

    text = metrics.render().decode()
    assert 'rhoai_connector_condition{name="kserve",reason="forbidden"} 0.0\n' in text
    assert 'rhoai_connector_condition{name="feed",reason="unmet"} 0.0\n' in text
    assert 'rhoai_connector_condition{name="llm",reason=""} 1.0\n' in text
