"""Watches a catalog without a pause: an entity that vanishes for half a second has vanished."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from tests.backstage.rig import Backstage

_INTERVAL = 0.15


class Watcher:
    """Takes note of every entity that is missing in any of the looks at a catalog."""

    def __init__(self, backstage: Backstage, always: set[str]) -> None:
        self._backstage = backstage
        self._always = set(always)
        self.looks = 0
        self.vanished: dict[str, str] = {}
        """Reference → when it was first missed, in seconds after the start and in words."""

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator["Watcher"]:
        """Look again and again while the context lasts."""
        task = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def expect(self, *refs: str) -> None:
        """From now on these entities must be there too."""
        self._always.update(refs)

    def release(self, *refs: str) -> None:
        """From now on these entities may go."""
        self._always.difference_update(refs)

    async def _watch(self) -> None:
        began = time.monotonic()
        while True:
            missing = set(self._always) - await self._backstage.references()
            # Released or not is asked after the look, for it may have changed meanwhile.
            for ref in missing & self._always:
                self.vanished.setdefault(ref, f"after {time.monotonic() - began:.1f} s, at look {self.looks}")
            self.looks += 1
            await asyncio.sleep(_INTERVAL)
