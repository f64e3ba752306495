"""A reflector's handler that writes down what it is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from common.faults import Fault, kind_of
from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.kube.reflector import Reflector, ReflectorOptions
from common.kube.replica import Key
from common.kube.resources import INFERENCE_SERVICES, Resource

FAST = ReflectorOptions(resync=0, working_after=0.2, backoff=(0.02, 0.2), slow=0.2, list_gap=0.05)


class Fact(NamedTuple):
    """An InferenceService, as far as these tests look: frozen and comparable, as transforms are to make it."""

    name: str
    note: str


def read(obj: dict[str, Any]) -> Fact | None:
    """Read the annotation `note`; "bad" is one that cannot be read, "unneeded" that of an object that no one needs."""
    metadata = obj["metadata"]
    note = metadata.get("annotations", {}).get("note", "")
    if note == "bad":
        raise ValueError("a bad note")
    if note == "unneeded":
        return None
    return Fact(metadata["name"], note)


class Change(NamedTuple):
    key: Key
    old: Fact | None
    new: Fact | None
    explicit: bool


class Recorder:
    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.invalid: list[tuple[Key, str]] = []
        self.faults: list[Fault | None] = []
        self.syncs = 0

    def on_change(self, key: Key, old: Fact | None, new: Fact | None, explicit: bool) -> None:
        self.changes.append(Change(key, old, new, explicit))

    def on_invalid(self, key: Key, error: Exception) -> None:
        self.invalid.append((key, str(error)))

    def on_synced(self) -> None:
        self.syncs += 1

    def on_fault(self, fault: Fault | None) -> None:
        self.faults.append(fault)

    @property
    def kinds(self) -> list[str]:
        return [kind_of(fault) for fault in self.faults]


class Following(NamedTuple):
    reflector: Reflector[Fact]
    seen: Recorder
    task: asyncio.Task[None]

    @property
    def names(self) -> set[str]:
        return {fact.name for fact in self.reflector.store.values()}


@asynccontextmanager
async def following(
    client: KubeClient,
    metrics: KubeMetrics,
    *,
    options: ReflectorOptions = FAST,
    resource: Resource = INFERENCE_SERVICES,
    namespace: str | None = None,
    name: str = "isvcs",
    seen: Recorder | None = None,
    label_selector: str = "",
    field_selector: str = "",
) -> AsyncIterator[Following]:
    """Run a reflector for as long as the block lasts."""
    seen = seen or Recorder()
    reflector: Reflector[Fact] = Reflector(
        client=client,
        resource=resource,
        namespace=namespace,
        transform=read,
        handler=seen,
        metrics=metrics,
        name=name,
        options=options,
        label_selector=label_selector,
        field_selector=field_selector,
    )
    task = asyncio.create_task(reflector.run())
    try:
        yield Following(reflector, seen, task)
        assert not task.done(), "a reflector never ends by itself"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
