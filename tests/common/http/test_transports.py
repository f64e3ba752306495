"""Clients and servers over transports that someone else brings."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from common.http import transports
from common.http.addresses import Address
from common.http.client import HttpClient
from common.http.server import listening
from common.http.transports import NewConnection
from tests.common.http.serving import Server


class UnixSockets:
    """Transports of which every server has a socket in a folder, named by its port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def connector(self, url: str, *, ssl: ssl.SSLContext | bool, limit: int) -> aiohttp.BaseConnector:
        return aiohttp.UnixConnector(str(self._folder / url.rpartition(":")[2]), limit=limit)

    @asynccontextmanager
    async def listen(self, new_connection: NewConnection, address: Address) -> AsyncIterator[Sequence[Address]]:
        async with await asyncio.get_running_loop().create_unix_server(
            new_connection, self._folder / str(address.port)
        ):
            yield [address]


async def test_client_and_server_meet_on_the_transports_of_their_context(tmp_path: Path) -> None:
    with transports.using(UnixSockets(tmp_path)):
        async with (
            listening(Server().app, [Address("anywhere", 7)]) as bound,
            HttpClient(name="test", base_url="http://anywhere:7") as client,
        ):
            assert bound == [Address("anywhere", 7)]
            assert (await client.request("GET", "/hello")).body == b"hello"


async def test_tasks_that_start_in_a_context_keep_its_transports(tmp_path: Path) -> None:
    unix = UnixSockets(tmp_path)
    release = asyncio.Event()

    async def later() -> transports.Transports:
        await release.wait()
        return transports.current()

    with transports.using(unix):
        task = asyncio.create_task(later())
    release.set()

    assert await task is unix
    assert isinstance(transports.current(), transports.Tcp)
