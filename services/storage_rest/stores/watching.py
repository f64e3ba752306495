"""Passes what a reflector reports about the cache's ConfigMaps on to the store."""

import asyncio
from typing import Protocol

import structlog

from common.faults import Fault
from common.kube.replica import Key
from services.storage_rest.stores.shard import Observation

log = structlog.get_logger("storage")


class ShardListener(Protocol):
    """What a store does with these reports; `listed`: a list reported it, not a watch event."""

    def seen(self, shown: Observation, *, listed: bool) -> None:
        """A ConfigMap exists or was changed."""

    def gone(self, name: str, *, listed: bool) -> None:
        """A ConfigMap was deleted, or has lost our labels."""

    def followed(self, name: str, fault: Fault | None) -> None:
        """The ConfigMaps can be read, or cannot be read any more."""


class ShardHandler:
    """The handler of one reflector; `synced` is set after the first list."""

    def __init__(self, *, name: str, listener: ShardListener) -> None:
        self._name = name
        self._listener = listener
        self.synced = asyncio.Event()

    def on_change(self, key: Key, old: Observation | None, new: Observation | None, explicit: bool) -> None:
        """Report an added, changed or deleted ConfigMap."""
        if new is None:
            self._listener.gone(key[1], listed=not explicit)
        else:
            self._listener.seen(new, listed=not explicit)

    def on_invalid(self, key: Key, error: Exception) -> None:
        """Log a ConfigMap that cannot be read."""
        log.warning("configmap_unreadable", configmap=key[1], error=str(error))

    def on_synced(self) -> None:
        """Record that the first list is complete."""
        self.synced.set()

    def on_fault(self, fault: Fault | None) -> None:
        """Report whether the ConfigMaps can be read."""
        self._listener.followed(self._name, fault)
