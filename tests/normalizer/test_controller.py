"""The controller with a storage that comes and goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from common.faults import Fault
from common.health import Health
from common.http.errors import Unreachable
from common.metrics import Metrics
from common.wire import Applied, Awaited, Batch, CacheListing, Stored
from services.normalizer.context import create_context
from services.normalizer.controller import Controller
from services.normalizer.deployments import Deployments
from services.normalizer.facts import Gone, Missing
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.registered_version import RegisteredVersion, joined
from services.normalizer.normalize.registry_objects import ModelVersion, RegisteredModel
from services.normalizer.registered import Registered
from services.normalizer.settings import NormalizerSettings
from services.normalizer.source import Sink
from tests import objects
from tests.normalizer.bench import RegistryScript
from tests.normalizer.cluster import Cluster, ref
from tests.normalizer.memory_storage import MemoryStorage
from tests.normalizer.normalize.registries import parsed
from tests.waiting import eventually


class FlakyStorage(MemoryStorage):
    """A storage that can be away."""

    away = True

    async def listing(self, known: str = "") -> CacheListing | None:
        if self.away:
            raise Unreachable("http://storage", "refused")
        return await super().listing(known)

    async def apply(self, batch: Batch) -> Applied:
        if self.away:
            raise Unreachable("http://storage", "refused")
        return await super().apply(batch)


@pytest.fixture
def frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources list again, and storage is asked what it has, after hundredths of a second."""
    monkeypatch.setattr("services.normalizer.doubts.LOOK_AGAIN", 0.05)
    monkeypatch.setattr("services.normalizer.controller.CHECK_STORAGE", 0.01)


@asynccontextmanager
async def running(storage: MemoryStorage, health: Health, cluster: Cluster | None = None) -> AsyncIterator[Sink]:
    controller = Controller(
        create_context(settings=NormalizerSettings.load(), storage=storage, health=health, metrics=Metrics("test", "0"))
    )
    sink = controller.intake.open(cluster or Cluster())
    sink.changed({ref("m"): read_isvc(objects.isvc("m"))})
    sink.listed()
    task = asyncio.create_task(controller.run())
    try:
        yield sink
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def reason(health: Health) -> str:
    return "".join(c["reason"] for c in health.report()["conditions"] if c["name"] == "storage")


@pytest.mark.parametrize("again", [False, True], ids=["at the start", "later"])
async def test_a_storage_that_is_away_is_reported_once_and_given_everything_when_it_is_back(again: bool) -> None:
    storage, health = FlakyStorage(), Health()
    storage.away = not again
    with capture_logs() as logs:
        async with running(storage, health) as sink:
            if again:
                await eventually(lambda: health.ready)
                storage.away = True
                changed = objects.isvc("m", annotations={"modelcatalogbridge.rhdh.io/owner": "ml-team"})
                sink.changed({ref("m"): read_isvc(changed)})
            await eventually(lambda: "is the container storage-rest running" in reason(health))
            storage.away = False
            await eventually(lambda: health.ready and storage.complete and "models_m" in storage.entries)
    events = [entry["event"] for entry in logs]
    assert events.count("storage_not_writable") == 1
    assert events.count("storage_writable_again") == 1


@pytest.mark.parametrize(
    ("answer", "stays"), [(True, False), (False, True), (Unreachable("http://cluster", "refused"), True)]
)
async def test_a_single_isvc_that_a_list_lacks_is_asked_for_and_leaves_if_that_is_so(
    answer: bool | Exception, stays: bool
) -> None:
    storage, cluster = MemoryStorage(), Cluster(answer)
    async with running(storage, Health(), cluster) as sink:
        names = [f"m{number}" for number in range(5)]
        sink.changed({ref(name): read_isvc(objects.isvc(name)) for name in names})
        await eventually(lambda: len(storage.entries) == 6)
        sink.changed({ref("m"): Missing()})
        sink.listed()
        await eventually(lambda: cluster.asked == ["InferenceService models/m"])
        if stays:
            sink.changed({ref("later"): read_isvc(objects.isvc("later"))})
            await eventually(lambda: "models_later" in storage.entries)
        else:
            await eventually(lambda: "models_m" not in storage.entries)
            assert storage.batches[-1].removals == {"models_m": "deleted"}
        assert ("models_m" in storage.entries) is stays
        assert len(cluster.asked) == 1


