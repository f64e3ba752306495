"""All pages of a list, from servers that cut them differently (Kubeflow Model Registry REST API: list answers)."""

import json
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from common.http.client import RemoteError
from services.normalizer.normalize import values
from services.normalizer.sources.faults import BadAnswer
from services.normalizer.sources.http import Remote

# The largest page that is asked for; servers give fewer (up to mid-2025: 100). Ids never change, so that an edit while
# the list is read moves nothing from one page to another.
_QUERY = {"pageSize": "1000", "orderBy": "ID", "sortOrder": "ASC"}


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """The items of a list; `error` says why they may not be all of them."""

    items: tuple[Any, ...] = ()
    error: RemoteError | None = None


class _Page(NamedTuple):
    items: list[Any]
    token: str
    claimed: int


@dataclass(slots=True)
class _Progress:
    """What the pages read so far tell about the list."""

    items: list[Any] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    first_length: int = 0
    claimed: int = 0

    def add(self, page: _Page) -> bool:
        """Take a page and return whether there is another one.

        An empty token ends the list, and so does one that was there before: some servers wrap around, some repeat
        the last token.

        Raises:
            BadAnswer: when the list ends and these cannot be all of its items.
        """
        if not self.items:
            self.first_length = len(page.items)
        ids = {item_id(item) for item in page.items} - {""}
        is_news = not ids <= self.ids
        self.items += page.items
        self.ids |= ids
        self.claimed = max(self.claimed, page.claimed)
        if page.token and page.token not in self.tokens:
            if not is_news:
                raise BadAnswer("a page brings nothing new and names a further one")
            self.tokens.add(page.token)
            return True
        if page.token and is_news and len(page.items) >= self.first_length:
            raise BadAnswer("a full page names a page that was read already as the next one")
        if self.claimed > len(self.items):
            raise BadAnswer(f"{self.claimed} items are announced, {len(self.items)} came")
        return False


async def read_list(remote: Remote, path: str) -> ListAnswer:
    """Return all items at `path`; what came before an error is kept."""
    progress = _Progress()
    token = ""
    try:
        while True:
            query = {**_QUERY, "nextPageToken": token} if token else _QUERY
            page = _page(await remote.get(path, query))
            if not progress.add(page):
                return ListAnswer(tuple(progress.items))
            token = page.token
    except BadAnswer as error:
        return ListAnswer(tuple(progress.items), BadAnswer(f"{remote.ref.url}{path}: {error}"))
    except RemoteError as error:
        return ListAnswer(tuple(progress.items), error)


def item_id(item: object) -> str:
    """Return the id of an item as it came, empty when it has none."""
    return values.line(values.at(item, "id"))


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
    return _Page(items, values.line(values.at(answer, "nextPageToken")), claimed if isinstance(claimed, int) else 0)
