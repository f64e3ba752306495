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
    return StorageStatus(
        version=__version__,
        started=moment(health.started),
        conditions=conditions_of(health),
        documents=len(service.keys),
        cards=service.card_count,
        complete=service.complete,
        damage=service.damage,
        shards=tuple(service.shards),
        leaving=tuple(_leaving(service)),
        arrivals=tuple(_movement(arrival) for arrival in service.arrivals),
        departures=tuple(_movement(departure, departure.reason) for departure in service.departures),
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
    for entry, due in service.leaving:
        if entry.leaving is not None:
            yield LeavingStatus(
                key=entry.key,
                object=entry.ref,
                source=entry.source,
                reason=entry.leaving.reason,
                since=moment(entry.leaving.since),
                due=None if due is None else moment(due),
                refused=entry.leaving.refused,
                confirm=f"connector removals confirm {entry.key}",
                refuse="" if entry.leaving.refused else f"connector removals refuse {entry.key}",
            )


def _movement(movement: Arrival | Departure, reason: str = "") -> MovementStatus:
    return MovementStatus(
        key=movement.key, object=movement.ref, source=movement.source, reason=reason, at=moment(movement.at)
    )