@pytest.mark.usefixtures("frequent_looks")
async def test_what_could_not_be_asked_for_is_asked_for_again() -> None:
    storage, cluster = MemoryStorage(), Cluster(Unreachable("http://cluster", "refused"))
    async with running(storage, Health(), cluster) as sink:
        sink.changed({ref(f"m{number}"): read_isvc(objects.isvc(f"m{number}")) for number in range(5)})
        await eventually(lambda: len(storage.entries) == 6)
        sink.changed({ref("m"): Missing()})
        sink.listed()
        await eventually(lambda: len(cluster.asked) > 2)
        assert "models_m" in storage.entries
        cluster.answer = True
        await eventually(lambda: "models_m" not in storage.entries)


@pytest.mark.parametrize("comes", ["list", "proof"])
@pytest.mark.usefixtures("frequent_looks")
async def test_a_damaged_cache_is_not_confirmed_by_a_list_that_lacks_what_could_be_read_of_it(comes: str) -> None:
    storage, cluster = MemoryStorage(), Cluster(False)
    storage.damage = "the ConfigMap bac-import-model-2 has values that cannot be read: models_lost"
    storage.entries = {
        f"models_{name}": Stored(digest="d", reconciler="kserve", source="kserve", ref=str(ref(name)))
        for name in ("m", "m0", "m1")
    }
    async with running(storage, Health(), cluster) as sink:  # its list has m only
        await eventually(lambda: cluster.relisted > 1)
        assert storage.damage
        assert not storage.complete
        assert storage.awaited == (
            Awaited(source="kserve", reason="it lacks 2 of the models that the damaged cache still has"),
        )
        if comes == "list":
            sink.changed({ref(name): read_isvc(objects.isvc(name)) for name in ("m0", "m1", "lost")})
        else:
            sink.changed({ref(name): Gone() for name in ("m0", "m1")})
        sink.listed()
        await eventually(lambda: storage.complete and not storage.damage and not storage.awaited)
    others = {"models_m0", "models_m1", "models_lost"} if comes == "list" else set()
    assert storage.entries.keys() == {"models_m"} | others


@pytest.mark.usefixtures("frequent_looks")
async def test_while_the_cache_is_damaged_a_source_lists_again_however_little_it_lacks() -> None:
    storage, cluster = MemoryStorage(), Cluster(False)
    storage.damage = "the ConfigMap bac-import-model-2 is missing"
    names = ["m", *(f"m{number}" for number in range(20))]
    storage.entries = {
        f"models_{name}": Stored(digest="d", reconciler="kserve", source="kserve", ref=str(ref(name))) for name in names
    }
    async with running(storage, Health(), cluster) as sink:
        sink.changed({ref(name): read_isvc(objects.isvc(name)) for name in names[:-1]})
        sink.listed()
        await eventually(lambda: [each.reason.split()[2] for each in storage.awaited or ()] == ["1"])
        before = cluster.relisted
        await eventually(lambda: cluster.relisted > before + 1)
        sink.changed({ref(names[-1]): read_isvc(objects.isvc(names[-1]))})
        sink.listed()
        await eventually(lambda: storage.complete and not storage.damage)


@pytest.mark.usefixtures("frequent_looks")
async def test_each_of_more_than_are_asked_for_at_a_time_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.normalizer.doubts.PROOFS", 2)
    storage, cluster = MemoryStorage(), Cluster(False)
    names = [f"m{number}" for number in range(40)]
    async with running(storage, Health(), cluster) as sink:
        sink.changed({ref(name): read_isvc(objects.isvc(name)) for name in names})
        await eventually(lambda: len(storage.entries) == 41)
        sink.changed({ref(name): Missing() for name in names[:7]})
        sink.listed()
        await eventually(lambda: {f"InferenceService models/{name}" for name in names[:7]} <= set(cluster.asked))


