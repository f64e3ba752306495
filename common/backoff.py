"""Pauses: growing ones between attempts, and those that news may end."""

import asyncio
import random
from collections.abc import Callable


class Backoff:
    """A pause is anything up to a ceiling that doubles with each failure, in seconds.

    The randomness keeps many clients, cut off together, from coming back together. Where few ask, `least` (a share of
    the ceiling) keeps pauses from being much shorter than was meant; with 0 this is the "full jitter" of AWS's
    architecture blog.
    """

    def __init__(
        self,
        base: float,
        ceiling: float,
        *,
        least: float = 0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._base = base
        self._ceiling = ceiling
        self._least = least
        self._uniform = uniform
        self.failures = 0

    def next(self) -> float:
        """Count a failure and return the pause after it."""
        ceiling = min(self._ceiling, self._base * 2 ** min(self.failures, 32))
        self.failures += 1
        return self._uniform(self._least * ceiling, ceiling)

    def reset(self) -> None:
        """Start small again, after a success."""
        self.failures = 0


def spread(interval: float) -> float:
    """Return about `interval` seconds, so that what began together does not go on together."""
    return interval * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, guards nothing


async def happens(event: asyncio.Event, *, within: float | None) -> bool:
    """Wait for an event for so many seconds, without end when None; return whether it came."""
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True
