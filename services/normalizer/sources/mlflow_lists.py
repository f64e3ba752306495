"""Reads the lists of an MLflow server, page by page, within limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from common.http.errors import RemoteError, StatusError, TimedOut
from services.normalizer.normalize import values
from services.normalizer.sources.faults import BadAnswer, TooLarge
from services.normalizer.sources.http import Remote

API = "/api/2.0/mlflow"
PAGE_SIZES = (1000, 100)
"""The page sizes that are tried, the largest first. Some servers answer 400 to a large one, some too late."""
MAX_ITEMS = 100_000
"""The most items of one list that are read."""
MAX_BYTES = 128 * 1024 * 1024
"""The most bytes of one list that are read, over all its pages."""


class ListKind(NamedTuple):
    """One of the two lists: its path, the field of the answer that has the items, and the order to ask for.

    In that order what is new comes last, because pages are cut by offset.
    """

    path: str
    field: str
    order: str


MODELS = ListKind(f"{API}/registered-models/search", "registered_models", "name ASC")
VERSIONS = ListKind(f"{API}/model-versions/search", "model_versions", "creation_timestamp ASC")


@dataclass(slots=True)
class ListItems:
    """The items of a list; `error` says why they may not be all of them."""

    items: list[Any] = field(default_factory=list)
    error: RemoteError | None = None


class MlflowLists:
    """Reads lists, and remembers which page sizes a server supports; `unread` are the lists never read to the end."""

    def __init__(self) -> None:
        self.unread = {MODELS, VERSIONS}
        self._sizes = list(PAGE_SIZES)

    async def read(self, remote: Remote, listing: ListKind) -> ListItems:
        """Return all items of a list, in the largest pages that the server supports and delivers in time."""
        while True:
            size = self._sizes[0]
            answer = await self._read(remote, listing, size)
            if answer.items or size == self._sizes[-1] or not _is_too_much(answer.error):
                return answer
            if self._sizes[0] == size:
                del self._sizes[0]

    async def _read(self, remote: Remote, listing: ListKind, size: int) -> ListItems:
        """Return all items in pages of one size; those before an error are kept."""
        query = {"max_results": str(size), "order_by": listing.order}
        answer, tokens, where = ListItems(), set[str](), f"{remote.ref.url}{listing.path}"
        left = MAX_BYTES
        try:
            while True:
                raw, length = await remote.fetch(listing.path, query)
                page = _page(raw, listing.field, where)
                left -= length
                answer.items += page
                token = values.line_at(raw, "next_page_token")
                if not token:
                    break
                if token in tokens or not page:
                    raise BadAnswer(f"{where}: a page names one that was read already, or none, as the next one")
                if len(answer.items) >= MAX_ITEMS:
                    raise TooLarge(f"{where}: it has more than {MAX_ITEMS} items, which is as many as are read")
                if left < 0:
                    raise TooLarge(f"{where}: it has more than {MAX_BYTES} bytes, which is as much as is read")
                tokens.add(token)
                query["page_token"] = token
        except RemoteError as error:
            answer.error = error
        else:
            self.unread.discard(listing)
        return answer


def _page(raw: Any, name: str, where: str) -> list[Any]:
    """Return the items of a page; MLflow leaves out the field when there are none."""
    items = values.at(raw, name)
    if items is None and isinstance(raw, Mapping) and not raw.keys() - {"next_page_token"}:
        return []
    if not isinstance(items, list):
        raise BadAnswer(f"{where}: 200 without a list of {name}")
    return items


def _is_too_much(error: RemoteError | None) -> bool:
    """Return whether a smaller page may succeed."""
    return isinstance(error, TimedOut | TooLarge) or (isinstance(error, StatusError) and error.status == 400)
