"""The answer to `GET /status` of storage-rest: the cache, its recent changes, and what it refused."""

from collections.abc import Iterable

from common import __version__
from common.health import Health
from common.status import (
    LeavingStatus,
    MovementStatus,
    ProblemStatus,
    StorageStatus,
    conditions_of,
    moment,
    settings_of,
)
from services.storage_rest.removals import Arrival, Departure
from services.storage_rest.service import StorageService
from services.storage_rest.settings import StorageSettings


def report(service: StorageService, *, health: Health, settings: StorageSettings) -> StorageStatus:
    """Return the current status."""
    stored = service.stored
    return StorageStatus(
        version=__version__,
        started=moment(health.started),
        conditions=conditions_of(health),
        documents=len(stored.keys),
        cards=len(stored.cache.cards),
        complete=stored.complete,
        damage=stored.damage,
        shards=tuple(stored.store.shards),
        leaving=tuple(_leaving(service)),
        arrivals=tuple(_movement(arrival) for arrival in stored.arrivals),
        departures=tuple(_movement(departure, departure.reason) for departure in stored.departures),
        problems=tuple(
            ProblemStatus(
                severity="error",
                object=refusal.key,
                message=f"the cache refuses it: {refusal.detail}",
                remedy="correct the object that it comes from; until then the stored state is served",
            )
            for refusal in service.problems
        ),
        settings=settings_of(settings),
    )


def _leaving(service: StorageService) -> Iterable[LeavingStatus]:
    for entry, mark, due in service.leaving:
        yield LeavingStatus(
            key=entry.key,
            object=entry.ref,
            source=entry.source,
            reason=mark.reason,
            since=moment(mark.since),
            due=None if due is None else moment(due),
            refused=mark.refused,
            confirm=f"connector removals confirm {entry.key}",
            refuse="" if mark.refused else f"connector removals refuse {entry.key}",
        )


def _movement(movement: Arrival | Departure, reason: str = "") -> MovementStatus:
    return MovementStatus(
        key=movement.key, object=movement.ref, source=movement.source, reason=reason, at=moment(movement.at)
    )
