"""A process in a simulation: an entry point with its command line and environment, started, ended and killed."""

import asyncio
import os
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from unittest import mock

import click
import structlog

from common import logs, randomness, runtime
from common.http import transports
from tests.simulation.network import Network, process

STOP_TIMEOUT = 30.0
"""Seconds for a graceful end, as the kubelet gives."""
DYING = 0.01
"""Seconds until the tasks of a process that was killed are cancelled again."""


class Process:
    """A program that may be started again and again; it has the methods of `tests.process.service.Service`.

    It needs up to `loading` seconds until it begins. `log` is where the simulation keeps what it logs, for messages.
    """

    def __init__(
        self,
        name: str,
        *,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        url: str = "",
        log: Path | None = None,
        loading: float = 0.0,
    ) -> None:
        self.name = name
        self.url = url
        self.log = log
        self._arguments = list(arguments)
        self._environment = dict(environment)
        self._loading = loading
        self._stop = asyncio.Event()
        self._life = object()
        self._task: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether it was started and neither stopped nor killed since."""
        return self._task is not None

    @property
    def code(self) -> int | None:
        """The exit code of a program that ended by itself; None while it runs."""
        if self._task is None or not self._task.done():
            return None
        return int(self._task.exception() is not None)

    async def start(self) -> None:
        """Start the program; it may need a moment until it listens."""
        assert self._task is None, f"{self.name} was started already"
        self._stop, self._life = asyncio.Event(), object()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Tell the program to end, and wait until it has ended.

        Raises:
            AssertionError: it did not end in time, or had failed before.
        """
        assert self._task is not None
        self._stop.set()
        await asyncio.wait([self._task], timeout=STOP_TIMEOUT)
        assert self._task.done(), f"{self.name} was still there {STOP_TIMEOUT:g} s after it was told to end"
        assert self.code == 0, f"{self.name} failed: {self._task.exception()!r}"
        self._task = None

    def freeze(self) -> None:
        """Let nothing arrive at its server or from there: its connections stay open and nothing answers."""
        self._network.silence(self.url)

    def thaw(self) -> None:
        """Let its server answer again, also what was sent meanwhile."""
        self._network.resume(self.url)

    async def kill(self) -> None:
        """End the program without a word.

        Its tasks are cancelled, and Python runs their `finally` clauses. So it first loses the network: what they still
        send, such as the last batch of writes, reaches no one, and their own memory dies with them. It is kinder than
        kill -9 in two respects: what it has written to the network is sent whole, and it dies between two steps of
        the event loop. What it leaves in files would be a third one, but the services in a pod write none.
        """
        if self._task is None:
            return
        task, self._task = self._task, None
        self._network.kill(self._life)
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=DYING)
        if not task.cancelled():
            task.exception()  # no one waits for it

    @property
    def _network(self) -> Network:
        network = transports.current()
        assert isinstance(network, Network), "it runs in a simulation"
        return network

    async def _run(self) -> None:
        process.set(self._life)
        structlog.contextvars.bind_contextvars(process=f"{self.name} {self.url}".strip())
        await asyncio.sleep(randomness.uniform(0, self._loading))
        try:
            await self._program()(self._stop)
        except Exception:
            structlog.get_logger().error("process_failed", trace=traceback.format_exc())
            raise

    def _program(self) -> Callable[[asyncio.Event], Awaitable[None]]:
        """Return what the entry point, called with the command line, gives its process to run."""
        programs: list[Callable[[asyncio.Event], Awaitable[None]]] = []
        with (
            mock.patch.dict(os.environ, self._environment, clear=True),
            mock.patch.object(logs, "configure"),
            mock.patch.object(runtime, "run", programs.append),
        ):
            _command(self.name).main(self._arguments, prog_name=self.name, standalone_mode=False)
        [program] = programs
        return program


@cache
def _command(name: str) -> click.Command:
    [entry] = entry_points(group="console_scripts", name=name)
    command: click.Command = entry.load()
    return command
