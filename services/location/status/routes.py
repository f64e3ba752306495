"""The routes of the status page: `GET /` (HTML) and `GET /status` (JSON); only readers of the feed see model names."""

from collections.abc import Mapping
from importlib import resources
from typing import Final

from aiohttp import web

from common.http.access import AccessPolicy
from common.http.problems import HttpProblem
from services.location.pages import Page
from services.location.status.models import SHOWS, ModelQuery, Show
from services.location.status.report import StatusReporter

_ASSETS: Final[Mapping[str, str]] = {
    "style.css": "text/css",
    "script.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
OPEN_PATHS: Final = frozenset({"/", "/status", *(f"/status/{name}" for name in _ASSETS)})
"""Paths that need no token; without one, the answer contains no names of models."""
_CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("style", "script", "img", "connect")),
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


def add_routes(app: web.Application, reporter: StatusReporter, access: AccessPolicy, *, connector_id: str) -> None:
    """Add the routes of the status page."""

    async def show(request: web.Request) -> web.Response:
        status = await reporter.status(wanted(request), names=access.reads_feed(request))
        return web.Response(
            body=status.encode(), content_type="application/json", headers={"Cache-Control": "no-store"}
        )

    async def page(request: web.Request) -> web.Response:
        from services.location.status.page import render  # imports Jinja for the first request only

        models = wanted(request)
        status = await reporter.status(models, names=access.reads_feed(request))
        return web.Response(
            text=render(status, models, connector_id=connector_id),
            content_type="text/html",
            headers={
                "Cache-Control": "no-store",
                "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
                "Referrer-Policy": "no-referrer",
            },
        )

    async def asset(request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        body = resources.files(__package__ or "").joinpath(name).read_bytes()
        return Page(body, f"{_ASSETS[name]}; charset=utf-8").answer(request)

    app.router.add_get("/", page)
    app.router.add_get("/status", show)
    for name in _ASSETS:
        app.router.add_get(f"/status/{name}", asset)


def wanted(request: web.Request) -> ModelQuery:
    """Return which models a request asks for: `q` are words, `show` is a state, `page` is a number.

    Raises:
        HttpProblem: 400 if `show` or `page` is invalid.
    """
    show, page = request.query.get("show", "all"), request.query.get("page", "1")
    if show not in SHOWS:
        raise HttpProblem(400, f"the query parameter 'show' must be one of {', '.join(SHOWS)}")
    if not (page.isascii() and page.isdigit() and len(page) < 9):
        raise HttpProblem(400, "the query parameter 'page' must be a number")
    state: Show = show
    return ModelQuery(words=request.query.get("q", "")[:200], show=state, page=int(page))
