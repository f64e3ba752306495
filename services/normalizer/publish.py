"""Telling storage: a mirror of what it holds, and the difference sent in batches, some at a time.

A batch is durable when it is answered, which takes as long as the store behind storage does. What happens meanwhile
does not wait for that: it goes in further batches, but never two at a time about the same document, so that the order
in which they arrive does not matter.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from common.wire import Applied, Batch, Listing, Stored, Upsert, card_digest
from services.normalizer.contents import Card
from services.normalizer.plan import Plan

BATCH_BYTES = 256 * 1024
"""A batch is closed when its documents and cards have reached this size."""
PARALLEL = 4
"""So many batches may be under way."""


class Storage(Protocol):
    """What the normalizer needs of a storage, over HTTP or in the same process."""

    async def listing(self, known: str = "") -> Listing | None:
        """Return all that is stored, by digest; None when nothing has changed since the revision `known`."""

    async def apply(self, batch: Batch) -> Applied:
        """Carry the batch out; it is durable on return."""


@dataclass(slots=True)
class _Draft:
    """A batch in the making."""

    upserts: list[Upsert] = field(default_factory=list)
    cards: dict[str, str] = field(default_factory=dict)
    size: int = 0

    def add(self, upsert: Upsert) -> None:
        self.upserts.append(upsert)
        self.size += len(upsert.body)

    def add_card(self, key: str, text: str) -> None:
        self.cards[key] = text
        self.size += len(text)

    @property
    def full(self) -> bool:
        return self.size >= BATCH_BYTES


class Mirror:
    """What storage holds, as far as its answers tell, with what is on its way to it.

    `known` is false when an error leaves that open, until the next `refresh`.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._revision = ""
        self._advances: dict[str, str] = {}
        self._under_way: list[Batch] = []
        self._refused: dict[str, str] = {}
        self.known = False
        self.complete = False
        self.entries: dict[str, Stored] = {}
        self.cards: dict[str, str] = {}
        self._card_uses: Counter[str] = Counter()

    @property
    def idle(self) -> bool:
        """Whether no batch is under way."""
        return not self._under_way

    def doubt(self) -> None:
        """Take what storage holds for unknown."""
        self.known = False
        self._revision = ""

    async def refresh(self) -> None:
        """Ask storage what it holds, unless batches are under way; nothing new costs an empty answer.

        Raises:
            RemoteError, WireError: it cannot be asked.
        """
        if not self.idle:
            return
        fresh = await self._storage.listing(self._revision)
        if fresh is not None and self.idle:
            self._revision, self.complete = fresh.revision, fresh.complete
            self.entries, self.cards = dict(fresh.entries), dict(fresh.cards)
            self._card_uses = Counter(entry.card_key for entry in fresh.entries.values() if entry.card_key)
        self.known = True

    def unrefused(self, wanted: Mapping[str, Upsert]) -> Mapping[str, Upsert]:
        """Return `wanted` without what storage has refused in exactly this form."""
        if not self._refused:
            return wanted
        return {key: upsert for key, upsert in wanted.items() if self._refused.get(key) != upsert.digest}

    def missing_cards(self, cards: Mapping[str, Card]) -> dict[str, str]:
        """Return the texts of the cards that storage does not have so."""
        return {key: card.text for key, card in cards.items() if self.cards.get(key) != card.digest}

    def begin(self, plan: Plan, *, cards: Mapping[str, str], complete: bool) -> list[Batch]:
        """Return the batches that can go now, each of which needs a `deliver`; the rest is for a later plan.

        `complete` tells storage that this is all there is; it goes with the last batch, when none other is under way.
        """
        busy = {upsert.key for batch in self._under_way for upsert in batch.upserts}
        busy.update(key for batch in self._under_way for key in batch.removals)
        busy_cards = {key for batch in self._under_way for key in batch.cards}
        upserts = [upsert for upsert in plan.upserts if upsert.key not in busy]
        unsent = {key: text for key, text in cards.items() if key not in busy_cards}
        removals = [key for key in plan.removals if key not in busy]
        everything = len(upserts) == len(plan.upserts) and len(removals) == len(plan.removals) and self.idle
        batches: list[Batch] = []
        while (upserts or unsent or removals) and len(self._under_way) < PARALLEL:
            draft = _fill(upserts, unsent)
            moving = self._refs_under_way() | {upsert.ref for upsert in upserts}
            now = [key for key in removals if not self.entries[key].ref or self.entries[key].ref not in moving]
            leaving = set(now)
            removals = [key for key in removals if key not in leaving]
            if not draft.upserts and not draft.cards and not now:
                break
            batch = Batch(upserts=tuple(draft.upserts), removals=dict.fromkeys(now, ""), cards=draft.cards)
            batches.append(batch)
            self._start(batch)
        if complete and everything and not upserts and not unsent and not removals and len(batches) <= 1:
            batches = [self._completed(batches)]
        return batches

    def _refs_under_way(self) -> set[str]:
        return {upsert.ref for batch in self._under_way for upsert in batch.upserts}

    def _completed(self, batches: list[Batch]) -> Batch:
        last = batches[0] if batches else Batch()
        batch = Batch(upserts=last.upserts, removals=last.removals, cards=last.cards, complete=True)
        self._under_way = [batch]
        return batch

    def _start(self, batch: Batch) -> None:
        self._under_way.append(batch)
        self.cards.update((key, card_digest(text)) for key, text in batch.cards.items())
        for upsert in batch.upserts:
            self._put(upsert.key, upsert.stored)
        for key in batch.removals:
            self._put(key, None)

    def _put(self, key: str, entry: Stored | None) -> None:
        """Set or remove an entry; a card that nobody shows any more is not kept by storage either."""
        former = self.entries.pop(key, None)
        if entry is not None:
            self.entries[key] = entry
            if entry.card_key:
                self._card_uses[entry.card_key] += 1
        if former is not None and former.card_key:
            self._card_uses[former.card_key] -= 1
            if not self._card_uses[former.card_key]:
                del self._card_uses[former.card_key]
                self.cards.pop(former.card_key, None)

    async def deliver(self, batch: Batch) -> Mapping[str, str]:
        """Send a batch that has begun; return why storage refused which keys.

        Raises:
            RemoteError, WireError: what storage holds is then unknown until the next `refresh`.
        """
        applied = None
        try:
            applied = await self._storage.apply(batch)
        finally:
            self._under_way.remove(batch)
            if applied is None:
                self.doubt()
        self._advance(applied)
        self.complete = self.complete or batch.complete
        for upsert in batch.upserts:
            self._refused.pop(upsert.key, None)
            if upsert.key in applied.refused:
                self._refused[upsert.key] = upsert.digest
                self._put(upsert.key, None)
        return applied.refused

    def _advance(self, applied: Applied) -> None:
        """Follow the revision from batch to batch, in whatever order they are answered.

        Where the chain has a gap, somebody else's change is not in the mirror: then the next refresh must not be told
        that nothing has changed.
        """
        if applied.base and applied.base != applied.revision:
            self._advances[applied.base] = applied.revision
        while self._revision in self._advances:
            self._revision = self._advances.pop(self._revision)
        if self.idle and self._advances:
            self._advances.clear()
            self._revision = ""


def _fill(upserts: list[Upsert], cards: dict[str, str]) -> _Draft:
    """Take as much as fits into a batch, each card with the document that shows it."""
    draft = _Draft()
    taken = 0
    while taken < len(upserts) and not draft.full:
        upsert = upserts[taken]
        taken += 1
        draft.add(upsert)
        if upsert.card_key in cards:
            draft.add_card(upsert.card_key, cards.pop(upsert.card_key))
    del upserts[:taken]
    shown_later = {upsert.card_key for upsert in upserts}
    for key in [key for key in cards if key not in shown_later]:
        if draft.full:
            break
        draft.add_card(key, cards.pop(key))
    return draft
