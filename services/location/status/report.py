"""Collects the status of the whole connector: of location itself, and what the other two services report."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from common import LOCATION, __version__
from common.clocks import loop_time, wall_time
from common.health import Health
from common.settings import ServiceSettings
from common.status import (
    LeavingStatus,
    NormalizerStatus,
    StatusModel,
    StorageStatus,
    conditions_of,
    moment,
    settings_of,
)
from services.location.shelf import Shelf
from services.location.status.answer import Counts, FeedStatus, ServiceStatus, Status
from services.location.status.models import ModelQuery, Models
from services.location.status.neighbours import Answer, Ask, Neighbours
from services.location.status.readers import Readers
from services.location.status.verdict import Findings, verdict

T = TypeVar("T", bound=StatusModel)

FRESH = 1.0
"""Seconds for which a service's answer is reused, however many people request the page."""


class StatusReporter:
    """Collects the status of the connector."""

    def __init__(
        self,
        *,
        shelf: Shelf,
        health: Health,
        readers: Readers,
        models: Models,
        neighbours: Neighbours,
        settings: ServiceSettings | None = None,
        clock: Callable[[], float] = wall_time,
    ) -> None:
        self._shelf = shelf
        self._health = health
        self._readers = readers
        self._models = models
        self._normalizer = _CachedAnswer(neighbours.normalizer)
        self._storage = _CachedAnswer(neighbours.storage)
        self._settings = settings
        self._clock = clock

    async def status(self, wanted: ModelQuery, *, names: bool) -> Status:
        """Return the status with the models that match `wanted`; without `names`, only counts of them."""
        normalizer, storage = await asyncio.gather(self._normalizer(), self._storage())
        sources = normalizer.status or _NO_NORMALIZER
        cache = storage.status or _NO_STORAGE
        feed = FeedStatus(
            complete=self._shelf.complete,
            waiting_for=self._shelf.waiting_for,
            documents=len(self._shelf),
            cards=self._shelf.card_count,
        )
        leaving = tuple(merge_leaving(cache.leaving, sources.leaving))
        problems = (*sources.problems, *cache.problems)
        services = (self._own(), _service(storage, storage.status), _service(normalizer, normalizer.status))
        found = Findings(
            at=moment(self._clock()),
            feed=feed,
            services=services,
            sources=sources.sources,
            readers=self._readers.status(),
            leaving=leaving,
            problems=problems,
            hidden=len(sources.hidden),
        )
        status = Status(
            at=found.at,
            names=names,
            verdict=verdict(found),
            feed=feed,
            counts=Counts(models=feed.documents, hidden=found.hidden, leaving=len(leaving), problems=len(problems)),
            services=services,
            sources=sources.sources,
            readers=found.readers,
            shards=cache.shards,
        )
        if not names:
            return status.model_copy(update={"services": tuple(map(_without_settings, services))})
        reasons = {each.key: each.reason for each in leaving if each.key}
        return status.model_copy(
            update={
                "models": await self._models.find(wanted, reasons),
                "hidden": sources.hidden,
                "leaving": leaving,
                "arrivals": cache.arrivals,
                "departures": cache.departures,
                "problems": problems,
            }
        )

    def _own(self) -> ServiceStatus:
        return ServiceStatus(
            name=LOCATION,
            answers=True,
            version=__version__,
            started=moment(self._health.started),
            conditions=conditions_of(self._health),
            settings=settings_of(self._settings) if self._settings else (),
        )


class _CachedAnswer(Generic[T]):
    """Asks a service once for all requests within `FRESH` seconds."""

    def __init__(self, ask: Ask[T]) -> None:
        self._ask = ask
        self._turn = asyncio.Lock()
        self._answer: tuple[float, Answer[T]] | None = None

    async def __call__(self) -> Answer[T]:
        async with self._turn:
            if self._answer is None or loop_time() >= self._answer[0] + FRESH:
                answer = await self._ask()
                self._answer = (loop_time(), answer)
            return self._answer[1]


_NO_NORMALIZER = NormalizerStatus(version="", started=moment(0))
_NO_STORAGE = StorageStatus(version="", started=moment(0))


def merge_leaving(stored: Iterable[LeavingStatus], doubted: Iterable[LeavingStatus]) -> list[LeavingStatus]:
    """Return the entries that will be removed: storage's list, with the times that the normalizer reports.

    An entry that the normalizer doubts, but that storage has not marked yet, has no key.
    """
    by_object: Mapping[str, LeavingStatus] = {each.object: each for each in doubted}
    marked = [
        each.model_copy(update={"due": by_object[each.object].due}) if each.object in by_object else each
        for each in stored
    ]
    known = {each.object for each in marked}
    return [*marked, *(each for each in by_object.values() if each.object not in known)]


def _service(answer: Answer[T], status: NormalizerStatus | StorageStatus | None) -> ServiceStatus:
    if status is None:
        return ServiceStatus(name=answer.name, url=answer.url, answers=answer.older, fault=answer.fault)
    return ServiceStatus(
        name=answer.name,
        url=answer.url,
        answers=True,
        version=status.version,
        started=status.started,
        conditions=status.conditions,
        settings=status.settings,
    )


def _without_settings(service: ServiceStatus) -> ServiceStatus:
    return service.model_copy(update={"settings": (), "url": ""})
