"""Waiting for a condition, in place of sleeping for a time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    check: Callable[[], T | Awaitable[T]],
    *,
    timeout: float = 10,
    interval: float = 0.01,
    what: str = "condition",
) -> T:
    """Return the first truthy answer of `check`, which may be a coroutine function.

    An AssertionError or OSError of `check` counts as "not yet".

    Raises:
        AssertionError: when `timeout` seconds passed; it carries the last answer or error.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: object
        try:
            answer = check()
            last = await answer if inspect.isawaitable(answer) else answer
            if last:
                return last  # type: ignore[return-value]
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s, last: {last!r}")
        await asyncio.sleep(interval)
