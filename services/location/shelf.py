"""The shelf: the documents and model cards that location serves, in memory, by key and by URI.

Readers delete from Backstage whatever the feed does not list. So nothing is served until the shelf is complete for the
first time. From then on it counts as complete, because serving what was known is always better than serving nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from common.clocks import wall_time
from common.feed import Refused
from common.health import Health
from common.problems import Problem
from common.wire import Awaited
from services.location.delivery import Delivery, Entry
from services.location.pages import Page


class Shelf:
    """The documents and cards of one running location.

    `membership` is incremented whenever an entry is added, removed or moved: lists of entries are rendered again then.
    """

    def __init__(self, *, health: Health, clock: Callable[[], float] = wall_time) -> None:
        """Start empty and incomplete; `health` gets the condition `feed`, `clock` returns seconds since the epoch."""
        self._health = health
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self._by_uri: dict[str, Entry] = {}
        self._cards: dict[str, Page] = {}
        self._card_users: Counter[str] = Counter()
        self._less_used_cards: set[str] = set()
        self._sorted: tuple[Entry, ...] | None = ()
        self.membership = 0
        self.changed_at = clock()
        self.complete = False
        self.waiting_for = ""
        self.awaited: tuple[Awaited, ...] = ()
        self.wait_for("a first look at storage")

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries in the order of their URIs."""
        if self._sorted is None:
            self._sorted = tuple(sorted(self._entries.values(), key=lambda entry: entry.uri))
        return self._sorted

    def keys(self) -> frozenset[str]:
        """Return the keys of all entries."""
        return frozenset(self._entries)

    def at_uri(self, uri: str) -> Entry | None:
        """Return the entry at exactly this path."""
        return self._by_uri.get(uri)

    def at_key(self, key: str) -> Entry | None:
        """Return the entry with this key."""
        return self._entries.get(key)

    def card(self, key: str) -> Page | None:
        """Return a model card."""
        return self._cards.get(key)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def card_count(self) -> int:
        """How many model cards there are."""
        return len(self._cards)

    def set_complete(self) -> None:
        """Serve the feed from now on; this is never undone."""
        if not self.complete:
            self.complete = True
            self.waiting_for, self.awaited = "", ()
            self._health.set("feed", True)

    def wait_for(self, what: str, sources: Sequence[Awaited] = ()) -> None:
        """Set what the feed waits for, which is shown to readers and probes; ignored once the feed is complete.

        `sources` are the sources that `what` mentions.
        """
        if not self.complete:
            self.waiting_for, self.awaited = what, tuple(sources)
            self._health.set("feed", False, f"not complete yet, waiting for {what}")

    def put(self, entry: Entry) -> None:
        """Add an entry or replace the one with its key.

        Raises:
            Refused: another key has the same URI.
        """
        self._put(entry)
        self._drop_unused_cards()

    def remove(self, key: str) -> bool:
        """Remove an entry, and its card if no other entry uses it; return whether there was an entry."""
        known = self._remove(key)
        self._drop_unused_cards()
        return known

    def put_card(self, key: str, card: Page) -> None:
        """Add or replace a model card."""
        self._cards[key] = card
        self.changed_at = self._clock()

    def apply(self, delivery: Delivery) -> tuple[Problem, ...]:
        """Apply a delivery and return the problems with entries that cannot be served.

        Entries that it does not contain stay, unless it is `whole`.
        """
        problems = [_problem(key, fault) for key, fault in delivery.refused.items()]
        for key in tuple(self._gone(delivery)):
            self._remove(key)
        problems += self._put_all(delivery.entries)
        for key, card in delivery.cards.items():
            self.put_card(key, card)
        self._drop_unused_cards()
        for key in tuple(self._cards_gone(delivery)):
            self._cards.pop(key, None)
        if delivery.complete:
            self.set_complete()
        return tuple(problems)

    def _gone(self, delivery: Delivery) -> Iterable[str]:
        if not delivery.whole:
            return delivery.removals
        delivered = {entry.key for entry in delivery.entries}
        absent = self._entries.keys() - delivered - delivery.refused.keys()  # a refused entry stays as it was
        return absent | delivery.removals.keys()

    def _cards_gone(self, delivery: Delivery) -> Iterable[str]:
        return self._cards.keys() - delivery.cards.keys() if delivery.whole else delivery.card_removals

    def _put_all(self, entries: Iterable[Entry]) -> list[Problem]:
        waiting = []
        for entry in entries:
            try:
                self._put(entry)
            except Refused:
                waiting.append(entry)  # a later entry may free the URI
        problems = []
        for entry in waiting:
            try:
                self._put(entry)
            except Refused as error:
                problems.append(_problem(entry.key, str(error)))
        return problems

    def _put(self, entry: Entry) -> None:
        holder = self._by_uri.get(entry.uri)
        if holder is not None and holder.key != entry.key:
            raise Refused(f"the URI {entry.uri} belongs to the key {holder.key}")
        former = self._entries.get(entry.key)
        if former is not None:
            self._unlink(former)
        if former is None or former.uri != entry.uri:
            self.membership += 1
        if entry.card_key:
            self._card_users[entry.card_key] += 1
        self._entries[entry.key] = self._by_uri[entry.uri] = entry
        self._sorted = None
        self.changed_at = self._clock()

    def _remove(self, key: str) -> bool:
        former = self._entries.pop(key, None)
        if former is None:
            return False
        self._unlink(former)
        self._sorted = None
        self.membership += 1
        self.changed_at = self._clock()
        return True

    def _unlink(self, former: Entry) -> None:
        del self._by_uri[former.uri]
        if former.card_key:
            self._card_users[former.card_key] -= 1
            self._less_used_cards.add(former.card_key)

    def _drop_unused_cards(self) -> None:
        for key in self._less_used_cards:
            if not self._card_users[key]:
                del self._card_users[key]
                self._cards.pop(key, None)
        self._less_used_cards.clear()


def _problem(key: str, fault: str) -> Problem:
    return Problem(
        "invalid_document",
        "error",
        f"document {key[:253]}",
        fault,
        "correct the object that the document was made from; to see the document: GET /fetch?key=KEY of storage-rest",
    )
