"""Growing pauses between attempts."""

import random
from collections.abc import Callable


class Backoff:
    """Full jitter: a pause is anything from nothing to a ceiling that doubles with each failure, in seconds.

    The randomness keeps many clients, cut off together, from coming back together.
    """

    def __init__(
        self, base: float, ceiling: float, *, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._base = base
        self._ceiling = ceiling
        self._uniform = uniform
        self.failures = 0

    def next(self) -> float:
        """Count a failure and return the pause after it."""
        ceiling = min(self._ceiling, self._base * 2 ** min(self.failures, 32))
        self.failures += 1
        return self._uniform(0, ceiling)

    def reset(self) -> None:
        """Start small again, after a success."""
        self.failures = 0
