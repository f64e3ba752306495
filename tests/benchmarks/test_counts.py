"""What work costs in requests, patches and bytes: exact figures, held to the last one. Times are for `make bench`."""

import json

import pytest

from benchmarks import smoke
from benchmarks.measures import kinds
from benchmarks.measures.sync import pages

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


def test_pages() -> None:
    assert [pages(size) for size in (1, 100, 101, 10_000)] == [5, 5, 8, 302]


async def test_llm_inference_services_cost_what_inference_services_do() -> None:
    """One kind more is looked for, in which version the cluster has it; how many writes go together varies a little."""
    isvcs, llms = [await kinds.one(kind, 120) for kind in kinds.KINDS]
    assert kinds.calls(llms.first) <= kinds.calls(isvcs.first) + 5
    assert llms.first.request_bytes <= 1.2 * isvcs.first.request_bytes
    assert kinds.calls(llms.idle) == kinds.calls(isvcs.idle) == 0
    assert kinds.calls(llms.change) == kinds.calls(isvcs.change)
    assert llms.change.patched_bytes <= 1.2 * isvcs.change.patched_bytes


async def test_a_sync_costs_what_it_cost() -> None:
    figures = await smoke.measure()
    assert smoke.compare(figures, json.loads(smoke.COUNTS.read_text(encoding="utf-8"))) == []
