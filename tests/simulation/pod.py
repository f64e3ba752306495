"""The documented pod in a simulation: its three services, or all in one, run by the entry points of their processes."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self
from unittest import mock
from urllib.parse import urlsplit

from common import LOCATION, LOCATION_PORT, NORMALIZER, STORAGE
from common.http.client import HttpClient
from common.http.errors import RemoteError
from tests.deploy.documented import containers, environment
from tests.fakes.kubernetes import FakeCluster, documented_rules
from tests.simulation.network import LOOPBACK
from tests.simulation.process import Process

NAMESPACE = "ai-rhdh"
TOKEN = "pod-token"


SERVICES: Mapping[str, Sequence[str]] = {name: containers()[name].args for name in (STORAGE, LOCATION, NORMALIZER)}
"""The containers of the documented pod, with their arguments."""
CONNECTOR_RUN: Mapping[str, Sequence[str]] = {"connector": ("run", "--cluster", f"--address={LOCATION_PORT}")}
"""All in one process."""


class Pod:
    """Used with `async with`: starts programs with the documented environment, and stops them at the end.

    They share the environment of one process, to which `variables` are added.
    """

    def __init__(
        self, cluster: FakeCluster, *, programs: Mapping[str, Sequence[str]] = SERVICES, **variables: str
    ) -> None:
        cluster.grant(TOKEN, "connector", documented_rules(NAMESPACE))
        server = urlsplit(cluster.url)
        everything = {"KUBERNETES_SERVICE_HOST": str(server.hostname), "KUBERNETES_SERVICE_PORT": str(server.port)}
        for name in containers():
            everything |= environment(name, secret={"token": TOKEN}, pod_ip=LOOPBACK, namespace=NAMESPACE)
        self._environment = mock.patch.dict(os.environ, everything | variables, clear=True)
        self.processes = {
            name: Process(name, arguments=arguments, environment=everything | variables)
            for name, arguments in programs.items()
        }
        self._reader = HttpClient(name="the feed", base_url=f"http://{LOOPBACK}:{LOCATION_PORT}", attempts=1)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(self._environment)
            await stack.enter_async_context(self._reader)
            for process in self.processes.values():
                await process.start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: Any) -> None:
        for process in self.processes.values():
            if process.wanted:
                await process.stop()
        await self._stack.__aexit__(*error)

    async def read(self, path: str) -> bytes:
        """Return the body of an answer of the feed.

        Raises:
            RemoteError: it does not answer, or not with 200.
        """
        return (await self._reader.request("GET", path)).body

    async def get(self, path: str) -> Any:
        """Return the JSON of an answer of the feed, see `read`."""
        return json.loads(await self.read(path))

    async def uris(self) -> frozenset[str] | None:
        """Return what a reader sees in /list; None if it is refused, as it is unless the list is complete."""
        try:
            return frozenset((await self.get("/list"))["uris"])
        except RemoteError:
            return None
