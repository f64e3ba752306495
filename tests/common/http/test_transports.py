"""Client and server over transports that someone else brings."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from common.http.addresses import Address
from common.http.client import HttpClient
from common.http.server import NewConnection, listening
from tests.common.http.serving import Server


async def test_client_and_server_meet_on_a_socket_that_is_no_tcp_port(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    async def listen(new_connection: NewConnection, address: Address) -> Sequence[asyncio.Server]:
        return [await asyncio.get_running_loop().create_unix_server(new_connection, path)]

    async with (
        listening(Server().app, [Address(None, 0)], listen=listen) as (bound,),
        HttpClient(
            name="test", base_url="http://anywhere", new_connector=lambda ssl, limit: aiohttp.UnixConnector(path)
        ) as client,
    ):
        assert (await client.request("GET", "/hello")).body == b"hello"
        assert bound.host == path
