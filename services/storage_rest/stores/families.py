"""The two families of ConfigMaps and their formats: entries as the original writes them, model cards compressed."""

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from common import feed, strict_json
from common.wire import Upsert, card_digest, encode_storage_body, is_yaml_form, parse_storage_body
from services.storage_rest.stores.base import CacheView, Refusal
from services.storage_rest.stores.layout import Layout
from services.storage_rest.stores.objects import LIMIT, Observation, Value

BASE = "bac-import-model"
"""The ConfigMap of the original; the names of ours begin with it."""
CARDS_BASE = f"{BASE}-cards"

_LONGEST_CARD = 8 * 1024 * 1024
"""Most bytes of a decompressed card; the connector never writes larger ones."""
_NOT_IN_KEYS = re.compile(r"[^-_a-zA-Z0-9]+")


class Family(Protocol):
    """The ConfigMaps of one kind. A slot is a key in `binaryData`."""

    layout: Layout

    def read(self, slot: str, raw: bytes) -> Value:
        """Return the value of bytes that were read; its digest equals that of the same content written by us."""

    def current(self, view: CacheView, slot: str) -> Value | None:
        """Return what should be in a slot."""

    def take_over(self, view: CacheView, values: Mapping[str, Value]) -> None:
        """Pass values that another process wrote to the cache."""


class EntryFamily:
    """Documents: slot and key are equal, the value is a StorageBody.

    `yaml`: it is written in CatalogInfoYamlFormat. A value that an earlier run wrote in the other format is outdated
    and written again; one that another replica writes now is not, or two replicas would overwrite each other forever.
    """

    def __init__(self, *, budget: int, yaml: bool = False) -> None:
        self.layout = Layout(base=BASE, budget=budget)
        self._yaml = yaml

    def is_outdated(self, value: Value) -> bool:
        """Return whether a value is in the other format."""
        return value.usable and is_yaml_form(value.data) != self._yaml

    def marked_outdated(self, seen: Observation) -> Observation:
        """Return an observation in which outdated values have another digest, so that they are written again."""
        if not self.layout.has_name(seen.name):
            return seen
        values = {
            slot: replace(value, digest=f"outdated {value.digest}") if self.is_outdated(value) else value
            for slot, value in seen.values.items()
        }
        return replace(seen, values=values)

    def value(self, upsert: Upsert) -> Value:
        """Return what is written for an entry."""
        return Value(encode_storage_body(upsert, yaml=self._yaml), _digest_with_mark(upsert))

    def check(self, upsert: Upsert) -> Refusal | None:
        """Return a refusal if an entry is too large for a ConfigMap of its own, else None."""
        if len(upsert.body) < LIMIT // 4:  # base64 and the other fields make it less than four times as large
            return None
        return _too_large(upsert.key, "document", self.value(upsert).size)

    def read(self, slot: str, raw: bytes) -> Value:
        """Return a value that was read."""
        try:
            entry = _entry(slot, raw)
        except ValueError:
            return Value(raw, _digest(raw), usable=False)
        return Value(raw, _digest_with_mark(entry))

    def upserts(self, values: Mapping[str, Value]) -> list[Upsert]:
        """Return the entries in the usable values."""
        return [_entry(slot, value.data) for slot, value in values.items() if value.usable]

    def current(self, view: CacheView, slot: str) -> Value | None:
        """Return what should be in a slot."""
        upsert = view.entry(slot)
        return self.value(upsert) if upsert else None

    def take_over(self, view: CacheView, values: Mapping[str, Value]) -> None:
        """Pass values that another process wrote to the cache."""
        view.take_over(self.upserts(values), {})


class CardFamily:
    """Model cards: their keys may contain any characters, so a slot consists of the key's valid part and its hash."""

    def __init__(self, *, budget: int) -> None:
        self.layout = Layout(base=CARDS_BASE, budget=budget)
        self._keys: dict[str, str] = {}

    def slot(self, key: str) -> str:
        """Return the slot of a card."""
        readable = _NOT_IN_KEYS.sub("-", key)[:200].strip("-")
        slot = f"{readable}-{_digest(key.encode())[:12]}"
        self._keys[slot] = key
        return slot

    def value(self, key: str, text: str) -> Value:
        """Return what is written for a card."""
        content = json.dumps({"key": key, "text": text}, ensure_ascii=False).encode()
        return Value(zlib.compress(content), card_digest(text))

    def check(self, key: str, text: str) -> Refusal | None:
        """Return a refusal if a card is too large, compressed, for a ConfigMap of its own, else None."""
        return None if len(text) < LIMIT // 8 else _too_large(key, "model card", self.value(key, text).size)

    def read(self, slot: str, raw: bytes) -> Value:
        """Return a value that was read."""
        found = _decompress(raw)
        if found is None or self.slot(found[0]) != slot:
            return Value(raw, _digest(raw), usable=False)
        return Value(raw, card_digest(found[1]))

    def texts(self, values: Mapping[str, Value]) -> dict[str, str]:
        """Return the cards in the usable values, by key."""
        return dict(found for value in values.values() if value.usable and (found := _decompress(value.data)))

    def current(self, view: CacheView, slot: str) -> Value | None:
        """Return what should be in a slot."""
        key = self._keys.get(slot)
        text = view.card(key) if key is not None else None
        return self.value(key, text) if key is not None and text is not None else None

    def take_over(self, view: CacheView, values: Mapping[str, Value]) -> None:
        """Pass values that another process wrote to the cache."""
        view.take_over((), self.texts(values))


def _entry(slot: str, raw: bytes) -> Upsert:
    """Return the entry in a value.

    Raises:
        ValueError: it cannot be read or served.
    """
    entry = parse_storage_body(slot, raw)
    feed.path_of(entry.key, entry.uri)
    return replace(entry, body=feed.fix_document(entry.body))


def _too_large(key: str, what: str, size: int) -> Refusal | None:
    if size <= LIMIT:
        return None
    return Refusal(key, 413, f"the encoded {what} has {size} bytes; a ConfigMap holds at most {LIMIT}")


def _digest_with_mark(upsert: Upsert) -> str:
    mark = upsert.leaving
    return f"{upsert.digest} {mark.since} {mark.reason} {mark.refused}" if mark else upsert.digest


def _decompress(raw: bytes) -> tuple[str, str] | None:
    decompressor = zlib.decompressobj()
    try:
        content = decompressor.decompress(raw, _LONGEST_CARD)
        if not decompressor.eof:
            return None
        fields = strict_json.parse_object(content)
        return strict_json.text(fields, "key", required=True), strict_json.text(fields, "text")
    except (zlib.error, ValueError):
        return None


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=16).hexdigest()
