"""An event loop on simulated time: when nothing is left to do, it is as late as the next timer says.

It runs what asyncio's own loop runs, in the same order. Only two things are replaced, both by public means: the
selector, which asyncio asks to wait for sockets or until the next timer, and the methods that make connections. Nothing
ever waits, and nothing depends on how fast the machine is, so a simulation with the same seed does the same.
"""

import asyncio
import functools
import inspect
import selectors
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, NoReturn, TypeVar, TypeVarTuple, Unpack
from unittest import mock

from common import clocks, randomness
from common.http import transports
from tests.simulation.network import Network

BEGINNING = 1_750_000_000.0
"""The system's time when a simulation begins, in seconds since the epoch: some day in June 2025."""

MOST_TURNS = 500_000
"""How often a loop may turn while no time passes."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class OutsideWorldError(Exception):
    """Something asked for what is outside of the simulation: a socket, a process, the name service."""


class StandstillError(Exception):
    """Time cannot pass any more: all tasks wait for each other, or one of them never waits."""


class SimulatedTime(selectors.SelectSelector):
    """A selector in which time passes only when a loop waits for it.

    It takes a single file: that by which a loop wakes itself up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.refused: list[OutsideWorldError] = []
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return at once. If there was something to wait for, it is `timeout` seconds later."""
        ready = super().select(0)
        if timeout is None and not ready:
            raise StandstillError("every task waits, and there is no timer that would end it")
        self._turns += 1
        if self._turns > MOST_TURNS:
            self._turns = 0  # the tasks are cancelled next
            raise StandstillError(f"the loop has turned {MOST_TURNS} times at {self.now} s: something never waits")
        if timeout and not ready:
            self.now += timeout
            self._turns = 0
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Take the first file, and no other."""
        if self.get_map():
            self.refuse(f"file or socket {fileobj}")
        return super().register(fileobj, events, data)

    def refuse(self, what: str) -> NoReturn:
        """Refuse what is not simulated, and remember it: the program may take it for a network that is down."""
        self.refused.append(OutsideWorldError(f"the simulation has none: {what}"))
        raise self.refused[-1]


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop on simulated time and a simulated network."""

    def __init__(self, network: Network) -> None:
        self.simulated = SimulatedTime()
        self._network = network
        super().__init__(self.simulated)

    def time(self) -> float:
        """Return the seconds since the simulation began."""
        return self.simulated.now

    async def create_unix_connection(self, protocol_factory: Any, path: Any = None, **options: Any) -> Any:
        """Connect to the server whose HOST:PORT is `path`: see `Network.connector`."""
        return await self._network.connect(protocol_factory, path)

    async def create_server(
        self, protocol_factory: Any, host: Any = None, port: Any = None, *, sock: Any = None, **options: Any
    ) -> Any:
        """Listen on the simulated network. aiohttp's own servers, such as those of the fakes, ask for this."""
        if sock is not None:
            sock.close()  # it was given away
            self.simulated.refuse(f"server on the socket {sock}")
        if options.get("ssl") is not None:
            self.simulated.refuse(f"server with TLS on {host}:{port}")
        return self._network.serve(protocol_factory, host, port)

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """Refuse: names are looked up in `Network.hosts`."""
        self.simulated.refuse(f"name of a host: {host}")

    async def subprocess_exec(self, *arguments: Any, **options: Any) -> Any:
        """Refuse: a process has its own time."""
        self.simulated.refuse(f"process {arguments[1:]}")

    subprocess_shell = subprocess_exec

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run a function in its turn, like a callback: a thread would end at any time."""
        future: asyncio.Future[T] = self.create_future()

        def run() -> None:
            if not future.cancelled():
                try:
                    future.set_result(func(*args))
                except Exception as error:
                    future.set_exception(error)

        self.call_soon(run)
        return future


def simulate(scenario: Callable[[Network], Awaitable[T]], *, seed: int = 0, spread: float = 1.0) -> T:
    """Run a scenario on an empty network, of which `spread` says how even it is, at time 0, and return its result.

    Raises:
        OutsideWorldError: the program asked for a real socket, process or name, even if it handled this error.
        Exception: a callback or a task raised it that no one waited for.
        StandstillError: the scenario would never end.
    """
    randomness.seed(seed)
    network = Network(spread=spread)
    loop = SimulatedLoop(network)

    async def simulation() -> T:
        with transports.using(network), clocks.using_wall_clock(lambda: BEGINNING + loop.time()):
            return await scenario(network)

    unhandled: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: unhandled.append(context.get("exception") or RuntimeError(context)))
    try:
        with (
            # Nothing is encrypted, and reading the certificates of the system would take a third of the time.
            mock.patch.object(ssl.SSLContext, "set_default_verify_paths"),
            asyncio.Runner(loop_factory=lambda: loop) as runner,
        ):
            return runner.run(simulation())
    finally:
        if faults := [*loop.simulated.refused, *unhandled]:
            raise faults[0]


def simulated(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Let a test be a scenario. It gets its network as `network`, and fixtures as usual.

    Fixtures are made outside of the simulation. Those that are asynchronous context managers are entered in it.
    """
    signature = inspect.signature(test)
    fixtures = [each for each in signature.parameters.values() if each.name != "network"]

    @functools.wraps(test)
    def run(**given: Any) -> None:
        async def scenario(network: Network) -> None:
            async with AsyncExitStack() as stack:
                for value in given.values():
                    if isinstance(value, AbstractAsyncContextManager):
                        await stack.enter_async_context(value)
                await test(**given, **({"network": network} if "network" in signature.parameters else {}))

        simulate(scenario)

    run.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
    return run
