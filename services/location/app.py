"""The application: who serves what, put together."""

from aiohttp import web
from prometheus_client import Gauge

from common.health import Health
from common.http.access import AccessPolicy
from common.http.server import create_app
from common.metrics import Metrics
from services.location import first_generation, pushes
from services.location.pushes import Followed
from services.location.shelf import Shelf

DOCUMENT_LIMIT = 1024 * 1024
"""Largest document, in bytes."""
_CARD_LIMIT = 1024 * 1024

_HINT = """\
OpenShift AI connector: the feed of models for Backstage.

/list                       first-generation reader: the paths of all documents
/healthz /readyz /metrics   the state of this service
"""


def create_location_app(
    *,
    shelf: Shelf,
    metrics: Metrics,
    health: Health,
    access: AccessPolicy,
    followed: Followed | None = None,
    document_limit: int = DOCUMENT_LIMIT,
) -> web.Application:
    """Return the application that serves `shelf`.

    Without `followed` nothing can be pushed to it: the shelf is filled from inside the process.
    """
    # A document travels as base64, four bytes for three, and its card beside it.
    body_limit = document_limit * 4 // 3 + _CARD_LIMIT
    app = create_app(name="location", metrics=metrics, health=health, access=access, body_limit=body_limit)
    app.router.add_get("/", _hint)
    first_generation.add_routes(app, shelf)
    if followed is not None:
        pushes.add_routes(app, shelf, followed, document_limit=document_limit)
    _measure(shelf, metrics)
    return app


async def _hint(_request: web.Request) -> web.Response:
    return web.Response(text=_HINT, headers={"Content-Security-Policy": "default-src 'none'"})


def _measure(shelf: Shelf, metrics: Metrics) -> None:
    prefix = "rhoai_connector_location"
    for name, meaning, value in (
        ("documents", "Documents served", lambda: len(shelf)),
        ("cards", "Model cards served", lambda: shelf.card_count),
        ("complete", "1 when the feed is complete and shown, 0 while it answers 503", lambda: shelf.complete),
        ("last_change_timestamp_seconds", "When what is served changed last", lambda: shelf.changed_at),
    ):
        Gauge(f"{prefix}_{name}", meaning, registry=metrics.registry).set_function(value)
