"""Reads all pages of a list, from servers that page differently (Kubeflow Model Registry REST API: list answers)."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Generic, NamedTuple, TypeVar

from common.http.errors import RemoteError
from common.words import counted
from services.normalizer.normalize import values
from services.normalizer.sources.faults import BadAnswer, Inconsistent, TooLarge
from services.normalizer.sources.http import Remote

T = TypeVar("T")

PAGE_SIZES = (1000, 100, 10)
"""What is asked for, the largest first; servers may give fewer. The next one is for servers that cannot count so far,
and for pages with more bytes than are read."""
_OVERRUN = 101
MAX_ITEMS = 400_000
MAX_PAGES = 100_000
MAX_BYTES = 512 * 1024 * 1024
"""The limits of one poll of one registry, for all its lists together; and the same again for artifacts."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class ListAnswer(Generic[T]):
    """The items of a list as they were read; `error` says why some may be missing."""

    items: tuple[T, ...] = ()
    error: RemoteError | None = None


class OverBudget(TooLarge):
    """A registry has more than is read in one poll; smaller pages would not help."""


@dataclass(slots=True)
class Budget:
    """What may still be read of one registry in one poll."""

    items: int = field(default_factory=lambda: MAX_ITEMS)
    pages: int = field(default_factory=lambda: MAX_PAGES)
    bytes: int = field(default_factory=lambda: MAX_BYTES)

    def take(self, *, items: int, bytes_: int) -> None:
        """Subtract a page.

        Raises:
            OverBudget: with it more came than is read.
        """
        self.items -= items
        self.pages -= 1
        self.bytes -= bytes_
        self.check()

    def check(self) -> None:
        """Raise as `take` does when nothing is left."""
        for left, most, what in (
            (self.items, MAX_ITEMS, "items"),
            (self.pages, MAX_PAGES, "pages"),
            (self.bytes, MAX_BYTES, "bytes"),
        ):
            if left < 0:
                raise OverBudget(f"the registry has more than {most} {what}, which is as many as are read of it")


class _Page(NamedTuple):
    items: list[Any]
    token: str
    claimed: int


@dataclass(slots=True)
class _Progress:
    """What is known of a list from the pages that were read."""

    ids: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    count: int = 0
    first_length: int = 0
    claimed: int = 0
    total: int = 0

    def add(self, page: _Page) -> bool:
        """Take a page and return whether there is another one.

        An empty token ends the list, and so does one that was there before: some servers wrap around, some repeat
        the last token.

        Raises:
            BadAnswer: when the list ends and these cannot be all of its items.
            Inconsistent: when a page that was announced is empty, as it is where objects went meanwhile: what moved
                from that page to one that was read already is missing.
        """
        if not self.count:
            self.first_length = len(page.items)
        ids = {item_id(item) for item in page.items} - {""}
        is_news = not ids <= self.ids
        self.count += len(page.items)
        self.ids |= ids
        self.claimed = max(self.claimed, page.claimed)
        if page.claimed > len(page.items):
            self.total = page.claimed  # of the list: others count the page
        if page.token and page.token not in self.tokens:
            if not is_news:
                raise BadAnswer("a page brings nothing new and names a further one")
            self.tokens.add(page.token)
            return True
        if page.token and is_news and len(page.items) >= self.first_length:
            raise BadAnswer("a full page names a page that was read already as the next one")
        if self.tokens and not page.items and self.total != self.count:
            raise Inconsistent("a page that was announced is empty")
        if self.claimed > self.count:
            raise BadAnswer(f"{counted(self.claimed, 'item is', 'items are')} announced, {self.count} came")
        return False


class ListReader:
    """Reads lists of one server, all within one `budget`, and remembers the page size that it supports."""

    def __init__(self, remote: Remote) -> None:
        self.budget = Budget()
        self._remote = remote
        self._sizes = list(PAGE_SIZES)

    async def read(self, path: str, convert: Callable[[Any], T]) -> ListAnswer[T]:
        """Return all items at `path`, each converted as its page comes; what came before an error is kept."""
        while True:
            size = self._sizes[0]
            answer, again = await self._read(path, size, convert)
            if not again or size == self._sizes[-1]:
                return answer
            if self._sizes[0] == size:
                del self._sizes[0]

    async def _read(self, path: str, size: int, convert: Callable[[Any], T]) -> tuple[ListAnswer[T], bool]:
        """Read a list in pages of `size`; return the items, and whether to try smaller pages."""
        # Ids never change, so that an edit while the list is read moves nothing from one page to another.
        query = {"pageSize": str(size), "orderBy": "ID", "sortOrder": "ASC"}
        progress = _Progress()
        items: list[T] = []
        try:
            while True:
                self.budget.check()
                page, length = await self._fetch(path, query)
                if size > PAGE_SIZES[1] and not progress.count and len(page.items) == _OVERRUN and not page.token:
                    # Servers based on ML Metadata always answer so when more than 100 are requested.
                    return ListAnswer(), True
                items += [convert(item) for item in page.items]
                self.budget.take(items=len(page.items), bytes_=length)
                if not progress.add(page):
                    return ListAnswer(tuple(items)), False
                query["nextPageToken"] = page.token
                del page  # it is not kept in memory while the next one is read
        except TooLarge as error:
            too_large = TooLarge(f"{self._remote.ref.url}{path}: {error}")
            return ListAnswer(tuple(items), too_large), not progress.count and not isinstance(error, OverBudget)
        except (BadAnswer, Inconsistent) as error:
            return ListAnswer(tuple(items), type(error)(f"{self._remote.ref.url}{path}: {error}")), False
        except RemoteError as error:
            return ListAnswer(tuple(items), error), False

    async def _fetch(self, path: str, query: Mapping[str, str]) -> tuple[_Page, int]:
        """Return a page, and how many bytes it was."""
        raw, length = await self._remote.fetch(path, query)
        return _page(raw), length


def item_id(item: object) -> str:
    """Return the id of an item, empty without a usable one.

    An id goes into paths and references: one with a slash, a line break or dots alone is none.
    """
    given = values.at(item, "id")
    text = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    return text if isinstance(text, str) and is_id(text) else ""


def is_id(text: str) -> bool:
    """Return whether a text can be the id of an object."""
    return _ID.fullmatch(text) is not None


def fingerprint(item: object) -> bytes:
    """Return 16 bytes that tell an item from every other; a registry's items are many, to keep them whole is dear."""
    return blake2b(json.dumps(item, sort_keys=True).encode(), digest_size=16).digest()


def _page(answer: object) -> _Page:
    items = values.at(answer, "items")
    claimed = values.at(answer, "size")
    if items is None and claimed == 0:
        items = []  # an empty list, as Go writes it without an allocation
    if not isinstance(items, list):
        raise BadAnswer("200 without a list of items")
    return _Page(items, values.line_at(answer, "nextPageToken"), claimed if isinstance(claimed, int) else 0)
