"""Prepared HTTP answers: bytes with their ETag and gzip form, made once and served many times."""

import gzip
import hashlib
from typing import Final

from aiohttp import web

JSON: Final = "application/json"
MARKDOWN: Final = "text/markdown; charset=utf-8"

_HEADERS: Final = {
    "Vary": "Accept-Encoding",
    "Cache-Control": "no-cache",
    # If a browser displays one of these, it must run nothing.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
SMALLEST_TO_COMPRESS: Final = 1400
"""Bytes; an answer that fits into one network packet is not worth compressing."""
_FAST: Final = 3


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
        """Bytes in memory, of both forms."""
        return len(self.body) + len(self._gzipped or b"")

    def answer(self, request: web.Request) -> web.Response:
        """Return 200 with the bytes, or 304 if the request's `If-None-Match` has their ETag."""
        if known := not_modified(request, self.etag):
            return known
        if len(self.body) >= SMALLEST_TO_COMPRESS and takes_gzip(request.headers.get("Accept-Encoding")):
            if self._gzipped is None:
                self._gzipped = gzip.compress(self.body, compresslevel=6, mtime=0)
            return _answer(self._gzipped, self.media_type, self.etag, gzipped=True)
        return _answer(self.body, self.media_type, self.etag)


class PackedPage:
    """A page of which only the compressed form is kept: for many pages that are seldom read."""

    __slots__ = ("_gzipped", "etag", "media_type")

    def __init__(self, body: bytes, media_type: str, *, etag: str) -> None:
        self.media_type = media_type
        self.etag = etag
        self._gzipped = gzip.compress(body, compresslevel=_FAST, mtime=0)

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self._gzipped)

    def answer(self, request: web.Request) -> web.Response:
        """Return 200 with the bytes, or 304 if the request's `If-None-Match` has their ETag."""
        if known := not_modified(request, self.etag):
            return known
        if takes_gzip(request.headers.get("Accept-Encoding")):
            return _answer(self._gzipped, self.media_type, self.etag, gzipped=True)
        return _answer(gzip.decompress(self._gzipped), self.media_type, self.etag)


def _answer(body: bytes, media_type: str, etag: str, *, gzipped: bool = False) -> web.Response:
    headers = {"Content-Type": media_type, **_HEADERS, "ETag": _of_gzip(etag) if gzipped else etag}
    if gzipped:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, headers=headers)


def not_modified(request: web.Request, etag: str) -> web.Response | None:
    """Return 304 if the request's `If-None-Match` has `etag` or the ETag of its compressed form, else None."""
    if_none_match = request.headers.get("If-None-Match")
    for known in (etag, _of_gzip(etag)) if if_none_match else ():
        if etag_matches(if_none_match, known):
            return web.Response(status=304, headers={**_HEADERS, "ETag": known})
    return None


def _of_gzip(etag: str) -> str:
    return f'{etag[:-1]}-gzip"'


def takes_gzip(accept_encoding: str | None) -> bool:
    """Return whether an `Accept-Encoding` header accepts gzip (RFC 9110, 12.5.3)."""
    for offer in (accept_encoding or "").lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def etag_matches(if_none_match: str | None, etag: str) -> bool:
    """Return whether an `If-None-Match` header contains `etag`, by weak comparison (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    given = (candidate.strip().removeprefix("W/") for candidate in if_none_match.split(","))
    return any(candidate in (etag, "*") for candidate in given)
