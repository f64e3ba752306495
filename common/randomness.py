"""All randomness of a process: how much pauses vary, and identifiers that differ from those of other processes.

It is Python's shared generator, which stamina uses for its pauses too. So a simulation that sets one seed repeats all
of them. Nothing here is fit for secrets, and the connector makes none.
"""

import random


def seed(value: int) -> None:
    """Repeat the same random choices from now on, as after each `seed` of the same value."""
    random.seed(value)


def uniform(low: float, high: float) -> float:
    """Return a number between two others; each is equally likely."""
    return random.uniform(low, high)  # noqa: S311 - not a secret


def identifier(size: int) -> str:
    """Return `size` random bytes as lower-case hexadecimal digits."""
    return random.randbytes(size).hex()  # noqa: S311 - not a secret
