"""A client as plain as can be, for asking the fake API server."""

import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.fakes.kubernetes import FakeCluster, ProcessCluster

CORE = "/api/v1"
KSERVE = "/apis/serving.kserve.io/v1beta1"
CONFIG_MAPS = f"{CORE}/namespaces/rhdh/configmaps"
ISVCS = f"{KSERVE}/namespaces/models/inferenceservices"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.json["items"]]

    @property
    def version(self) -> str:
        return str(self.json["metadata"]["resourceVersion"])


class WatchLines:
    """The lines of a watch's answer."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def line(self) -> bytes:
        return await self.response.content.readline()

    async def event(self) -> tuple[str, Any]:
        event = json.loads(await self.line())
        return event["type"], event["object"]

    async def brief(self) -> tuple[str, str]:
        kind, obj = await self.event()
        return kind, obj["metadata"]["name"]


class Client:
    """Requests with a token."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        data = None
        if body is not None:
            data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self._session.request(method, path, data=data, headers=sent) as response:
            return Answer(response.status, response.headers.copy(), await response.text())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, **headers)

    async def patch(self, path: str, body: Any, content_type: str = MERGE, **headers: str) -> Answer:
        return await self.ask("PATCH", path, body, Content_Type=content_type, **headers)

    @asynccontextmanager
    async def watch(self, path: str, query: str = "", **headers: str) -> AsyncIterator[WatchLines]:
        async with self._session.get(f"{path}?watch=true&{query}", headers=headers) as response:
            assert response.status == 200, await response.text()
            yield WatchLines(response)


@asynccontextmanager
async def client_of(cluster: FakeCluster | ProcessCluster, token: str = "") -> AsyncIterator[Client]:
    """A client of a cluster without TLS; with the administrator's token unless told."""
    headers = {"Authorization": f"Bearer {token or cluster.token}"}
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(cluster.url, headers=headers, timeout=timeout) as session:
        yield Client(session)
