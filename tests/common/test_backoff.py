import asyncio

import pytest

from common import randomness
from common.backoff import Backoff, happens, spread


@pytest.fixture(autouse=True)
def same_chance() -> None:
    randomness.seed(1)


def test_pauses_are_anything_below_a_ceiling_that_doubles() -> None:
    clients = [Backoff(1, 10) for _ in range(500)]
    for ceiling in (1, 2, 4, 8, 10, 10):
        pauses = sorted(backoff.next() for backoff in clients)
        assert 0 <= pauses[0] < ceiling / 10
        assert ceiling * 9 / 10 < pauses[-1] <= ceiling
    assert {backoff.failures for backoff in clients} == {6}
    clients[0].reset()
    assert clients[0].next() <= 1


def test_any_number_of_failures() -> None:
    backoff = Backoff(0.25, 30)
    for _ in range(5000):
        assert 0 <= backoff.next() <= 30


def test_pauses_are_at_least_a_share_of_the_ceiling() -> None:
    clients = [Backoff(1, 8, least=0.5) for _ in range(500)]
    for ceiling in (1, 2, 4, 8, 8):
        assert min(backoff.next() for backoff in clients) == pytest.approx(ceiling / 2, rel=0.1)


async def test_an_event_ends_a_pause_and_its_absence_does_too() -> None:
    event = asyncio.Event()
    assert not await happens(event, within=0)
    asyncio.get_running_loop().call_soon(event.set)
    assert await happens(event, within=None)
    assert await happens(event, within=0), "it came before"


def test_what_is_spread_is_about_as_long() -> None:
    assert all(spread(100) == pytest.approx(100, rel=0.101) for _ in range(50))
