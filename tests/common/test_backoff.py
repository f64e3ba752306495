import asyncio

import pytest

from common.backoff import Backoff, happens, spread


def test_pauses_are_anything_below_a_ceiling_that_doubles() -> None:
    asked: list[tuple[float, float]] = []

    def middle(low: float, high: float) -> float:
        asked.append((low, high))
        return (low + high) / 2

    backoff = Backoff(1, 10, uniform=middle)
    assert [backoff.next() for _ in range(6)] == [0.5, 1, 2, 4, 5, 5]
    assert {low for low, _ in asked} == {0}
    assert backoff.failures == 6
    backoff.reset()
    assert backoff.next() == 0.5


def test_any_number_of_failures() -> None:
    backoff = Backoff(0.25, 30)
    for _ in range(5000):
        assert 0 <= backoff.next() <= 30


def test_pauses_are_at_least_a_share_of_the_ceiling() -> None:
    backoff = Backoff(1, 8, least=0.5, uniform=lambda low, high: low)
    assert [backoff.next() for _ in range(5)] == [0.5, 1, 2, 4, 4]


async def test_an_event_ends_a_pause_and_its_absence_does_too() -> None:
    event = asyncio.Event()
    assert not await happens(event, within=0)
    asyncio.get_running_loop().call_soon(event.set)
    assert await happens(event, within=None)
    assert await happens(event, within=0), "it came before"


def test_what_is_spread_is_about_as_long() -> None:
    assert all(spread(100) == pytest.approx(100, rel=0.101) for _ in range(50))
