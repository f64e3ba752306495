"""`GET /` and `GET /status`: how everything is, as a page and as JSON; models are named only to readers of the feed."""

from collections.abc import Mapping
from importlib import resources
from typing import Final

from aiohttp import web

from common.http.access import AccessPolicy
from common.http.problems import HttpProblem
from services.location.pages import Page
from services.location.status.models import SHOWS, Show, Wanted
from services.location.status.report import Reporter

_ASSETS: Final[Mapping[str, str]] = {
    "style.css": "text/css",
    "script.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
OPEN_PATHS: Final = frozenset({"/", "/status", *(f"/status/{name}" for name in _ASSETS)})
"""What anybody may ask for; what is answered depends on who asks."""
_CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("style", "script", "img", "connect")),
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


def add_routes(app: web.Application, reporter: Reporter, access: AccessPolicy, *, connector_id: str) -> None:
    """Add what people and programs ask for to see how everything is."""

    async def show(request: web.Request) -> web.Response:
        status = await reporter.status(wanted(request), names=access.reads_feed(request))
        return web.Response(
            body=status.encode(), content_type="application/json", headers={"Cache-Control": "no-store"}
        )

    async def page(request: web.Request) -> web.Response:
        from services.location.status.page import render  # the templates are loaded when somebody looks

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


def wanted(request: web.Request) -> Wanted:
    """Return the models that a request wants: `q` are words, `show` is a state, `page` a number.

    Raises:
        HttpProblem: 400 when one of these cannot be used.
    """
    show, page = request.query.get("show", "all"), request.query.get("page", "1")
    if show not in SHOWS:
        raise HttpProblem(400, f"the query parameter 'show' must be one of {', '.join(SHOWS)}")
    if not (page.isascii() and page.isdigit() and len(page) < 9):
        raise HttpProblem(400, "the query parameter 'page' must be a number")
    state: Show = show
    return Wanted(words=request.query.get("q", "")[:200], show=state, page=int(page))
