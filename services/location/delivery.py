"""Prepares what storage-rest sends for the shelf: checks documents and gives them their path and ETag.

Nothing here touches the shelf, so every fault is known before anything changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common import feed
from common.feed import Refused
from common.wire import Changes, Upsert
from services.location.pages import MARKDOWN, Page


@dataclass(frozen=True, slots=True)
class Entry:
    """One document in the feed, as it is stored; `details` are encoded by `common.details`."""

    key: str
    uri: str
    card_key: str
    document: Page
    details: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Changes that are ready for the shelf.

    `whole`: an entry that is not among them was removed. `complete`: the feed may be served after them. `removals` and
    `refused` map keys to reasons.
    """

    whole: bool
    complete: bool
    entries: tuple[Entry, ...] = ()
    removals: Mapping[str, str] = field(default_factory=dict)
    cards: Mapping[str, Page] = field(default_factory=dict)
    card_removals: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


def make_entry(upsert: Upsert) -> Entry:
    """Return the entry for an upsert.

    Raises:
        Refused: its key, URI or document cannot be served.
    """
    path = feed.path_of(upsert.key, upsert.uri)
    return Entry(upsert.key, path, upsert.card_key, Page(feed.fix_document(upsert.body)), upsert.details)


def make_card(text: str) -> Page:
    """Return the page of a model card."""
    return Page(text.encode(), MARKDOWN)


@dataclass(slots=True)
class DeliveryBuilder:
    """Collects entries one by one for a delivery; `refused` holds why the others cannot be served, by key."""

    entries: list[Entry] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, upsert: Upsert) -> None:
        """Check an upsert and add its entry."""
        try:
            self.entries.append(make_entry(upsert))
        except Refused as error:
            self.refused[upsert.key] = str(error)

    def build(self, rest: Changes, *, whole: bool) -> Delivery:
        """Return the delivery of the entries and of everything else in `rest`."""
        return Delivery(
            whole=whole,
            complete=rest.complete,
            entries=tuple(self.entries),
            removals=rest.removals,
            cards={key: make_card(text) for key, text in rest.cards.items()},
            card_removals=rest.card_removals,
            refused=self.refused,
        )


def prepare(changes: Changes, *, whole: bool) -> Delivery:
    """Return the delivery of `changes`."""
    builder = DeliveryBuilder()
    for upsert in changes.upserts:
        builder.add(upsert)
    return builder.build(changes, whole=whole)
