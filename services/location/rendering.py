"""Renders answers on request and keeps them in a cache of limited size.

The ETag of an answer is computed from its inputs, so that nothing is rendered for a reader that has the answer already.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from common import LOCATION_PORT, __version__, details
from common.http.problems import HttpProblem
from common.wire import awaited_fields
from services.location.delivery import Entry
from services.location.pages import JSON, SMALLEST_TO_COMPRESS, PackedPage, Page, not_modified
from services.location.shelf import Shelf
from services.location.view import View, views_of

MOST_BYTES: Final = 6 * 1024 * 1024
"""Bytes of answers in memory, most of them compressed: enough for about four thousand models and one reader."""
GZIP: Final = "application/gzip"

RETRY_AFTER = 5
"""Seconds after which a reader that got 503 may try again."""


def require_complete(shelf: Shelf) -> None:
    """Check that the feed is complete.

    Raises:
        HttpProblem: 503 if it is not, because a reader deletes every entity that an answer does not list.
    """
    if not shelf.complete:
        raise HttpProblem(
            503,
            f"the feed is not complete yet: waiting for {shelf.waiting_for}",
            headers={"Retry-After": str(RETRY_AFTER)},
            waitingFor=shelf.waiting_for,
            awaited=awaited_fields(shelf.awaited),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderOptions:
    """What an answer depends on besides the entry.

    `port` is where this location listens. `both_feeds`: one Backstage reads both the plain and the second-generation
    feed, so their entities may refer to each other. `yaml`: `/list` lists the `catalog-info.yaml` of each document.
    """

    port: int = LOCATION_PORT
    both_feeds: bool = False
    yaml: bool = False

    @property
    def base_url(self) -> str:
        """The address of this location for a reader of the first generation in the same pod."""
        return f"http://localhost:{self.port}"

    @property
    def trees_url(self) -> str:
        """The address of this location for Backstage's Gitea integration, which needs a host that no other one uses."""
        return f"http://127.0.0.1:{self.port}"


def read(entry: Entry) -> tuple[dict[str, Any], tuple[View, ...]]:
    """Return the document of an entry and the views of its models."""
    document: dict[str, Any] = json.loads(entry.document.body)
    return document, views_of(document, details.decode(entry.details), key=entry.key)


def stamp(*parts: str | bytes, options: RenderOptions | None = None) -> str:
    """Return 40 hexadecimal digits that change with each part, the options and the version of the connector."""
    digest = hashlib.blake2b(f"{__version__} {options}".encode(), digest_size=20)
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:" % len(raw) + raw)
    return digest.hexdigest()


def encode(document: object) -> bytes:
    """Return a document as compact JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


class RenderCache:
    """The rendered answers of one location, by key; the least recently read ones are dropped beyond `most_bytes`."""

    def __init__(self, options: RenderOptions, most_bytes: int = MOST_BYTES) -> None:
        self.options = options
        self._most_bytes = most_bytes
        self._bytes = 0
        self._pages: OrderedDict[str, tuple[Page | PackedPage, int]] = OrderedDict()

    def answer(
        self,
        request: web.Request,
        key: str,
        inputs: Iterable[str | bytes],
        make: Callable[[], bytes],
        media_type: str = JSON,
    ) -> web.Response:
        """Return the answer made of `inputs`: 304 for a reader that has it, else the cached one, else a new one."""
        etag = self._etag(inputs)
        known = self._known(request, key, etag)
        if known is not None:
            return known
        page = _page(make(), media_type, etag)
        answer = page.answer(request)
        self._keep(key, page)
        return answer

    def kept(self, request: web.Request, key: str, inputs: Iterable[str | bytes]) -> web.Response | None:
        """Return the answer made of `inputs` if it needs no rendering, else None."""
        return self._known(request, key, self._etag(inputs))

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self._bytes

    def _etag(self, inputs: Iterable[str | bytes]) -> str:
        return f'"{stamp(*inputs, options=self.options)[:24]}"'

    def _known(self, request: web.Request, key: str, etag: str) -> web.Response | None:
        if answer := not_modified(request, etag):
            return answer
        page, _ = self._pages.get(key, (None, 0))
        if page is None or page.etag != etag:
            return None
        answer = page.answer(request)
        self._keep(key, page)
        return answer

    def _keep(self, key: str, page: Page | PackedPage) -> None:
        self._forget(key)
        self._pages[key] = (page, page.size)
        self._bytes += page.size
        while self._bytes > self._most_bytes:
            self._forget(next(iter(self._pages)))

    def _forget(self, key: str) -> None:
        _, size = self._pages.pop(key, (None, 0))
        self._bytes -= size


def _page(body: bytes, media_type: str, etag: str) -> Page | PackedPage:
    if media_type == GZIP or len(body) < SMALLEST_TO_COMPRESS:
        return Page(body, media_type, etag=etag)
    return PackedPage(body, media_type, etag=etag)
