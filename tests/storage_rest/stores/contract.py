"""What every store must do, whatever it keeps things in; each store's tests derive from this."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from common.wire import Batch, Leaving, Upsert
from services.storage_rest.stores.base import Store
from tests.storage_rest.running import Running, present, running, upsert
from tests.waiting import eventually

Opened = Callable[[], AbstractAsyncContextManager[Store]]
Held = tuple[dict[str, Upsert], dict[str, str], bool]
"""Entries and cards by key, and whether they are everything."""


class StoreContract:
    """Runs the service on the store, ends it, and looks what the next one finds."""

    forgets = False

    @pytest.fixture
    def opened(self) -> Opened:
        """A function that opens the store, again on the same place when called again."""
        raise NotImplementedError

    async def after(self, opened: Opened, *batches: Batch) -> Held:
        """Apply batches in one process and return what the next one loads."""
        async with opened() as store, running(store) as storage:
            for batch in batches:
                outcome = await storage.service.apply(batch)
                assert not outcome.problems
        return await self.held(opened)

    async def held(self, opened: Opened) -> Held:
        async with opened() as store, running(store) as storage:
            await storage.service.stored.loaded()
            whole = storage.service.snapshot()
            return {entry.key: entry for entry in whole.upserts}, dict(whole.cards), whole.complete

    async def test_begins_with_nothing_and_incomplete(self, opened: Opened) -> None:
        assert await self.held(opened) == ({}, {}, False)

    async def test_what_was_applied_is_there_after_a_restart(self, opened: Opened) -> None:
        entry = upsert(
            "a_1", uri="/a/1/model-catalog.json", source="s", ref="r", updated="12", model_name="m", card_key="c"
        )
        held = await self.after(opened, Batch(upserts=(entry, upsert("b_2")), cards={"c": "# Ü\n"}, complete=True))
        assert held == ({"a_1": entry, "b_2": upsert("b_2")}, {"c": "# Ü\n"}, True)

    async def test_the_latest_wins(self, opened: Opened) -> None:
        entries, cards, _ = await self.after(
            opened,
            Batch(upserts=(upsert("a_1", updated="1", card_key="c"),), cards={"c": "one"}),
            Batch(upserts=(upsert("a_1", updated="2", card_key="c"),), cards={"c": "two"}),
        )
        assert (entries["a_1"].updated, cards) == ("2", {"c": "two"})

    async def test_what_was_removed_is_gone_after_a_restart(self, opened: Opened) -> None:
        held = await self.after(
            opened,
            Batch(upserts=(upsert("a_1", card_key="c"), upsert("b_2")), cards={"c": "text"}),
            Batch(removals={"a_1": "gone", "unknown_1": "gone"}),
        )
        assert held == ({"b_2": upsert("b_2")}, {}, False)

    async def test_a_removed_key_can_come_back(self, opened: Opened) -> None:
        entries, _, _ = await self.after(
            opened,
            Batch(upserts=(upsert("a_1", updated="1"),)),
            Batch(removals={"a_1": "gone"}),
            Batch(upserts=(upsert("a_1", updated="1"),)),
        )
        assert entries == {"a_1": upsert("a_1", updated="1")}

    async def test_marks_are_kept_over_a_restart_and_can_be_cleared(self, opened: Opened) -> None:
        mark = Leaving(since=1_700_000_000, reason="not-listed")
        entries, _, _ = await self.after(
            opened, Batch(upserts=(upsert("a_1"), upsert("b_1"))), Batch(leaving={"a_1": mark})
        )
        assert entries == {"a_1": replace(upsert("a_1"), leaving=mark), "b_1": upsert("b_1")}
        entries, _, _ = await self.after(opened, Batch(leaving={"a_1": None}))
        assert entries["a_1"] == upsert("a_1")

    async def test_known_to_be_empty(self, opened: Opened) -> None:
        assert await self.after(opened, Batch(complete=True)) == ({}, {}, True)

    async def test_complete_stays(self, opened: Opened) -> None:
        _, _, complete = await self.after(opened, Batch(complete=True), Batch(upserts=(upsert(),)))
        assert complete

    async def test_hostile_names_of_cards(self, opened: Opened) -> None:
        cards = {"../../etc/passwd": "one", "a b/ü": "two", "A B/ü": "three", "x" * 1000: "four", "a-b": "5", "..": "6"}
        upserts = tuple(upsert(f"k_{n}", card_key=key) for n, key in enumerate(cards))
        _, held, _ = await self.after(opened, Batch(upserts=upserts, cards=cards))
        assert held == cards

    async def test_many_at_once(self, opened: Opened) -> None:
        batches = [Batch(upserts=(upsert(f"a_{n}"), upsert(f"b_{n % 3}", updated=str(n)))) for n in range(30)]
        async with opened() as store, running(store) as storage:
            await asyncio.gather(*(storage.service.apply(batch) for batch in batches))
            before = {entry.key: entry for entry in storage.service.snapshot().upserts}
        entries, _, _ = await self.held(opened)
        assert entries == before
        assert len(entries) == 33

    async def test_what_is_accepted_is_reported_before_it_is_durable(self, opened: Opened) -> None:
        async with opened() as store, running(store) as storage:
            await storage.service.stored.loaded()
            await eventually(lambda: storage.health.ready, what="tried whether it can be written")
            since = storage.service.stored.revision
            writing = asyncio.create_task(storage.service.apply(Batch(upserts=(upsert(),))))
            changes = present(await storage.service.changes(since, 10))
            assert [entry.key for entry in changes.upserts] == ["serving_iris"]
            await writing


async def apply(storage: Running, **batch: Any) -> None:
    """Apply a batch that is taken whole."""
    outcome = await storage.service.apply(Batch(**batch))
    assert not outcome.problems
