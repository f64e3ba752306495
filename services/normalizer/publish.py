"""Telling storage: a mirror of what it holds, and the difference sent in batches."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol
from urllib.parse import quote, urlencode

import structlog

from common.http.client import HttpClient, StatusError
from common.wire import (
    Applied,
    Batch,
    Listing,
    Stored,
    Upsert,
    card_digest,
    encode_batch,
    encode_original_upsert,
    parse_applied,
    parse_keys,
    parse_listing,
    parse_storage_body,
)
from services.normalizer.contents import Card
from services.normalizer.plan import Plan

log = structlog.get_logger("publish")

BATCH_BYTES = 1024 * 1024
"""A batch is closed when its documents and cards have reached this size."""
_PARALLEL = 8


class Storage(Protocol):
    """What the normalizer needs of a storage, over HTTP or in the same process."""

    async def listing(self, known: str = "") -> Listing | None:
        """Return all that is stored, by digest; None when nothing has changed since the revision `known`."""

    async def apply(self, batch: Batch) -> Applied:
        """Carry the batch out; it is durable on return."""


class RemoteStorage:
    """storage-rest over HTTP; speaks the original's requests to one that knows only these."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._original = False
        self._sent: dict[str, Stored] = {}

    async def listing(self, known: str = "") -> Listing | None:
        """Return all that is stored, by digest; None when nothing has changed since the revision `known`.

        Raises:
            RemoteError: storage does not answer.
            WireError: it answers something else.
        """
        headers = {"If-None-Match": f'"{known}"'} if known else None
        answer = await self._client.request("GET", "/list", params={"detail": "true"}, headers=headers)
        if answer.status == 304:
            return None
        listing = parse_listing(answer.body)
        self._original = listing is None
        return listing or await self._listing_of_original(parse_keys(answer.body))

    async def _listing_of_original(self, keys: Iterable[str]) -> Listing:
        """Fetch what others put there; what we sent ourselves is known, and an original keeps no more of it."""
        limit = asyncio.Semaphore(_PARALLEL)

        async def fetch(key: str) -> tuple[str, Stored]:
            if key in self._sent:
                return key, self._sent[key]
            async with limit:
                answer = await self._client.request("GET", "/fetch", params={"key": key})
                return key, parse_storage_body(key, answer.body).stored

        entries = dict(await asyncio.gather(*map(fetch, keys)))
        return Listing(revision="", complete=True, entries=entries, cards={})

    async def apply(self, batch: Batch) -> Applied:
        """Send a batch; what storage refuses for good is in the answer.

        Raises:
            RemoteError, WireError: as `listing`; what of the batch is stored is then unknown.
        """
        if self._original:
            return await self._apply_to_original(batch)
        headers = {"Content-Type": "application/json"}
        answer = await self._client.request("POST", "/batch", data=encode_batch(batch), headers=headers, timeout=60)
        return parse_applied(answer.body)

    async def _apply_to_original(self, batch: Batch) -> Applied:
        limit = asyncio.Semaphore(_PARALLEL)
        refused: dict[str, str] = {}

        async def upsert(item: Upsert) -> None:
            query = urlencode({"key": item.key, "type": item.reconciler}, quote_via=quote)
            body = encode_original_upsert(replace(item, card=batch.cards.get(item.card_key)))
            try:
                async with limit:
                    headers = {"Content-Type": "application/json"}
                    await self._client.request("POST", f"/upsert?{query}", data=body, headers=headers)
            except StatusError as error:
                if error.status not in (400, 413):
                    raise
                refused[item.key] = error.reason
            else:
                self._sent[item.key] = item.stored

        await asyncio.gather(*map(upsert, batch.upserts))
        if batch.removals:
            listed = parse_keys((await self._client.request("GET", "/list")).body)
            removals = set(batch.removals)
            kept = ",".join(key for key in listed if key not in removals)
            await self._client.request("POST", f"/currentkeyset?{urlencode({'key': kept}, quote_via=quote)}")
            for key in removals:
                self._sent.pop(key, None)
        return Applied(revision="", refused=refused)


