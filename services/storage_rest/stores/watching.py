"""Handles what a reflector reports about the cache's ConfigMaps."""

import asyncio
from typing import Protocol

import structlog

from common.kube.replica import Key
from common.kube.state import State
from services.storage_rest.stores.shard import Observation

log = structlog.get_logger("storage")


class Owner(Protocol):
    """Who hears of it."""

    def seen(self, shown: Observation, *, listed: bool) -> None:
        """A ConfigMap is there, or was changed, as a list or an event says."""

    def gone(self, name: str, *, listed: bool) -> None:
        """A ConfigMap is not there any more, or bears our labels no more, as a list or an event says."""

    def followed(self, name: str, state: State) -> None:
        """The ConfigMaps can be read, or not."""


class ShardHandler:
    """Of one reflector; `synced` is set when it has listed once."""

    def __init__(self, *, name: str, owner: Owner) -> None:
        self._name = name
        self._owner = owner
        self.synced = asyncio.Event()

    def on_change(self, key: Key, old: Observation | None, new: Observation | None, explicit: bool) -> None:
        """Pass it on."""
        if new is None:
            self._owner.gone(key[1], listed=not explicit)
        else:
            self._owner.seen(new, listed=not explicit)

    def on_invalid(self, key: Key, error: Exception) -> None:
        """Log it for the people who can fix it."""
        log.warning("configmap_unreadable", configmap=key[1], error=str(error))

    def on_synced(self) -> None:
        """Let the cache be loaded."""
        self.synced.set()

    def on_state(self, state: State) -> None:
        """Pass it on."""
        self._owner.followed(self._name, state)
