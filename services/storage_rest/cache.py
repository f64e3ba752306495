"""The cache in memory: the entries and cards that requests are answered from, and the log of their changes."""

import asyncio
from collections.abc import Iterable, Iterator, KeysView, Mapping
from dataclasses import replace
from typing import Literal

from common import randomness
from common.backoff import happens
from common.wire import Awaited, Batch, CacheListing, Changes, Stored, Upsert, card_digest, parse_revision, without_card
from services.storage_rest.stores.base import LoadedCache

TOMBSTONES = 10_000
"""How many removals are remembered; a reader that missed more reads everything again."""
EARLY_CARDS = 100
"""How many cards are kept that no entry refers to yet."""

_Kind = Literal["entry", "card"]


class Cache:
    """Entries, cards, whether they are known to be complete, and a revision that increases with each change.

    Every method except `wait` runs without awaiting, so that readers, the store and pushes see changes in the same
    order.
    """

    def __init__(self, *, epoch: str | None = None, tombstones: int = TOMBSTONES) -> None:
        self.complete = False
        self.confirmed = False
        self.damage = ""
        self._awaited: tuple[Awaited, ...] = ()
        self._epoch = epoch or randomness.identifier(6)
        self._count = 0
        self._forgotten = 0
        self._tombstones = tombstones
        self._entries: dict[str, Upsert] = {}
        self._stored: dict[str, Stored] = {}
        self._cards: dict[str, str] = {}
        self._card_digests: dict[str, str] = {}
        self._referrers: dict[str, set[str]] = {}
        self._early_cards: dict[str, str] = {}
        self._leaving: set[str] = set()
        self._withholding = False
        self._withheld: dict[str, Upsert | None] = {}  # what readers see instead; None: nothing
        self._shown_complete = False
        self._shown_confirmed = False
        self._reasons: dict[str, str] = {}  # why entries in the log were removed
        self._log: dict[tuple[_Kind, str], int] = {}  # the last change of each, the latest at the end
        self._news = asyncio.Event()

    @property
    def revision(self) -> str:
        """The revision of the current content."""
        return f"{self._epoch}-{self._count}"

    @property
    def entries(self) -> Mapping[str, Upsert]:
        """Every entry by key, without the text of its card; not to be modified."""
        return self._entries

    @property
    def leaving(self) -> list[Upsert]:
        """The entries with a mark, sorted by key."""
        return [self._entries[key] for key in sorted(self._leaving)]

    @property
    def cards(self) -> Mapping[str, str]:
        """The text of every card by its key; not to be modified."""
        return self._cards

    def load(self, loaded: LoadedCache) -> None:
        """Start with the content of a store."""
        self.damage = loaded.damage
        self.apply(Batch(upserts=loaded.upserts, cards=loaded.cards, complete=loaded.complete))

    def apply(self, batch: Batch, *, withhold: bool = False) -> Changes:
        """Apply a batch and return the changes that readers see, which may be empty.

        With `withhold`, readers see its entries unchanged until they are released; they see removals at once.

        A card is dropped with the last entry that refers to it; one that arrives before its entry is kept for a while.
        A cache that was loaded damaged becomes complete only by a confirmed batch.
        """
        before, known = self._count, self._flags
        self._withholding = withhold
        if batch.confirmed:
            self.damage = ""
        self._count += 1
        for upsert in batch.upserts:
            self._put(without_card(upsert))
        for card_key, text in batch.cards.items():
            self._put_card(card_key, text)
        for key, mark in batch.leaving.items():
            if key in self._entries:
                self._put(replace(self._entries[key], leaving=mark))
        for key, reason in batch.removals.items():
            self._remove(key, reason)
        self.complete = self.complete or batch.confirmed or (batch.complete and not self.damage)
        self.confirmed = self.confirmed or batch.confirmed
        if batch.awaited is not None or self.complete:
            self._awaited = () if self.complete else batch.awaited or ()
        self._show_flags()
        changes = self._since(before)
        if not any(self._touched_since(before)) and self._flags == known:
            self._count = before
            return self._since(before)
        self._trim()
        self._wake()
        return changes

    @property
    def _flags(self) -> tuple[object, ...]:
        return self.complete, self.confirmed, self._awaited

    @property
    def withheld(self) -> KeysView[str]:
        """The keys of the entries that readers do not see as they are."""
        return self._withheld.keys()

    def release(self, keys: Iterable[str]) -> Changes:
        """Stop withholding entries; return the changes that readers see."""
        before = self._count
        self._count += 1
        for key in keys:
            del self._withheld[key]
            self._touch("entry", key)
        self._show_flags()
        self._wake()
        return self._since(before)

    def _show_flags(self) -> None:
        """Show readers the flags, unless a new entry is still withheld from them."""
        if None not in self._withheld.values():
            self._shown_complete, self._shown_confirmed = self.complete, self.confirmed

    def shown(self, key: str) -> Upsert | None:
        """Return an entry as it is visible to readers."""
        return self._withheld[key] if key in self._withheld else self._entries.get(key)

    @property
    def shown_keys(self) -> list[str]:
        """The keys of visible entries, sorted."""
        return sorted(key for key in self._entries if self.shown(key) is not None)

    def since(self, revision: str) -> Changes | None:
        """Return the changes since a revision of this process, None if they are no longer known."""
        process, count = parse_revision(revision) or ("", 0)
        if process != self._epoch or not self._forgotten <= count <= self._count:
            return None
        return self._since(count)

    async def wait(self, revision: str, seconds: float) -> None:
        """Wait until the revision has changed, at most some seconds."""
        if self.revision == revision:
            await happens(self._news, within=seconds)

    def wake(self) -> None:
        """End every `wait`, because the process is about to end."""
        self._news.set()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def snapshot(self) -> Changes:
        """Return everything that is visible to readers."""
        shown = (self.shown(key) for key in self._entries)
        return Changes(
            revision=self.revision,
            complete=self._shown_complete,
            confirmed=self._shown_confirmed,
            damage=self.damage,
            awaited=self._awaited,
            upserts=tuple(entry for entry in shown if entry is not None),
            cards=dict(self._cards),
        )

    def listing(self) -> CacheListing:
        """Return the digests of everything."""
        return CacheListing(
            revision=self.revision,
            complete=self.complete,
            entries=dict(self._stored),
            cards=dict(sorted(self._card_digests.items())),
            confirmed=self.confirmed,
            damage=self.damage,
            awaited=self._awaited,
        )

    def _put(self, upsert: Upsert) -> None:
        key, stored = upsert.key, upsert.stored
        if self._stored.get(key) == stored:
            return
        former = self._entries.get(key)
        if self._withholding:
            self._withheld.setdefault(key, former)
        else:
            self._withheld.pop(key, None)
        self._entries[key], self._stored[key] = upsert, stored
        (self._leaving.discard if upsert.leaving is None else self._leaving.add)(key)
        self._touch("entry", key)
        if upsert.card_key:
            self._referrers.setdefault(upsert.card_key, set()).add(key)
            if upsert.card_key in self._early_cards:
                self._put_card(upsert.card_key, self._early_cards.pop(upsert.card_key))
        if former is not None and former.card_key != upsert.card_key:
            self._dereference(former)

    def _remove(self, key: str, reason: str) -> None:
        former = self._entries.pop(key, None)
        self._withheld.pop(key, None)
        self._leaving.discard(key)
        if former is not None:
            del self._stored[key]
            self._reasons[key] = reason
            self._touch("entry", key)
            self._dereference(former)

    def _dereference(self, former: Upsert) -> None:
        referrers = self._referrers.get(former.card_key)
        if referrers is None:
            return
        referrers.discard(former.key)
        if not referrers:
            del self._referrers[former.card_key]
            if self._cards.pop(former.card_key, None) is not None:
                del self._card_digests[former.card_key]
                self._touch("card", former.card_key)

    def _put_card(self, key: str, text: str) -> None:
        if key not in self._referrers:
            self._early_cards[key] = text
            if len(self._early_cards) > EARLY_CARDS:
                del self._early_cards[next(iter(self._early_cards))]
            return
        digest = card_digest(text)
        if self._card_digests.get(key) != digest:
            self._cards[key], self._card_digests[key] = text, digest
            self._touch("card", key)

    def _touch(self, kind: _Kind, key: str) -> None:
        self._log.pop((kind, key), None)
        self._log[kind, key] = self._count

    def _touched_since(self, count: int) -> Iterator[tuple[_Kind, str]]:
        for name, changed in reversed(self._log.items()):
            if changed <= count:
                return
            yield name

    def _since(self, count: int) -> Changes:
        touched = list(self._touched_since(count))[::-1]
        entries = {key: self.shown(key) for kind, key in touched if kind == "entry"}
        cards = [key for kind, key in touched if kind == "card"]
        return Changes(
            revision=self.revision,
            complete=self._shown_complete,
            confirmed=self._shown_confirmed,
            damage=self.damage,
            awaited=self._awaited,
            upserts=tuple(entry for entry in entries.values() if entry is not None),
            # A withheld new entry is not a removal: a reader that has it from an earlier run keeps it.
            removals={
                key: self._reasons[key] for key, entry in entries.items() if entry is None and key in self._reasons
            },
            cards={key: self._cards[key] for key in cards if key in self._cards},
            card_removals=tuple(key for key in cards if key not in self._cards),
        )

    def _trim(self) -> None:
        surplus = len(self._log) - len(self._entries) - len(self._cards) - self._tombstones
        if surplus <= 0:
            return
        gone = [
            ((kind, key), count)
            for (kind, key), count in self._log.items()
            if key not in (self._entries if kind == "entry" else self._cards)
        ]
        for name, count in gone[: max(surplus, len(gone) // 2)]:
            del self._log[name]
            if name[0] == "entry":
                self._reasons.pop(name[1], None)
            self._forgotten = count
