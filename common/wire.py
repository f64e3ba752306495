"""The messages between the three services: the original's, and our own.

They are plain dataclasses, because thousands of documents pass through here as bytes. The input of `parse_…` may come
from any program: invalid input raises `WireError` with a text that names the fault. docs/protocol.md describes the
messages; services/storage_rest/openapi.json specifies them.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from common import catalog_info, strict_json

Reconciler = Literal["kserve", "kubeflow"]
"""The kind of source that a document comes from, in the original's terms."""
RECONCILERS: tuple[Reconciler, ...] = ("kserve", "kubeflow")


_LONGEST_COUNT = 18
"""Most digits of a count: storage never reaches longer ones, and parsing them takes time."""

WireError = strict_json.JsonError
"""A message is invalid; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """The mark of an entry that will be removed unless its source lists it again: since when, and why.

    `since` is in seconds since the epoch (in JSON: RFC 3339, UTC); `reason` is an identifier such as `not-listed`.
    `refused`: an administrator wants to keep the entry until its source lists it again.
    """

    since: int
    reason: str
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An entry in a listing, without its document; `digest` does not depend on `leaving`."""

    digest: str
    reconciler: Reconciler
    uri: str = ""
    source: str = ""
    ref: str = ""
    model_name: str = ""
    server_name: str = ""
    server_ref: str = ""
    origin: str = ""
    card_key: str = ""
    leaving: Leaving | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsert:
    """A document to store, and everything that is stored with it.

    `body` is the document (JSON, UTF-8). `uri` is empty if the sender knows only the key. `source` and `ref` name where
    it comes from (`registry:ns/name`, `registry:ns/name:12:34`); `updated` is the source's time of change in
    milliseconds since the epoch. `model_name` and `server_name` are the entity names in the document, stored so that
    the sender finds them after a restart. `server_ref` is the reference of the object that is shown as the server in
    this document. `origin` identifies a registered version, even if its registry is renamed. `card` is the Markdown of
    the card `card_key`, None if it is not part of this message. `details` are encoded by `common.details`, and kept as
    bytes because thousands are in memory until one is rendered. `leaving` is the mark of an entry that may be removed.
    `digest` is 32 hexadecimal digits of a hash over everything except the card's text and that mark.
    """

    key: str
    body: bytes
    reconciler: Reconciler
    uri: str = ""
    source: str = ""
    ref: str = ""
    updated: str = ""
    model_name: str = ""
    server_name: str = ""
    server_ref: str = ""
    origin: str = ""
    card_key: str = ""
    card: str | None = None
    leaving: Leaving | None = None
    details: bytes = b""
    digest: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ours = (getattr(self, attribute) for attribute in _OURS.values() if attribute not in _LATER)
        texts = "\0".join((self.key, self.reconciler, self.updated, *ours)).encode()
        # Fields of later versions count only if they are set, so that the digests of stored entries do not change.
        later = (getattr(self, attribute).encode() for attribute in _LATER)
        content = b"\0".join(filter(None, (texts, self.body, self.details, *later)))
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        object.__setattr__(self, "digest", digest)  # computed once: each round of the normalizer compares it

    @property
    def stored(self) -> Stored:
        """The entry of this document in a listing."""
        ours = {attribute: getattr(self, attribute) for attribute in _OURS.values()}
        return Stored(digest=self.digest, reconciler=self.reconciler, leaving=self.leaving, **ours)


def parse_revision(revision: str) -> tuple[str, int] | None:
    """Return the storage process and the count in a revision; None if it is not a revision."""
    process, _, count = revision.rpartition("-")
    if not process or not (count.isascii() and count.isdigit()) or len(count) > _LONGEST_COUNT:
        return None
    return process, int(count)


