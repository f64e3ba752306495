"""A storage in memory that the controller and the publisher write to."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from common.wire import Applied, Awaited, Batch, CacheListing, Stored, card_digest


class MemoryStorage:
    """A storage in this process that counts what it is asked."""

    def __init__(self) -> None:
        self.entries: dict[str, Stored] = {}
        self.cards: dict[str, str] = {}
        self.complete = False
        self.confirmed = False
        self.damage = ""
        self.awaited: tuple[Awaited, ...] | None = ()
        self.count = 1
        self.batches: list[Batch] = []
        self.listings = 0
        self.refuse: Mapping[str, str] = {}
        self.failing = False
        self.hold: list[Batch] = []
        self._released = asyncio.Event()

    def answer_now(self) -> None:
        """Answer the batches in `hold`, which have been carried out already."""
        self._released.set()

    def touch(self) -> None:
        """Change, as if someone else had written."""
        self.count += 1

    async def listing(self, known: str = "") -> CacheListing | None:
        if known == f"e-{self.count}":
            return None
        self.listings += 1
        return CacheListing(
            revision=f"e-{self.count}",
            complete=self.complete,
            confirmed=self.confirmed,
            damage=self.damage,
            awaited=self.awaited,
            entries=dict(self.entries),
            cards=self.cards,
        )

    async def apply(self, batch: Batch) -> Applied:
        if self.failing:
            raise ConnectionError
        base = f"e-{self.count}"
        self.batches.append(batch)
        self.entries.update({u.key: u.stored for u in batch.upserts if u.key not in self.refuse})
        for key, mark in batch.leaving.items():
            if key in self.entries:
                self.entries[key] = replace(self.entries[key], leaving=mark)
        for key in batch.removals:
            self.entries.pop(key, None)
        self.cards.update({key: card_digest(text) for key, text in batch.cards.items()})
        self.damage = "" if batch.confirmed else self.damage
        self.complete |= batch.confirmed or (batch.complete and not self.damage)
        self.confirmed |= batch.confirmed
        self.awaited = self.awaited if batch.awaited is None else batch.awaited
        self.count += 1
        applied = Applied(revision=f"e-{self.count}", base=base, refused=dict(self.refuse))
        if batch in self.hold:
            await self._released.wait()
        return applied
