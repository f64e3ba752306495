"""Accepts the pushes of storage-rest: `POST /upsert` and `DELETE /remove`, the requests of the original."""

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

"""Header with the revision of a push from our storage-rest."""


class PushFilter(Protocol):
    """Decides whether a push is applied; the follower of storage-rest implements it."""

    def is_newer(self, revision: str | None) -> bool:
        """Return whether a push of this revision is newer than the shelf."""

    def note_push(self, key: str) -> None:
        """Record that a push has just changed `key`."""


def add_routes(app: web.Application, shelf: Shelf, pushes: PushFilter, *, document_limit: int) -> None:
    """Add the two routes that change what is served."""

    async def upsert(request: web.Request) -> web.Response:
        key = _key(request)
        try:
            given = wire.parse_original_upsert(await read_body(request), key=key, reconciler="kserve")
            if len(given.body) > document_limit:
                raise HttpProblem(413, f"the document is larger than {document_limit} bytes")
            known = shelf.at_key(key)
            # The request does not contain the URI, and the key alone does not show where its first segment ends.
            entry = make_entry(replace(given, uri=known.uri) if known else given)
            if pushes.is_newer(request.headers.get(wire.REVISION_HEADER)):
                shelf.put(entry)
                _put_card(given)
                pushes.note_push(key)
        except (wire.WireError, Refused) as error:
            raise HttpProblem(400, str(error)) from None
        return web.Response(status=201)

    def _put_card(given: wire.Upsert) -> None:
        # After a restart, storage knows the key of a card but not its text: then our text stays.
        if given.card_key and (given.card or shelf.card(given.card_key) is None):
            shelf.put_card(given.card_key, make_card(given.card or ""))

    async def remove(request: web.Request) -> web.Response:
        key = _key(request)
        if pushes.is_newer(request.headers.get(wire.REVISION_HEADER)):
            if shelf.remove(key):
                log.info("entry_removed", key=key, reason="storage pushed the removal")
            pushes.note_push(key)
        return web.Response(status=200)

    app.router.add_post("/upsert", upsert)
    app.router.add_delete("/remove", remove)


def _key(request: web.Request) -> str:
    keys = request.query.getall("key", [])
    if len(keys) != 1 or not keys[0]:
        raise HttpProblem(400, "the query parameter 'key' must be given exactly once")
    return keys[0]
