"""Waiting for a condition, in place of sleeping for a time."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds for what usually takes a moment. Only a test that fails waits so long, so a busy machine may be slow."""


@overload
async def eventually(
    check: Callable[[], Awaitable[T]], *, timeout: float = ..., interval: float = ..., what: str = ...
) -> T: ...
@overload
async def eventually(check: Callable[[], T], *, timeout: float = ..., interval: float = ..., what: str = ...) -> T: ...
async def eventually(
    check: Callable[[], object], *, timeout: float = PATIENCE, interval: float = 0.01, what: str = "condition"
) -> object:
    """Return the first truthy answer of `check`, which may be a coroutine function.

    An AssertionError or OSError of `check` counts as "not yet".

    Raises:
        AssertionError: when `timeout` seconds passed; it carries the last answer or error.
    """
    now = asyncio.get_running_loop().time  # simulated, in a simulation
    deadline = now() + timeout
    while True:
        last: object
        try:
            answer = check()
            last = await answer if inspect.isawaitable(answer) else answer
            if last:
                return last
        except (AssertionError, OSError) as error:
            last = error
        if now() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s, last: {last!r}")
        await asyncio.sleep(interval)
