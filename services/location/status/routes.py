"""`GET /status`: how everything is, as JSON; models are named only to whom the feed's list is readable."""

from aiohttp import web

from common.http.access import AccessPolicy
from common.http.problems import HttpProblem
from services.location.status.models import SHOWS, Show, Wanted
from services.location.status.report import Reporter

OPEN_PATHS = frozenset({"/status"})
"""What anybody may ask for; what is answered depends on who asks."""


def add_routes(app: web.Application, reporter: Reporter, access: AccessPolicy) -> None:
    """Add what people and programs ask for to see how everything is."""

    async def show(request: web.Request) -> web.Response:
        status = await reporter.status(wanted(request), names=access.reads_feed(request))
        return web.Response(
            body=status.encode(), content_type="application/json", headers={"Cache-Control": "no-store"}
        )

    app.router.add_get("/status", show)


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
