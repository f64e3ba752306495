"""What is let into the cache: keys that can be kept and served, documents that no reader chokes on.

One document that the first-generation reader of the feed cannot use makes it give up its whole round, so that nothing
is added or updated any more. Hence the documents of strangers are looked at here; they are kept and served as the
bytes they came as, unless null stands in them for what is absent.
"""

from dataclasses import replace

import structlog

from common import feed
from common.wire import Batch, Upsert
from services.storage_rest.stores.base import Refusal, Store
from services.storage_rest.telemetry import Telemetry

log = structlog.get_logger("storage")

LONGEST_CARD_KEY = 1024
"""Characters of the key of a model card."""


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
            try:
                accepted = self._take(upsert)
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

    def _take(self, upsert: Upsert) -> Upsert:
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
    """Return an upsert whose key, names and document can be kept and served.

    Raises:
        Unacceptable: 400 with the fault, 413 when the document has more than `document_limit` bytes.
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
    """Let a model card pass.

    Raises:
        Unacceptable: 413 when it has more than `limit` bytes, 400 when its key is empty or too long.
    """
    if not key or len(key) > LONGEST_CARD_KEY:
        raise Unacceptable(400, f"the key of a model card must have 1 to {LONGEST_CARD_KEY} characters")
    if len(text) > limit or len(text.encode()) > limit:
        raise Unacceptable(413, f"the model card {key[:80]!r} has more than {limit} bytes")
