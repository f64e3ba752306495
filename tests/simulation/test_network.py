"""The network of simulations: HTTP over connections in memory, and what may happen to them."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from common.http.addresses import Address
from common.http.client import HttpClient
from common.http.errors import TimedOut, Unreachable
from common.http.server import listening
from tests.common.http.serving import Server
from tests.simulation.loop import simulate, simulated
from tests.simulation.network import ELSEWHERE, LATENCY, Network, process

URL = "http://127.0.0.1:7"
HERE = Address("127.0.0.1", 7)


def client(url: str = URL, *, timeout: float = 10) -> HttpClient:
    return HttpClient(name="test", base_url=url, attempts=1, timeout=timeout)


def now() -> float:
    return round(asyncio.get_running_loop().time(), 6)


@simulated
async def test_a_request_is_answered_and_takes_as_long_as_the_network(network: Network) -> None:
    network.delay(URL, 0.25)
    async with listening(Server().app, [HERE]) as bound, client() as http:
        assert bound == [HERE]
        for passed in (1.0, 1.5):  # the second one uses the connection of the first
            assert (await http.request("GET", "/hello")).body == b"hello"
            assert now() == passed
    assert [(each.time, each.line) for each in network.heard] == [
        (0, "connect"),
        (0.5, "GET /hello HTTP/1.1"),
        (1.0, "GET /hello HTTP/1.1"),
    ]


@simulated
async def test_large_bodies_arrive_whole_at_slow_readers() -> None:
    async with listening(Server().app, [HERE]), client() as http, http.stream("GET", "/large") as answer:
        size = 0
        async for piece in answer.content.iter_any():
            size += len(piece)
            await asyncio.sleep(0.001)
        assert size == 50_000_000


@simulated
async def test_hosts_have_names_and_see_who_is_not_on_the_same_one(network: Network) -> None:
    async def who(request: web.Request) -> web.Response:
        return web.Response(text=request.remote)

    network.hosts["registry.example"] = "198.51.100.1"
    app = web.Application()
    app.router.add_get("/", who)
    async with listening(app, [Address(None, 7)]):
        origins = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1", "registry.example": ELSEWHERE}
        for host, origin in origins.items():
            async with client(f"http://{host}:7") as http:
                assert (await http.request("GET", "/")).body.decode() == origin
        async with client("http://nowhere.example:7") as http:
            with pytest.raises(Unreachable, match="not known"):
                await http.request("GET", "/")


@simulated
async def test_where_nothing_listens_connections_are_refused() -> None:
    async with client() as http:
        with pytest.raises(Unreachable, match="connection refused"):
            await http.request("GET", "/hello")
        async with listening(Server().app, [HERE]):
            await http.request("GET", "/hello")
            with pytest.raises(OSError, match="in use"):
                async with listening(Server().app, [HERE]):
                    pass
        with pytest.raises(Unreachable):
            await http.request("GET", "/hello")


@simulated
async def test_a_silent_network_tells_no_one_and_delivers_later(network: Network) -> None:
    async with listening(Server().app, [HERE]), client(timeout=3600) as http:
        await http.request("GET", "/hello")
        network.silence(URL)
        began = now()
        with pytest.raises(TimedOut):
            await http.request("GET", "/hello", timeout=600)
        assert now() == pytest.approx(began + 600, abs=1)
        asyncio.get_running_loop().call_later(1200, network.resume, URL)
        assert (await http.request("GET", "/hello")).body == b"hello"
        assert now() == pytest.approx(began + 1800, abs=1)


@simulated
async def test_connections_that_are_cut_end_at_once_at_both_ends(network: Network) -> None:
    async with listening(Server().app, [HERE]), client() as http:
        for seconds in (5, 6):  # aiohttp sends a GET again, once
            asyncio.get_running_loop().call_later(seconds, network.cut, URL)
        with pytest.raises(Unreachable):
            await http.request("GET", "/slow")
        assert now() == pytest.approx(6, abs=LATENCY)
        assert (await http.request("GET", "/hello")).body == b"hello"


@simulated
async def test_what_is_under_way_when_connections_are_cut_never_arrives(network: Network) -> None:
    network.delay(URL, 1)
    async with listening(Server().app, [HERE]), client() as http, http.stream("GET", "/large") as answer:
        assert len(await answer.content.readany()) < 50_000_000
        network.cut(URL)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.read()


def test_messages_are_under_way_for_random_times() -> None:
    async def scenario(_: Network) -> list[float]:
        took = []
        async with listening(Server().app, [HERE]), client() as http:
            for _request in range(50):
                began = asyncio.get_running_loop().time()
                await http.request("GET", "/hello")
                took.append(asyncio.get_running_loop().time() - began)
        return took

    took = simulate(scenario, spread=100, seed=1)
    assert 2 * LATENCY <= min(took) < max(took) / 10 < 20 * LATENCY
    assert took == simulate(scenario, spread=100, seed=1) != simulate(scenario, spread=100, seed=2)


@simulated
async def test_nothing_that_a_killed_process_does_reaches_anyone_but_what_it_has_written(network: Network) -> None:
    heard: list[str] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_get("/{path}", hear)

    async def program() -> None:
        process.set("victim")
        async with listening(Server().app, [Address("127.0.0.1", 8)]), client() as http:
            try:
                await http.request("GET", "/written-before")
            finally:
                with pytest.raises(Unreachable):
                    await http.request("GET", "/written-after")

    async with listening(app, [HERE]), client("http://127.0.0.1:8") as reader:
        victim = asyncio.create_task(program())
        await asyncio.sleep(2.5 * LATENCY)  # the request is under way
        assert not heard
        network.kill("victim")
        with pytest.raises(Unreachable):
            await reader.request("GET", "/hello")
        async with listening(Server().app, [Address("127.0.0.1", 8)]):  # its port is free
            assert (await reader.request("GET", "/hello")).body == b"hello"
        with pytest.raises(Unreachable):
            await victim
    assert heard == ["/written-before"]
