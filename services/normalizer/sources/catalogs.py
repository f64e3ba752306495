"""The model catalogs in use: their connections, how they fare, and the cards read from them."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AsyncExitStack
from typing import Self

from common.http.client import RemoteError
from common.kube.backoff import Backoff
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.sources.account import Account
from services.normalizer.sources.catalog import CardReader
from services.normalizer.sources.connect import Connector
from services.normalizer.sources.faults import fault_of
from services.normalizer.sources.refs import Fault, SourceRef, SourceState
from services.normalizer.sources.remote import Remote


class _Catalog:
    """One catalog that is connected to."""

    def __init__(self, *, remote: Remote, connection: AsyncExitStack, account: Account, backoff: Backoff) -> None:
        self.remote = remote
        self.connection = connection
        self._account = account
        self._backoff = backoff
        self.retry_at = 0.0

    def settle(self, error: RemoteError | None, now: float) -> None:
        """Take what came of asking it."""
        ref = self.remote.ref
        self._account.update(ref, None if error is None else fault_of(ref, error))
        if error is None:
            self._backoff.reset()
        else:
            self.retry_at = now + self._backoff.next()


class Catalogs:
    """All model catalogs, as an asynchronous context manager; a catalog that fails is let alone for a while.

    `update` says which there are; registries ask for the cards that they want. Cards are read by one at a time.
    """

    def __init__(
        self,
        *,
        connector: Connector,
        reader: CardReader,
        tell: Callable[[SourceRef, SourceState], None],
        pause: tuple[float, float] = (5, 120),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connector = connector
        self._reader = reader
        self._tell = tell
        self._pause = pause
        self._clock = clock
        self._wanted: dict[str, SourceRef] = {}
        self._open: dict[str, _Catalog] = {}
        self._accounts: dict[str, Account] = {}
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._wanted = {}
        await self._connect()

    def update(self, refs: Iterable[SourceRef]) -> None:
        """Take note of which catalogs there are now, in the order in which they are asked."""
        wanted = {ref.id: ref for ref in refs}
        if wanted.items() - self._wanted.items():
            self._reader.look_again()
        self._wanted = wanted
        for gone in self._accounts.keys() - wanted.keys():
            del self._accounts[gone]
        for ref in wanted.values():
            if not ref.url:
                self._account(ref.id).update(ref, no_address(ref))

    def known(self, wanted: Collection[CatalogModel]) -> dict[str, str | None]:
        """Return what is known of cards, by key, as `CardReader.known`."""
        return self._reader.known(wanted)

    async def read(self, wanted: Collection[CatalogModel], *, anew: Collection[CatalogModel], since: float) -> bool:
        """Read what is due and return whether that was all that can be done for now.

        `anew` are models whose registration changed; they are read again unless that happened after `since`.
        """
        async with self._lock:
            due = self._reader.due(wanted, anew=anew, since=since)
            if not due:
                return True
            await self._connect()
            now = self._clock()
            asked = {each: catalog.remote for each, catalog in self._open.items() if catalog.retry_at <= now}
            if not asked:
                return True
            outcome = await self._reader.read(due, asked, all_asked=asked.keys() == self._wanted.keys())
            for each, error in outcome.asked.items():
                self._open[each].settle(error, self._clock())
            return outcome.finished

    def _account(self, each: str) -> Account:
        return self._accounts.setdefault(each, Account(metrics=self._connector.metrics, tell=self._tell))

    async def _connect(self) -> None:
        """Open and close connections so that they are those to the wanted catalogs."""
        for each, catalog in list(self._open.items()):
            if self._wanted.get(each) != catalog.remote.ref:
                del self._open[each]
                await catalog.connection.aclose()
        for each, ref in self._wanted.items():
            if each not in self._open and ref.url:
                stack = AsyncExitStack()
                self._open[each] = _Catalog(
                    remote=await stack.enter_async_context(self._connector.open(ref)),
                    connection=stack,
                    account=self._account(each),
                    backoff=Backoff(*self._pause),
                )
        self._open = {each: self._open[each] for each in self._wanted if each in self._open}


def no_address(ref: SourceRef) -> Fault:
    """Return the fault of a server that exists and says nowhere under which address."""
    return Fault(
        kind="no-address",
        reason=f"{ref.origin} has no address",
        remedy="a Route needs a router that admits it (status.ingress), a Service a port named http… or https…",
    )
