"""The documented pod in a simulation: its three services, or all in one, run by the entry points of their processes."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Self
from unittest import mock
from urllib.parse import urlsplit

from common import LOCATION, LOCATION_PORT, NORMALIZER, NORMALIZER_PORT, STORAGE, STORAGE_PORT
from common.http.addresses import Address
from common.http.client import HttpClient, RemoteError
from services.connector import assembly
from services.location import service as location
from services.location.settings import LocationSettings
from services.normalizer import service as normalizer
from services.normalizer.settings import NormalizerSettings
from services.storage_rest import factory as storage
from services.storage_rest.settings import StorageSettings
from tests.deploy.documented import containers, environment
from tests.fakes.kubernetes import FakeCluster, documented_rules
from tests.simulation.network import LOOPBACK

NAMESPACE = "ai-rhdh"
TOKEN = "pod-token"


Program = Callable[[asyncio.Event], Awaitable[None]]
"""Runs until the event is set, as the entry point of a process does."""


def _storage(stop: asyncio.Event) -> Awaitable[None]:
    return storage.run(StorageSettings.load_usable(), [Address(None, STORAGE_PORT)], stop)


def _location(stop: asyncio.Event) -> Awaitable[None]:
    return location.serve(LocationSettings.load_usable(), Address(None, LOCATION_PORT), stop)


def _normalizer(stop: asyncio.Event) -> Awaitable[None]:
    return normalizer.run(NormalizerSettings.load_usable(), [Address(None, NORMALIZER_PORT)], stop)


def _all_in_one(stop: asyncio.Event) -> Awaitable[None]:
    settings = assembly.load_settings(registries=(), catalogs=(), cluster=True, state=None)
    options = assembly.RunOptions(addresses=[Address(None, LOCATION_PORT)], cluster=True)
    return assembly.run(options, settings, stop, tell=lambda line: None)


SERVICES: Mapping[str, Program] = {STORAGE: _storage, LOCATION: _location, NORMALIZER: _normalizer}
"""The containers of the documented pod."""
CONNECTOR_RUN: Mapping[str, Program] = {assembly.NAME: _all_in_one}
"""`connector run --cluster`."""


class Pod:
    """Used with `async with`: starts programs with the documented environment, and stops them at the end.

    They share the environment of one process, to which `variables` are added.
    """

    def __init__(self, cluster: FakeCluster, *, programs: Mapping[str, Program] = SERVICES, **variables: str) -> None:
        cluster.grant(TOKEN, "connector", documented_rules(NAMESPACE))
        server = urlsplit(cluster.url)
        everything = {"KUBERNETES_SERVICE_HOST": str(server.hostname), "KUBERNETES_SERVICE_PORT": str(server.port)}
        for name in containers():
            everything |= environment(name, secret={"token": TOKEN}, pod_ip=LOOPBACK, namespace=NAMESPACE)
        self._environment = mock.patch.dict(os.environ, everything | variables, clear=True)
        self._programs = programs
        self._tasks = asyncio.TaskGroup()
        self._running: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}
        self._reader = HttpClient(name="the feed", base_url=f"http://{LOOPBACK}:{LOCATION_PORT}", attempts=1)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(self._environment)
            await stack.enter_async_context(self._reader)
            await stack.enter_async_context(self._tasks)
            for name in self._programs:
                self.start(name)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: Any) -> None:
        for _, stop in self._running.values():
            stop.set()
        await self._stack.__aexit__(*error)

    def start(self, name: str) -> None:
        """Start a program."""
        stop = asyncio.Event()

        async def run() -> None:
            await self._programs[name](stop)

        self._running[name] = self._tasks.create_task(run()), stop

    async def stop(self, name: str) -> None:
        """Stop a program, and wait until it has ended."""
        task, stop = self._running.pop(name)
        stop.set()
        await task

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
