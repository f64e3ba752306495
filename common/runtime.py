"""Runs the process of a service: event loop, signals, limits."""

import asyncio
import contextlib
import resource
import signal
from collections.abc import Awaitable, Callable


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main` until it returns; the event it is given is set by SIGTERM and SIGINT.

    PID 1 of a container has no default signal handling, so both are always handled here.
    """

    async def with_signals() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    _allow_many_connections()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(with_signals())


def _allow_many_connections() -> None:
    """Raise the limit of open file descriptors as far as the system allows.

    The reader of the feed requests all documents at once, each on its own connection, and abandons its round if one of
    them is not accepted. The usual soft limit of 1024 is not enough for that.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # on some systems, an infinite hard limit cannot be set
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not available for every platform; the standard loop does the same, only slower
        return None
    return uvloop.new_event_loop
