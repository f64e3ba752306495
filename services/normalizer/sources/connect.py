"""Connections to registries and catalogs."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from common.http.client import HttpClient
from common.secrets import TokenSource
from services.normalizer.sources.account import warn_unverified
from services.normalizer.sources.metrics import SourceMetrics
from services.normalizer.sources.refs import SourceRef
from services.normalizer.sources.remote import Remote


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """Opens connections; `timeout` (seconds) is one request's, `concurrency` how many are under way per server."""

    token: TokenSource | None
    ssl: ssl.SSLContext
    metrics: SourceMetrics
    timeout: float = 10
    concurrency: int = 8

    @asynccontextmanager
    async def open(self, ref: SourceRef) -> AsyncIterator[Remote]:
        """Yield the server that `ref` stands for; nothing is sent before the first request."""
        warn_unverified(ref)
        async with HttpClient(
            name=ref.label,
            base_url=ref.url,
            token=self.token if ref.trusted else None,
            ssl=self.ssl if ref.verify else False,
            timeout=self.timeout,
        ) as client:
            yield Remote(ref=ref, client=client, metrics=self.metrics, concurrency=self.concurrency)
