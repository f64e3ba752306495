"""Model cards from the model catalogs (Kubeflow Model Catalog REST API, v1alpha1), read when there is a reason to."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

from common.http.client import RemoteError, StatusError, Unreachable
from common.kube.backoff import Backoff
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.sources.faults import BadAnswer, fault_of, no_address
from services.normalizer.sources.http import Account, Connector, Remote, for_each
from services.normalizer.sources.refs import SourceRef, SourceState

API_ROOT = "/api/model_catalog/v1alpha1"


@dataclass(frozen=True, slots=True)
class _Card:
    text: str | None
    read_at: float
    due_at: float


@dataclass(frozen=True, slots=True)
class CardRound:
    """What came of reading cards: each catalog asked (by id) with its last error or None; whether all is done."""

    asked: Mapping[str, RemoteError | None]
    finished: bool = True


class CardReader:
    """The cards that registries' models refer to, from all catalogs, the first that has one.

    A card that cannot be read stays what it was. `refresh` (seconds) is the age at which a card is read again, a
    little sooner for some, so that not all of them are at once. One round takes no longer than `budget` seconds.
    """

    def __init__(self, *, refresh: float, budget: float = 5, clock: Callable[[], float] = time.monotonic) -> None:
        self._refresh = refresh
        self._budget = budget
        self._clock = clock
        self._cards: dict[CatalogModel, _Card] = {}

    def known(self, wanted: Collection[CatalogModel]) -> dict[str, str | None]:
        """Return the cards among `wanted` by key; None for one that no catalog has. Unread ones are missing."""
        return {each.key: self._cards[each].text for each in wanted if each in self._cards}

    def look_again(self) -> None:
        """Let what was not found be asked for again: another catalog appeared."""
        self._cards = {each: card for each, card in self._cards.items() if card.text is not None}

    def due(
        self, wanted: Collection[CatalogModel], *, anew: Collection[CatalogModel] = (), since: float = 0
    ) -> list[CatalogModel]:
        """Return those that are unknown or old, and those of `anew` that were not read since `since` (the clock's)."""
        now = self._clock()
        return [
            each
            for each in dict.fromkeys(wanted)
            if (card := self._cards.get(each)) is None or now >= card.due_at or (each in anew and card.read_at < since)
        ]

    async def read(
        self, due: Collection[CatalogModel], catalogs: Mapping[str, Remote], *, all_asked: bool
    ) -> CardRound:
        """Read cards; where a catalog that exists is not among those asked, what is not found is not known."""
        asked: dict[str, RemoteError | None] = {}
        left = set(due)

        async def fetch(model: CatalogModel) -> None:
            text = await _first(catalogs, model, asked)
            left.discard(model)
            if text is None and not all_asked:
                return
            now = self._clock()
            self._cards[model] = _Card(text, now, now + self._refresh * random.uniform(0.9, 1))  # noqa: S311

        try:
            async with asyncio.timeout(self._budget):
                failed = await for_each(due, fetch)
        except TimeoutError:
            # Some answers: the rest is left for the next round. None at all: they hang.
            hanging = {each: Unreachable(catalog.ref.url, "no answer in time") for each, catalog in catalogs.items()}
            return CardRound(asked or hanging, finished=not asked)
        return CardRound(asked, finished=bool(failed) or not left)


async def _first(
    catalogs: Mapping[str, Remote], model: CatalogModel, asked: dict[str, RemoteError | None]
) -> str | None:
    """Return the card from the first catalog that has it; None when all say that they have none.

    Raises:
        RemoteError: when none has it and one of them could not be asked.
    """
    failure: RemoteError | None = None
    for name, catalog in catalogs.items():
        try:
            text = await _card(catalog, model)
        except RemoteError as error:
            asked[name] = failure = error
            continue
        asked.setdefault(name, None)
        if text:
            return text
    if failure is not None:
        raise failure
    return None


async def _card(catalog: Remote, model: CatalogModel) -> str | None:
    path = f"{API_ROOT}{model.path}"
    try:
        answer = await catalog.get(path)
    except StatusError as error:
        if error.status == 404:
            return None
        raise
    if not isinstance(answer, dict) or "name" not in answer:
        raise BadAnswer(f"{catalog.ref.url}{path}: 200 without a model")
    readme = answer.get("readme")
    return readme if isinstance(readme, str) and readme.strip() else None


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
