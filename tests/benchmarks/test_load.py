"""The load generator and the probe, against a server that counts."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from benchmarks.generators import Own
from benchmarks.load import generate
from benchmarks.probe import Probe


class Server:
    """Answers /good with 200, everything else with 500."""

    def __init__(self) -> None:
        self.requests = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        return web.Response(status=200 if request.path == "/good" else 500, text="x" * 10_000)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_get("/{path}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


async def test_every_answer_is_counted(server: Server) -> None:
    load = await generate(f"{server.url}/good", connections=3, seconds=0.3)
    assert load.errors == 0
    assert 0 < load.p50 <= load.p99
    assert load.rate * 0.3 <= server.requests


async def test_answers_that_are_no_success_are_errors(server: Server) -> None:
    load = await generate(f"{server.url}/bad", connections=1, seconds=0.1)
    assert load.errors == server.requests > 0


async def test_a_rate_is_not_exceeded(server: Server) -> None:
    await generate(f"{server.url}/good", connections=4, seconds=0.5, rate=100)
    assert 0 < server.requests <= 50


async def test_the_generator_runs_as_a_process(server: Server) -> None:
    load = await Own().run(f"{server.url}/good", connections=2, seconds=0.2)
    assert load.errors == 0
    assert load.rate > 0


async def test_a_generator_that_fails_says_why(server: Server) -> None:
    with pytest.raises(RuntimeError, match=r"benchmarks\.load .* failed"):
        await Own().run("http://127.0.0.1:1/", connections=1, seconds=0.1)


async def test_a_probe_waits_for_a_status(server: Server) -> None:
    async with Probe(server.url) as probe:
        assert await probe.get("/good") == (200, b"x" * 10_000)
        assert await probe.until("/bad", 500) > 0
        with pytest.raises(TimeoutError):
            await probe.until("/bad", 200, timeout=0.05)


async def test_a_probe_outlives_its_connection(server: Server) -> None:
    drop = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await drop.wait()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener, Probe(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}") as probe:
        assert await probe.get("/") == (200, b"ok")
        drop.set()
        assert await probe.get("/") == (200, b"ok")
