"""Our own messages: batches, listings and changes."""

from common import strict_json
from common.wire.fields import (
    awaited_field,
    dump,
    leaving_fields,
    mark_of,
    own_fields,
    parse_awaited,
    parse_leaving,
    parse_reconciler,
    parse_removals,
    parse_upsert,
    read_own_fields,
    upsert_fields,
)
from common.wire.messages import Applied, Batch, CacheListing, Changes, Stored


def encode_batch(batch: Batch) -> bytes:
    """Return the body of `POST /batch`."""
    return dump(
        {
            "upserts": [upsert_fields(upsert) for upsert in batch.upserts],
            "leaving": {key: mark and leaving_fields(mark) for key, mark in batch.leaving.items()},
            "removals": dict(batch.removals),
            "cards": dict(batch.cards),
            "complete": batch.complete,
            "confirmed": batch.confirmed,
            **awaited_field(batch.awaited),
        }
    )


def parse_batch(raw: bytes) -> Batch:
    """Return the batch in the body of `POST /batch`."""
    fields = strict_json.parse_object(raw)
    return Batch(
        upserts=tuple(parse_upsert(item) for item in strict_json.items(fields, "upserts")),
        leaving={key: parse_leaving({"leaving": mark}) for key, mark in strict_json.mapping(fields, "leaving").items()},
        removals=parse_removals(fields),
        cards=strict_json.text_map(fields, "cards"),
        complete=strict_json.flag(fields, "complete"),
        confirmed=strict_json.flag(fields, "confirmed"),
        awaited=parse_awaited(fields),
    )


def encode_listing(listing: CacheListing) -> bytes:
    """Return the answer to `GET /list?detail=true`, a superset of the original's `{"keys": […]}`."""
    entries = {
        key: {"digest": entry.digest, "type": entry.reconciler, **own_fields(entry), **mark_of(entry)}
        for key, entry in sorted(listing.entries.items())
    }
    return dump(
        {
            "keys": list(entries),
            "revision": listing.revision,
            "complete": listing.complete,
            "confirmed": listing.confirmed,
            "damage": listing.damage,
            **awaited_field(listing.awaited),
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
            reconciler=parse_reconciler(strict_json.text(entry, "type")),
            leaving=parse_leaving(entry),
            **read_own_fields(entry),
        )
    return CacheListing(
        revision=strict_json.text(fields, "revision"),
        complete=strict_json.flag(fields, "complete"),
        entries=entries,
        cards=strict_json.text_map(fields, "cards"),
        confirmed=strict_json.flag(fields, "confirmed"),
        damage=strict_json.text(fields, "damage"),
        awaited=parse_awaited(fields),
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


def encode_changes(changes: Changes) -> bytes:
    """Return the answer to `GET /changes`."""
    return dump(
        {
            "revision": changes.revision,
            "complete": changes.complete,
            "confirmed": changes.confirmed,
            "damage": changes.damage,
            **awaited_field(changes.awaited),
            "upserts": [upsert_fields(upsert) for upsert in changes.upserts],
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
        awaited=parse_awaited(fields) or (),
        upserts=tuple(parse_upsert(item) for item in strict_json.items(fields, "upserts")),
        removals=parse_removals(fields),
        cards=strict_json.text_map(fields, "cards"),
        card_removals=strict_json.texts(fields, "cardRemovals"),
    )
