"""Model cards from the model catalogs (Kubeflow Model Catalog REST API), read by a task of their own.

A registry is read without waiting for cards: it requests them, and each is reported when it was read.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

import structlog

from common.backoff import Backoff, happens, spread
from common.clocks import loop_time
from common.faults import Fault
from common.wire import card_digest
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.sources.faults import internal, no_address
from services.normalizer.sources.http import Connector, FaultReporter, for_each
from services.normalizer.sources.kubeflow.catalog import Catalog
from services.normalizer.sources.refs import SourceRef

log = structlog.get_logger("sources")

_CHUNK = 64
"""How many cards are read before they are reported."""
CardTexts = Mapping[CatalogModel, str | None]
"""Texts of cards that are new or changed; None for a model that the catalogs have no card of."""


@dataclass(slots=True)
class _CardState:
    """What is known of one card: the `digest` of its text, None when there is none, "" before the first answer.

    `missed`: since when the catalogs say that there is none, which a first time is not believed. `pauses`: how long it
    is not asked for, because a catalog cannot answer for this one; None while it can.
    """

    digest: str | None = ""
    read_at: float = 0.0
    due_at: float = 0.0
    missed: float | None = None
    pauses: Backoff | None = None


class Catalogs:
    """All model catalogs, as an asynchronous context manager whose `run` reads what is wanted.

    `update` says which catalogs there are, in the order in which they are asked: a later one never displaces what an
    earlier one said. `want` says which cards a registry refers to; `news` gets what comes of them, `forgotten`
    the keys of those that no one wants any more. A card is read again at about the age of `refresh` (seconds), so that
    not all of them are read at once. One that the catalogs do not have is looked for again after `recheck`, and only
    then believed to be none. A catalog that fails is not asked for a while (`pause`: ceilings of the first and of later
    pauses).
    """

    def __init__(
        self,
        *,
        connector: Connector,
        news: Callable[[CardTexts], None],
        forgotten: Callable[[Collection[str]], None],
        on_fault: Callable[[SourceRef, Fault | None], None],
        refresh: float = 1800,
        recheck: float = 60,
        pause: tuple[float, float] = (5, 120),
    ) -> None:
        self._connector = connector
        self._news = news
        self._forgotten = forgotten
        self._on_fault = on_fault
        self._refresh = refresh
        self._recheck = min(recheck, refresh)
        self._pause = pause
        self._refs: dict[str, SourceRef] = {}
        self._open: dict[str, Catalog] = {}
        self._reporters: dict[str, FaultReporter] = {}
        self._wanted: dict[str, frozenset[CatalogModel]] = {}
        self._cards: dict[CatalogModel, _CardState] = {}
        self._wake = asyncio.Event()
        self._round = asyncio.Condition()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._refs = {}
        await self._connect()

    def update(self, refs: Iterable[SourceRef]) -> None:
        """Use these catalogs from now on, and no others."""
        wanted = {ref.id: ref for ref in refs}
        if wanted.items() - self._refs.items():
            for card in self._cards.values():
                if not card.digest:
                    card.due_at = 0
        self._refs = wanted
        for gone in self._reporters.keys() - wanted.keys():
            del self._reporters[gone]
        for ref in wanted.values():
            if not ref.url:
                self._reporter(ref.id).update(ref, no_address(ref))
        self._wake.set()

    def want(self, registry: str, models: Collection[CatalogModel], *, changed: Collection[CatalogModel] = ()) -> None:
        """Request cards for a registry, instead of those before; those of `changed` are read again."""
        self._wanted[registry] = frozenset(models)
        everything = frozenset[CatalogModel]().union(*self._wanted.values())
        if unwanted := self._cards.keys() - everything:
            for each in unwanted:
                del self._cards[each]
            # Two models may have the same key.
            self._forgotten({model.key for model in unwanted} - {model.key for model in everything})
        for each in models:
            card = self._cards.setdefault(each, _CardState())
            if each in changed:
                card.due_at = 0
        self._wake.set()

    async def first_look(self, models: Collection[CatalogModel], *, patience: float) -> None:
        """Wait until each of these was requested once, or a catalog fails, at most `patience` seconds."""

        def done() -> bool:
            if not any(ref.url for ref in self._refs.values()):
                return True
            known = (self._cards.get(each) for each in models)
            answered = all(card is None or card.read_at or card.pauses for card in known)
            return answered or any(catalog.retry_at > loop_time() for catalog in self._open.values())

        try:
            async with asyncio.timeout(patience), self._round:
                await self._round.wait_for(done)
        except TimeoutError:
            pass  # cards that are read later are reported later

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
            await happens(self._wake, within=pause)

    async def _read_due(self) -> float | None:
        """Read a chunk of the cards that are due; return the seconds until more are, None while none will be."""
        await self._connect()
        now = loop_time()
        ready = {id_: catalog for id_, catalog in self._open.items() if catalog.retry_at <= now}
        due = [each for each, card in self._cards.items() if card.due_at <= now]
        # A catalog without any requested card is asked now and then too, so that a failure is reported.
        if ready and (due or any(catalog.asked_at + self._refresh <= now for catalog in ready.values())):
            await self._read(due[:_CHUNK], ready)
            return 0
        times = [max(catalog.retry_at, catalog.asked_at + self._refresh) for catalog in self._open.values()]
        times += [catalog.retry_at for catalog in self._open.values() if catalog.retry_at > now] if due else []
        if ready or not due:
            times += [card.due_at for card in self._cards.values() if card.due_at > now]
        return max(0.0, min(times) - now) if times and self._open else None

    async def _read(self, due: Collection[CatalogModel], ready: Mapping[str, Catalog]) -> None:
        """Read some cards from the catalogs that are not paused, and report what is new."""
        in_order = [ready.get(id_) for id_ in self._refs]
        found: dict[CatalogModel, tuple[str | None, bool]] = {}

        async def look(model: CatalogModel) -> None:
            found[model] = await _find(model, in_order)

        fault: Exception | None = None
        try:
            for catalog in ready.values():
                await catalog.begin()
            await for_each(due, look, width=8)
            for catalog in ready.values():
                await catalog.conclude(wanted=len(self._cards))
        except Exception as error:
            log.exception("card_not_processed")
            fault = error
        news: dict[CatalogModel, str | None] = {}
        for model in due:
            text, sure = found.get(model, (None, False))
            refusing = (each for each in ready.values() if each.error is None and model in each.failed)
            if self._note(model, text, sure, refusing=next(refusing, None)):
                news[model] = text
        for id_, catalog in ready.items():
            catalog.settle(loop_time())
            if fault is not None:
                self._reporter(id_).update(catalog.remote.ref, internal(catalog.remote.ref, fault))
        if news:
            self._news(news)

    def _note(self, model: CatalogModel, text: str | None, sure: bool, *, refusing: Catalog | None) -> bool:
        """Record the result for one card; return whether its text has changed.

        `sure`: all catalogs before the one that has it have answered. `refusing` is one that answers only for others.
        """
        card = self._cards.get(model)
        if card is None:
            return False  # it is no longer requested
        now = loop_time()
        self._tell_refusal(model, card, refusing)
        if not sure and (text is None or card.digest):
            pause = self._pause[0] if card.pauses is None else card.pauses.next()
            card.due_at = now + (pause if text is None else self._recheck)
            return False
        card.read_at = now
        if text is not None:
            card.missed = None
            card.due_at = now + spread(self._refresh)
            former, card.digest = card.digest, card_digest(text)
            return card.digest != former
        if card.digest is None:
            card.due_at = now + self._refresh
        elif card.missed is None:
            card.missed, card.due_at = now, now + self._recheck
        elif now < card.missed + self._recheck:
            card.due_at = card.missed + self._recheck
        else:
            card.digest, card.missed, card.due_at = None, None, now + self._refresh
            return True
        return False

    def _tell_refusal(self, model: CatalogModel, card: _CardState, refusing: Catalog | None) -> None:
        """Log once that a catalog cannot answer for one model, until it can again."""
        if refusing is None:
            card.pauses = None
        elif card.pauses is None:
            card.pauses = Backoff(self._pause[0], self._refresh, least=0.5)
            log.warning(
                "card_unreadable",
                source=refusing.remote.ref.label,
                object=f"model {model.name} of source {model.source}",
                error=str(refusing.failed[model]),
                remedy="see the catalog's log: it answers for other models",
            )

    def _reporter(self, each: str) -> FaultReporter:
        return self._reporters.setdefault(each, FaultReporter(self._on_fault))

    async def _connect(self) -> None:
        """Open and close connections, so that there is one to each catalog."""
        for each, catalog in list(self._open.items()):
            if self._refs.get(each) != catalog.remote.ref:
                del self._open[each]
                await catalog.connection.aclose()
        for each, ref in list(self._refs.items()):
            if each not in self._open and ref.url:
                stack = AsyncExitStack()
                self._open[each] = Catalog(
                    remote=await stack.enter_async_context(self._connector.open(ref)),
                    connection=stack,
                    reporter=self._reporter(each),
                    backoff=Backoff(*self._pause),
                )
        self._open = {each: self._open[each] for each in self._refs if each in self._open}


async def _find(model: CatalogModel, catalogs: Iterable[Catalog | None]) -> tuple[str | None, bool]:
    """Return the card of the first catalog that has it, and whether all before it have answered; None is paused."""
    sure = True
    for catalog in catalogs:
        text, answered = (None, False) if catalog is None else await catalog.find(model)
        sure = sure and answered
        if text is not None:
            return text, sure
    return None, sure
