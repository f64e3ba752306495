"""Reads answers of the API server strictly: objects, lists and watch events; anything else is an error."""

from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import aiohttp

from common.http.client import Response
from common.http.errors import RemoteError
from common.kube.errors import Asked, GarbledAnswer, from_status
from common.texts import parse_json

ADDED, MODIFIED, DELETED, BOOKMARK = "ADDED", "MODIFIED", "DELETED", "BOOKMARK"
_TYPES = frozenset({ADDED, MODIFIED, DELETED, BOOKMARK})
_ERROR = "ERROR"

LONGEST_LINE = 16 * 1024 * 1024
"""Most bytes in a line; an API server accepts no object above 3 MiB."""


class WatchEvent(NamedTuple):
    """An event for one object; the object of a BOOKMARK has only a version.

    `version` is the one from which a watch continues after this event.
    """

    type: str
    object: dict[str, Any]
    version: str


def read_object(answer: Response, asked: Asked) -> dict[str, Any]:
    """Return the object, or list of objects, in an answer.

    Raises:
        GarbledAnswer: it contains something else.
    """
    try:
        body = answer.json()
    except RemoteError as error:
        raise GarbledAnswer(f"cannot {asked}: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("metadata"), dict):
        raise GarbledAnswer(f"cannot {asked}: {answer.url} returned something that is not an object")
    return body


def read_page(answer: Response, asked: Asked) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the items and the metadata of one page; strict, because an object missing from a list counts as deleted.

    Raises:
        GarbledAnswer: it is not a list, or has no version.
    """
    body = read_object(answer, asked)
    items = body.get("items", "absent")
    if items is None:
        items = []  # Go writes an empty list as null
    metadata = body["metadata"]
    is_list = isinstance(items, list) and str(body.get("kind")).endswith("List")
    version, token = metadata.get("resourceVersion"), metadata.get("continue", "")
    if not is_list or not isinstance(version, str) or not version or not isinstance(token, str):
        raise GarbledAnswer(f"cannot {asked}: {answer.url} returned something that is not a list")
    return items, metadata


def read_resource_names(answer: Response, asked: Asked) -> set[str]:
    """Return the plural names in a list of resource types (APIResourceList).

    Raises:
        GarbledAnswer: it is something else.
    """
    try:
        body = answer.json()
    except RemoteError as error:
        raise GarbledAnswer(f"cannot {asked}: {error}") from error
    if not isinstance(body, dict) or body.get("kind") != "APIResourceList":
        raise GarbledAnswer(f"cannot {asked}: {answer.url} returned something that is not a list of resources")
    resources = body.get("resources")
    names = (entry.get("name") for entry in resources if isinstance(entry, dict)) if isinstance(resources, list) else ()
    return {name for name in names if isinstance(name, str)}


async def read_events(
    answer: aiohttp.ClientResponse, asked: Asked, *, refused: str
) -> AsyncGenerator[WatchEvent, None]:
    """Yield the events of an open watch until the server closes it.

    Raises:
        KubeError: for an ERROR event; status 410 if the version is too old.
        GarbledAnswer: for anything that is not an event.
    """
    async for line in _lines(answer, asked):
        yield _event(line, asked, refused)


async def _lines(answer: aiohttp.ClientResponse, asked: Asked) -> AsyncGenerator[bytes, None]:
    # Not StreamReader.readline: its limit for a line is smaller than the largest object.
    pending: list[bytes] = []
    size = 0
    async for piece in answer.content.iter_any():
        first, *others = piece.split(b"\n")
        pending.append(first)
        size += len(first)
        if size > LONGEST_LINE:
            raise GarbledAnswer(f"cannot {asked}: an event is longer than {LONGEST_LINE} bytes")
        for other in others:
            line = b"".join(pending)
            pending, size = [other], len(other)
            if line.strip():
                yield line
    if rest := b"".join(pending).strip():
        raise GarbledAnswer(f"cannot {asked}: the answer ended in the middle of an event: {rest[:80]!r}")


def _event(line: bytes, asked: Asked, refused: str) -> WatchEvent:
    try:
        event = parse_json(line)
        kind, obj = event["type"], event["object"]
        if kind == _ERROR:
            raise from_status(obj, asked, refused=refused)
        version = obj["metadata"]["resourceVersion"]
        if kind not in _TYPES or not isinstance(version, str):
            raise ValueError(kind)
        return WatchEvent(kind, obj, version)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GarbledAnswer(
            f"cannot {asked}: the watch returned something that is not an event: {line[:80]!r}"
        ) from error
