"""The answer to a watch request: one JSON event a line (Kubernetes API concepts: efficient detection of changes)."""

import json
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import aiohttp

from common.kube.errors import Asked, GarbledAnswer, from_status

ADDED, MODIFIED, DELETED, BOOKMARK = "ADDED", "MODIFIED", "DELETED", "BOOKMARK"
_TYPES = frozenset({ADDED, MODIFIED, DELETED, BOOKMARK})
_ERROR = "ERROR"

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes; an API server takes no object above 3 MiB."""


class WatchEvent(NamedTuple):
    """What happened to one object; a BOOKMARK's object has nothing but the version.

    `version` is the one to go on from after this event.
    """

    type: str
    object: dict[str, Any]
    version: str


async def read_events(
    answer: aiohttp.ClientResponse, asked: Asked, *, refused: str
) -> AsyncGenerator[WatchEvent, None]:
    """Yield the events of an open watch until the server closes it.

    Raises:
        KubeError: for an ERROR event; status 410 when the version is too old.
        GarbledAnswer: for anything that is no event.
    """
    async for line in _lines(answer, asked):
        yield _event(line, asked, refused)


async def _lines(answer: aiohttp.ClientResponse, asked: Asked) -> AsyncGenerator[bytes, None]:
    # Not StreamReader.readline: its limit on a line is below the size of an object that the API server may send.
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
        event = json.loads(line)
        kind, obj = event["type"], event["object"]
        if kind == _ERROR:
            raise from_status(obj, asked, refused=refused)
        version = obj["metadata"]["resourceVersion"]
        if kind not in _TYPES or not isinstance(version, str):
            raise ValueError(kind)
        return WatchEvent(kind, obj, version)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise GarbledAnswer(f"cannot {asked}: the watch brought something that is no event: {line[:80]!r}") from error
