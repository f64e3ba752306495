"""Model cards from the model catalog (Kubeflow Model Catalog REST API, v1alpha1), read when there is a reason to."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from common.http.client import RemoteError, StatusError, Unreachable
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.sources.faults import BadAnswer
from services.normalizer.sources.remote import Remote, for_each

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
