"""Registered models in the whole pod, polled as often as in production: changes are seen, and no fault costs one."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from structlog.testing import capture_logs

from common import NORMALIZER, NORMALIZER_PORT
from common.http.client import HttpClient
from common.http.errors import StatusError
from common.removals import HOLD
from services.normalizer.settings import NormalizerSettings
from tests.fakes.kubernetes import FakeCluster
from tests.fakes.registry import MODELS, VERSIONS, FakeCatalog, FakeRegistry
from tests.fakes.registry.paging import PageLimits
from tests.objects import isvc
from tests.simulation.loop import simulated
from tests.simulation.network import LOOPBACK
from tests.simulation.pod import SERVICES, Pod
from tests.simulation.world import MINUTE, World, now, uris
from tests.waiting import eventually

INTERVAL: float = NormalizerSettings.model_fields["polling_interval"].default
LABEL = "modelregistry.opendatahub.io"
PAGES = PageLimits(default=20, cap=20)
SOON = 2 * INTERVAL
"""Until when a change in a registry must be seen."""


def named(models: int, versions: int = 1) -> list[str]:
    """Return the paths of what `populate` registers."""
    every = [(m, v) for m in range(1, models + 1) for v in range(1, versions + 1)]
    return [f"/model-{m:04}/v{v}/model-catalog.json" for m, v in every]


def deployed(name: str, model: str, version: str) -> dict[str, Any]:
    """Return an InferenceService as the dashboard makes it when someone deploys a registered version."""
    return isvc(name, labels={f"{LABEL}/registered-model-id": model, f"{LABEL}/model-version-id": version})


@asynccontextmanager
async def registered(models: int, *, versions: int = 1, **variables: str) -> AsyncIterator[World]:
    """Yield a pod that serves these models of a registry, each with as many versions."""
    async with FakeCluster() as cluster, FakeRegistry(limits=PAGES) as registry:
        registry.populate(models, versions=versions)
        async with Pod(cluster, programs=SERVICES, MODEL_REGISTRY_URLS=registry.url, **variables) as pod:
            it = World(cluster, registry, pod)
            await it.serves(frozenset(named(models, versions)), within=MINUTE)
            yield it


async def shows(it: World, uri: str, check: Callable[[dict[str, Any]], bool]) -> None:
    async def shown() -> bool:
        return check(await it.pod.get(uri))

    await eventually(shown, timeout=SOON, interval=1, what=uri)


async def fault(name: str) -> str:
    """Return why the normalizer is not ready because of a source whose name begins so; empty if it is not so."""
    async with HttpClient(name=NORMALIZER, base_url=f"http://{LOOPBACK}:{NORMALIZER_PORT}", attempts=1) as client:
        try:
            await client.request("GET", "/readyz")
        except StatusError as error:
            conditions = json.loads(error.body)["conditions"]
            return "; ".join(each["reason"] for each in conditions if not each["ok"] and each["name"].startswith(name))
    return ""


@simulated
async def test_no_change_costs_little_and_writes_nothing() -> None:
    async with FakeCatalog() as catalog:
        for number in range(1, 19):
            catalog.put_card("curated", f"example/model-{number:04}", f"# Card {number}")
        async with registered(18, MODEL_CATALOG_URL=catalog.url) as it:
            await asyncio.sleep(INTERVAL)
            it.registry.counted(reset=True)
            catalog.counted(reset=True)
            patches = it.cluster.counts.patches
            await asyncio.sleep(10 * INTERVAL)
            lists = it.registry.counted()
            assert 9 <= lists["GET registered_models"] <= 12
            assert sum(lists.values()) == 5 * lists["GET registered_models"]
            assert catalog.counted() == {}
            assert it.cluster.counts.patches == patches


@simulated
async def test_what_its_users_do_is_seen() -> None:
    async with registered(2, versions=2) as it:
        everything = named(2, 2)
        it.registry.edit(MODELS, "1", description="Better than ever.")
        await shows(it, everything[0], lambda d: d["models"][0]["description"].startswith("Better than ever."))

        it.cluster.apply(deployed("granite", "1", "1"))
        await shows(it, everything[0], lambda d: "modelServer" in d)
        it.cluster.apply(deployed("granite", "1", "2"))
        await shows(it, everything[1], lambda d: "modelServer" in d)
        await shows(it, everything[0], lambda d: "modelServer" not in d)

        it.registry.archive(MODELS, "1")
        await it.serves(frozenset(everything[2:]) | uris("granite"), within=HOLD + SOON)
        it.registry.restore(MODELS, "1")
        await it.serves(frozenset(everything), within=HOLD + SOON)
        await shows(it, everything[1], lambda d: "modelServer" in d)
        it.cluster.delete("InferenceService", "models", "granite")
        await shows(it, everything[1], lambda d: "modelServer" not in d)

        it.registry.archive(VERSIONS, "4")
        await it.serves(frozenset(everything[:3]), within=HOLD + SOON)
        it.registry.restore(VERSIONS, "4")
        await it.serves(frozenset(everything), within=SOON)
        it.registry.delete(MODELS, "2")
        await it.serves(frozenset(everything[:2]), within=HOLD + SOON)


@simulated
async def test_the_registrys_own_record_of_a_deployment() -> None:
    async with registered(1) as it:
        record = it.registry.add_inference_service("granite", "1", "1", "models")
        it.cluster.apply(isvc("granite"))
        await shows(it, named(1)[0], lambda d: "modelServer" in d)
        it.registry.undeploy(record)
        await it.serves(frozenset(named(1)) | uris("granite"), within=SOON)
        await shows(it, named(1)[0], lambda d: "modelServer" not in d)


FAULTS: list[tuple[Any, dict[str, Any], str]] = [
    ("status", {"status": 401}, "unauthorized"),
    ("status", {"status": 403}, "forbidden"),
    ("status", {"status": 404}, "absent"),
    ("status", {"status": 500}, "error"),
    ("status", {"status": 503, "retry_after": 1}, "unavailable"),
    ("empty", {}, "answer"),
    ("login", {}, "answer"),
    ("redirect", {}, "answer"),
    ("truncated", {}, "answer"),
    ("cut", {}, "unreachable"),
    ("hang", {}, "timeout"),
    ("shrinking", {"count": 5}, "inconsistent"),
]


@simulated
async def test_nothing_is_lost_whatever_fails() -> None:
    everything = frozenset(named(45))
    async with registered(45) as it:
        with capture_logs() as logs:
            for number, (kind, options, word) in enumerate(FAULTS):
                it.registry.fail(kind, **options)

                async def told(word: str = word) -> bool:
                    return (await fault("registry:")).startswith(f"{word}: ")

                await eventually(told, timeout=SOON, interval=1, what=f"the registry is said to be {word}")
                await it.still_serves(everything, until=now() + 3 * INTERVAL)
                it.registry.heal()
                it.registry.edit(MODELS, "45", description=f"Edited {number}.")
                edited = f"Edited {number}."
                await shows(it, named(45)[44], lambda d, e=edited: d["models"][0]["description"].startswith(e))  # type: ignore[misc]
                assert await fault("registry:") == ""
        warnings = [line for line in logs if line["event"] == "source_unreadable"]
        assert len(warnings) == len(FAULTS), "one line for each change of state"
        assert all(line["remedy"] for line in warnings)


@simulated
async def test_a_registry_that_hangs_delays_nothing_else() -> None:
    async with registered(3) as it:
        it.registry.fail("hang")
        await asyncio.sleep(INTERVAL + 1)
        it.cluster.apply(isvc("iris"))
        await it.serves(frozenset(named(3)) | uris("iris"), within=5)
        it.cluster.apply(deployed("granite", "1", "1"))
        await asyncio.sleep(5)
        assert "modelServer" in await it.pod.get(named(1)[0])
