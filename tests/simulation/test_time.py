"""Simulated time passes while nothing else can happen, and nothing of the outside world is within reach."""

import asyncio
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp
import pytest

from common.http.addresses import Address
from common.http.client import HttpClient
from common.http.server import listening
from common.http.transports import Tcp, using
from tests.common.http.serving import Server
from tests.simulation import loop
from tests.simulation.loop import OutsideWorldError, StandstillError, simulate
from tests.simulation.network import Network

DAY = 86_400.0


def test_a_week_passes_at_once() -> None:
    async def week(_: Network) -> list[str]:
        heard: list[str] = []
        for day in (3, 1, 2):
            asyncio.get_running_loop().call_later(day * DAY, heard.append, f"day {day}")
        await asyncio.sleep(7 * DAY)
        return [*heard, f"day {asyncio.get_running_loop().time() / DAY:g}"]

    began = time.perf_counter()
    assert simulate(week) == ["day 1", "day 2", "day 3", "day 7"]
    assert time.perf_counter() - began < DAY


def test_what_runs_in_a_thread_takes_no_time_and_keeps_its_turn() -> None:
    async def scenario(_: Network) -> tuple[list[str], float]:
        order: list[str] = []
        await asyncio.gather(*(asyncio.to_thread(order.append, name) for name in "abc"))
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return order, asyncio.get_running_loop().time()

    assert simulate(scenario) == (["a", "b", "c"], 0)


def test_a_scenario_that_can_never_end_says_so() -> None:
    async def scenario(_: Network) -> None:
        await asyncio.Event().wait()

    with pytest.raises(StandstillError):
        simulate(scenario)


def test_a_task_that_never_waits_does_not_keep_time_from_passing_unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(_: Network) -> None:
        while True:  # noqa: ASYNC110 - this is what is tested
            await asyncio.sleep(0)

    monkeypatch.setattr(loop, "MOST_TURNS", 1000)
    with pytest.raises(StandstillError, match="never waits"):
        simulate(scenario)


def test_an_error_in_a_callback_fails_the_simulation() -> None:
    async def scenario(_: Network) -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    with pytest.raises(ZeroDivisionError):
        simulate(scenario)


async def _tcp_client(_: Network) -> None:
    with using(Tcp()):
        async with HttpClient(name="real", base_url="http://127.0.0.1:9", attempts=1) as client:
            await client.request("GET", "/")


async def _tcp_server(_: Network) -> None:
    with using(Tcp()):
        async with listening(Server().app, [Address("127.0.0.1", 0)]):
            pass


async def _name(_: Network) -> None:
    async with aiohttp.ClientSession() as session, session.get("http://example.com"):
        pass


async def _socket(_: Network) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        await asyncio.get_running_loop().sock_recv(ours, 1)


async def _process(_: Network) -> None:
    await asyncio.create_subprocess_exec(sys.executable, "-c", "", stdout=asyncio.subprocess.PIPE)


@pytest.mark.parametrize("scenario", [_tcp_client, _tcp_server, _name, _socket, _process])
def test_the_outside_world_is_refused_even_if_the_program_takes_that_for_a_fault(
    scenario: Callable[[Network], Awaitable[None]],
) -> None:
    async def tolerant(network: Network) -> None:
        with suppress(Exception):
            await scenario(network)

    with pytest.raises(OutsideWorldError):
        simulate(tolerant)
