import pytest

from services.storage_rest.guard import RemovalGuard

TEN = frozenset(f"m_{n}" for n in range(10))


@pytest.mark.parametrize(
    ("removed", "stored"),
    [(0, 0), (0, 10), (4, 4), (5, 10), (4, 5), (50, 100)],
)
def test_few_removals_pass(removed, stored):
    guard = RemovalGuard()
    assert guard.admits(frozenset(f"m_{n}" for n in range(removed)), stored=stored)
    assert not guard.held


@pytest.mark.parametrize(("removed", "stored"), [(5, 5), (6, 11), (51, 100)])
def test_most_of_the_cache_is_held_until_the_next_round_says_the_same(removed, stored):
    guard = RemovalGuard()
    removals = frozenset(f"m_{n}" for n in range(removed))
    assert not guard.admits(removals, stored=stored)
    assert guard.held == removals
    assert guard.admits(removals, stored=stored)
    assert not guard.held


def test_a_round_that_asks_for_more_is_held_again():
    guard = RemovalGuard()
    assert not guard.admits(frozenset(sorted(TEN)[:8]), stored=10)
    assert not guard.admits(TEN, stored=10)
    assert guard.admits(TEN, stored=10)


def test_a_round_that_asks_for_less_of_the_same_passes():
    guard = RemovalGuard()
    assert not guard.admits(TEN, stored=10)
    assert guard.admits(frozenset(sorted(TEN)[:8]), stored=10)


def test_a_good_round_in_between_ends_the_doubt():
    guard = RemovalGuard()
    assert not guard.admits(TEN, stored=10)
    assert guard.admits(frozenset(), stored=10)
    assert not guard.admits(TEN, stored=10)


def test_off():
    assert RemovalGuard(enabled=False).admits(TEN, stored=10)
