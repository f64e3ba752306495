"""The clocks of a process: the event loop's for intervals, the system's for times that are shown.

The system's clock may step, and intervals must not end early because of that. In a simulation, the loop's time is
simulated.
"""

import asyncio
import time
from collections.abc import Callable


def loop_time() -> float:
    """Return the time of the running event loop, in seconds; it never goes back."""
    return asyncio.get_running_loop().time()


def steady_clock(wall_clock: Callable[[], float] = time.time) -> Callable[[], float]:
    """Return a clock that gives seconds since the epoch and never steps; needs a running event loop.

    It reads `wall_clock` once, now. So the times that it gives mean the same after a restart, but nothing that is to
    last for a while ends when the system's clock steps.
    """
    loop = asyncio.get_running_loop()
    offset = wall_clock() - loop.time()
    return lambda: offset + loop.time()
