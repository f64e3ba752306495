"""The parts that several messages have in common, to JSON and back."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from common import strict_json
from common.wire.messages import OWN_FIELDS, RECONCILERS, Awaited, Leaving, Reconciler, Stored, Upsert, WireError


def upsert_fields(upsert: Upsert) -> dict[str, Any]:
    """Return an entry as JSON."""
    return {
        "key": upsert.key,
        "type": upsert.reconciler,
        "lastUpdateTimeSinceEpoch": upsert.updated,
        **own_fields(upsert),
        **mark_of(upsert),
        **details_field(upsert),
        "body": upsert.body.decode(),
    }


def parse_upsert(value: object) -> Upsert:
    """Return the entry in JSON; raises a WireError if it is invalid."""
    fields = strict_json.as_object(value, "upsert")
    return Upsert(
        key=strict_json.text(fields, "key", required=True),
        body=strict_json.text(fields, "body", required=True).encode(),
        reconciler=parse_reconciler(strict_json.text(fields, "type")),
        updated=strict_json.text(fields, "lastUpdateTimeSinceEpoch"),
        leaving=parse_leaving(fields),
        details=read_details(fields),
        **read_own_fields(fields),
    )


def parse_removals(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return keys with reasons; in a plain list of keys, the reasons are empty."""
    if isinstance(fields.get("removals"), list):
        return dict.fromkeys(strict_json.texts(fields, "removals"), "")
    return strict_json.text_map(fields, "removals")


def mark_of(entry: Upsert | Stored) -> dict[str, Any]:
    """Return the mark of an entry as a field of JSON, if it has one."""
    return {"leaving": leaving_fields(entry.leaving)} if entry.leaving else {}


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


def awaited_field(awaited: Iterable[Awaited] | None) -> dict[str, Any]:
    """Return awaited sources as a field of JSON, if they are known."""
    return {} if awaited is None else {"awaited": awaited_fields(awaited)}


def parse_awaited(fields: Mapping[str, Any]) -> tuple[Awaited, ...] | None:
    """Return the awaited sources, None if the message does not say; raises a WireError if it is invalid."""
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


def leaving_fields(mark: Leaving) -> dict[str, Any]:
    """Return a mark as JSON."""
    return {
        "since": strict_json.timestamp(mark.since),
        "reason": mark.reason,
        **({"refused": True} if mark.refused else {}),
    }


def parse_leaving(fields: Mapping[str, Any]) -> Leaving | None:
    """Return the mark in a message, if there is one; raises a WireError if it is invalid."""
    if fields.get("leaving") is None:
        return None
    mark = strict_json.mapping(fields, "leaving")
    return Leaving(
        since=strict_json.epoch_seconds(mark, "since"),
        reason=_reason(strict_json.text(mark, "reason", required=True)),
        refused=strict_json.flag(mark, "refused"),
    )


def own_fields(entry: Upsert | Stored) -> dict[str, str]:
    """Return our additional fields as JSON, without empty ones."""
    return {name: value for name, attribute in OWN_FIELDS.items() if (value := getattr(entry, attribute))}


def read_own_fields(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return our additional fields, by their names here."""
    return {attribute: strict_json.text(fields, name) for name, attribute in OWN_FIELDS.items()}


_REASON = re.compile(r"[a-z0-9-]{1,63}\Z")


def _reason(text: str) -> str:
    if not _REASON.match(text):
        raise WireError(f"a reason may contain only a-z, 0-9 and '-': {text[:80]!r}")
    return text


def details_field(upsert: Upsert) -> dict[str, Any]:
    """Return the details as a field: an object, so that people can read them in the cache."""
    return {"details": json.loads(upsert.details)} if upsert.details else {}


def read_details(fields: Mapping[str, Any]) -> bytes:
    """Return the details as bytes, empty if they are not an object: invalid details never make an entry unusable."""
    details = fields.get("details")
    return dump(details) if isinstance(details, dict) and details else b""


def parse_reconciler(text: str) -> Reconciler:
    """Return the kind of source; raises a WireError if it is invalid."""
    if text not in RECONCILERS:
        raise WireError(f"type must be one of {', '.join(RECONCILERS)}, not {text[:80]!r}")
    return text


def dump(value: object) -> bytes:
    """Return JSON without spaces, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
