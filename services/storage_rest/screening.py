"""What is let into the cache: keys that can be kept and served, documents that no reader chokes on.

One document that the first-generation reader of the feed cannot use makes it give up its whole round, so that nothing
is added or updated any more. Hence the documents of strangers are looked at here; they are kept and served as the
bytes they came as.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from common import strict_json
from common.wire import Batch, Upsert
from services.storage_rest.stores.base import Refusal, Store
from services.storage_rest.telemetry import Telemetry

log = structlog.get_logger("storage")

LONGEST_KEY = 253
"""Characters that a key of a ConfigMap may have."""
LONGEST_NAME = 1024
"""Characters of a URI or the key of a card."""

_KEY = re.compile(r"[-._a-zA-Z0-9]+\Z")
_URI = re.compile(r"(/[^/\s?#\x00-\x1f\x7f]+)+\Z")


class Unacceptable(Exception):
    """What was sent is not kept; `status` is the HTTP status that says so."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Screen:
    """Parts what can be kept from what cannot."""

    def __init__(self, *, store: Store, document_limit: int, telemetry: Telemetry) -> None:
        """`document_limit` is in bytes, for a document or a model card; the store has limits of its own."""
        self._store = store
        self._document_limit = document_limit
        self._telemetry = telemetry

    def pass_on(self, batch: Batch) -> tuple[Batch, list[Refusal]]:
        """Return what of a batch can be kept, the cards of its upserts among its own, and why the rest cannot."""
        upserts, refusals = [], []
        cards = dict(batch.cards)
        for upsert in batch.upserts:
            if (refusal := self._refuse(upsert)) is None:
                upserts.append(upsert)
                if upsert.card:
                    cards[upsert.card_key] = upsert.card
            else:
                refusals.append(refusal)
        for key, text in list(cards.items()):
            if (refusal := self._refuse_card(key, text)) is not None:
                del cards[key]
                refusals.append(refusal)
        for refusal in refusals:
            self._telemetry.rejected.labels("too large" if refusal.status == 413 else "unusable").inc()
            log.warning("not taken", key=refusal.key[:LONGEST_KEY], reason=refusal.detail)
        return replace(batch, upserts=tuple(upserts), cards=cards), refusals

    def _refuse(self, upsert: Upsert) -> Refusal | None:
        try:
            check_upsert(upsert, document_limit=self._document_limit)
        except Unacceptable as fault:
            return Refusal(upsert.key, fault.status, fault.detail)
        return self._store.check(upsert)

    def _refuse_card(self, key: str, text: str) -> Refusal | None:
        try:
            check_card(key, text, limit=self._document_limit)
        except Unacceptable as fault:
            return Refusal(key, fault.status, fault.detail)
        return self._store.check_card(key, text)


def check_key(key: str) -> None:
    """Let a key pass that a ConfigMap can hold and that has two parts.

    Raises:
        Unacceptable: 400, with what is wrong with it.
    """
    shown = repr(key[:80])
    if len(key) > LONGEST_KEY:
        raise Unacceptable(400, f"the key {shown}… has {len(key)} characters, more than {LONGEST_KEY}")
    if not _KEY.match(key) or key.startswith(".."):
        raise Unacceptable(400, f"the key {shown} is not made of letters, digits, '-', '_' and '.' alone")
    first, underscore, second = key.partition("_")
    if not underscore:
        raise Unacceptable(400, f"the key {shown} has no '_' between its two parts")
    if not first or not second:
        raise Unacceptable(400, f"one of the two parts of the key {shown} is empty")


def check_upsert(upsert: Upsert, *, document_limit: int) -> None:
    """Let an upsert pass whose key, names and document can be kept and served.

    Raises:
        Unacceptable: 400 with the fault, 413 when the document has more than `document_limit` bytes.
    """
    check_key(upsert.key)
    if upsert.uri and (len(upsert.uri) > LONGEST_NAME or not _URI.match(upsert.uri)):
        raise Unacceptable(400, f"the URI {upsert.uri[:80]!r} is not a plain path of at most {LONGEST_NAME} characters")
    if len(upsert.card_key) > LONGEST_NAME:
        raise Unacceptable(400, f"the key of the model card has more than {LONGEST_NAME} characters")
    if len(upsert.body) > document_limit:
        raise Unacceptable(413, f"the document has {len(upsert.body)} bytes, more than {document_limit}")
    try:
        _check_document(strict_json.parse_object(upsert.body))
    except strict_json.JsonError as error:
        raise Unacceptable(400, f"the document cannot be served: {error}") from None


def check_card(key: str, text: str, *, limit: int) -> None:
    """Let a model card pass.

    Raises:
        Unacceptable: 413 when it has more than `limit` bytes, 400 when its key is empty or too long.
    """
    if not key or len(key) > LONGEST_NAME:
        raise Unacceptable(400, f"the key of a model card must have 1 to {LONGEST_NAME} characters")
    if len(text) > limit or len(text.encode()) > limit:
        raise Unacceptable(413, f"the model card {key[:80]!r} has more than {limit} bytes")


def _check_document(document: Mapping[str, Any]) -> None:
    models = document.get("models")
    if not isinstance(models, list) or not models:
        raise strict_json.JsonError("models must be a list that is not empty")
    for index, model in enumerate(models):
        _check_part(model, f"models[{index}]", named=True)
    if "modelServer" in document:
        server = _check_part(document["modelServer"], "modelServer", named=True)
        if "API" in server:
            _check_part(server["API"], "modelServer.API", named=False)


def _check_part(value: object, what: str, *, named: bool) -> Mapping[str, Any]:
    part = strict_json.as_object(value, what)
    name = part.get("name")
    if named and not (isinstance(name, str) and name):
        raise strict_json.JsonError(f"{what}.name must be a string that is not empty")
    tags = part.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise strict_json.JsonError(f"{what}.tags must be a list of strings")
    if not isinstance(part.get("annotations", {}), dict):
        raise strict_json.JsonError(f"{what}.annotations must be a JSON object")
    return part
