"""What work costs in requests, patches and bytes: exact figures, held to the last one. Times are for `make bench`."""

import json

import pytest

from benchmarks import smoke
from benchmarks.measures.sync import pages

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


def test_pages() -> None:
    assert [pages(size) for size in (1, 100, 101, 10_000)] == [5, 5, 8, 302]


async def test_a_sync_costs_what_it_cost() -> None:
    figures = await smoke.measure()
    assert smoke.compare(figures, json.loads(smoke.COUNTS.read_text(encoding="utf-8"))) == []
