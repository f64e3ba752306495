"""Pages of a list, as registries cut them."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes.registry.store import StoreError

_ORDER = {"CREATE_TIME": "createTimeSinceEpoch", "LAST_UPDATE_TIME": "lastUpdateTimeSinceEpoch", "ID": "id"}


@dataclass(frozen=True)
class PageLimits:
    """How many items a page has when no one asks (`default`) and at most (`cap`); None: all of them.

    `overrun`: anyone who asks for more than the cap gets one more item than that, and no token, as if that were all.
    """

    default: int | None = 20
    cap: int | None = 100
    overrun: bool = False


ALL = PageLimits(default=None, cap=None)
"""Newer servers: seen with v0.3.8."""
ML_METADATA = PageLimits(default=20, cap=100, overrun=True)
"""Servers on ML Metadata: seen with v0.2.19, and with the library ml-metadata 1.17.1 (test_ml_metadata.py)."""


def cut(items: Sequence[Any], query: Mapping[str, str], limits: PageLimits) -> dict[str, Any]:
    """Return the page that `query` asks for, in the list form of the registry's API.

    Tokens are offsets: an object deleted between two pages moves another one out of sight, as it does with servers
    that page by offset.

    Raises:
        StoreError: 400 for a page size, token or order that cannot be.
    """
    ordered = _sorted(items, query)
    offset = _offset(query.get("nextPageToken", ""))
    size = _size(query.get("pageSize", ""), limits)
    end = len(ordered) if size is None else offset + size
    if limits.overrun and limits.cap is not None and _asked(query.get("pageSize", "")) > limits.cap:
        page = ordered[offset : offset + limits.cap + 1]
        return {"items": page, "nextPageToken": "", "pageSize": _asked(query["pageSize"]), "size": len(page)}
    page = ordered[offset:end]
    return {
        "items": page,
        "nextPageToken": token_of(end) if end < len(ordered) else "",
        "pageSize": size or 0,
        "size": len(page),
    }


def token_of(offset: int) -> str:
    """Return the token of the page that starts at `offset`."""
    return base64.urlsafe_b64encode(f"offset:{offset}".encode()).decode()


def _sorted(items: Sequence[Any], query: Mapping[str, str]) -> list[Any]:
    field = _ORDER.get(query.get("orderBy") or "ID")
    direction = (query.get("sortOrder") or "ASC").upper()
    if field is None or direction not in ("ASC", "DESC"):
        raise StoreError(400, "orderBy or sortOrder is none of the known ones")
    return sorted(items, key=lambda item: _number(item, field), reverse=direction == "DESC")


def _number(item: Any, field: str) -> int:
    try:
        return int(item[field])
    except (TypeError, ValueError, KeyError):
        return 0


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token).decode().partition(":")
        if word == "offset":
            return int(number)
    except ValueError:
        pass
    raise StoreError(400, "invalid nextPageToken")


def _size(asked: str, limits: PageLimits) -> int | None:
    size = _asked(asked)
    if size <= 0:
        return limits.default
    return size if limits.cap is None else min(size, limits.cap)


def _asked(asked: str) -> int:
    try:
        return int(asked) if asked else 0
    except ValueError:
        raise StoreError(400, "pageSize is not a number") from None
