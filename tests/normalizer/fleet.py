"""Several clusters in one process: fake API servers, the file that names them, and a normalizer that follows it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
import yaml

from common.health import Health
from common.kube.metrics import KubeMetrics
from common.metrics import Metrics
from services.normalizer.clusters import Environment
from services.normalizer.context import create_context
from services.normalizer.controller import Controller
from services.normalizer.service import follow_sources
from services.normalizer.settings import NormalizerSettings
from tests import objects
from tests.fakes.kubernetes import FakeCluster
from tests.normalizer.memory_storage import MemoryStorage


@dataclass
class Fleet:
    """API servers by name, each with a token of its own, and the file that says which of them are followed."""

    folder: Path
    clusters: dict[str, FakeCluster] = field(default_factory=dict)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stack.aclose()

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / "clusters.yaml"

    async def add(self, name: str, *, models: int = 0, **options: Any) -> FakeCluster:
        """Start an API server, with so many InferenceServices."""
        cluster = await self.stack.enter_async_context(FakeCluster(token=f"token-of-{name}", **options))
        self.clusters[name] = cluster
        (self.folder / f"{name}.token").write_text(cluster.token)
        for number in range(models):
            cluster.apply(objects.isvc(f"{name}-{number}"))
        return cluster

    def entry(self, name: str, *, called: str = "", **fields: Any) -> dict[str, Any]:
        """Return the entry of a cluster, by default under its own name."""
        return {"name": called or name, "url": self.clusters[name].url, "tokenFile": f"{name}.token", **fields}

    def registry(self, name: str, url: str) -> None:
        """Let a cluster have a model registry that is reached at an address outside."""
        labels = {"component": "model-registry"}
        service = objects.service("registry", ports={"https-api": 8443}, labels=labels)
        service["metadata"]["annotations"] = {"routing.opendatahub.io/external-address-rest": urlsplit(url).netloc}
        self.clusters[name].apply(service)

    def write(self, *entries: Mapping[str, Any] | str, **more: Any) -> None:
        """Write the file: entries, or names of clusters for entries without more."""
        listed = [self.entry(each) if isinstance(each, str) else dict(each) for each in entries]
        self.replace(yaml.safe_dump({"clusters": listed, **more}))

    def replace(self, text: str) -> None:
        """Write the file as a mounted ConfigMap changes: at once."""
        new = self.folder / "new.yaml"
        new.write_text(text)
        new.rename(self.path)


@dataclass
class Following:
    """A normalizer that follows a fleet."""

    health: Health
    storage: MemoryStorage
    metrics: Metrics

    def condition(self, name: str) -> dict[str, Any]:
        """Return a condition by its name, empty when there is none."""
        found = [each for each in self.health.report()["conditions"] if each["name"] == name]
        return dict(found[0]) if found else {}

    def reasons(self, *conditions: str) -> list[str]:
        """Return the reasons of conditions, empty for those that there are not."""
        return [self.condition(name).get("reason", "") for name in conditions]

    @property
    def keys(self) -> list[str]:
        """The keys of what is stored."""
        return sorted(self.storage.entries)

    def document(self, key: str) -> dict[str, Any]:
        """Return a document as it was sent last."""
        sent = [each for batch in self.storage.batches for each in batch.upserts if each.key == key]
        return dict(json.loads(sent[-1].body))

    def details(self, key: str) -> dict[str, Any]:
        """Return what is kept with a document."""
        sent = [each for batch in self.storage.batches for each in batch.upserts if each.key == key]
        return dict(json.loads(sent[-1].details))


@asynccontextmanager
async def following(fleet: Fleet, storage: MemoryStorage | None = None, **settings: Any) -> AsyncIterator[Following]:
    """Follow the file of a fleet, until the block ends."""
    chosen = NormalizerSettings.load(clusters_file=fleet.path, **settings)
    metrics, health = Metrics("test", "0"), Health()
    storage = MemoryStorage() if storage is None else storage
    controller = Controller(create_context(settings=chosen, storage=storage, health=health, metrics=metrics))
    environment = Environment(settings=chosen, metrics=metrics, kube_metrics=KubeMetrics(metrics))
    tasks = await follow_sources(intake=controller.intake, environment=environment)
    async with asyncio.TaskGroup() as group:
        started = [group.create_task(task()) for task in (controller.run, *tasks)]
        yield Following(health, storage, metrics)
        for task in started:
            task.cancel()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """A fleet without clusters, for simulated tests: they enter it."""
    return Fleet(tmp_path)
