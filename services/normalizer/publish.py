"""Publishes to storage: a mirror of what it holds, and batches with the difference, several at a time.

A batch is durable when storage answers, which takes as long as the store behind it does. Changes in the meantime do not
wait for that but go in further batches, never two at a time with the same document, so that their order does not
matter.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from common.wire import Applied, Awaited, Batch, CacheListing, Stored, Upsert, card_digest
from services.normalizer.cards import Card
from services.normalizer.plan import Plan

BATCH_BYTES = 256 * 1024
"""The size of documents and cards at which a batch is closed."""
PARALLEL = 4
"""The number of batches that may be on their way at a time."""


class Storage(Protocol):
    """What the normalizer needs from a storage, over HTTP or in the same process."""

    async def listing(self, known: str = "") -> CacheListing | None:
        """Return all that is stored, by digest; None when nothing has changed since the revision `known`."""

    async def apply(self, batch: Batch) -> Applied:
        """Apply a batch, which is durable on return."""


@dataclass(slots=True)
class _Draft:
    """A batch that is being filled."""

    upserts: list[Upsert] = field(default_factory=list)
    cards: dict[str, str] = field(default_factory=dict)
    size: int = 0

    def add(self, upsert: Upsert, cards: dict[str, str]) -> None:
        """Add a document, and the card that it shows if that must be sent."""
        self.upserts.append(upsert)
        self.size += len(upsert.body)
        if upsert.card_key in cards:
            self.add_card(upsert.card_key, cards.pop(upsert.card_key))

    def add_card(self, key: str, text: str) -> None:
        self.cards[key] = text
        self.size += len(text)

    @property
    def full(self) -> bool:
        return self.size >= BATCH_BYTES


class Mirror:
    """What storage holds according to its answers, with the changes that are on their way to it.

    `known` is false after an error, until the next `refresh`. `complete`, `confirmed`, `damage`
    and `awaited` are those of the last listing. `refused` are the digests of documents that storage does not take, by
    key, and `refusals` why.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._revision = ""
        self._advances: dict[str, str] = {}
        self._sending: list[Batch] = []
        self._formers: dict[str, Stored | None] = {}
        self.refused: dict[str, str] = {}
        self.refusals: dict[str, str] = {}
        self.known = False
        self.complete = False
        self.confirmed = False
        self.damage = ""
        self.awaited: tuple[Awaited, ...] | None = None
        self.entries: dict[str, Stored] = {}
        self.cards: dict[str, str] = {}
        self._card_uses: Counter[str] = Counter()

    @property
    def idle(self) -> bool:
        """Whether no batch is on its way."""
        return not self._sending

    def doubt(self) -> None:
        """Forget what storage holds, because it has become uncertain."""
        self.known = False
        self._revision = ""

    @property
    def busy(self) -> set[str]:
        """The keys of entries with a change on its way to storage."""
        keys = {upsert.key for batch in self._sending for upsert in batch.upserts}
        return keys.union(*(batch.removals.keys() | batch.leaving.keys() for batch in self._sending))

    async def refresh(self) -> bool:
        """Ask storage what it holds, unless batches are on their way; return whether another writer has changed that.

        Raises:
            RemoteError, WireError: it cannot be asked.
        """
        if not self.idle:
            return False
        fresh = await self._storage.listing(self._revision)
        taken = fresh is not None and self.idle
        if fresh is not None and taken:
            self._revision, self.complete = fresh.revision, fresh.complete
            self.confirmed, self.damage, self.awaited = fresh.confirmed, fresh.damage, fresh.awaited
            self.entries, self.cards = dict(fresh.entries), dict(fresh.cards)
            self._card_uses = Counter(entry.card_key for entry in fresh.entries.values() if entry.card_key)
        self.known = True
        return taken

    def is_new(self, key: str) -> bool:
        """Return whether a document that is on its way was not stored before."""
        return key in self._formers and self._formers[key] is None

    def missing_cards(self, cards: Mapping[str, Card]) -> dict[str, str]:
        """Return the texts of the cards that storage does not have, or has in another form."""
        return {key: card.text for key, card in cards.items() if self.cards.get(key) != card.digest}

    def begin(
        self,
        plan: Plan,
        *,
        cards: Mapping[str, str],
        complete: bool = False,
        confirmed: bool = False,
        awaited: tuple[Awaited, ...] = (),
    ) -> list[Batch]:
        """Return the batches that can be sent now, each with `deliver`; the rest is for a later plan.

        `complete` and `confirmed` tell storage so; that goes with the last batch, when none other is under way.
        `awaited` are the sources that it is not complete without.
        """
        busy = self.busy
        busy_cards = {key for batch in self._sending for key in batch.cards}
        groups = [group for group in plan.upserts if not any(upsert.key in busy for upsert in group)]
        unsent = {key: text for key, text in cards.items() if key not in busy_cards}
        removals = {key: reason for key, reason in plan.removals.items() if key not in busy}
        marks = {key: mark for key, mark in plan.marks.items() if key not in busy}
        all_can_go = self.idle and len(groups) == len(plan.upserts) and len(removals) == len(plan.removals)
        is_on_its_way = any(batch.awaited is not None for batch in self._sending)  # which may arrive after this one
        news = None if is_on_its_way or self.awaited in (None, awaited) else awaited
        batches: list[Batch] = []
        while (groups or unsent or removals or marks or news is not None) and len(self._sending) < PARALLEL:
            draft = _fill(groups, unsent)
            batch = Batch(
                upserts=tuple(draft.upserts), leaving=marks, removals=removals, cards=draft.cards, awaited=news
            )
            removals, marks, news = {}, {}, None
            batches.append(batch)
            self._start(batch)
        if (complete or confirmed) and all_can_go and not groups and not unsent and len(batches) <= 1:
            last = replace(batches[0] if batches else Batch(), complete=complete, confirmed=confirmed)
            batches, self._sending = [last], [last]
        return batches

    def _start(self, batch: Batch) -> None:
        self._sending.append(batch)
        if batch.awaited is not None:
            self.awaited = batch.awaited
        self.cards.update((key, card_digest(text)) for key, text in batch.cards.items())
        for upsert in batch.upserts:
            self._formers[upsert.key] = self.entries.get(upsert.key)
            self._put(upsert.key, upsert.stored)
        for key, mark in batch.leaving.items():
            if key in self.entries:
                self._put(key, replace(self.entries[key], leaving=mark))
        for key in batch.removals:
            self._put(key, None)

    def _put(self, key: str, entry: Stored | None) -> None:
        """Set or remove an entry; storage does not keep a card that no entry shows any more."""
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
        """Send a batch that was begun; return the keys that storage refused, with the reasons.

        Raises:
            RemoteError, WireError: what storage holds is then unknown until the next `refresh`.
        """
        formers = {upsert.key: self._formers.pop(upsert.key, None) for upsert in batch.upserts}
        applied = None
        try:
            applied = await self._storage.apply(batch)
        finally:
            self._sending.remove(batch)
            if applied is None:
                self.doubt()
        self._advance(applied)
        self.complete = self.complete or batch.complete
        self.confirmed = self.confirmed or batch.confirmed
        for upsert in batch.upserts:
            self.refused.pop(upsert.key, None)
            self.refusals.pop(upsert.key, None)
            if upsert.key in applied.refused:
                self.refused[upsert.key] = upsert.digest
                self.refusals[upsert.key] = applied.refused[upsert.key]
                self._put(upsert.key, formers[upsert.key])  # storage keeps the former document
        return applied.refused

    def _advance(self, applied: Applied) -> None:
        """Follow the revision from batch to batch, in whatever order they are answered.

        A gap in the chain means a change by another writer, which the mirror lacks: then the next refresh must list
        everything.
        """
        if applied.base and applied.base != applied.revision:
            self._advances[applied.base] = applied.revision
        while self._revision in self._advances:
            self._revision = self._advances.pop(self._revision)
        if self.idle and self._advances:
            self._advances.clear()
            self._revision = ""


def _fill(groups: list[tuple[Upsert, ...]], cards: dict[str, str]) -> _Draft:
    """Fill a batch with as much as fits, each card with the document that shows it."""
    draft = _Draft()
    taken = 0
    while taken < len(groups) and not draft.full:
        for upsert in groups[taken]:
            draft.add(upsert, cards)
        taken += 1
    del groups[:taken]
    shown_later = {upsert.card_key for group in groups for upsert in group}
    for key in [key for key in cards if key not in shown_later]:
        if draft.full:
            break
        draft.add_card(key, cards.pop(key))
    return draft
