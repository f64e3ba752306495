"""The original's normalizer, as far as storage can tell: its upserts and its `/currentkeyset`, also when a list failed.

Of what it does wrong the names matter here: a list that fails makes it send an empty set, and so does a restart.
"""

import asyncio
import base64
import contextlib
import json
from collections import deque
from typing import Any, Self

import aiohttp

from tests.chaos.judge import Truth, session

PAUSE = 1.0
"""Seconds between two of its rounds."""


class Original:
    """Sends what the sources hold to a storage, for the time of its `async with` block."""

    def __init__(self, storage: str, truth: Truth, token: str) -> None:
        self._storage = storage
        self._truth = truth
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": "go-resty/2.16.3"}
        self._failures: deque[str] = deque(["empty"])

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=20)
        self._session = session(self._storage, headers=self._headers, timeout=timeout)
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._session.close()

    def restart(self) -> None:
        """Know of no model in the first round."""
        self._failures.appendleft("empty")

    def fail(self, how: str, times: int) -> None:
        """Have the next lists of models fail."""
        self._failures.extend([how] * times)

    def heal(self) -> None:
        """Have all lists succeed from now on."""
        self._failures.clear()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                await self._round()
            await asyncio.sleep(PAUSE)

    async def _round(self) -> None:
        failure = self._failures.popleft() if self._failures else ""
        if failure == "hanging":
            return
        wanted = {key_of(uri): owner for uri, owner in self._truth.wanted.items()} if failure in ("", "half") else {}
        keys = sorted(wanted)[:: 2 if failure else 1]
        for key in keys:
            await self._upsert(key, wanted[key])
        async with self._session.post(f"{self._storage}/currentkeyset", params={"key": ",".join(keys)}):
            pass  # it goes on whatever the answer is

    async def _upsert(self, key: str, owner: str) -> None:
        kind = "kserve" if key.startswith("models_") else "kubeflow"
        body = base64.b64encode(json.dumps(_document(key, owner or "someone")).encode()).decode()
        sent = {"body": body, "lastUpdateTimeSinceEpoch": "1"}
        async with self._session.post(f"{self._storage}/upsert", params={"key": key, "type": kind}, json=sent):
            pass


def key_of(uri: str) -> str:
    """Return the key under which the original stores what is served at a path."""
    _, first, second, _ = uri.split("/")
    return f"{first}_{second}"


def _document(key: str, owner: str) -> dict[str, Any]:
    name = key.replace("_", "-")
    return {"models": [{"name": name, "owner": owner, "lifecycle": "development", "description": f"model {name}"}]}
