"""Pushes to a location that does not follow by itself."""

import asyncio
import base64
from pathlib import Path

import pytest

from common import wire
from common.wire import Batch
from services.storage_rest import push, stored
from tests.storage_rest.running import document, original_location, running, upsert
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(push, "LONGEST_PAUSE", 0.1)


async def test_changes_and_removals_arrive() -> None:
    async with original_location() as location, running(bridge=location.url) as storage:
        await storage.service.apply(Batch(upserts=(upsert("a_1"), upsert("a_2"))))
        await eventually(lambda: location.documents.keys() == {"a_1", "a_2"}, what="pushed")
        assert base64.b64decode(location.documents["a_1"]["body"]) == document("a_1")
        await storage.service.apply(Batch(removals={"a_1": "gone"}))
        await eventually(lambda: location.documents.keys() == {"a_2"}, what="removed")
        assert storage.metric("pushes_total", result="success") == 3


async def test_unchanged_is_not_pushed() -> None:
    async with original_location() as location, running(bridge=location.url) as storage:
        for _ in range(3):
            await storage.service.apply(Batch(upserts=(upsert("a_1"),)))
        await storage.service.apply(Batch(upserts=(upsert("a_2"),)))
        await eventually(lambda: "a_2" in location.documents, what="pushed")
        assert len(location.requests) == 2


async def test_a_changed_card_goes_to_those_who_refer_to_it() -> None:
    async with original_location() as location, running(bridge=location.url) as storage:
        entries = (upsert("a_1", card_key="c"), upsert("a_2", card_key="c"), upsert("a_3"))
        await storage.service.apply(Batch(upserts=entries, cards={"c": "one"}))
        await eventually(lambda: len(location.documents) == 3, what="pushed")
        location.requests.clear()
        await storage.service.apply(Batch(cards={"c": "two"}))
        await eventually(lambda: len(location.requests) == 2, what="pushed again")
        assert {location.documents[key]["modelCard"] for key in ("a_1", "a_2")} == {"two"}


async def test_location_away_gets_the_latest_when_it_is_back() -> None:
    async with original_location(statuses=[503, 500, 502]) as location, running(bridge=location.url) as storage:
        await storage.service.apply(Batch(upserts=(upsert("a_1", updated="1"),)))
        await storage.service.apply(Batch(upserts=(upsert("a_1", updated="2"), upsert("a_2"))))
        await storage.service.apply(Batch(removals={"a_2": "gone"}))
        await eventually(lambda: location.documents.get("a_1", {}).get("lastUpdateTimeSinceEpoch") == "2", what="told")
        await eventually(lambda: "a_2" not in location.documents, what="removed")
        assert storage.metric("pushes_total", result="error") >= 1


async def test_what_location_refuses_for_good_is_not_sent_for_ever() -> None:
    async with original_location(statuses=[400]) as location, running(bridge=location.url) as storage:
        await storage.service.apply(Batch(upserts=(upsert("a_1"),)))
        await eventually(lambda: location.requests, what="sent")
        await storage.service.apply(Batch(upserts=(upsert("a_2"),)))
        await eventually(lambda: "a_2" in location.documents, what="the next")
        assert len(location.requests) == 2


async def test_nothing_is_pushed_to_one_that_follows() -> None:
    async with original_location() as location, running(bridge=location.url) as storage:
        since = wire.parse_snapshot((await storage.ask("GET", "/snapshot")).body.splitlines()).revision
        following = asyncio.create_task(storage.ask("GET", f"/changes?since={since}&wait=10"))
        await storage.service.apply(Batch(upserts=(upsert("a_1"),)))
        assert [u.key for u in wire.parse_changes((await following).body).upserts] == ["a_1"]
        await storage.ask("GET", "/list")
        await storage.service.apply(Batch(upserts=(upsert("a_2"),)))
        assert location.requests == []


async def test_one_that_begins_to_follow_is_not_sent_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async with original_location(statuses=[503] * 3) as location, running(bridge=location.url) as storage:
        await storage.service.apply(Batch(upserts=(upsert("a_1"),)))
        await eventually(lambda: location.requests, what="tried")
        await storage.ask("GET", "/snapshot")
        pusher = storage.service.stored.pushes
        assert isinstance(pusher, push.Pusher)
        await eventually(lambda: not pusher._waiting, what="dropped")
        assert location.documents == {}


async def test_one_that_stopped_following_is_pushed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "FOLLOWED_FOR", 0.05)
    async with original_location() as location, running(bridge=location.url) as storage:
        await storage.ask("GET", "/snapshot")
        await eventually(lambda: not storage.service.stored.followed, what="gone")
        await storage.service.apply(Batch(upserts=(upsert("a_1"),)))
        await eventually(lambda: "a_1" in location.documents, what="pushed")


async def test_everything_after_the_start_when_no_one_follows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from services.storage_rest.stores.local import FileStore

    monkeypatch.setattr(stored, "STARTED_BEFORE", 0.05)
    async with running(FileStore(tmp_path)) as storage:
        await storage.service.apply(Batch(upserts=(upsert("a_1"), upsert("a_2"))))
    async with original_location() as location, running(FileStore(tmp_path), bridge=location.url):
        await eventually(lambda: location.documents.keys() == {"a_1", "a_2"}, what="pushed")
