"""All model registries and catalogs that there are: one task each, so that one that hangs delays no other."""

import asyncio
from collections.abc import Iterable

from services.normalizer.sources.catalog import CardReader
from services.normalizer.sources.catalogs import Catalogs
from services.normalizer.sources.connect import Connector
from services.normalizer.sources.follower import Expected, Follower, PollingOptions, SourceHandler
from services.normalizer.sources.refs import SourceRef


class RegistrySource:
    """Follows the registries and catalogs that `update` names; `handler` is told what they hold and how they fare.

    `expected` is asked once per registry, before its first poll.
    """

    def __init__(
        self,
        *,
        connector: Connector,
        handler: SourceHandler,
        options: PollingOptions,
        expected: Expected = lambda _: (),
    ) -> None:
        self._expected = expected
        self._connector = connector
        self._handler = handler
        self._options = options
        self._catalogs = Catalogs(
            connector=connector,
            reader=CardReader(refresh=options.card_refresh, budget=options.card_budget),
            tell=handler.on_state,
            pause=(min(options.retry, options.interval), options.interval),
        )
        self._wanted: dict[str, SourceRef] = {}
        self._catalog_refs: dict[str, SourceRef] = {}
        self._running: dict[str, tuple[Follower, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()

    def update(self, refs: Iterable[SourceRef]) -> None:
        """Take what discovery found. The first poll of a new registry begins at once."""
        refs = list(refs)
        catalogs = {ref.id: ref for ref in refs if ref.kind == "catalog"}
        self._catalogs.update(catalogs.values())
        for each, ref in self._catalog_refs.items():
            if each not in catalogs:
                self._leave(ref)
        if catalogs != self._catalog_refs:
            self._catalog_refs = catalogs
            self.poll_now()
        self._wanted = {ref.id: ref for ref in refs if ref.kind == "registry"}
        self._changed.set()

    def poll_now(self, registry_id: str | None = None) -> None:
        """Poll one registry, or all of them, without waiting for the end of the interval."""
        for each, (follower, _) in self._running.items():
            if registry_id in (None, each):
                follower.poll_now()

    def look_up(self, registry_id: str, model_id: str, version_id: str) -> None:
        """Read a version that an InferenceService names and no poll has seen; its reading comes like any other."""
        if registry_id in self._running:
            self._running[registry_id][0].look_up(model_id, version_id)

    async def run(self) -> None:
        """Follow whatever there is, until cancelled."""
        async with self._catalogs, asyncio.TaskGroup() as group:
            while True:
                self._reconcile(group)
                await self._changed.wait()
                self._changed.clear()

    def _reconcile(self, group: asyncio.TaskGroup) -> None:
        for each in self._running.keys() - self._wanted.keys():
            follower, task = self._running.pop(each)
            task.cancel()
            self._leave(follower.ref)
        for each, ref in self._wanted.items():
            if each in self._running:
                self._running[each][0].update(ref)
            else:
                follower = Follower(
                    ref,
                    connector=self._connector,
                    catalogs=self._catalogs,
                    handler=self._handler,
                    options=self._options,
                    expected=self._expected,
                )
                self._running[each] = follower, group.create_task(follower.run(), name=ref.label)

    def _leave(self, ref: SourceRef) -> None:
        self._connector.metrics.forget(ref.id)
        self._handler.on_gone(ref)
