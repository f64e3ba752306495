"""The shelf becomes and stays what storage is, whatever happens on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from common import wire
from common.health import Health
from common.http.client import HttpClient
from common.metrics import Metrics
from common.removals import HOLD
from services.location.delivery import make_entry
from services.location.follow import LONGEST_PAUSE, StorageFollower
from services.location.shelf import Shelf
from tests import waiting
from tests.location.samples import model_document, upsert
from tests.location.storages import FakeOriginalStorage, FakeStorage, serving
from tests.simulation.loop import simulated

PORT = 7070


async def eventually(check: Callable[[], object], *, what: str = "condition") -> object:
    """Wait long enough for what is held to go, which takes a moment in a simulation."""
    return await waiting.eventually(check, timeout=2 * HOLD, interval=0.05, what=what)


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def shelf(health: Health) -> Shelf:
    return Shelf(health=health)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("location", "test")


@asynccontextmanager
async def following(shelf: Shelf, metrics: Metrics, port: int) -> AsyncIterator[StorageFollower]:
    async with HttpClient(name="storage", base_url=f"http://127.0.0.1:{port}") as client:
        follower = StorageFollower(storage=client, shelf=shelf, metrics=metrics)
        task = asyncio.create_task(follower.run())
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@simulated
async def test_a_snapshot_is_loaded_then_every_change(shelf: Shelf, metrics: Metrics, health: Health) -> None:
    storage = FakeStorage()
    storage.entries = {"a_1": upsert("a_1", card_key="k")}
    storage.cards = {"k": "# card"}
    async with serving(storage) as port, following(shelf, metrics, port):
        await eventually(lambda: shelf.complete)
        assert health.ready
        assert shelf.keys() == {"a_1"}
        card = shelf.card("k")
        assert card
        assert card.body == b"# card"
        await storage.tell(upsert("b_c_2", uri="/b_c/2/model-catalog.json"))
        await eventually(lambda: shelf.at_uri("/b_c/2/model-catalog.json"))
        await storage.tell(upsert("a_1", model_document("other")), removals={"b_c_2": "gone"})
        await eventually(lambda: shelf.keys() == {"a_1"})
        assert shelf.at_key("a_1").document.body == model_document("other")  # type: ignore[union-attr]
        assert storage.requests.count("/snapshot") == 1


@simulated
async def test_a_large_snapshot_arrives_whole(shelf: Shelf, metrics: Metrics) -> None:
    storage = FakeStorage()
    storage.entries = {f"m_{n}": upsert(f"m_{n}", model_document(description="x" * 2000)) for n in range(500)}
    storage.entries["m_big"] = upsert("m_big", model_document(description="x" * 1_000_000))
    async with serving(storage) as port, following(shelf, metrics, port):
        await eventually(lambda: len(shelf) == 501)


@simulated
async def test_an_incomplete_storage_is_waited_for(shelf: Shelf, metrics: Metrics) -> None:
    storage = FakeStorage()
    storage.complete = False
    storage.entries = {"a_1": upsert("a_1")}
    async with serving(storage) as port, following(shelf, metrics, port):
        await eventually(lambda: len(shelf) == 1)
        assert not shelf.complete
        assert "rhoai-normalizer, which has not yet said" in shelf.waiting_for
        storage.awaited = tuple(wire.Awaited(source=f"registry:{n}", reason="it is slow", until=0) for n in range(7))
        await storage.tell()
        until = "registry:0 until 1970-01-01T00:00:00Z at the latest (it is slow); "
        await eventually(lambda: shelf.waiting_for.startswith(until))
        assert shelf.waiting_for.endswith("; and 2 more")
        assert shelf.awaited == storage.awaited
        storage.complete = True
        await storage.tell(upsert("b_1"))
        await eventually(lambda: shelf.complete)
        assert shelf.keys() == {"a_1", "b_1"}


@simulated
async def test_what_was_served_is_served_on_when_storage_goes(shelf: Shelf, metrics: Metrics, health: Health) -> None:
    storage = FakeStorage()
    storage.entries = {"a_1": upsert("a_1")}
    async with following(shelf, metrics, PORT) as follower:
        port = int(follower._storage.base_url.rpartition(":")[2])
        await eventually(lambda: "to answer at" in shelf.waiting_for)
        async with serving(storage, port):
            await eventually(lambda: shelf.complete)
        await eventually(lambda: errors(metrics) > 1)
        assert shelf.keys() == {"a_1"}
        assert health.ready

        storage.restart()
        storage.entries, storage.complete = {}, False  # it has lost its cache
        async with serving(storage, port):
            seen = storage.requests.count("/snapshot")
            await eventually(lambda: storage.requests.count("/snapshot") > seen)
            await storage.tell(upsert("b_1"))
            await eventually(lambda: shelf.keys() == {"a_1", "b_1"})
            storage.complete = True
            await storage.tell(upsert("c_1"))
            await eventually(lambda: shelf.keys() == {"a_1", "b_1", "c_1"})
            storage.confirmed = True  # all sources are listed, and a_1 is in none of them
            await storage.tell()
            await eventually(lambda: shelf.keys() == {"b_1", "c_1"})


@simulated
async def test_storage_is_followed_within_seconds_however_long_it_was_away(shelf: Shelf, metrics: Metrics) -> None:
    async with following(shelf, metrics, PORT):
        await asyncio.sleep(HOLD)
        async with serving(FakeStorage(), PORT):
            await asyncio.sleep(2 * LONGEST_PAUSE)
            assert shelf.complete


@simulated
async def test_a_restarted_storage_is_not_believed_to_lack_something_until_it_is_confirmed(
    shelf: Shelf, metrics: Metrics
) -> None:
    storage = FakeStorage()
    storage.entries = {key: upsert(key, card_key=f"card {key}") for key in ("a_1", "b_1", "c_1")}
    storage.cards = {f"card {key}": "# card" for key in storage.entries}
    async with following(shelf, metrics, PORT) as follower:
        port = int(follower._storage.base_url.rpartition(":")[2])
        async with serving(storage, port):
            await eventually(lambda: shelf.complete)
        storage.restart()
        del storage.entries["a_1"], storage.entries["c_1"]  # told, but not written when it died
        storage.cards = {"card b_1": "# card"}
        async with serving(storage, port):
            await storage.tell(upsert("d_1"))
            await eventually(lambda: shelf.keys() == {"a_1", "b_1", "c_1", "d_1"})
            await storage.tell(removals={"b_1": "gone"})
            await eventually(lambda: shelf.keys() == {"a_1", "c_1", "d_1"})
            assert shelf.card("card a_1") is not None
            await storage.tell(upsert("a_1"))
            storage.confirmed = True
            await storage.tell()
            await eventually(lambda: shelf.keys() == {"a_1", "d_1"}, what="what is not told again goes")


@simulated
async def test_a_damaged_storage_says_what_is_missing(shelf: Shelf, metrics: Metrics) -> None:
    storage = FakeStorage()
    storage.complete, storage.damage = False, "the ConfigMap bac-import-model-2 is missing"
    async with serving(storage) as port, following(shelf, metrics, port):
        await eventually(lambda: "bac-import-model-2 is missing" in shelf.waiting_for)
        assert not shelf.complete


@simulated
async def test_a_removal_that_is_reported_before_all_is_complete_counts(shelf: Shelf, metrics: Metrics) -> None:
    storage = FakeStorage()
    storage.complete = False
    storage.entries = {"a_1": upsert("a_1"), "b_1": upsert("b_1")}
    async with serving(storage) as port, following(shelf, metrics, port):
        await eventually(lambda: len(shelf) == 2)
        await storage.tell(removals={"a_1": "deleted"})
        await eventually(lambda: shelf.keys() == {"b_1"})
        storage.complete = True
        await storage.tell(upsert("c_1"))
        await eventually(lambda: shelf.complete)
        assert shelf.keys() == {"b_1", "c_1"}


@simulated
async def test_a_snapshot_that_breaks_off_changes_nothing(shelf: Shelf, metrics: Metrics) -> None:
    storage = FakeStorage()
    storage.break_off = True
    storage.entries = {"a_1": upsert("a_1")}
    async with serving(storage) as port, following(shelf, metrics, port):
        await eventually(lambda: errors(metrics) > 0)
        assert len(shelf) == 0
        assert not shelf.complete
        storage.break_off = False
        await eventually(lambda: shelf.complete)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
@simulated
async def test_an_error_of_storage_is_no_reason_to_take_it_for_an_original(
    shelf: Shelf, metrics: Metrics, status: int
) -> None:
    storage = FakeStorage()
    storage.failing = status
    async with serving(storage) as port, following(shelf, metrics, port):
        await eventually(lambda: errors(metrics) > 0)
        assert not shelf.complete
        storage.failing = None
        await eventually(lambda: shelf.complete)
        assert set(storage.requests) <= {"/snapshot", "/changes"}


@simulated
async def test_pushes_are_news_unless_they_were_followed_already(shelf: Shelf, metrics: Metrics) -> None:
    storage = FakeStorage()
    async with serving(storage) as port, following(shelf, metrics, port) as follower:
        await eventually(lambda: shelf.complete)
        await storage.tell(upsert("a_1"))
        await storage.tell(upsert("b_1"))
        await eventually(lambda: len(shelf) == 2)
        assert storage.revision == "a-2"
        assert {revision: follower.is_newer(revision) for revision in ("a-1", "a-2", "a-3")} == {
            "a-1": False,
            "a-2": False,
            "a-3": True,
        }


@pytest.mark.parametrize("revision", ["b-1", "odd", "a-²", "a-" + "9" * 5000, None])
@simulated
async def test_a_push_that_cannot_be_placed_is_looked_into(
    shelf: Shelf, metrics: Metrics, revision: str | None
) -> None:
    storage = FakeStorage()
    async with serving(storage) as port, following(shelf, metrics, port) as follower:
        await eventually(lambda: "/changes" in storage.requests)
        storage.entries = {"a_1": upsert("a_1")}  # and no one was told
        assert not follower.is_newer(revision)
        await eventually(lambda: shelf.keys() == {"a_1"})
        assert storage.requests.count("/snapshot") == 2


@simulated
async def test_an_original_with_a_cache_is_complete_at_once(shelf: Shelf, metrics: Metrics) -> None:
    storage = FakeOriginalStorage()
    storage.store(upsert("models_wire-two"), upsert("a_b_c"), upsert("bad_1", b"not a document"))
    async with serving(storage) as port, following(shelf, metrics, port):
        await eventually(lambda: shelf.complete)
        assert [entry.uri for entry in shelf.entries()] == [
            "/a/b_c/model-catalog.json",
            "/models/wire-two/model-catalog.json",
        ]
        assert shelf.at_key("a_b_c").document.body == model_document()  # type: ignore[union-attr]


@simulated
async def test_a_document_that_an_original_removes_after_it_was_listed_leaves_the_others(
    shelf: Shelf, metrics: Metrics
) -> None:
    storage = FakeOriginalStorage()
    storage.store(upsert("a_1"), upsert("b_1"))
    storage.listed = ["a_1", "b_1", "gone_1"]
    async with serving(storage) as port, following(shelf, metrics, port):
        await eventually(lambda: shelf.complete)
        assert shelf.keys() == {"a_1", "b_1"}
        assert "/fetch?key=gone_1" in storage.requests


@simulated
async def test_an_original_that_fills_its_cache_is_complete_when_its_list_settles(
    shelf: Shelf, metrics: Metrics
) -> None:
    storage = FakeOriginalStorage()
    async with serving(storage) as port, following(shelf, metrics, port):
        await five_looks(storage)
        assert not shelf.complete
        storage.growing = True
        await five_looks(storage)
        assert not shelf.complete
        assert "still growing" in shelf.waiting_for
        storage.growing = False
        await eventually(lambda: shelf.complete)
        assert shelf.keys() == storage.bodies.keys()


@simulated
async def test_an_empty_list_of_an_original_proves_nothing(shelf: Shelf, metrics: Metrics) -> None:
    storage = FakeOriginalStorage()
    storage.store(upsert("a_1"), upsert("b_1"))
    async with serving(storage) as port, following(shelf, metrics, port):
        await eventually(lambda: shelf.complete)
        storage.listed = []
        await five_looks(storage)
        assert shelf.keys() == {"a_1", "b_1"}
        storage.listed = ["b_1"]
        await eventually(lambda: shelf.keys() == {"b_1"})
        storage.listed = None  # the lost one is back
        await eventually(lambda: shelf.keys() == {"a_1", "b_1"})


@simulated
async def test_much_that_an_original_does_not_list_any_more_stays_for_the_hold(shelf: Shelf, metrics: Metrics) -> None:
    storage = FakeOriginalStorage()
    storage.store(*(upsert(f"a_{n}") for n in range(6)))
    async with serving(storage) as port, following(shelf, metrics, port):
        await eventually(lambda: len(shelf) == 6)
        storage.listed = ["a_0", "a_1", "a_2"]
        await asyncio.sleep(HOLD - 60)
        assert len(shelf) == 6
        await eventually(lambda: shelf.keys() == {"a_0", "a_1", "a_2"})


@simulated
async def test_an_original_is_asked_only_for_what_is_not_known(shelf: Shelf, metrics: Metrics) -> None:
    storage = FakeOriginalStorage()
    storage.store(*(upsert(f"a_{n}") for n in range(20)))
    async with serving(storage) as port, following(shelf, metrics, port):
        await five_looks(storage)
        storage.store(upsert("b_1"))
        await eventually(lambda: shelf.at_key("b_1"))
        assert sum(request.startswith("/fetch") for request in storage.requests) == 21


@simulated
async def test_one_of_ours_in_the_place_of_an_original_is_noticed(shelf: Shelf, metrics: Metrics) -> None:
    original, ours = FakeOriginalStorage(), FakeStorage()
    original.store(upsert("a_1"))
    ours.entries = {"a_1": upsert("a_1"), "b_1": upsert("b_1")}
    port = PORT
    async with following(shelf, metrics, port):
        async with serving(original, port):
            await eventually(lambda: shelf.keys() == {"a_1"})
        async with serving(ours, port):
            await eventually(lambda: shelf.keys() == {"a_1", "b_1"})
        async with serving(original, port):
            looks = len(original.requests)
            await eventually(lambda: len(original.requests) > looks)


@simulated
async def test_after_an_original_was_away_everything_is_fetched_again(shelf: Shelf, metrics: Metrics) -> None:
    storage = FakeOriginalStorage()
    storage.store(upsert("a_1"))
    port = PORT
    async with following(shelf, metrics, port):
        async with serving(storage, port):
            await eventually(lambda: shelf.complete)
        storage.store(upsert("a_1", model_document("new")))  # its push found no one
        seen = errors(metrics)
        await eventually(lambda: errors(metrics) > seen)
        async with serving(storage, port):
            await eventually(lambda: body_of(shelf, "a_1") == model_document("new"))


@simulated
async def test_a_push_is_newer_than_a_look_that_is_under_way(shelf: Shelf, metrics: Metrics) -> None:
    storage = FakeOriginalStorage()
    storage.store(upsert("a_1"), upsert("b_1"))
    storage.hold = asyncio.Event()
    async with serving(storage) as port, following(shelf, metrics, port) as follower:
        await eventually(lambda: any(request.startswith("/fetch") for request in storage.requests))
        shelf.put(make_entry(upsert("a_1", model_document("pushed"))))
        follower.note_push("a_1")
        storage.hold.set()
        await eventually(lambda: shelf.at_key("b_1"))
        assert body_of(shelf, "a_1") == model_document("pushed")


def body_of(shelf: Shelf, key: str) -> bytes | None:
    entry = shelf.at_key(key)
    return entry.document.body if entry else None


async def five_looks(storage: FakeOriginalStorage) -> None:
    looks = storage.requests.count("/list")
    await eventually(lambda: storage.requests.count("/list") >= looks + 5)


def errors(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("rhoai_connector_location_follow_errors_total") or 0
