"""Prepared answers: bytes, their ETag, and their compressed form, made once and served often."""

import gzip
import hashlib
from typing import Final

from aiohttp import web

JSON: Final = "application/json"
MARKDOWN: Final = "text/markdown; charset=utf-8"

_HEADERS: Final = {
    "Vary": "Accept-Encoding",
    "Cache-Control": "no-cache",
    # Should a browser come to show one of these, it is to run nothing.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_SMALLEST_TO_COMPRESS = 1400
"""Below one network packet there is nothing to win."""


class Page:
    """One representation of the feed or of a part of it; immutable."""

    __slots__ = ("_gzipped", "body", "etag", "media_type")

    def __init__(self, body: bytes, media_type: str = JSON, *, etag: str = "") -> None:
        self.body = body
        self.media_type = media_type
        self.etag = etag or f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        self._gzipped: bytes | None = None

    @property
    def size(self) -> int:
        """How many bytes it keeps, in both forms."""
        return len(self.body) + len(self._gzipped or b"")

    def answer(self, request: web.Request) -> web.Response:
        """Return 200 with the bytes, or 304 when the request's `If-None-Match` names them."""
        if known := not_modified(request, self.etag):
            return known
        body, etag = self.body, self.etag
        headers = {"Content-Type": self.media_type, **_HEADERS}
        if len(body) >= _SMALLEST_TO_COMPRESS and takes_gzip(request.headers.get("Accept-Encoding")):
            body, etag = self._compressed(), _of_gzip(etag)
            headers["Content-Encoding"] = "gzip"
        headers["ETag"] = etag
        return web.Response(body=body, headers=headers)

    def _compressed(self) -> bytes:
        if self._gzipped is None:
            self._gzipped = gzip.compress(self.body, compresslevel=6, mtime=0)
        return self._gzipped


def not_modified(request: web.Request, etag: str) -> web.Response | None:
    """Return 304 when the request's `If-None-Match` names `etag` or its compressed form, else None."""
    if_none_match = request.headers.get("If-None-Match")
    for known in (etag, _of_gzip(etag)) if if_none_match else ():
        if names(if_none_match, known):
            return web.Response(status=304, headers={**_HEADERS, "ETag": known})
    return None


def _of_gzip(etag: str) -> str:
    return f'{etag[:-1]}-gzip"'


def takes_gzip(accept_encoding: str | None) -> bool:
    """Return whether an `Accept-Encoding` header asks for gzip (RFC 9110, 12.5.3)."""
    for offer in (accept_encoding or "").lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def names(if_none_match: str | None, etag: str) -> bool:
    """Return whether an `If-None-Match` header names `etag`; by weak comparison, as it must (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    given = (candidate.strip().removeprefix("W/") for candidate in if_none_match.split(","))
    return any(candidate in (etag, "*") for candidate in given)
