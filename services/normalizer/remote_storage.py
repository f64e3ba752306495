"""Sends documents to storage-rest over HTTP, and asks it what it has."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import quote, urlencode

from common.http.client import HttpClient
from common.http.errors import StatusError
from common.wire import (
    Applied,
    Batch,
    CacheListing,
    Stored,
    Upsert,
    encode_batch,
    encode_original_upsert,
    parse_applied,
    parse_keys,
    parse_listing,
    parse_storage_body,
)

_PARALLEL = 8


class RemoteStorage:
    """storage-rest over HTTP; an original storage-rest is sent only the requests that it knows."""

    def __init__(self, client: HttpClient, *, yaml: bool = False) -> None:
        """`yaml`: an original is sent documents in the format CatalogInfoYamlFormat."""
        self._client = client
        self._yaml = yaml
        self._original = False
        self._sent: dict[str, Stored] = {}

    async def listing(self, known: str = "") -> CacheListing | None:
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

    async def _listing_of_original(self, keys: Iterable[str]) -> CacheListing:
        """Fetch what others have stored; what we sent ourselves is known, and an original keeps nothing else of it."""
        limit = asyncio.Semaphore(_PARALLEL)

        async def fetch(key: str) -> tuple[str, Stored]:
            if key in self._sent:
                return key, self._sent[key]
            async with limit:
                answer = await self._client.request("GET", "/fetch", params={"key": key})
                return key, parse_storage_body(key, answer.body).stored

        entries = dict(await asyncio.gather(*map(fetch, keys)))
        return CacheListing(revision="", complete=True, confirmed=True, entries=entries, cards={})

    async def apply(self, batch: Batch) -> Applied:
        """Send a batch; the answer has what storage refuses for good.

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
            body = encode_original_upsert(replace(item, card=batch.cards.get(item.card_key)), yaml=self._yaml)
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
