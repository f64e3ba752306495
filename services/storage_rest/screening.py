"""Checks batches before they enter the cache: keys must be storable, and every reader must be able to parse documents.

A single document that the first-generation reader cannot parse makes it abandon its whole round, so that nothing is
added or updated any more. Therefore documents from other programs are checked here. They are stored and served
unchanged, except that fields with the value null are removed.
"""

from dataclasses import replace

import structlog

from common import feed
from common.wire import Batch, Upsert
from services.storage_rest.stores.base import Refusal, Store
from services.storage_rest.telemetry import StorageMetrics

log = structlog.get_logger("storage")

LONGEST_CARD_KEY = 1024
"""Most characters in the key of a model card."""


class Unacceptable(Exception):
    """A document, card or request is refused; `status` is the HTTP status of the answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Screen:
    """Separates what can be stored from what cannot."""

    def __init__(self, *, store: Store, document_limit: int, telemetry: StorageMetrics) -> None:
        """`document_limit` is in bytes, for a document or a model card; the store has its own limits."""
        self._store = store
        self._document_limit = document_limit
        self._telemetry = telemetry

    def check(self, batch: Batch) -> tuple[Batch, list[Refusal]]:
        """Return the batch without what cannot be stored, with the cards of its upserts moved to its own, and why."""
        upserts, refusals = [], []
        cards = dict(batch.cards)
        for upsert in batch.upserts:
            try:
                accepted = self._usable(upsert)
            except Unacceptable as fault:
                refusals.append(Refusal(upsert.key, fault.status, fault.detail))
                continue
            upserts.append(accepted)
            if upsert.card:
                cards[upsert.card_key] = upsert.card
        for key, text in list(cards.items()):
            if (refusal := self._refuse_card(key, text)) is not None:
                del cards[key]
                refusals.append(refusal)
        for refusal in refusals:
            self._telemetry.rejected.labels("too large" if refusal.status == 413 else "unusable").inc()
            log.warning("document_refused", key=refusal.key[: feed.LONGEST_KEY], reason=refusal.detail)
        return replace(batch, upserts=tuple(upserts), cards=cards), refusals

    def _usable(self, upsert: Upsert) -> Upsert:
        accepted = usable(upsert, document_limit=self._document_limit)
        if (refusal := self._store.check(accepted)) is not None:
            raise Unacceptable(refusal.status, refusal.detail)
        return accepted

    def _refuse_card(self, key: str, text: str) -> Refusal | None:
        try:
            check_card(key, text, limit=self._document_limit)
        except Unacceptable as fault:
            return Refusal(key, fault.status, fault.detail)
        return self._store.check_card(key, text)


def usable(upsert: Upsert, *, document_limit: int) -> Upsert:
    """Return the upsert with its document corrected, if its key, URI and document can be stored and served.

    Raises:
        Unacceptable: 400 with the fault, 413 if the document has more than `document_limit` bytes.
    """
    if len(upsert.card_key) > LONGEST_CARD_KEY:
        raise Unacceptable(400, f"the key of the model card has more than {LONGEST_CARD_KEY} characters")
    if len(upsert.body) > document_limit:
        raise Unacceptable(413, f"the document has {len(upsert.body)} bytes, more than {document_limit}")
    try:
        feed.path_of(upsert.key, upsert.uri)
        body = feed.fix_document(upsert.body)
    except feed.Refused as fault:
        raise Unacceptable(400, str(fault)) from None
    return upsert if body == upsert.body else replace(upsert, body=body)


def check_card(key: str, text: str, *, limit: int) -> None:
    """Check a model card.

    Raises:
        Unacceptable: 413 if it has more than `limit` bytes, 400 if its key is empty or too long.
    """
    if not key or len(key) > LONGEST_CARD_KEY:
        raise Unacceptable(400, f"the key of a model card must have 1 to {LONGEST_CARD_KEY} characters")
    if len(text) > limit or len(text.encode()) > limit:
        raise Unacceptable(413, f"the model card {key[:80]!r} has more than {limit} bytes")
