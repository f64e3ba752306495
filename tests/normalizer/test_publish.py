"""Sending storage what differs: ours, and one that knows only the original's requests."""

from collections.abc import Mapping

import pytest

from common.http.client import HttpClient
from common.wire import Applied, Batch, Listing, Stored, Upsert, card_digest
from services.normalizer.contents import Card
from services.normalizer.plan import Plan
from services.normalizer.publish import BATCH_BYTES, Mirror, RemoteStorage, missing_cards
from tests.fakes.original_storage import original_storage


def upsert(key: str, *, body: bytes = b'{"models":[{"name":"m"}]}', card_key: str = "") -> Upsert:
    return Upsert(key=key, body=body, reconciler="kserve", source="kserve", ref=f"ref:{key}", card_key=card_key)


class MemoryStorage:
    """A storage in this process that counts what it is asked."""

    def __init__(self) -> None:
        self.entries: dict[str, Stored] = {}
        self.cards: dict[str, str] = {}
        self.complete = False
        self.count = 1
        self.batches: list[Batch] = []
        self.listings = 0
        self.refuse: Mapping[str, str] = {}
        self.failing = False

    def touch(self) -> None:
        """Change, as if somebody else had written."""
        self.count += 1

    async def listing(self, known: str = "") -> Listing | None:
        if known == f"e-{self.count}":
            return None
        self.listings += 1
        return Listing(revision=f"e-{self.count}", complete=self.complete, entries=dict(self.entries), cards=self.cards)

    async def apply(self, batch: Batch) -> Applied:
        if self.failing:
            raise ConnectionError
        base = f"e-{self.count}"
        self.batches.append(batch)
        self.entries.update({u.key: u.stored for u in batch.upserts if u.key not in self.refuse})
        for key in batch.removals:
            self.entries.pop(key, None)
        self.cards.update({key: card_digest(text) for key, text in batch.cards.items()})
        self.complete |= batch.complete
        self.count += 1
        return Applied(revision=f"e-{self.count}", base=base, refused=dict(self.refuse))


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


async def mirror_of(storage: MemoryStorage) -> Mirror:
    mirror = Mirror(storage)
    await mirror.refresh()
    return mirror


async def test_the_mirror_follows_what_was_sent_without_asking_again(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    await mirror.send(Plan(upserts=(upsert("a_b"),)), cards={"c": "# t"}, complete=True)
    await mirror.send(Plan(upserts=(upsert("a_c"),), removals=("a_b",)), cards={}, complete=False)
    assert await mirror.refresh() == await storage.listing()
    assert storage.listings == 2  # the first refresh, and this test's own question


async def test_a_change_by_somebody_else_in_between_is_noticed(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    storage.entries["x_y"] = upsert("x_y").stored
    storage.touch()
    await mirror.send(Plan(upserts=(upsert("a_b"),)), cards={}, complete=False)
    assert set((await mirror.refresh()).entries) == {"a_b", "x_y"}


async def test_after_an_error_nothing_is_taken_for_granted(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    storage.failing = True
    with pytest.raises(ConnectionError):
        await mirror.send(Plan(upserts=(upsert("a_b"),)), cards={}, complete=False)
    assert mirror.listing is None


async def test_batches_have_a_bounded_size_and_removals_come_last(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    large = b'{"models":[' + b" " * (BATCH_BYTES // 2) + b"]}"
    upserts = tuple(upsert(f"a_{i}", body=large) for i in range(5))
    await mirror.send(Plan(upserts=upserts, removals=("x_y",)), cards={}, complete=True)
    assert [len(batch.upserts) for batch in storage.batches] == [2, 2, 1]
    assert [batch.removals for batch in storage.batches] == [(), (), ("x_y",)]
    assert [batch.complete for batch in storage.batches] == [False, False, True]


async def test_a_card_travels_with_the_document_that_shows_it(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    card = "x" * BATCH_BYTES
    plan = Plan(upserts=(upsert("a_1", card_key="c"), upsert("a_2", card_key="c"), upsert("a_3")))
    await mirror.send(plan, cards={"c": card, "other": "y"}, complete=False)
    assert [set(batch.cards) for batch in storage.batches] == [{"c"}, {"other"}]
    assert [u.key for u in storage.batches[0].upserts] == ["a_1"]


async def test_what_storage_refused_is_not_sent_again_until_it_is_another(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    storage.refuse = {"a_b": "too large"}
    assert await mirror.send(Plan(upserts=(upsert("a_b"),)), cards={}, complete=False) == {"a_b": "too large"}
    assert not mirror.unrefused({"a_b": upsert("a_b")})
    changed = upsert("a_b", body=b'{"models":[{"name":"smaller"}]}')
    assert mirror.unrefused({"a_b": changed}) == {"a_b": changed}
    storage.refuse = {}
    await mirror.send(Plan(upserts=(changed,)), cards={}, complete=False)
    assert mirror.unrefused({"a_b": upsert("a_b")})


def test_only_cards_that_storage_does_not_have_are_sent() -> None:
    listing = Listing(revision="", complete=True, entries={}, cards={"same": card_digest("t"), "old": card_digest("1")})
    cards = {"same": Card.of("t"), "old": Card.of("2"), "new": Card.of("n")}
    assert missing_cards(listing, cards) == {"old": "2", "new": "n"}


async def test_a_storage_that_knows_only_the_originals_requests_is_kept_up_to_date_with_them() -> None:
    async with original_storage() as (original, url), HttpClient(name="storage", base_url=url) as client:
        mirror = Mirror(RemoteStorage(client))
        assert (await mirror.refresh()).entries == {}
        plan = Plan(upserts=(upsert("a_b", card_key="c"), upsert("a_c")))
        await mirror.send(plan, cards={"c": "# card"}, complete=True)
        assert set(original.documents) == {"a_b", "a_c"}
        assert original.cards == {"c": "# card"}
        await mirror.send(Plan(removals=("a_b",)), cards={}, complete=False)
        assert set(original.documents) == {"a_c"}
        assert original.requests[-1] == "POST /currentkeyset?key=a_c"
        assert (await mirror.refresh()).entries == {"a_c": plan.upserts[1].stored}
        restarted = Mirror(RemoteStorage(client))
        assert set((await restarted.refresh()).entries) == {"a_c"}


async def test_what_the_original_refuses_does_not_stop_the_rest() -> None:
    async with original_storage() as (original, url), HttpClient(name="storage", base_url=url) as client:
        original.refuse = {"a_b"}
        mirror = Mirror(RemoteStorage(client))
        await mirror.refresh()
        refused = await mirror.send(Plan(upserts=(upsert("a_b"), upsert("a_c"))), cards={}, complete=False)
        assert refused == {"a_b": "no"}
        assert set(original.documents) == {"a_c"}