class Mirror:
    """What storage holds, as far as its answers tell; sends what differs."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._listing: Listing | None = None
        self._refused: dict[str, str] = {}

    @property
    def listing(self) -> Listing | None:
        """What storage holds; None when that is not known."""
        return self._listing

    def doubt(self) -> None:
        """Forget what storage holds, after an error."""
        self._listing = None

    async def refresh(self) -> Listing:
        """Ask storage what it holds; nothing new costs an empty answer.

        Raises:
            RemoteError, WireError: it cannot be asked.
        """
        fresh = await self._storage.listing(self._listing.revision if self._listing else "")
        if fresh is not None:
            self._listing = fresh
        assert self._listing is not None  # noqa: S101 - without a known revision there is an answer
        return self._listing

    def unrefused(self, wanted: Mapping[str, Upsert]) -> Mapping[str, Upsert]:
        """Return `wanted` without what storage has refused in exactly this form."""
        if not self._refused:
            return wanted
        return {key: upsert for key, upsert in wanted.items() if self._refused.get(key) != upsert.digest}

    async def send(self, plan: Plan, *, cards: Mapping[str, str], complete: bool) -> Mapping[str, str]:
        """Carry a plan out and send `cards` (texts by key) along; `complete` tells storage that this is all there is.

        Returns why storage refused which keys.

        Raises:
            RemoteError, WireError: what storage holds is then unknown until the next `refresh`.
        """
        listing = self._listing
        assert listing is not None  # noqa: S101 - a plan is made against a listing
        refused: dict[str, str] = {}
        for batch in _batches(plan, cards, complete=complete):
            self.doubt()
            applied = await self._storage.apply(batch)
            listing = _after(listing, batch, applied)
            refused.update(applied.refused)
            for upsert in batch.upserts:
                self._refused.pop(upsert.key, None)
                if upsert.key in applied.refused:
                    self._refused[upsert.key] = upsert.digest
            self._listing = listing
        return refused


def missing_cards(listing: Listing, cards: Mapping[str, Card]) -> dict[str, str]:
    """Return the texts of the cards that storage does not have so."""
    return {key: card.text for key, card in cards.items() if listing.cards.get(key) != card.digest}


def _batches(plan: Plan, cards: Mapping[str, str], *, complete: bool) -> Iterator[Batch]:
    """Yield the plan in batches of bounded size; removals, and the word that all is told, come last."""
    unsent = dict(cards)
    upserts: list[Upsert] = []
    along: dict[str, str] = {}
    size = 0
    for upsert in plan.upserts:
        upserts.append(upsert)
        size += len(upsert.body)
        card = unsent.pop(upsert.card_key, None) if upsert.card_key else None
        if card is not None:
            along[upsert.card_key] = card
            size += len(card)
        if size >= BATCH_BYTES:
            yield Batch(upserts=tuple(upserts), cards=along)
            upserts, along, size = [], {}, 0
    for key, card in unsent.items():
        along[key] = card
        size += len(card)
        if size >= BATCH_BYTES:
            yield Batch(upserts=tuple(upserts), cards=along)
            upserts, along, size = [], {}, 0
    if upserts or along or plan.removals or complete:
        yield Batch(upserts=tuple(upserts), removals=plan.removals, cards=along, complete=complete)


def _after(listing: Listing, batch: Batch, applied: Applied) -> Listing:
    stored = {u.key: u.stored for u in batch.upserts if u.key not in applied.refused}
    entries = {**listing.entries, **stored}
    for key in batch.removals:
        entries.pop(key, None)
    return Listing(
        # Somebody else's change in between is not in our mirror: then the next refresh must not be told "unchanged".
        revision=applied.revision if applied.base == listing.revision else "",
        complete=listing.complete or batch.complete,
        entries=entries,
        cards={**listing.cards, **{key: card_digest(text) for key, text in batch.cards.items()}},
    )