@pytest.mark.parametrize("answer", [True, False])
async def test_a_server_that_went_while_no_one_looked_is_asked_for_too(answer: bool) -> None:
    version = one_version()
    labels = {
        f"modelregistry.opendatahub.io/{key}": id_
        for key, id_ in (("registered-model-id", "1"), ("model-version-id", "10"))
    }
    storage, cluster = MemoryStorage(), Cluster(answer)
    for serves in (True, False):
        controller = Controller(
            create_context(
                settings=NormalizerSettings.load(), storage=storage, health=Health(), metrics=Metrics("test", "0")
            )
        )
        sink = controller.intake.open(cluster)
        registry = controller.intake.open(RegistryScript())
        registry.changed({version.ref: version})
        registry.listed()
        others = [ref(f"m{number}") for number in range(5)]
        sink.changed({each: read_isvc(objects.isvc(each.ids[1])) for each in others})
        if serves:
            sink.changed({ref("server"): read_isvc(objects.isvc("server", labels=labels))})
        sink.listed()
        task = asyncio.create_task(controller.run())
        if serves:
            await eventually(lambda: "granite_v1" in storage.entries and storage.entries["granite_v1"].server_name)
        else:
            await eventually(lambda: cluster.asked == ["InferenceService models/server"])
            sink.changed({ref("later"): read_isvc(objects.isvc("later"))})
            await eventually(lambda: "models_later" in storage.entries)
            await eventually(lambda: bool(storage.entries["granite_v1"].server_name) is not answer)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_whatever_is_reported_of_one_object_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryStorage()
    put = Deployments._put_deployment

    def failing(self: Deployments, source: str, ref: str, facts: Deployment) -> None:
        if ref.endswith("/m"):
            raise RuntimeError("an unheard-of fact")
        put(self, source, ref, facts)

    async with running(storage, Health()) as sink:
        await eventually(lambda: "models_m" in storage.entries)
        monkeypatch.setattr(Deployments, "_put_deployment", failing)
        with capture_logs() as logs:
            sink.changed({ref(name): read_isvc(objects.isvc(name)) for name in ("m", "n")})
            sink.listed()
            await eventually(lambda: "models_n" in storage.entries)
    assert "models_m" in storage.entries
    assert [line["object"] for line in logs if line.get("exc_info")] == ["InferenceService models/m"]
    assert any("an unheard-of fact" in line.get("fault", "") for line in logs)


def one_version(id_: str = "10") -> RegisteredVersion:
    name = "v1" if id_ == "10" else f"v{id_}"
    model = parsed(RegisteredModel, id="1", name="granite")
    return joined("ns/reg", model, parsed(ModelVersion, id=id_, name=name, registeredModelId="1"), ())


async def test_whatever_a_registry_holds_what_it_had_stays_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = MemoryStorage()
    settings = NormalizerSettings.load(removal_hold=0)
    controller = Controller(
        create_context(settings=settings, storage=storage, health=Health(), metrics=Metrics("test", "0"))
    )
    version = one_version()
    registry = controller.intake.open(RegistryScript())
    task = asyncio.create_task(controller.run())
    registry.changed({version.ref: version})
    registry.listed()
    await eventually(lambda: list(storage.entries) == ["granite_v1"])
    with capture_logs() as logs, monkeypatch.context() as patched:
        patched.setattr(Registered, "_stale", lambda self, registry: 1 / 0)
        registry.changed({version.ref: Missing()})
        registry.listed()
        await eventually(lambda: any(line.get("exc_info") for line in logs))
    other = one_version(id_="11")
    registry.changed({other.ref: other})
    registry.listed()
    await eventually(lambda: sorted(storage.entries) == ["granite_v1", "granite_v11"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.usefixtures("frequent_looks")
async def test_of_many_that_a_list_lacks_none_is_asked_for_and_the_list_is_read_again() -> None:
    storage, cluster = MemoryStorage(), Cluster(True)
    async with running(storage, Health(), cluster) as sink:
        sink.changed({ref("n"): read_isvc(objects.isvc("n"))})
        await eventually(lambda: len(storage.entries) == 2)
        with capture_logs() as logs:
            sink.changed({ref("m"): Missing(), ref("n"): Missing()})
            sink.listed()
            await eventually(lambda: any(line["event"] == "removals_held" for line in logs))
        await eventually(lambda: cluster.relisted >= 2)
        assert not cluster.asked
        assert len(storage.entries) == 2


async def test_the_status_says_how_sources_are_and_what_is_leaving() -> None:
    settings = NormalizerSettings.load(default_owner="me")
    controller = Controller(
        create_context(settings=settings, storage=MemoryStorage(), health=Health(), metrics=Metrics("test", "0"))
    )
    sink = controller.intake.open(Cluster())
    assert controller.reporter.status(settings).sources[0].last_look is None
    sink.changed({ref("m"): read_isvc(objects.isvc("m")), ref("n"): read_isvc(objects.isvc("n"))})
    sink.listed()
    task = asyncio.create_task(controller.run())
    try:
        await eventually(lambda: [each.shown for each in controller.reporter.status(settings).sources] == [2])
        sink.changed({ref("m"): Missing()})
        sink.listed()
        await eventually(lambda: controller.reporter.status(settings).leaving)
        sink.state(Fault(kind="forbidden", reason="403", remedy="apply deploy/rbac"))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    told = controller.reporter.status(settings)
    (source,), (leaving,) = told.sources, told.leaving
    assert (source.ok, source.stale, source.shown, source.leaving) == (False, True, 2, 1)
    assert source.last_look is not None
    assert source.reason == "forbidden: 403; apply deploy/rbac"
    assert (leaving.object, leaving.reason) == (str(ref("m")), "not-listed")
    assert leaving.due is not None
    assert ("DEFAULT_OWNER", "me", False) in [(each.name, each.value, each.default) for each in told.settings]
