"""How often somebody may ask."""

import time
from collections.abc import Callable

MAX_REMEMBERED = 1024
"""Addresses kept in mind at the same time."""


class RateLimit:
    """Gives each address `burst` requests at once, and `rate` more per second (a token bucket each)."""

    def __init__(self, *, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, address: str) -> float:
        """Count a request of `address`; return 0 when it may pass, else the seconds after which one may."""
        now = self._clock()
        left, at = self._buckets.pop(address, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._rate)
        passes = left >= 1
        if len(self._buckets) >= MAX_REMEMBERED:  # the one that has been quiet for longest
            del self._buckets[next(iter(self._buckets))]
        self._buckets[address] = (left - 1 if passes else left, now)
        return 0.0 if passes else (1 - left) / self._rate
