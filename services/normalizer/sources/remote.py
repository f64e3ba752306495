"""Requests to one registry or catalog: JSON only, counted, a few at a time, with nothing repeated behind our back."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from common.http.client import HttpClient, RemoteError, StatusError
from services.normalizer.sources.metrics import SourceMetrics
from services.normalizer.sources.refs import SourceRef

T = TypeVar("T")


class Remote:
    """One server; at most `concurrency` requests are under way at a time."""

    def __init__(self, *, ref: SourceRef, client: HttpClient, metrics: SourceMetrics, concurrency: int = 8) -> None:
        self.ref = ref
        self._client = client
        self._metrics = metrics
        self._gate = asyncio.Semaphore(concurrency)

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Return the JSON at `path`.

        Raises:
            RemoteError: no answer, another status than 2xx, or no JSON. The poll as a whole is what is repeated.
        """
        async with self._gate:
            try:
                response = await self._client.request("GET", path, params=params, attempts=1)
            except RemoteError as error:
                self._count(str(error.status) if isinstance(error, StatusError) else "none")
                raise
        self._count(str(response.status))
        return response.json()

    def _count(self, code: str) -> None:
        self._metrics.requests.labels(self.ref.id, code).inc()


async def for_each(
    things: Iterable[T], work: Callable[[T], Awaitable[None]], *, patience: int = 3
) -> dict[T, RemoteError]:
    """Do `work` on all things side by side and return those that failed with their errors.

    One broken object does not keep the others from being read; a server that fails `patience` times is let alone,
    and what was not tried by then is missing from the answer.
    """
    failed: dict[T, RemoteError] = {}

    async def attempt(thing: T) -> None:
        try:
            await work(thing)
        except RemoteError as error:
            failed[thing] = error
            if len(failed) >= patience:
                raise

    try:
        async with asyncio.TaskGroup() as group:
            for thing in things:
                group.create_task(attempt(thing))
    except* RemoteError:
        pass  # kept in `failed` already
    return failed
