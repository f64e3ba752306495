"""The web application of location: its routes, and the objects that answer them."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import Gauge

from common import LOCATION
from common.clocks import wall_time
from common.health import Health
from common.http.access import AccessPolicy
from common.http.server import create_app
from common.metrics import Metrics
from common.settings import ServiceSettings
from services.location import documentation, first_generation, plain, pushes, second_generation
from services.location.documentation import Documentation
from services.location.fetching import CardFetcher
from services.location.pushes import PushFilter
from services.location.rendering import RenderCache, RenderOptions
from services.location.settings import CONNECTOR_ID
from services.location.shelf import Shelf
from services.location.status import routes as status
from services.location.status.models import Models
from services.location.status.neighbours import Neighbours
from services.location.status.readers import Readers
from services.location.status.report import StatusReporter

DOCUMENT_LIMIT = 1024 * 1024
"""Largest document, in bytes."""
_CARD_LIMIT = 1024 * 1024


def create_location_app(
    *,
    shelf: Shelf,
    metrics: Metrics,
    health: Health,
    access: AccessPolicy,
    follower: PushFilter | None = None,
    connector_id: str = CONNECTOR_ID,
    document_limit: int = DOCUMENT_LIMIT,
    options: RenderOptions | None = None,
    fetcher: CardFetcher | None = None,
    neighbours: Neighbours | None = None,
    settings: ServiceSettings | None = None,
    clock: Callable[[], float] = wall_time,
) -> web.Application:
    """Return the application that serves `shelf`.

    Without `follower` it accepts no pushes: the shelf is filled from inside the process. `neighbours` and `settings`
    are shown on the status page; `clock` returns seconds since the epoch.
    """
    # A request holds the document as base64 (four bytes for three) and the card.
    body_limit = document_limit * 4 // 3 + _CARD_LIMIT
    app = create_app(name=LOCATION, metrics=metrics, health=health, access=access, body_limit=body_limit)
    answers = RenderCache(options or RenderOptions())
    documents = Documentation(shelf, answers, fetcher or CardFetcher((), enabled=False))
    first_generation.add_routes(app, shelf, documents, answers)
    second_generation.add_routes(app, shelf, documents, connector_id, answers)
    plain.add_routes(app, shelf, answers)
    documentation.add_routes(app, shelf, documents)
    if follower is not None:
        pushes.add_routes(app, shelf, follower, document_limit=document_limit)
    readers = Readers(connector_id=connector_id, metrics=metrics, clock=clock)
    app.on_response_prepare.append(readers.note)
    reporter = StatusReporter(
        shelf=shelf,
        health=health,
        readers=readers,
        models=Models(shelf, connector_id=connector_id),
        neighbours=neighbours or Neighbours(),
        settings=settings,
        clock=clock,
    )
    status.add_routes(app, reporter, access, connector_id=connector_id)
    _measure(shelf, answers, metrics)
    return app


def _measure(shelf: Shelf, answers: RenderCache, metrics: Metrics) -> None:
    for name, meaning, value in (
        ("rhoai_connector_location_documents", "Documents served", lambda: len(shelf)),
        ("rhoai_connector_location_cards", "Model cards served", lambda: shelf.card_count),
        (
            "rhoai_connector_location_complete",
            "1 when the feed is complete and served, 0 while it answers 503",
            lambda: shelf.complete,
        ),
        ("rhoai_connector_location_rendered_bytes", "Bytes of rendered answers in memory", lambda: answers.size),
        (
            "rhoai_connector_location_last_change_timestamp_seconds",
            "When the served models last changed",
            lambda: shelf.changed_at,
        ),
    ):
        Gauge(name, meaning, registry=metrics.registry).set_function(value)
