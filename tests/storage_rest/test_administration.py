"""What administrators see of removals, and what they can do."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from common.wire import Batch, Leaving
from services.storage_rest.removals import REMEMBERED
from services.storage_rest.stores.base import CacheView, LoadedCache
from services.storage_rest.stores.local import MemoryStore
from tests.storage_rest.running import Running, running, upsert

SINCE = 1_700_000_000
MARK = Leaving(since=SINCE, reason="not-listed")


class Damaged(MemoryStore):
    """A store that has lost something."""

    async def run(self, view: CacheView) -> None:
        view.load(LoadedCache(upserts=(upsert("a_1"),), damage="the ConfigMap bac-import-model-2 is missing"))


async def leaving(storage: Running) -> dict[str, Any]:
    answer = await storage.ask("GET", "/removals")
    assert answer.status == 200
    return {item.pop("key"): item for item in answer.json()["leaving"]}


@pytest.fixture
async def storage() -> AsyncIterator[Running]:
    async with running(clock=lambda: SINCE + 60) as storage:
        entries = tuple(upsert(f"a_{n}", ref=f"isvc:local:a/{n}", source="kserve:local") for n in range(4))
        await storage.service.apply(Batch(upserts=entries, complete=True))
        not_ready = Leaving(since=SINCE, reason="not-ready")
        await storage.service.apply(Batch(leaving={"a_1": MARK, "a_2": not_ready}))
        yield storage


async def test_what_is_leaving_is_reported_with_when_and_why(storage: Running) -> None:
    about = {"ref": "isvc:local:a/1", "source": "kserve:local", "since": "2023-11-14T22:13:20Z"}
    assert await leaving(storage) == {
        "a_1": {**about, "reason": "not-listed", "due": "2023-11-14T23:13:20Z"},
        "a_2": {**about, "ref": "isvc:local:a/2", "reason": "not-ready", "due": "2023-11-14T22:15:20Z"},
    }
    assert storage.metric("leaving", reason="not-listed") == 1


async def test_a_confirmed_one_leaves_now(storage: Running) -> None:
    answer = await storage.ask("POST", "/removals/confirm", json={"keys": ["a_1"]})
    assert (answer.status, answer.json()) == (200, {"keys": ["a_1"]})
    assert storage.service.stored.keys == ["a_0", "a_2", "a_3"]
    assert (await leaving(storage)).keys() == {"a_2"}
    (left,) = (await storage.ask("GET", "/removals")).json()["left"]
    assert left == {
        "key": "a_1",
        "ref": "isvc:local:a/1",
        "source": "kserve:local",
        "reason": "confirmed-by-administrator",
        "at": "2023-11-14T22:14:20Z",
    }
    assert storage.metric("departures_total", reason="confirmed-by-administrator") == 1


async def test_a_refused_one_stays_until_it_is_seen_again(storage: Running) -> None:
    assert (await storage.ask("POST", "/removals/refuse", json={"all": True})).json() == {"keys": ["a_1", "a_2"]}
    assert [item["due"] for item in (await leaving(storage)).values()] == [None, None]
    await storage.ask("POST", "/currentkeyset", json={"keys": ["a_0", "a_2", "a_3"]})
    assert "a_1" in storage.service.stored.keys
    assert (await leaving(storage)).keys() == {"a_1"}
    await storage.ask("POST", "/currentkeyset", json={"keys": ["a_0", "a_1", "a_2", "a_3"]})
    assert await leaving(storage) == {}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"keys": ["a_0"]}, 404, "not about to leave: a_0"),
        ({"keys": ["a_1", "x_y"]}, 404, "x_y"),
        ({}, 400, "the body must be"),
        ({"keys": ["a_1"], "all": True}, 400, "the body must be"),
        ({"keys": "a_1"}, 400, "keys must be a list"),
        ([], 400, "must be a JSON object"),
    ],
)
@pytest.mark.parametrize("decision", ["confirm", "refuse"])
async def test_what_cannot_be_decided_changes_nothing(
    storage: Running, decision: str, body: Any, status: int, said: str
) -> None:
    before = storage.service.stored.revision
    answer = await storage.ask("POST", f"/removals/{decision}", json=body)
    assert answer.status == status
    assert said in answer.json()["detail"]
    assert storage.service.stored.revision == before


@pytest.mark.parametrize("decision", ["confirm", "refuse", "accept"])
async def test_decisions_need_the_token(storage: Running, decision: str) -> None:
    answer = await storage.ask("POST", f"/removals/{decision}", token=None, json={"all": True})
    assert answer.status == 401
    assert len(storage.service.stored.keys) == 4


async def test_a_damaged_cache_can_be_accepted() -> None:
    async with running(Damaged()) as storage:
        assert "bac-import-model-2" in (await storage.ask("GET", "/removals")).json()["damage"]
        answer = await storage.ask("POST", "/removals/accept")
        assert answer.json() == {"damage": "the ConfigMap bac-import-model-2 is missing"}
        assert storage.service.stored.complete
        assert not storage.service.snapshot().confirmed, "nothing is known to be gone"
        assert (await storage.ask("POST", "/removals/accept")).json() == {"damage": ""}


async def test_the_latest_departures_are_remembered(storage: Running) -> None:
    for n in range(REMEMBERED + 5):
        await storage.service.apply(Batch(upserts=(upsert(f"b_{n}"),)))
        await storage.service.apply(Batch(removals={f"b_{n}": "deleted", "unknown_1": "deleted"}))
    left = (await storage.ask("GET", "/removals")).json()["left"]
    assert len(left) == REMEMBERED
    assert (left[0]["key"], left[0]["reason"]) == (f"b_{REMEMBERED + 4}", "deleted")


async def test_a_lowered_limit_drops_nothing_that_is_stored() -> None:
    """A document may have been stored when the limit was another."""

    class Full(MemoryStore):
        async def run(self, view: CacheView) -> None:
            view.load(LoadedCache(upserts=(upsert("a_1", card_key="c"),), cards={"c": "x" * 500}, complete=True))
            view.take_over((upsert("b_1"),), {})

    async with running(Full(), document_limit=20) as storage:
        await storage.service.stored.loaded()
        assert storage.service.stored.keys == ["a_1", "b_1"]
        assert storage.service.stored.card("c") == "x" * 500
        outcome = await storage.service.apply(Batch(upserts=(upsert("a_1", updated="2"),)))
        assert [problem.status for problem in outcome.problems] == [413]
        assert storage.service.stored.entry("a_1") == upsert("a_1", card_key="c"), "the old form stays"
