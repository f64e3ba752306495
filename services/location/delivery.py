"""What comes from storage, made ready to be served: checked, with its path and its ETag.

Nothing here touches the shelf, so whatever is wrong with what came is known before anything changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common import feed
from common.feed import Refused
from common.wire import Changes, Upsert
from services.location.pages import MARKDOWN, Page


@dataclass(frozen=True, slots=True)
class Entry:
    """One document in the feed, as it is stored; `details` is what `common.details` decodes."""

    key: str
    uri: str
    card_key: str
    document: Page
    details: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Changes made ready for the shelf.

    `whole`: what is not among them is gone. `complete`: with them the feed may be shown.
    """

    whole: bool
    complete: bool
    entries: tuple[Entry, ...] = ()
    removals: Mapping[str, str] = field(default_factory=dict)
    cards: Mapping[str, Page] = field(default_factory=dict)
    card_removals: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


def make_entry(upsert: Upsert) -> Entry:
    """Return the entry that serves an upsert.

    Raises:
        Refused: when its key, URI or document cannot be served.
    """
    path = feed.path_of(upsert.key, upsert.uri)
    return Entry(upsert.key, path, upsert.card_key, Page(feed.fix_document(upsert.body)), upsert.details)


def make_card(text: str) -> Page:
    """Return the page of a model card."""
    return Page(text.encode(), MARKDOWN)


@dataclass(slots=True)
class Unpacking:
    """Entries made ready one by one; what cannot be served is kept apart, with the reason."""

    entries: list[Entry] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, upsert: Upsert) -> None:
        """Make one entry ready."""
        try:
            self.entries.append(make_entry(upsert))
        except Refused as error:
            self.refused[upsert.key] = str(error)

    def delivery(self, rest: Changes, *, whole: bool) -> Delivery:
        """Return the entries together with what else was told."""
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
    """Return `changes` ready for the shelf."""
    unpacking = Unpacking()
    for upsert in changes.upserts:
        unpacking.add(upsert)
    return unpacking.delivery(changes, whole=whole)
