"""Fetches model cards that are single Markdown files on other hosts, which TechDocs cannot read by itself.

A card is fetched when it is read: only from hosts that an administrator allowed, without credentials, without following
redirects. After `FRESH` seconds it is requested again with its ETag.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import structlog

from common.clocks import loop_time
from common.http.client import HttpClient
from common.http.errors import RemoteError, StatusError

log = structlog.get_logger("location.fetching")

FRESH: Final = 300.0
"""Seconds for which a fetched card, or a failure, is not requested again."""
LARGEST: Final = 1024 * 1024
"""Largest card that is fetched, in bytes."""
_MOST_BYTES: Final = 8 * 1024 * 1024
_TIMEOUT: Final = 10.0
_RAW: Final = (("/-/blob/", "/-/raw/"), ("/src/branch/", "/raw/branch/"), ("/blob/", "/raw/"))
"""Parts of the path of a page that shows a file, and of the file itself: GitLab, Gitea, Hugging Face and others."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetched card: its text and address; if there is none, `fault` says why, in a sentence for the page."""

    text: str = ""
    address: str = ""
    fault: str = ""
    etag: str = ""
    at: float = 0.0


def raw_address(url: str) -> str:
    """Return the address of the file that a page of a Git forge shows; other addresses unchanged."""
    parts = urlsplit(url)
    if parts.hostname == "github.com" and parts.path.count("/") > 4:
        owner, name, kind, rest = parts.path.lstrip("/").split("/", 3)
        if kind in ("blob", "raw"):
            return urlunsplit(("https", "raw.githubusercontent.com", f"/{owner}/{name}/{rest}", "", ""))
    for page, file in _RAW:
        if page in parts.path:
            return urlunsplit(parts._replace(path=parts.path.replace(page, file, 1), query="", fragment=""))
    return urlunsplit(parts._replace(fragment=""))


class CardFetcher:
    """Fetches cards from `hosts` (`name` or `name:port`); if it is not `enabled`, none."""

    def __init__(self, hosts: Iterable[str], *, enabled: bool, clock: Callable[[], float] = loop_time) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._enabled = enabled
        self._clock = clock
        self._cards: OrderedDict[str, Fetched] = OrderedDict()

    async def card(self, url: str) -> Fetched:
        """Return the card at an address; if it cannot be fetched, the last one fetched, else the reason."""
        address = raw_address(url)
        fault = self._refusal(address)
        if fault:
            return Fetched(fault=fault)
        known = self._cards.get(address)
        if known is None or self._clock() - known.at > FRESH:
            known = replace(await self._fetch(address, known), at=self._clock())
            self._keep(address, known)
        return known

    def _refusal(self, address: str) -> str:
        parts = urlsplit(address)
        if not self._enabled:
            return "To show it here, allow the connector to fetch it: `FETCH_CARDS=true`."
        if parts.scheme not in ("http", "https") or parts.username is not None:
            return "It is not fetched, because its address is not http or https, or contains a user name."
        if parts.netloc.lower() not in self._hosts:
            return f"To show it here, add `{parts.netloc}` to `FETCH_CARDS_HOSTS`."
        return ""

    async def _fetch(self, address: str, known: Fetched | None) -> Fetched:
        parts = urlsplit(address)
        origin = f"{parts.scheme}://{parts.netloc}"
        headers = {"Accept": "text/markdown, text/plain;q=0.9, */*;q=0.1"}
        if known and known.etag:
            headers["If-None-Match"] = known.etag
        client = HttpClient(name="a card", base_url=origin, timeout=_TIMEOUT, attempts=1, body_limit=LARGEST)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            async with client:
                answer = await client.request("GET", path, headers=headers)
        except RemoteError as error:
            moved = isinstance(error, StatusError) and 300 <= error.status < 400
            reason = "the answer is a redirect, which is not followed" if moved else str(error)
            log.warning("card_not_fetched", address=address, error=reason)
            return known if known and known.text else Fetched(fault=f"It could not be fetched: {reason}.")
        if answer.status == 304 and known:
            return known
        text = answer.body.decode("utf-8", "replace")
        if "html" in answer.headers.get("Content-Type", "").lower():
            return Fetched(fault="It could not be fetched: its address returns a web page, not Markdown.")
        return Fetched(text, address, etag=answer.headers.get("ETag", ""))

    def _keep(self, address: str, card: Fetched) -> None:
        self._cards[address] = card
        self._cards.move_to_end(address)
        while sum(len(each.text) for each in self._cards.values()) > _MOST_BYTES and len(self._cards) > 1:
            self._cards.popitem(last=False)
