"""Answers that are made when they are read, and kept in a cache of bounded size.

An answer's validator comes from what it is made of, so that a reader that has it already costs no rendering.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from common import __version__, details
from common.http.problems import HttpProblem
from common.wire import awaited_fields
from services.location.delivery import Entry
from services.location.pages import JSON, SMALLEST_TO_COMPRESS, PackedPage, Page, not_modified
from services.location.shelf import Shelf
from services.location.view import View, views_of

MOST_BYTES: Final = 6 * 1024 * 1024
"""Bytes of answers that are kept, most of them compressed: those of some four thousand models for one reader."""
GZIP: Final = "application/gzip"


RETRY_AFTER = 5
"""Seconds after which a reader that was told to wait may ask again."""


def require_complete(shelf: Shelf) -> None:
    """Let a reader pass once the content is known to be complete.

    Raises:
        HttpProblem: 503 before, because the reader deletes whatever a short answer does not name.
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
class Options:
    """What renderings depend on beside the entry.

    `port` is where this location listens. `both_feeds` says that one Backstage reads the plain feed beside that of the
    second generation, so that the entities of each may point at those of the other. `yaml`: `/list` names the
    `catalog-info.yaml` of each document.
    """

    port: int = 9090
    both_feeds: bool = False
    yaml: bool = False

    @property
    def base_url(self) -> str:
        """The address of this location for a reader of the first generation in the same pod."""
        return f"http://localhost:{self.port}"

    @property
    def trees_url(self) -> str:
        """The address of this location for Backstage's Gitea integration, which takes a host for its own."""
        return f"http://127.0.0.1:{self.port}"


def read(entry: Entry) -> tuple[dict[str, Any], tuple[View, ...]]:
    """Return the document of an entry and the views of its models."""
    document: dict[str, Any] = json.loads(entry.document.body)
    return document, views_of(document, details.decode(entry.details), key=entry.key)


def stamp(*parts: str | bytes, options: Options | None = None) -> str:
    """Return 40 hexadecimal digits that change with each part, the options and the version of the renderers."""
    digest = hashlib.blake2b(f"{__version__} {options}".encode(), digest_size=20)
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:" % len(raw) + raw)
    return digest.hexdigest()


def encode(document: object) -> bytes:
    """Return a document as the feed serves it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


class Rendered:
    """The answers of one location, by key; those that nobody has read for longest leave when there are too many."""

    def __init__(self, options: Options, most_bytes: int = MOST_BYTES) -> None:
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
        """Return the answer made of `inputs`: 304 to a reader that has it, else the one kept, else a new one."""
        etag = self._etag(inputs)
        known = self._known(request, key, etag)
        if known is not None:
            return known
        page = _page(make(), media_type, etag)
        answer = page.answer(request)
        self._keep(key, page)
        return answer

    def kept(self, request: web.Request, key: str, inputs: Iterable[str | bytes]) -> web.Response | None:
        """Return the answer made of `inputs` when it needs no rendering, else None."""
        return self._known(request, key, self._etag(inputs))

    @property
    def size(self) -> int:
        """How many bytes are kept."""
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
