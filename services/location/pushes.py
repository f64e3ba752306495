"""What storage pushes: `POST /upsert` and `DELETE /remove`, the requests of the original."""

from dataclasses import replace
from typing import Protocol

import structlog
from aiohttp import web

from common import wire
from common.feed import Refused
from common.http.problems import HttpProblem
from common.http.server import read_body
from services.location.delivery import make_card, make_entry
from services.location.shelf import Shelf

log = structlog.get_logger("location.pushes")

REVISION = "X-Connector-Revision"
"""Header in which our storage says how new a push is."""


class Followed(Protocol):
    """What the handlers need to know of the follower of storage."""

    def is_news(self, revision: str | None) -> bool:
        """Return whether a push of this revision is newer than what has been followed."""

    def pushed(self, key: str) -> None:
        """Learn that a push has just changed `key`."""


def add_routes(app: web.Application, shelf: Shelf, followed: Followed, *, document_limit: int) -> None:
    """Add the two requests that change what is served."""

    async def upsert(request: web.Request) -> web.Response:
        key = _key(request)
        try:
            given = wire.parse_original_upsert(await read_body(request), key=key, reconciler="kserve")
            if len(given.body) > document_limit:
                raise HttpProblem(413, f"the document is larger than {document_limit} bytes")
            known = shelf.at_key(key)
            # This request has no place for the URI, and the key alone does not tell where its first part ends.
            entry = make_entry(replace(given, uri=known.uri) if known else given)
            if followed.is_news(request.headers.get(REVISION)):
                shelf.put(entry)
                _put_card(given)
                followed.pushed(key)
        except (wire.WireError, Refused) as error:
            raise HttpProblem(400, str(error)) from None
        return web.Response(status=201)

    def _put_card(given: wire.Upsert) -> None:
        # A storage that has restarted knows the key of a card and not its text any more: then ours stays.
        if given.card_key and (given.card or shelf.card(given.card_key) is None):
            shelf.put_card(given.card_key, make_card(given.card or ""))

    async def remove(request: web.Request) -> web.Response:
        key = _key(request)
        if followed.is_news(request.headers.get(REVISION)):
            if shelf.remove(key):
                log.info("entry_removed", key=key, reason="storage pushed the removal")
            followed.pushed(key)
        return web.Response(status=200)

    app.router.add_post("/upsert", upsert)
    app.router.add_delete("/remove", remove)


def _key(request: web.Request) -> str:
    keys = request.query.getall("key", [])
    if len(keys) != 1 or not keys[0]:
        raise HttpProblem(400, "exactly one query parameter 'key' is needed")
    return keys[0]
