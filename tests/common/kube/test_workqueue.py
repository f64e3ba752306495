import asyncio

import pytest

from common.kube.workqueue import WorkQueue, WorkQueueMetrics
from common.metrics import Metrics
from tests.simulation.loop import simulated


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test", "1")


@pytest.fixture
def queue(metrics: Metrics) -> WorkQueue[str]:
    return WorkQueue(name="isvcs", metrics=WorkQueueMetrics(metrics))


def value(metrics: Metrics, sample: str) -> float | None:
    return metrics.registry.get_sample_value(sample, {"name": "isvcs"})


async def take(queue: WorkQueue[str]) -> list[str]:
    batch = await queue.get()
    for key in batch:
        queue.done(key)
    return batch


def clock() -> float:
    return asyncio.get_running_loop().time()


@simulated
async def test_one_batch_has_every_ready_key_once_in_order(queue: WorkQueue[str]) -> None:
    for key in ("b", "a", "b", "c", "a"):
        queue.add(key)
    assert await take(queue) == ["b", "a", "c"]


@simulated
async def test_get_waits_for_a_key(queue: WorkQueue[str]) -> None:
    asyncio.get_running_loop().call_later(5, queue.add, "a")
    assert await take(queue) == ["a"]
    assert clock() == 5


@simulated
async def test_a_key_added_while_worked_on_comes_again_once_and_not_before_it_is_done(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await queue.get() == ["a"]
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert await take(queue) == ["b"]
    queue.done("a")
    assert await take(queue) == ["a"]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 1000)


@simulated
async def test_delayed_keys_come_at_their_time(queue: WorkQueue[str]) -> None:
    queue.add_after("late", 120)
    queue.add_after("soon", 2)
    assert (await take(queue), clock()) == (["soon"], 2)
    assert (await take(queue), clock()) == (["late"], 120)


@simulated
async def test_a_key_due_comes_between_keys_that_never_stop_coming(queue: WorkQueue[str]) -> None:
    queue.add_after("delayed", 0.5)
    seen = set()
    for _ in range(10):
        queue.add("busy")
        seen |= set(await take(queue))
        await asyncio.sleep(0.1)
    assert seen == {"busy", "delayed"}


@simulated
async def test_an_earlier_delay_wakes_the_waiting_consumer(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 100)
    asyncio.get_running_loop().call_later(1, queue.add_after, "b", 2)
    assert (await take(queue), clock()) == (["b"], 3)


@simulated
async def test_the_earliest_wish_for_a_key_counts(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 10)
    queue.add_after("a", 50)
    queue.add_after("a", 4)
    queue.add_after("b", 10)
    queue.add("b")
    assert (await take(queue), clock()) == (["b"], 0)
    assert (await take(queue), clock()) == (["a"], 4)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 1000)


@simulated
async def test_no_delay_is_at_once(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 0)
    assert (await take(queue), clock()) == (["a"], 0)


@simulated
async def test_a_retry_while_worked_on_waits_its_pause(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await queue.get() == ["a"]
    queue.retry_after("a", 1)
    queue.done("a")
    assert (await take(queue), clock()) == (["a"], 1)


@simulated
async def test_a_retry_due_before_the_work_is_done_comes_right_after(queue: WorkQueue[str]) -> None:
    queue.add("slow")
    await queue.get()
    queue.retry_after("slow", 1)
    queue.add_after("other", 5)
    assert await take(queue) == ["other"]
    queue.done("slow")
    assert (await take(queue), clock()) == (["slow"], 5)


@simulated
async def test_news_ends_the_pause_of_a_retry(queue: WorkQueue[str]) -> None:
    queue.retry_after("a", 1)
    queue.add("a")
    assert (await take(queue), clock()) == (["a"], 0)


@simulated
async def test_metrics_as_controller_runtime_names_them(queue: WorkQueue[str], metrics: Metrics) -> None:
    assert value(metrics, "workqueue_depth") == 0
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert value(metrics, "workqueue_depth") == 2
    await asyncio.sleep(3)
    await queue.get()
    assert value(metrics, "workqueue_depth") == 0
    await asyncio.sleep(5)
    queue.retry_after("a", 1)
    queue.done("a")
    queue.done("b")
    assert value(metrics, "workqueue_adds_total") == 2
    assert value(metrics, "workqueue_retries_total") == 1
    assert value(metrics, "workqueue_queue_duration_seconds_sum") == pytest.approx(6)
    assert value(metrics, "workqueue_work_duration_seconds_sum") == pytest.approx(10)
    assert value(metrics, "workqueue_work_duration_seconds_count") == 2
