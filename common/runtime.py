"""How a service's process runs: event loop, signals, limits."""

import asyncio
import contextlib
import resource
import signal
from collections.abc import Awaitable, Callable


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main` until it returns; the event it is given is set by SIGTERM and SIGINT.

    As PID 1 of a container a process gets no default signal handling, so both are always handled here.
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
    """Raise the number of open descriptors to what the system lets us have.

    The reader of the feed asks for all documents at once, a connection each, and gives up its round when one of them
    is not accepted; 1024, the usual soft limit, is soon too few.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # systems whose hard limit is infinite, but not really
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not built for every platform; the standard loop does the same, slower
        return None
    return uvloop.new_event_loop
