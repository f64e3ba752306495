"""Whether somebody reads the changes, so that they need not be pushed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FOLLOWED_FOR = 15.0
"""Seconds after its last request for which a follower counts as there."""


class Followers:
    """Counts those who wait for changes, and remembers when the last one asked."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting = 0
        self._last = float("-inf")

    @property
    def count(self) -> int:
        """How many wait just now."""
        return self._waiting

    @property
    def present(self) -> bool:
        """Whether there is one."""
        return self._waiting > 0 or self._clock() - self._last < FOLLOWED_FOR

    def asked(self) -> None:
        """Note that one has just asked."""
        self._last = self._clock()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Note that one waits, for the time of the block."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            self.asked()
