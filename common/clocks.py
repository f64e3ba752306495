"""The clocks of a process: the event loop's for intervals, the system's for times that are shown.

The system's clock may step, and intervals must not end early because of that. A simulation has a loop with simulated
time, and replaces the system's clock by one that goes along with it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_wall_clock: ContextVar[Callable[[], float]] = ContextVar("wall_clock", default=time.time)


def loop_time() -> float:
    """Return the time of the running event loop, in seconds; it never goes back."""
    return asyncio.get_running_loop().time()


def wall_time() -> float:
    """Return the system's time, in seconds since the epoch: for times that are shown, or that outlast a process."""
    return _wall_clock.get()()


@contextmanager
def using_wall_clock(clock: Callable[[], float]) -> Iterator[None]:
    """Let `clock` be the system's clock during the block, and in tasks that start there."""
    token = _wall_clock.set(clock)
    try:
        yield
    finally:
        _wall_clock.reset(token)


def steady_clock() -> Callable[[], float]:
    """Return a clock that gives seconds since the epoch and never steps; needs a running event loop.

    It reads the system's clock once, now. So the times that it gives mean the same after a restart, but nothing that is
    to last for a while ends when the system's clock steps.
    """
    loop = asyncio.get_running_loop()
    offset = wall_time() - loop.time()
    return lambda: offset + loop.time()
