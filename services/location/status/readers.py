"""Records which readers of the feed made requests, when, and what they were answered; recognised by their routes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import web
from prometheus_client import Gauge

from common.clocks import wall_time
from common.metrics import Metrics
from common.status import moment
from services.location.second_generation import base_path
from services.location.status.answer import ReaderStatus

_NAMES: Final[Mapping[str, str]] = {
    "first-generation": "Developer Hub 1.8 and 1.9, plugin catalog-backend-module-model-catalog before 1.0",
    "second-generation": "Developer Hub 1.10 and later, plugin catalog-backend-module-model-catalog 1.x",
    "plain": "a Backstage without a plugin, as a catalog location",
    "techdocs": "TechDocs, for model cards",
}
_ROUTES: Final[Mapping[str, str]] = {
    "/list": "first-generation",
    "/{model}/{version}/model-catalog.json": "first-generation",
    "/catalog-info.yaml": "plain",
    "/{model}/{version}/catalog-info.yaml": "plain",
    "/modelcard": "techdocs",
    "/modelcard/{key}": "techdocs",
    "/api/v1/repos/{owner}/{repository}/git/commits/{ref}": "techdocs",
    "/api/v1/repos/{owner}/{repository}/archive/{archive}": "techdocs",
    "/{owner}/{repository}/archive/{archive}": "techdocs",
}
_SERVED: Final = frozenset({200, 304})


@dataclass(slots=True)
class _Reader:
    last: float = 0.0
    answered: int = 0
    requests: int = 0
    served: float = 0.0


class Readers:
    """Records each request to a reader's routes; it cannot tell a reader from anyone else who requests the same."""

    def __init__(self, *, connector_id: str, metrics: Metrics, clock: Callable[[], float] = wall_time) -> None:
        self._clock = clock
        base = base_path(connector_id)
        self._routes = {
            **_ROUTES,
            f"{base}list": "second-generation",
            base + "models/{key}": "second-generation",
            base + "modelcard/{key}": "techdocs",
        }
        self._readers = {id_: _Reader() for id_ in _NAMES}
        served = Gauge(
            "rhoai_connector_reader_last_read_timestamp_seconds",
            "When a reader was last served; 0 if it was not since the start",
            ["reader"],
            registry=metrics.registry,
        )
        for id_, reader in self._readers.items():
            served.labels(id_).set_function(partial(getattr, reader, "served"))

    async def note(self, request: web.Request, response: web.StreamResponse) -> None:
        """Record an answer that is about to be sent (aiohttp's signal `on_response_prepare`)."""
        resource = request.match_info.route.resource
        reader = self._readers.get(self._routes.get(resource.canonical if resource else "", ""))
        if reader is None:
            return
        reader.last, reader.answered = self._clock(), response.status
        reader.requests += 1
        if response.status in _SERVED:
            reader.served = reader.last

    def status(self) -> tuple[ReaderStatus, ...]:
        """Return the status of each reader."""
        return tuple(
            ReaderStatus(
                id=id_,
                name=_NAMES[id_],
                last=moment(reader.last) if reader.requests else None,
                answered=reader.answered or None,
                requests=reader.requests,
            )
            for id_, reader in self._readers.items()
        )
