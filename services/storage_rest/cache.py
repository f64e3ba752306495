"""What is stored, in memory: the copy that everybody is served from, and what changed in it since when."""

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

from common.wire import Batch, Changes, Listing, Stored, Upsert, card_digest, without_card
from services.storage_rest.stores.base import Contents

TOMBSTONES = 10_000
"""How many removals are remembered for followers; one that missed more reads everything again."""
EARLY_CARDS = 100
"""How many cards are held that no entry refers to yet."""

_Kind = Literal["entry", "card"]


class Cache:
    """Entries, cards, whether they are known to be everything, and a revision that grows with each change.

    Everything but `wait` happens at once, within one turn of the event loop, so that the order in which changes are
    taken is the same for followers, the store and pushes.
    """

    def __init__(self, *, epoch: str | None = None, tombstones: int = TOMBSTONES) -> None:
        self.complete = False
        self.confirmed = False
        self.damage = ""
        self._epoch = epoch or secrets.token_hex(6)
        self._count = 0
        self._forgotten = 0
        self._tombstones = tombstones
        self._entries: dict[str, Upsert] = {}
        self._stored: dict[str, Stored] = {}
        self._cards: dict[str, str] = {}
        self._card_digests: dict[str, str] = {}
        self._referrers: dict[str, set[str]] = {}
        self._early_cards: dict[str, str] = {}
        self._reasons: dict[str, str] = {}  # why entries in the log were removed
        self._log: dict[tuple[_Kind, str], int] = {}  # the last change of each, the latest at the end
        self._news = asyncio.Event()

    @property
    def revision(self) -> str:
        """The revision of what is held now."""
        return f"{self._epoch}-{self._count}"

    @property
    def entries(self) -> Mapping[str, Upsert]:
        """Every entry by key, without the text of its card; to be read only."""
        return self._entries

    @property
    def cards(self) -> Mapping[str, str]:
        """The text of every card by its key; to be read only."""
        return self._cards

    def load(self, contents: Contents) -> None:
        """Begin with what a store held."""
        self.apply(Batch(upserts=contents.upserts, cards=contents.cards, complete=contents.complete))

    def apply(self, batch: Batch) -> Changes:
        """Take a batch and return what it changed, which may be nothing at all.

        A card whose last referrer goes is not kept; one that came before its first referrer is, for a while.
        """
        before, known = self._count, (self.complete, self.confirmed)
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
        self.complete = self.complete or batch.complete or batch.confirmed
        self.confirmed = self.confirmed or batch.confirmed
        changes = self._since(before)
        if _is_empty(changes) and (self.complete, self.confirmed) == known:
            self._count = before
            return self._since(before)
        self._trim()
        self._news.set()
        self._news = asyncio.Event()
        return changes

    def since(self, revision: str) -> Changes | None:
        """Return what changed since a revision of this process, None when that cannot be told any more."""
        epoch, _, count = revision.rpartition("-")
        if epoch != self._epoch or not (count.isascii() and count.isdigit()):
            return None
        return self._since(int(count)) if self._forgotten <= int(count) <= self._count else None

    async def wait(self, revision: str, seconds: float) -> None:
        """Return when the revision is another, at the latest after some seconds."""
        if self.revision != revision:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass

    def wake(self) -> None:
        """Let everybody return who waits, for the process is about to end."""
        self._news.set()

    def snapshot(self) -> Changes:
        """Return everything."""
        return Changes(
            revision=self.revision,
            complete=self.complete,
            confirmed=self.confirmed,
            upserts=tuple(self._entries.values()),
            cards=dict(self._cards),
        )

    def listing(self) -> Listing:
        """Return everything, by digest."""
        return Listing(
            revision=self.revision,
            complete=self.complete,
            entries=dict(self._stored),
            cards=dict(sorted(self._card_digests.items())),
            confirmed=self.confirmed,
            damage=self.damage,
        )

    def _put(self, upsert: Upsert) -> None:
        key, stored = upsert.key, upsert.stored
        if self._stored.get(key) == stored:
            return
        former = self._entries.get(key)
        self._reasons.pop(key, None)
        self._entries[key], self._stored[key] = upsert, stored
        self._touch("entry", key)
        if upsert.card_key:
            self._referrers.setdefault(upsert.card_key, set()).add(key)
            if upsert.card_key in self._early_cards:
                self._put_card(upsert.card_key, self._early_cards.pop(upsert.card_key))
        if former is not None and former.card_key != upsert.card_key:
            self._dereference(former)

    def _remove(self, key: str, reason: str) -> None:
        former = self._entries.pop(key, None)
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
        entries = [key for kind, key in touched if kind == "entry"]
        cards = [key for kind, key in touched if kind == "card"]
        return Changes(
            revision=self.revision,
            complete=self.complete,
            confirmed=self.confirmed,
            upserts=tuple(self._entries[key] for key in entries if key in self._entries),
            removals={key: self._reasons[key] for key in entries if key not in self._entries},
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
                del self._reasons[name[1]]
            self._forgotten = count


def _is_empty(changes: Changes) -> bool:
    return not (changes.upserts or changes.removals or changes.cards or changes.card_removals)
