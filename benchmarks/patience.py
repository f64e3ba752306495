"""Waiting for something to become true, exactly enough for measuring it and cheaply enough not to disturb it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

SHARE = 0.02
"""A figure is too large by this share of it at most, because the pauses grow with the time passed."""


async def until(
    check: Callable[[], Awaitable[bool]], *, timeout: float, what: str, pause: float = 0.001, share: float = SHARE
) -> float:
    """Ask again and again, and return the moment (`time.perf_counter`) of the first yes.

    Raises:
        TimeoutError: naming `what` was waited for.
    """
    began = time.perf_counter()
    while True:
        answer = await check()
        now = time.perf_counter()
        if answer:
            return now
        if now - began > timeout:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        await asyncio.sleep(max(pause, share * (now - began)))
