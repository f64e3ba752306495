"""Model cards from the model catalogs (Kubeflow Model Catalog REST API), read by a task of their own.

A registry is read without waiting for cards: it says which ones it wants, and what is read is told as it comes.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import inf
from typing import Self

import structlog

from common.backoff import Backoff
from common.http.client import RemoteError, StatusError
from common.wire import card_digest
from services.normalizer.normalize import values
from services.normalizer.normalize.card_length import shorten
from services.normalizer.normalize.cards import CARD_LIMIT, CatalogModel, is_too_large
from services.normalizer.sources.faults import BadAnswer, fault_of, internal, no_address
from services.normalizer.sources.http import Account, Connector, Remote, for_each
from services.normalizer.sources.refs import SourceRef, SourceState

log = structlog.get_logger("sources")

API_ROOTS = ("/api/model_catalog/v1", "/api/model_catalog/v1alpha1")
"""The versions of the API, the newest first; catalogs of 2026 have the second only."""
CHUNK = 64
"""So many cards are read before what came is told."""
News = Mapping[CatalogModel, str | None]
"""Texts of cards that are new or changed; None for a model that the catalogs have no card of."""


@dataclass(slots=True)
class _Card:
    """What is known of one card: `digest` of its text, None when there is none, "" when nothing was said yet.

    `missed`: since when the catalogs say that there is none, which a first time is not believed.
    """

    digest: str | None = ""
    read_at: float = 0.0
    due_at: float = 0.0
    missed: float | None = None


class _Catalog:
    """One catalog that is connected to."""

    def __init__(self, *, remote: Remote, connection: AsyncExitStack, account: Account, backoff: Backoff) -> None:
        self.remote = remote
        self.connection = connection
        self.retry_at = 0.0
        self.asked_at = -inf
        self._account = account
        self._backoff = backoff
        self._root = ""

    def settle(self, error: RemoteError | None, now: float) -> None:
        """Take what came of asking it."""
        ref = self.remote.ref
        self._account.update(ref, None if error is None else fault_of(ref, error))
        if error is None:
            self._backoff.reset()
            self.asked_at = now
        else:
            self.retry_at = now + self._backoff.next()

    async def begin(self) -> None:
        """Settle on the version of the API; one that starts answers 404 to everything, so that it has none yet.

        Raises:
            RemoteError: it speaks none, or does not answer.
        """
        refusal: RemoteError | None = None
        for root in (self._root,) if self._root else API_ROOTS:
            try:
                await self.remote.get(f"{root}/sources", {"pageSize": "1"})
            except StatusError as error:
                if error.status != 404:
                    raise
                refusal = error
                continue
            self._root = root
            return
        self._root = ""
        if refusal is not None:
            raise refusal

    async def card(self, model: CatalogModel) -> str | None:
        """Return a model's card, None when the catalog has none.

        Raises:
            RemoteError: it cannot be read.
        """
        path = f"{self._root}{model.path}"
        try:
            answer = await self.remote.get(path)
        except StatusError as error:
            if error.status in (400, 404, 414, 422):  # a name that it has not, or cannot have
                return None
            raise
        if not isinstance(answer, dict) or "name" not in answer:
            raise BadAnswer(f"{self.remote.ref.url}{path}: 200 without a model")
        readme = values.block(answer.get("readme"))
        if is_too_large(readme):
            log.warning(
                "card_too_long",
                source=self.remote.ref.label,
                limit=CARD_LIMIT,
                object=f"model {model.name} of source {model.source}",
                remedy="shorten its readme in the catalog",
            )
        return shorten(readme) or None


class _Inquiry:
    """One round of asking catalogs, in their order; None stands for one that is let alone.

    A catalog that fails is not asked again in the same round; `errors` has why, by its id.
    """

    def __init__(self, catalogs: Sequence[_Catalog | None]) -> None:
        self._catalogs = catalogs
        self.errors: dict[str, RemoteError] = {}

    async def begin(self) -> None:
        """See which catalogs answer at all."""
        for catalog in self._catalogs:
            if catalog is not None:
                try:
                    await catalog.begin()
                except RemoteError as error:
                    self.errors[catalog.remote.ref.id] = error

    async def find(self, model: CatalogModel) -> tuple[str | None, bool]:
        """Return the card of the first catalog that has it, and whether all before that one were asked."""
        sure = True
        for catalog in self._catalogs:
            if catalog is None or catalog.remote.ref.id in self.errors:
                sure = False
                continue
            try:
                text = await catalog.card(model)
            except RemoteError as error:
                self.errors[catalog.remote.ref.id] = error
                sure = False
                continue
            if text is not None:
                return text, sure
        return None, sure


class Catalogs:
    """All model catalogs, as an asynchronous context manager whose `run` reads what is wanted.

    `update` says which catalogs there are, in the order in which they are asked: a later one never displaces what an
    earlier one said. `want` says which cards a registry refers to; `news` gets what comes of them, `forgotten`
    the keys of those that nobody wants any more. A card is read again
    at the age of `refresh` (seconds), a little sooner for some, so that not all of them are at once. One that the
    catalogs do not have is looked for again after `recheck`, and only then believed to be none. A catalog that fails is
    let alone for a while (`pause`: ceilings of the first and of later pauses).
    """

    def __init__(
        self,
        *,
        connector: Connector,
        news: Callable[[News], None],
        forgotten: Callable[[Collection[str]], None],
        tell: Callable[[SourceRef, SourceState], None],
        refresh: float = 1800,
        recheck: float = 60,
        pause: tuple[float, float] = (5, 120),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connector = connector
        self._news = news
        self._forgotten = forgotten
        self._tell = tell
        self._refresh = refresh
        self._recheck = min(recheck, refresh)
        self._pause = pause
        self._clock = clock
        self._refs: dict[str, SourceRef] = {}
        self._open: dict[str, _Catalog] = {}
        self._accounts: dict[str, Account] = {}
        self._wanted: dict[str, frozenset[CatalogModel]] = {}
        self._cards: dict[CatalogModel, _Card] = {}
        self._wake = asyncio.Event()
        self._round = asyncio.Condition()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._refs = {}
        await self._connect()

    def update(self, refs: Iterable[SourceRef]) -> None:
        """Take note of which catalogs there are now."""
        wanted = {ref.id: ref for ref in refs}
        if wanted.items() - self._refs.items():
            for card in self._cards.values():
                if not card.digest:
                    card.due_at = 0
        self._refs = wanted
        for gone in self._accounts.keys() - wanted.keys():
            del self._accounts[gone]
        for ref in wanted.values():
            if not ref.url:
                self._account(ref.id).update(ref, no_address(ref))
        self._wake.set()

    def want(self, registry: str, models: Collection[CatalogModel], *, changed: Collection[CatalogModel] = ()) -> None:
        """Take which cards a registry refers to now; those of `changed` are read again. Unwanted ones are forgotten."""
        self._wanted[registry] = frozenset(models)
        everything = frozenset[CatalogModel]().union(*self._wanted.values())
        if unwanted := self._cards.keys() - everything:
            for each in unwanted:
                del self._cards[each]
            # Two names may have one key.
            self._forgotten({model.key for model in unwanted} - {model.key for model in everything})
        for each in models:
            card = self._cards.setdefault(each, _Card())
            if each in changed:
                card.due_at = 0
        self._wake.set()

    async def first_look(self, models: Collection[CatalogModel], *, patience: float) -> None:
        """Wait until each of these was asked for once, or a catalog fails, `patience` seconds at most."""

        def done() -> bool:
            if not any(ref.url for ref in self._refs.values()):
                return True
            answered = all((card := self._cards.get(each)) is None or card.read_at for each in models)
            return answered or any(catalog.retry_at > self._clock() for catalog in self._open.values())

        try:
            async with asyncio.timeout(patience), self._round:
                await self._round.wait_for(done)
        except TimeoutError:
            pass  # what is read later is told later

    async def run(self) -> None:
        """Read cards as they become due, until cancelled."""
        while True:
            self._wake.clear()
            try:
                pause = await self._read_due()
            except Exception:
                log.exception("card_not_processed")
                pause = self._recheck
            async with self._round:
                self._round.notify_all()
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _read_due(self) -> float | None:
        """Read a chunk of what is due; return the seconds until there is more to do, None when only news bring it."""
        await self._connect()
        now = self._clock()
        ready = {id_: catalog for id_, catalog in self._open.items() if catalog.retry_at <= now}
        due = [each for each, card in self._cards.items() if card.due_at <= now]
        # One that no card is read from is asked now and then too: people must hear that it is down.
        if ready and (due or any(catalog.asked_at + self._refresh <= now for catalog in ready.values())):
            await self._read(due[:CHUNK], ready)
            return 0
        times = [max(catalog.retry_at, catalog.asked_at + self._refresh) for catalog in self._open.values()]
        times += [catalog.retry_at for catalog in self._open.values() if catalog.retry_at > now] if due else []
        if ready or not due:
            times += [card.due_at for card in self._cards.values() if card.due_at > now]
        return max(0.0, min(times) - now) if times and self._open else None

    async def _read(self, due: Collection[CatalogModel], ready: Mapping[str, _Catalog]) -> None:
        """Read some cards from the catalogs that are not let alone, and tell what is new."""
        inquiry = _Inquiry([ready.get(id_) for id_ in self._refs])
        news: dict[CatalogModel, str | None] = {}

        async def look(model: CatalogModel) -> None:
            self._note(model, *await inquiry.find(model), news)

        fault: Exception | None = None
        try:
            await inquiry.begin()
            await for_each(due, look, width=8)
        except Exception as error:
            log.exception("card_not_processed")
            fault = error
            for each in due:
                self._note(each, None, False, news)
        now = self._clock()
        for id_, catalog in ready.items():
            catalog.settle(inquiry.errors.get(id_), now)
            if fault is not None:
                self._account(id_).update(catalog.remote.ref, internal(catalog.remote.ref, fault))
        if news:
            self._news(news)

    def _note(self, model: CatalogModel, text: str | None, sure: bool, news: dict[CatalogModel, str | None]) -> None:
        """Take what came of looking for a card; `sure`: all catalogs before the one that has it were asked."""
        card = self._cards.get(model)
        if card is None:
            return  # nobody wants it any more
        now = self._clock()
        if not sure and (text is None or card.digest):
            card.due_at = now + (self._pause[0] if text is None else self._recheck)
            return
        card.read_at = now
        if text is not None:
            card.missed = None
            card.due_at = now + self._refresh * random.uniform(0.9, 1)  # noqa: S311 - spreads load, guards nothing
            digest = card_digest(text)
            if digest != card.digest:
                card.digest = digest
                news[model] = text
        elif card.digest is None:
            card.due_at = now + self._refresh
        elif card.missed is None:
            card.missed, card.due_at = now, now + self._recheck
        elif now < card.missed + self._recheck:
            card.due_at = card.missed + self._recheck
        else:
            card.digest, card.missed, card.due_at = None, None, now + self._refresh
            news[model] = None

    def _account(self, each: str) -> Account:
        return self._accounts.setdefault(each, Account(tell=self._tell))

    async def _connect(self) -> None:
        """Open and close connections so that they are those to the wanted catalogs."""
        for each, catalog in list(self._open.items()):
            if self._refs.get(each) != catalog.remote.ref:
                del self._open[each]
                await catalog.connection.aclose()
        for each, ref in list(self._refs.items()):
            if each not in self._open and ref.url:
                stack = AsyncExitStack()
                self._open[each] = _Catalog(
                    remote=await stack.enter_async_context(self._connector.open(ref)),
                    connection=stack,
                    account=self._account(each),
                    backoff=Backoff(*self._pause),
                )
        self._open = {each: self._open[each] for each in self._refs if each in self._open}
