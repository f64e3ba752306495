"""A snapshot of everything in storage, line by line."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from common import strict_json
from common.wire.fields import awaited_field, dump, parse_awaited, parse_upsert, upsert_fields
from common.wire.messages import Changes, Upsert, WireError

SNAPSHOT_TYPE: Final = "application/x-ndjson"
"""The media type of a snapshot."""


def snapshot_lines(whole: Changes) -> Iterator[bytes]:
    """Yield the lines of `GET /snapshot`: a head, the entries, the cards, and an end that proves it is complete."""
    yield head_line(whole)
    for entry in whole.upserts:
        yield entry_line(entry)
    for key, text in whole.cards.items():
        yield card_line(key, text)
    yield END_LINE


def head_line(whole: Changes) -> bytes:
    """Return the first line of a snapshot."""
    head = {"revision": whole.revision, "complete": whole.complete, "confirmed": whole.confirmed}
    return dump({**head, "damage": whole.damage, **awaited_field(whole.awaited)}) + b"\n"


def entry_line(entry: Upsert) -> bytes:
    """Return the line of a snapshot for an entry."""
    return dump(upsert_fields(entry)) + b"\n"


def card_line(key: str, text: str) -> bytes:
    """Return the line of a snapshot for a card."""
    return dump({"card": key, "text": text}) + b"\n"


END_LINE = b'{"end":true}\n'
"""The last line of a snapshot, which proves that it is complete."""


class SnapshotReader:
    """Reads a snapshot line by line, without keeping all of it in memory or blocking the event loop."""

    def __init__(self) -> None:
        self._head: dict[str, Any] | None = None
        self._cards: dict[str, str] = {}
        self._ended = False

    def feed(self, line: bytes) -> Upsert | None:
        """Return the entry in this line, None if it contains something else.

        Raises:
            WireError: the line is invalid.
        """
        fields = strict_json.parse_object(line)
        if self._ended:
            raise WireError("the snapshot continues after its end")
        if self._head is None:
            self._head = fields
        elif "end" in fields:
            self._ended = True
        elif "card" in fields:
            self._cards[strict_json.text(fields, "card")] = strict_json.text(fields, "text")
        else:
            return parse_upsert(fields)
        return None

    def finish(self) -> Changes:
        """Return the snapshot without its entries.

        Raises:
            WireError: its end is missing, because the connection was lost.
        """
        if self._head is None or not self._ended:
            raise WireError("the snapshot is incomplete: its end is missing")
        return Changes(
            revision=strict_json.text(self._head, "revision"),
            complete=strict_json.flag(self._head, "complete"),
            confirmed=strict_json.flag(self._head, "confirmed"),
            damage=strict_json.text(self._head, "damage"),
            awaited=parse_awaited(self._head) or (),
            cards=self._cards,
        )


def parse_snapshot(lines: Iterable[bytes]) -> Changes:
    """Return a whole snapshot.

    Raises:
        WireError: a line is invalid, or the end is missing because the connection was lost.
    """
    reader = SnapshotReader()
    entries = tuple(entry for line in lines if (entry := reader.feed(line)) is not None)
    return replace(reader.finish(), upserts=entries)
