"""Pauses: growing ones between attempts, randomised intervals, and waiting for an event with a limit."""

import asyncio

from common import randomness


class Backoff:
    """Returns random pauses, in seconds, up to a limit that doubles with each failure: for tasks that never give up.

    Single requests are repeated by the HTTP client.

    The randomness keeps many clients that were disconnected together from reconnecting together. `least` (a share of
    the limit) is the shortest pause, for a single client; 0 is the "full jitter" of AWS's architecture blog.
    """

    def __init__(self, base: float, ceiling: float, *, least: float = 0) -> None:
        self._base = base
        self._ceiling = ceiling
        self._least = least
        self.failures = 0

    def next(self) -> float:
        """Count a failure and return the pause after it."""
        ceiling = min(self._ceiling, self._base * 2 ** min(self.failures, 32))
        self.failures += 1
        return randomness.uniform(self._least * ceiling, ceiling)

    def reset(self) -> None:
        """Start again with short pauses, after a success."""
        self.failures = 0


def spread(interval: float) -> float:
    """Return about `interval` seconds, so that tasks that started together do not stay in step."""
    return interval * randomness.uniform(0.9, 1.1)


async def happens(event: asyncio.Event, *, within: float | None) -> bool:
    """Wait for an event at most `within` seconds (None: without limit); return whether it was set."""
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True