def card_digest(text: str) -> str:
    """Return 32 hexadecimal digits of a hash over the text of a card."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """A source that the feed waits for, and why it has not been read.

    `until` is in seconds since the epoch (in JSON: RFC 3339, UTC): then the feed is served without it. None: the feed
    waits until the source has been read.
    """

    source: str
    reason: str = ""
    until: int | None = None

    def __str__(self) -> str:
        end = "until it is read" if self.until is None else f"until {strict_json.timestamp(self.until)} at the latest"
        return f"{self.source} {end}" + (f" ({self.reason})" if self.reason else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Changes that are applied together: first upserts, then marks, then removals.

    `removals` maps keys to reasons. `leaving` sets the marks of stored entries, None clears one; an upsert contains its
    own. `complete`: the stored entries may be served as complete. `confirmed`: in addition, each source was listed
    completely since the sender's start, so everything that is not stored is gone. `awaited` are the sources that the
    feed still waits for; None: this batch does not change them.
    """

    upserts: tuple[Upsert, ...] = ()
    leaving: Mapping[str, Leaving | None] = field(default_factory=dict)
    removals: Mapping[str, str] = field(default_factory=dict)
    cards: Mapping[str, str] = field(default_factory=dict)
    complete: bool = False
    confirmed: bool = False
    awaited: tuple[Awaited, ...] | None = None

    @property
    def changes_entries(self) -> bool:
        """Whether it changes documents, marks or cards, and not only the flags."""
        return bool(self.upserts or self.leaving or self.removals or self.cards)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """Storage's answer to a batch.

    `revision` is its revision after the batch, `base` the one before: a reader that knew everything at `base` knows
    everything at `revision`. `refused` maps keys that were not accepted to the reason.
    """

    revision: str
    base: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheListing:
    """The digests of everything in storage; `cards` maps card keys to digests.

    `confirmed`: a normalizer has confirmed it since this storage process started. `damage` says what is missing from
    the cache that was loaded (empty: nothing); only a confirmation makes a damaged cache complete. `awaited` comes from
    the last batch; None: this storage does not know it.
    """

    revision: str
    complete: bool
    entries: Mapping[str, Stored]
    cards: Mapping[str, str]
    confirmed: bool = False
    damage: str = ""
    awaited: tuple[Awaited, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What has changed in storage since a revision, or everything (a snapshot).

    `removals` maps keys to reasons; `complete`, `confirmed` and `damage` are as in `CacheListing`. `awaited` are the
    sources that the feed waits for, as far as a normalizer has reported them.
    """

    revision: str
    complete: bool
    confirmed: bool = False
    damage: str = ""
    awaited: tuple[Awaited, ...] = ()
    upserts: tuple[Upsert, ...] = ()
    removals: Mapping[str, str] = field(default_factory=dict)
    cards: Mapping[str, str] = field(default_factory=dict)
    card_removals: tuple[str, ...] = ()


# --- the original's messages

_DOCUMENT = "document"
"""The field with the document if the original's `body` contains its entities instead."""


def is_yaml_form(raw: bytes) -> bool:
    """Return whether a value of the cache is in the format CatalogInfoYamlFormat."""
    return f'"{_DOCUMENT}":'.encode() in raw


def encode_original_upsert(upsert: Upsert, *, yaml: bool = False) -> bytes:
    """Return the body of the original's `POST /upsert`; `yaml`: with the document as CatalogInfoYamlFormat."""
    body = catalog_info.to_yaml(upsert.body) if yaml else upsert.body
    return _dump(
        {
            "body": base64.b64encode(body).decode(),
            "lastUpdateTimeSinceEpoch": upsert.updated,
            "modelCardKey": upsert.card_key,
            "modelCard": upsert.card or "",
        }
    )


def parse_original_upsert(raw: bytes, *, key: str, reconciler: str) -> Upsert:
    """Return the upsert in the body of the original's `POST /upsert?key=…&type=…`."""
    fields = strict_json.parse_object(raw)
    card_key = strict_json.text(fields, "modelCardKey")
    return Upsert(
        key=key,
        body=catalog_info.document_of(strict_json.decoded(fields, "body")),
        reconciler=_reconciler(reconciler),
        updated=strict_json.text(fields, "lastUpdateTimeSinceEpoch"),
        card_key=card_key,
        card=strict_json.text(fields, "modelCard") if card_key else None,
    )


def encode_storage_body(upsert: Upsert, *, yaml: bool = False) -> bytes:
    """Return the value for one key of the cache: the original's StorageBody with additional fields of ours.

    With CatalogInfoYamlFormat (`yaml`), the document itself is in one of our fields.
    """
    document = base64.b64encode(upsert.body).decode()
    body = base64.b64encode(catalog_info.to_yaml(upsert.body)).decode() if yaml else document
    return _dump(
        {
            "body": body,
            **({_DOCUMENT: document} if yaml else {}),
            "locationId": "",
            "locationTarget": "",
            "locationIDValid": False,
            "reconcilerType": upsert.reconciler,
            "lastUpdateTimeSinceEpoch": upsert.updated,
            **_own_fields(upsert),
            **_mark_of(upsert),
            **_details_field(upsert),
        }
    )


def parse_storage_body(key: str, raw: bytes) -> Upsert:
    """Return the entry that `encode_storage_body`, or the original, wrote for `key`."""
    fields = strict_json.parse_object(raw)
    return Upsert(
        key=key,
        body=catalog_info.document_of(strict_json.decoded(fields, _DOCUMENT if _DOCUMENT in fields else "body")),
        reconciler=_reconciler(
            strict_json.text(fields, "reconcilerType") or "kserve"
        ),  # the first originals wrote none
        updated=strict_json.text(fields, "lastUpdateTimeSinceEpoch"),
        leaving=_parse_leaving(fields),
        details=_read_details(fields),
        **_read(fields),
    )


# --- our own messages


def encode_batch(batch: Batch) -> bytes:
    """Return the body of `POST /batch`."""
    return _dump(
        {
            "upserts": [_upsert_fields(upsert) for upsert in batch.upserts],
            "leaving": {key: mark and _leaving_fields(mark) for key, mark in batch.leaving.items()},
            "removals": dict(batch.removals),
            "cards": dict(batch.cards),
            "complete": batch.complete,
            "confirmed": batch.confirmed,
            **_awaited_field(batch.awaited),
        }
    )


def parse_batch(raw: bytes) -> Batch:
    """Return the batch in the body of `POST /batch`."""
    fields = strict_json.parse_object(raw)
    return Batch(
        upserts=tuple(_parse_upsert(item) for item in strict_json.items(fields, "upserts")),
        leaving={
            key: _parse_leaving({"leaving": mark}) for key, mark in strict_json.mapping(fields, "leaving").items()
        },
        removals=_parse_removals(fields),
        cards=strict_json.text_map(fields, "cards"),
        complete=strict_json.flag(fields, "complete"),
        confirmed=strict_json.flag(fields, "confirmed"),
        awaited=_parse_awaited(fields),
    )


def encode_listing(listing: CacheListing) -> bytes:
    """Return the answer to `GET /list?detail=true`, a superset of the original's `{"keys": […]}`."""
    entries = {
        key: {"digest": entry.digest, "type": entry.reconciler, **_own_fields(entry), **_mark_of(entry)}
        for key, entry in sorted(listing.entries.items())
    }
    return _dump(
        {
            "keys": list(entries),
            "revision": listing.revision,
            "complete": listing.complete,
            "confirmed": listing.confirmed,
            "damage": listing.damage,
            **_awaited_field(listing.awaited),
            "entries": entries,
            "cards": dict(listing.cards),
        }
    )


def parse_listing(raw: bytes) -> CacheListing | None:
    """Return the listing, or None if the answer is the original's `{"keys": […]}`."""
    fields = strict_json.parse_object(raw)
    if "entries" not in fields:
        return None
    entries = {}
    for key, value in strict_json.mapping(fields, "entries").items():
        entry = strict_json.as_object(value, f"entries.{key}")
        entries[key] = Stored(
            digest=strict_json.text(entry, "digest"),
            reconciler=_reconciler(strict_json.text(entry, "type")),
            leaving=_parse_leaving(entry),
            **_read(entry),
        )
    return CacheListing(
        revision=strict_json.text(fields, "revision"),
        complete=strict_json.flag(fields, "complete"),
        entries=entries,
        cards=strict_json.text_map(fields, "cards"),
        confirmed=strict_json.flag(fields, "confirmed"),
        damage=strict_json.text(fields, "damage"),
        awaited=_parse_awaited(fields),
    )


def parse_applied(raw: bytes) -> Applied:
    """Return the answer to `POST /batch`."""
    fields = strict_json.parse_object(raw)
    problems = [strict_json.as_object(item, "a problem") for item in strict_json.items(fields, "problems")]
    return Applied(
        revision=strict_json.text(fields, "revision"),
        base=strict_json.text(fields, "base"),
        refused={strict_json.text(p, "key"): strict_json.text(p, "detail") for p in problems},
    )


def parse_keys(raw: bytes) -> tuple[str, ...]:
    """Return the keys of the original's answer to `GET /list`."""
    return strict_json.texts(strict_json.parse_object(raw), "keys")


def encode_changes(changes: Changes) -> bytes:
    """Return the answer to `GET /changes`."""
    return _dump(
        {
            "revision": changes.revision,
            "complete": changes.complete,
            "confirmed": changes.confirmed,
            "damage": changes.damage,
            **_awaited_field(changes.awaited),
            "upserts": [_upsert_fields(upsert) for upsert in changes.upserts],
            "removals": dict(changes.removals),
            "cards": dict(changes.cards),
            "cardRemovals": list(changes.card_removals),
        }
    )


def parse_changes(raw: bytes) -> Changes:
    """Return what `encode_changes` encoded."""
    fields = strict_json.parse_object(raw)
    return Changes(
        revision=strict_json.text(fields, "revision"),
        complete=strict_json.flag(fields, "complete"),
        confirmed=strict_json.flag(fields, "confirmed"),
        damage=strict_json.text(fields, "damage"),
        awaited=_parse_awaited(fields) or (),
        upserts=tuple(_parse_upsert(item) for item in strict_json.items(fields, "upserts")),
        removals=_parse_removals(fields),
        cards=strict_json.text_map(fields, "cards"),
        card_removals=strict_json.texts(fields, "cardRemovals"),
    )


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
    return _dump({**head, "damage": whole.damage, **_awaited_field(whole.awaited)}) + b"\n"


def entry_line(entry: Upsert) -> bytes:
    """Return the line of a snapshot for an entry."""
    return _dump(_upsert_fields(entry)) + b"\n"


def card_line(key: str, text: str) -> bytes:
    """Return the line of a snapshot for a card."""
    return _dump({"card": key, "text": text}) + b"\n"


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
            return _parse_upsert(fields)
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
            awaited=_parse_awaited(self._head) or (),
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


def without_card(upsert: Upsert) -> Upsert:
    """Return the upsert without the text of its card, which is stored and compared separately."""
    return upsert if upsert.card is None else replace(upsert, card=None)


def _upsert_fields(upsert: Upsert) -> dict[str, Any]:
    return {
        "key": upsert.key,
        "type": upsert.reconciler,
        "lastUpdateTimeSinceEpoch": upsert.updated,
        **_own_fields(upsert),
        **_mark_of(upsert),
        **_details_field(upsert),
        "body": upsert.body.decode(),
    }


def _parse_upsert(value: object) -> Upsert:
    fields = strict_json.as_object(value, "upsert")
    return Upsert(
        key=strict_json.text(fields, "key", required=True),
        body=strict_json.text(fields, "body", required=True).encode(),
        reconciler=_reconciler(strict_json.text(fields, "type")),
        updated=strict_json.text(fields, "lastUpdateTimeSinceEpoch"),
        leaving=_parse_leaving(fields),
        details=_read_details(fields),
        **_read(fields),
    )


def _parse_removals(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return keys with reasons; in a plain list of keys, the reasons are empty."""
    if isinstance(fields.get("removals"), list):
        return dict.fromkeys(strict_json.texts(fields, "removals"), "")
    return strict_json.text_map(fields, "removals")


def _mark_of(entry: Upsert | Stored) -> dict[str, Any]:
    return {"leaving": _leaving_fields(entry.leaving)} if entry.leaving else {}


def awaited_fields(awaited: Iterable[Awaited]) -> list[dict[str, str | None]]:
    """Return awaited sources as JSON."""
    return [
        {
            "source": each.source,
            "reason": each.reason,
            "until": None if each.until is None else strict_json.timestamp(each.until),
        }
        for each in awaited
    ]


def _awaited_field(awaited: Iterable[Awaited] | None) -> dict[str, Any]:
    return {} if awaited is None else {"awaited": awaited_fields(awaited)}


def _parse_awaited(fields: Mapping[str, Any]) -> tuple[Awaited, ...] | None:
    if fields.get("awaited") is None:
        return None
    items = [strict_json.as_object(item, "awaited") for item in strict_json.items(fields, "awaited")]
    return tuple(
        Awaited(
            source=strict_json.text(item, "source", required=True),
            reason=strict_json.text(item, "reason"),
            until=strict_json.epoch_seconds(item, "until") if item.get("until") is not None else None,
        )
        for item in items
    )


def _leaving_fields(mark: Leaving) -> dict[str, Any]:
    return {
        "since": strict_json.timestamp(mark.since),
        "reason": mark.reason,
        **({"refused": True} if mark.refused else {}),
    }


def _parse_leaving(fields: Mapping[str, Any]) -> Leaving | None:
    if fields.get("leaving") is None:
        return None
    mark = strict_json.mapping(fields, "leaving")
    return Leaving(
        since=strict_json.epoch_seconds(mark, "since"),
        reason=_reason(strict_json.text(mark, "reason", required=True)),
        refused=strict_json.flag(mark, "refused"),
    )


_OURS = {
    "uri": "uri",
    "source": "source",
    "ref": "ref",
    "modelName": "model_name",
    "serverName": "server_name",
    "serverRef": "server_ref",
    "origin": "origin",
    "modelCardKey": "card_key",
}
"""Our additional fields: their names in JSON, and here. Empty ones are not written."""
_LATER = ("server_ref", "origin")
"""The fields that did not exist in the first version of the connector."""


def _own_fields(entry: Upsert | Stored) -> dict[str, str]:
    return {name: value for name, attribute in _OURS.items() if (value := getattr(entry, attribute))}


def _read(fields: Mapping[str, Any]) -> dict[str, str]:
    return {attribute: strict_json.text(fields, name) for name, attribute in _OURS.items()}


_REASON = re.compile(r"[a-z0-9-]{1,63}\Z")


def _reason(text: str) -> str:
    if not _REASON.match(text):
        raise WireError(f"a reason may contain only a-z, 0-9 and '-': {text[:80]!r}")
    return text


def _details_field(upsert: Upsert) -> dict[str, Any]:
    """Return the details as a field: an object, so that people can read them in the cache."""
    return {"details": json.loads(upsert.details)} if upsert.details else {}


def _read_details(fields: Mapping[str, Any]) -> bytes:
    """Return the details as bytes, empty if they are not an object: invalid details never make an entry unusable."""
    details = fields.get("details")
    return _dump(details) if isinstance(details, dict) and details else b""


def _reconciler(text: str) -> Reconciler:
    if text not in RECONCILERS:
        raise WireError(f"type must be one of {', '.join(RECONCILERS)}, not {text[:80]!r}")
    return text


def _dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
