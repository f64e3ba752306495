"""The ConfigMap store against the fake API server, over real sockets."""

import asyncio
import base64
import io
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from common import wire
from common.health import Health
from common.kube.client import KubeClient
from common.kube.credentials import Credentials
from common.kube.metrics import KubeMetrics
from common.kube.reflector import ReflectorOptions
from common.kube.resources import CONFIG_MAPS
from common.metrics import Metrics
from common.secrets import StaticToken
from common.wire import Batch, Leaving, Upsert
from services.storage_rest.stores import configmap, families, writer
from services.storage_rest.stores.base import Store, StoreUnavailable
from services.storage_rest.stores.configmap import ConfigMapStore
from services.storage_rest.stores.objects import COMPLETE, KEYS, LABELS, SHARDS, mark_of
from services.storage_rest.telemetry import StorageMetrics
from tests.fakes.kubernetes import ADMIN_TOKEN, FakeCluster, documented_rules, permitted
from tests.simulation.loop import simulate
from tests.simulation.network import Network
from tests.storage_rest.running import Running, document, present, running, upsert
from tests.storage_rest.stores.configmaps import BASE, NAMESPACE, TOKEN, maps
from tests.storage_rest.stores.contract import Opened, StoreContract, apply
from tests.waiting import eventually

BUDGET = 8192
FAST = ReflectorOptions(backoff=(0.02, 0.1), list_gap=0.02, slow=0.1)


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with FakeCluster() as cluster:
        cluster.grant(TOKEN, "rhdh-rhoai-connector", documented_rules(NAMESPACE))
        yield cluster


@asynccontextmanager
async def storage_on(cluster: FakeCluster, *, budget: int = BUDGET, token: str = TOKEN) -> AsyncIterator[Running]:
    """A storage-rest whose cache is in the cluster; loaded, unless the cluster does not let it."""
    metrics, health = Metrics("storage-rest", "test"), Health()
    async with (
        opened_on(cluster, metrics, health, budget=budget, token=token) as (store, telemetry),
        running(store, telemetry=telemetry, metrics=metrics, health=health) as storage,
    ):
        yield storage


@asynccontextmanager
async def opened_on(
    cluster: FakeCluster, metrics: Metrics, health: Health, *, budget: int, token: str = TOKEN
) -> AsyncIterator[tuple[ConfigMapStore, StorageMetrics]]:
    kube_metrics, telemetry = KubeMetrics(metrics), StorageMetrics(metrics)
    credentials = Credentials(cluster.url, StaticToken(token), False, NAMESPACE, "the test", "get a new token")
    async with KubeClient(credentials=credentials, metrics=kube_metrics) as client:
        store = ConfigMapStore(
            client=client,
            namespace=NAMESPACE,
            kube_metrics=kube_metrics,
            telemetry=telemetry,
            health=health,
            budget=budget,
            options=FAST,
        )
        yield store, telemetry


def stored(cluster: FakeCluster) -> dict[str, Upsert]:
    """What is in the API server, each key once."""
    found: dict[str, Upsert] = {}
    for name, values in maps(cluster).items():
        if not name.startswith(f"{BASE}-cards"):
            for key, raw in values.items():
                assert key not in found, f"{key} is in two ConfigMaps"
                found[key] = wire.parse_storage_body(key, raw)
    return found


def write(cluster: FakeCluster, name: str, values: dict[str, bytes], **metadata: object) -> None:
    """Write a ConfigMap as someone else."""
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
            "binaryData": {key: base64.b64encode(raw).decode() for key, raw in values.items()},
        }
    )


def writes(cluster: FakeCluster) -> int:
    return sum(cluster.counts.of(verb, "configmaps") for verb in ("create", "patch", "update"))


def many(count: int, size: int = 700, **fields: str) -> tuple[Upsert, ...]:
    return tuple(upsert(f"model_{n}", document("x" * size), **fields) for n in range(count))


class TestConfigMapStore(StoreContract):
    @pytest.fixture
    def opened(self, cluster: FakeCluster) -> Opened:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Store]:
            async with opened_on(cluster, Metrics("storage-rest", "test"), Health(), budget=BUDGET) as (store, _):
                yield store

        return opened


async def test_values_that_are_as_they_were_are_not_decoded_again(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change of one model sends the whole ConfigMap with the watch event; so does each annotation of others."""
    decoded: list[str] = []
    decode = wire.parse_storage_body

    def counted(key: str, raw: bytes) -> Upsert:
        decoded.append(key)
        return decode(key, raw)

    monkeypatch.setattr(families, "parse_storage_body", counted)
    async with storage_on(cluster, budget=10 * BUDGET) as storage:
        await apply(storage, upserts=many(20))
        await apply(storage, upserts=(upsert("model_3", document("changed")),))
        theirs = upsert("model_4", document("changed by another process"))
        values = {**maps(cluster)[BASE], "model_4": wire.encode_storage_body(theirs)}
        metadata = cluster.existing("ConfigMap", NAMESPACE, BASE)["metadata"]
        write(cluster, BASE, values, labels=metadata["labels"], annotations=metadata["annotations"])
        await eventually(lambda: storage.service.stored.entry("model_4") == theirs, what="the change is taken over")
    assert set(decoded) == {"model_4"}


class TestForm:
    async def test_the_documented_pipeline_decodes_a_document(self, cluster: FakeCluster) -> None:
        """oc get configmap bac-import-model -o json | jq '.binaryData[key]' | base64 -d | jq .body | base64 -d"""
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=(upsert("a_1", source="s", card_key="c"),))
        body = json.loads(maps(cluster)[BASE]["a_1"])
        assert base64.b64decode(body["body"]) == document("a_1")
        assert body["reconcilerType"] == "kserve"
        assert (body["locationId"], body["locationTarget"], body["locationIDValid"]) == ("", "", False)

    async def test_labels_and_the_mark_of_completeness(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=(*many(20), upsert("a_1", card_key="c")), cards={"c": "text"})
            assert COMPLETE not in cluster.existing("ConfigMap", NAMESPACE, BASE)["metadata"].get("annotations", {})
            await apply(storage, complete=True)
        names = maps(cluster).keys()
        assert {BASE, f"{BASE}-2", f"{BASE}-3", f"{BASE}-cards"} <= names
        for name in names:
            metadata = cluster.existing("ConfigMap", NAMESPACE, name)["metadata"]
            assert LABELS.items() <= metadata["labels"].items()
            assert metadata.get("annotations", {}).get(COMPLETE) == ("true" if name == BASE else None)

    async def test_cards_are_compressed_and_apart(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=(upsert("a_1", card_key="c"),), cards={"c": "lorem ipsum " * 2000})
        (card,) = maps(cluster)[f"{BASE}-cards"].values()
        assert len(card) < 1000
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert storage.service.stored.card("c") == "lorem ipsum " * 2000

    async def test_documented_rights_suffice(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=many(20), complete=True)
            await apply(storage, removals={"model_3": "gone"})
        assert not cluster.denied
        assert all(permitted(documented_rules(NAMESPACE), access) for access in cluster.used)


class TestAmount:
    async def test_every_shard_is_under_its_budget(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            upserts = many(200, card_key="")
            await apply(storage, upserts=upserts, complete=True)
            assert storage.metric("shard_bytes", shard=f"{BASE}-2") > 0
        sizes = [sum(map(len, values.values())) for values in maps(cluster).values()]
        assert len(sizes) >= 25
        assert max(sizes) <= BUDGET
        assert stored(cluster).keys() == {u.key for u in upserts}

    async def test_one_more_document_is_one_patch_of_its_size(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=many(99), complete=True)
            cluster.counts.reset()
            new = upsert("new_1", document("x" * 700))
            await apply(storage, upserts=(new,))
            assert writes(cluster) == 1
            assert cluster.counts.of("list") == 0
            assert cluster.counts.request_bytes < 2 * len(wire.encode_storage_body(new))
            assert cluster.counts.response_bytes < 2 * BUDGET

    async def test_a_new_shard_is_named_by_the_first(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=many(5), complete=True)
            cluster.counts.reset()
            await apply(storage, upserts=(upsert("new_1", document("x" * 700)),))
            assert writes(cluster) == 2
        assert maps(cluster).keys() == {BASE, f"{BASE}-2"}
        assert cluster.existing("ConfigMap", NAMESPACE, BASE)["metadata"]["annotations"][SHARDS] == "2"

    async def test_unchanged_content_is_no_write(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            batch = Batch(upserts=(*many(30), upsert("a_1", card_key="c")), cards={"c": "text"}, complete=True)
            await storage.service.apply(batch)
            cluster.counts.reset()
            await storage.service.apply(batch)
            assert writes(cluster) == 0
        version = cluster.existing("ConfigMap", NAMESPACE, BASE)["metadata"]["resourceVersion"]
        async with storage_on(cluster) as storage:  # and neither after a restart, but for a look whether one can write
            await storage.service.apply(batch)
            await eventually(lambda: storage.health.ready, what="tried")
            assert writes(cluster) == 1
        assert cluster.existing("ConfigMap", NAMESPACE, BASE)["metadata"]["resourceVersion"] == version

    async def test_changes_that_come_together_go_together(self, cluster: FakeCluster) -> None:
        cluster.set_latency(lambda verb, _: 0.05 if verb in ("create", "patch") else 0)
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            await asyncio.gather(
                *(storage.service.apply(Batch(upserts=(upsert(f"a_{n}", document("x")),))) for n in range(12))
            )
            assert writes(cluster) <= 3

    def test_a_lonely_change_does_not_wait(self) -> None:
        async def scenario(_: Network) -> float:
            async with FakeCluster() as cluster:
                cluster.grant(TOKEN, "rhdh-rhoai-connector", documented_rules(NAMESPACE))
                async with storage_on(cluster) as storage:
                    await storage.service.stored.loaded()
                    loop = asyncio.get_running_loop()
                    began = loop.time()
                    await apply(storage, upserts=(upsert(),))
                    return loop.time() - began

        assert simulate(scenario) < 0.1, "only the network takes time here; gathering changes would too"

    async def test_a_document_of_a_shards_size_gets_one_alone(self, cluster: FakeCluster) -> None:
        large = upsert("large_1", document("x" * 300_000))
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=(upsert("a_1"), large))
        assert stored(cluster) == {"a_1": upsert("a_1"), "large_1": large}
        assert [list(values) for values in maps(cluster).values() if "large_1" in values] == [["large_1"]]

    async def test_a_document_larger_than_any_configmap_is_refused(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            outcome = await storage.service.apply(
                Batch(upserts=(upsert("large_1", document("x" * 800_000)), upsert("a_1")))
            )
            assert [(p.key, p.status) for p in outcome.problems] == [("large_1", 413)]
            assert "1048576" in outcome.problems[0].detail
            body = wire.encode_original_upsert(upsert("large_1", document("x" * 800_000)))
            assert (await storage.ask("POST", "/upsert?key=large_1&type=kserve", data=io.BytesIO(body))).status == 413
            assert [p.key for p in storage.service.problems] == ["large_1"]
        assert stored(cluster).keys() == {"a_1"}

    async def test_what_the_server_finds_too_large_for_one_goes_into_another(self, cluster: FakeCluster) -> None:
        """The limit of etcd may be set lower than that of a ConfigMap."""
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=(upsert("a_1"),))
            fault = cluster.fault("status", status=413, verb="patch", resource="configmaps", times=1)
            await apply(storage, upserts=(upsert("b_1"),))
            assert fault.hits == 1
        assert stored(cluster).keys() == {"a_1", "b_1"}
        assert [set(values) for values in maps(cluster).values()] == [{"a_1"}, {"b_1"}]

    async def test_what_the_server_finds_too_large_for_any_is_refused(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=(upsert("a_1"),))
            for verb in ("patch", "create"):
                cluster.fault("status", status=413, verb=verb, resource="configmaps", times=None)
            outcome = await storage.service.apply(Batch(upserts=(upsert("b_1"),)))
            assert [(each.key, each.status) for each in outcome.problems] == [("b_1", 413)]
            assert outcome.problems[0].detail.startswith("the API server refuses it: ")
            cluster.clear_faults()
            await apply(storage, upserts=(upsert("c_1"),))
        assert stored(cluster).keys() == {"a_1", "c_1"}

    async def test_a_shard_shrinks_and_is_filled_again(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=many(60))
            count = len(maps(cluster))
            await apply(storage, removals={f"model_{n}": "gone" for n in range(50)})
            await apply(storage, upserts=tuple(upsert(f"new_{n}", document("x" * 700)) for n in range(50)))
            assert len(maps(cluster)) == count


class TestOriginal:
    FIXTURE = json.loads((Path(__file__).parents[1] / "wire" / "configmap.json").read_text())

    async def test_a_cache_of_the_original_is_taken_over_as_it_is(self, cluster: FakeCluster) -> None:
        cluster.apply(self.FIXTURE)
        before = maps(cluster)
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert storage.service.stored.keys == ["granite-8b_v2", "serving_iris"]
            assert storage.service.stored.complete
            await eventually(
                lambda: (
                    COMPLETE in (cluster.existing("ConfigMap", NAMESPACE, BASE)["metadata"].get("annotations") or {})
                ),
                what="marked",
            )
        assert maps(cluster) == before
        assert LABELS.items() <= cluster.existing("ConfigMap", NAMESPACE, BASE)["metadata"]["labels"].items()

    async def test_an_empty_one_does_not_count_as_complete(self, cluster: FakeCluster) -> None:
        write(cluster, BASE, {})
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert not storage.service.stored.complete

    async def test_a_full_one_empties_as_its_keys_are_written(self, cluster: FakeCluster) -> None:
        upserts = many(300, size=2000)
        write(cluster, BASE, {u.key: wire.encode_storage_body(u) for u in upserts})
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert len(storage.service.stored.keys) == 300
            await apply(storage, upserts=many(300, size=2000, source="registry:r"))
            await eventually(lambda: len(maps(cluster)[BASE]) < 10 and stored(cluster), what="moved away")
            assert {u.source for u in stored(cluster).values()} == {"registry:r"}
            assert max(sum(map(len, values.values())) for values in maps(cluster).values()) <= BUDGET

    async def test_what_it_writes_at_the_same_time_is_taken_over(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=many(20))
            since = storage.service.stored.revision
            for name, updated in (("theirs_1", "1"), ("model_15", "2")):
                held = maps(cluster)[BASE]
                theirs = upsert(name, updated=updated)
                metadata = cluster.existing("ConfigMap", NAMESPACE, BASE)["metadata"]
                write(cluster, BASE, {**held, name: wire.encode_storage_body(theirs)}, labels=metadata["labels"])
                await eventually(lambda: storage.service.stored.entry(name) == theirs, what=f"{name} taken over")  # noqa: B023
            changes = present(await storage.service.changes(since, 5))
            assert {u.key for u in changes.upserts} == {"theirs_1", "model_15"}
            await eventually(lambda: len(stored(cluster)) == 21, what="each key once")
            assert stored(cluster)["model_15"].updated == "2"

    async def test_values_that_no_one_can_read_are_left_alone(self, cluster: FakeCluster) -> None:
        strange = {"a_1": b"not json", "b_1": wire.encode_storage_body(upsert("b_1", b'{"models":[]}')), "plain": b"x"}
        write(cluster, BASE, {**strange, "good_1": wire.encode_storage_body(upsert("good_1"))})
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert storage.service.stored.keys == ["good_1"]
            await apply(storage, upserts=(upsert("c_1"),))
            assert strange.items() <= maps(cluster)[BASE].items()
            await apply(storage, upserts=(upsert("a_1"),))
        assert wire.parse_storage_body("a_1", maps(cluster)[BASE]["a_1"]) == upsert("a_1")

    async def test_one_with_a_value_that_cannot_be_read_is_damaged(self, cluster: FakeCluster) -> None:
        write(cluster, BASE, {"a_1": b"not json", "good_1": wire.encode_storage_body(upsert("good_1"))})
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert storage.service.stored.damage == f"the ConfigMap {BASE} has values that cannot be read: a_1"
            assert not storage.service.stored.complete

    async def test_documents_of_the_original_with_null_tags_are_fixed(self, cluster: FakeCluster) -> None:
        body = b'{"models":[{"name":"m","tags":null}],"modelServer":{"name":"s","API":{"url":"u","tags":null}}}'
        write(cluster, BASE, {"a_1": wire.encode_storage_body(upsert("a_1", body))})
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert storage.service.stored.complete
            fixed = b'{"models":[{"name":"m"}],"modelServer":{"name":"s","API":{"url":"u"}}}'
            assert storage.service.stored.entry("a_1") == upsert("a_1", fixed)
            written = wire.encode_original_upsert(upsert("b_1", body))
            assert (await storage.ask("POST", "/upsert?key=b_1&type=kserve", data=written)).status == 201
            assert storage.service.stored.entry("b_1") == upsert("b_1", fixed)

    async def test_one_of_ours_from_before_the_marks_is_whole(self, cluster: FakeCluster) -> None:
        values = {u.key: wire.encode_storage_body(u) for u in many(5)}
        write(cluster, BASE, values, labels=dict(LABELS), annotations={COMPLETE: "true"})
        write(cluster, f"{BASE}-2", {"a_1": wire.encode_storage_body(upsert("a_1"))}, labels=dict(LABELS))
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert storage.service.stored.complete
            await storage.service.stored.flush()
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert storage.service.stored.complete
            assert len(storage.service.stored.keys) == 6
        write(cluster, BASE, values, labels=dict(LABELS), annotations={COMPLETE: "true"})
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert not storage.service.stored.complete, "the number of ConfigMaps was there and is not any more"


def _empty(cluster: FakeCluster) -> None:
    found = cluster.existing("ConfigMap", NAMESPACE, f"{BASE}-2")
    cluster.apply({**found, "binaryData": {}})


def _truncate(cluster: FakeCluster) -> None:
    found = cluster.existing("ConfigMap", NAMESPACE, f"{BASE}-2")
    cluster.apply({**found, "binaryData": dict(list(found["binaryData"].items())[:2])})


def _garble(cluster: FakeCluster) -> None:
    found = cluster.existing("ConfigMap", NAMESPACE, f"{BASE}-2")
    values = dict(found["binaryData"])
    key = next(iter(values))
    cluster.apply({**found, "binaryData": {**values, key: base64.b64encode(b"garbage").decode()}})


def _move_to_data(cluster: FakeCluster) -> None:
    found = cluster.existing("ConfigMap", NAMESPACE, f"{BASE}-2")
    moved = {key: base64.b64decode(text).decode() for key, text in found["binaryData"].items()}
    cluster.apply({**found, "binaryData": {}, "data": moved})


def _strip(cluster: FakeCluster, name: str = f"{BASE}-2") -> None:
    found = cluster.existing("ConfigMap", NAMESPACE, name)
    metadata = {key: value for key, value in found["metadata"].items() if key not in ("labels", "annotations")}
    cluster.apply({**found, "metadata": metadata})


def _foreign(cluster: FakeCluster) -> None:
    found = cluster.existing("ConfigMap", NAMESPACE, f"{BASE}-2")
    theirs = base64.b64encode(wire.encode_storage_body(upsert("theirs_1"))).decode()
    cluster.apply({**found, "binaryData": {"theirs_1": theirs}})


class TestDamage:
    """What was complete once is served again only when nothing is missing, or when all sources were read."""

    @pytest.mark.parametrize(
        ("damage", "named"),
        [
            (lambda cluster: cluster.delete("ConfigMap", NAMESPACE, f"{BASE}-2"), f"{BASE}-2 is missing"),
            (lambda cluster: cluster.delete("ConfigMap", NAMESPACE, BASE), f"the ConfigMap {BASE} "),
            (_empty, f"{BASE}-2 lacks some of its keys"),
            (_truncate, f"{BASE}-2 lacks some of its keys"),
            (_garble, f"{BASE}-2 has values that cannot be read"),
            (_move_to_data, f"{BASE}-2 lacks some of its keys"),
            (_strip, f"{BASE}-2 lacks some of its keys"),
            (_foreign, f"{BASE}-2 lacks some of its keys"),
        ],
        ids=["deleted", "first deleted", "emptied", "truncated", "garbage", "moved", "stripped", "foreign"],
    )
    async def test_is_reported_and_a_seed_until_all_is_confirmed(
        self, cluster: FakeCluster, damage: Callable[[FakeCluster], None], named: str
    ) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=many(12), confirmed=True)
            before = stored(cluster)
        damage(cluster)
        left = stored_readable(cluster)
        for _ in range(2):  # and not healed by a restart
            async with storage_on(cluster) as storage:
                await storage.service.stored.loaded()
                assert named in storage.service.stored.damage
                assert not storage.service.stored.complete
                assert set(storage.service.stored.keys) == left
                listing = (await storage.ask("GET", "/list?detail=true")).json()
                assert listing["damage"] == storage.service.stored.damage
                assert named in json.dumps((await storage.ask("GET", "/readyz")).json())
                assert storage.metric("damaged") == 1
                await apply(storage, complete=True)
                assert not storage.service.stored.complete, "some sources may not have been read"
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=tuple(before.values()), confirmed=True)
            assert storage.service.stored.complete
            assert storage.metric("damaged") == 0
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert storage.service.stored.complete
            assert before.keys() <= set(storage.service.stored.keys)

    async def test_an_original_key_set_that_lacks_one_of_the_rest_removes_and_confirms_nothing(
        self, cluster: FakeCluster
    ) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=many(12), confirmed=True)
        cluster.delete("ConfigMap", NAMESPACE, f"{BASE}-2")
        left = sorted(stored_readable(cluster))
        async with storage_on(cluster) as storage:
            for _ in range(2):
                await storage.ask("POST", "/currentkeyset", json={"keys": left[1:]})
                assert sorted(storage.service.stored.keys) == left, "it may lack more than what can still be read"
                assert not storage.service.stored.complete
            await storage.ask("POST", "/currentkeyset", json={"keys": left})
            assert storage.service.stored.complete

    async def test_a_configmap_without_labels_is_found_and_labelled_again(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=many(12), complete=True)
        found = cluster.existing("ConfigMap", NAMESPACE, f"{BASE}-2")
        metadata = {key: value for key, value in found["metadata"].items() if key != "labels"}
        cluster.apply({**found, "metadata": metadata})
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert storage.service.stored.complete
            assert len(storage.service.stored.keys) == 12
            await eventually(
                lambda: cluster.existing("ConfigMap", NAMESPACE, f"{BASE}-2")["metadata"].get("labels"), what="labelled"
            )

    async def test_of_two_copies_the_newer_one_that_can_be_read_wins(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=many(7), complete=True)
        older = maps(cluster)[BASE]["model_0"]
        found = cluster.existing("ConfigMap", NAMESPACE, f"{BASE}-2")
        keys = {**found["binaryData"], "model_0": base64.b64encode(b"garbage").decode()}
        marked = {**found["metadata"]["annotations"], KEYS: mark_of(keys)}
        cluster.apply({**found, "metadata": {**found["metadata"], "annotations": marked}, "binaryData": keys})
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert storage.service.stored.complete
            assert len(storage.service.stored.keys) == 7
            await eventually(lambda: maps(cluster)[f"{BASE}-2"]["model_0"] == older, what="the garbage replaced")
            await eventually(lambda: "model_0" not in maps(cluster)[BASE], what="the older copy gone")

    async def test_a_cluster_restored_from_a_backup_is_the_truth(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=(upsert("a_1", updated="1"),), complete=True)
        backup = cluster.existing("ConfigMap", NAMESPACE, BASE)
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=(upsert("a_1", updated="2"), upsert("b_1")))
            cluster.restore([backup])
            await eventually(
                lambda: present(storage.service.stored.entry("a_1")).updated == "1", what="what the backup holds"
            )
            assert storage.service.stored.keys == ["a_1", "b_1"]
            await apply(storage, upserts=(upsert("a_1", updated="3"),))
        assert stored(cluster)["a_1"].updated == "3"


def stored_readable(cluster: FakeCluster) -> set[str]:
    """The keys whose values can be read."""
    readable = set()
    for values in maps(cluster).values():
        for key, raw in values.items():
            with suppress(ValueError):
                readable.add(wire.parse_storage_body(key, raw).key)
    return readable


async def repaired(cluster: FakeCluster, key: str) -> None:
    """Remove a key by hand and wait until it is back: repairs that were due earlier are over then."""
    held = maps(cluster)[BASE]
    annotations = cluster.existing("ConfigMap", NAMESPACE, BASE)["metadata"]["annotations"]
    rest = {name: value for name, value in held.items() if name != key}
    write(cluster, BASE, rest, labels=dict(LABELS), annotations=annotations)
    await eventually(lambda: key in stored(cluster), what="written again")


class TestRepair:
    async def test_a_deleted_configmap_is_made_again_with_its_content(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=(*many(20), upsert("a_1", card_key="c")), cards={"c": "text"}, complete=True)
            before = stored(cluster)
            for name in (BASE, f"{BASE}-2", f"{BASE}-cards"):
                cluster.delete("ConfigMap", NAMESPACE, name)
                await eventually(lambda: name in maps(cluster) and stored(cluster) == before, what=name)  # noqa: B023
                assert len(storage.service.stored.keys) == 21
            await eventually(lambda: maps(cluster)[f"{BASE}-cards"], what="the card again")
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            assert storage.service.stored.complete
            assert storage.service.stored.card("c") == "text"

    async def test_a_deleted_configmap_that_no_event_told_of(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=many(3))
            cluster.fault("silent", verb="watch", times=None)
            cluster.disturb_watches("silent")
            cluster.delete("ConfigMap", NAMESPACE, BASE)
            await apply(storage, upserts=(upsert("a_1"),))
            await eventually(lambda: len(stored(cluster)) == 4, what="all again")

    async def test_a_key_removed_by_hand_comes_back(
        self, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(configmap, "REPAIR_AFTER", 0.1)
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=many(3))
            held = maps(cluster)[BASE]
            write(cluster, BASE, {key: held[key] for key in ("model_0", "model_1")}, labels=dict(LABELS))
            await eventually(lambda: "model_2" in stored(cluster), what="written again")
            assert len(storage.service.stored.keys) == 3

    async def test_a_key_removed_by_another_replica_stays_removed(
        self, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(configmap, "REPAIR_AFTER", 0.5)
        async with storage_on(cluster) as one, storage_on(cluster) as other:
            await apply(one, upserts=many(3))
            await eventually(lambda: len(other.service.stored.keys) == 3, what="seen by the other")
            await apply(one, removals={"model_1": "gone"})
            await apply(other, removals={"model_1": "gone"})
            await repaired(cluster, "model_2")
            assert stored(cluster).keys() == {"model_0", "model_2"}

    @pytest.mark.parametrize("by", ["replica", "hand"])
    async def test_what_is_leaving_and_removed_by_another_replica_goes_and_by_hand_it_comes_back(
        self, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, by: str
    ) -> None:
        monkeypatch.setattr(configmap, "REPAIR_AFTER", 0.3)
        mark = Leaving(since=1, reason="not-listed")
        async with storage_on(cluster) as one, storage_on(cluster) as other:
            await apply(one, upserts=many(3))
            await eventually(lambda: len(other.service.stored.keys) == 3, what="seen by the other")
            await apply(other, leaving={"model_1": mark})
            if by == "replica":
                await apply(one, removals={"model_1": "deleted"})
                await eventually(lambda: "model_1" not in other.service.stored.keys, what="removed there too")
                [departure] = other.service.stored.departures
                assert (departure.key, departure.reason) == ("model_1", "removed-by-another-replica")
                await repaired(cluster, "model_2")
                assert stored(cluster).keys() == {"model_0", "model_2"}
            else:
                await repaired(cluster, "model_1")
                assert len(other.service.stored.keys) == 3

    async def test_labels_removed_by_hand_come_back(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=many(12), complete=True)
            for name in (BASE, f"{BASE}-2"):
                write(cluster, name, maps(cluster)[name])
            await eventually(
                lambda: all(
                    LABELS.items()
                    <= (cluster.existing("ConfigMap", NAMESPACE, name)["metadata"].get("labels") or {}).items()
                    for name in (BASE, f"{BASE}-2")
                ),
                what="labels again",
            )
            await eventually(lambda: len(stored(cluster)) == 12, what="each key once")

    async def test_a_broken_value_is_written_again(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=many(2))
            fixed = maps(cluster)[BASE]["model_1"]
            write(cluster, BASE, {**maps(cluster)[BASE], "model_1": b"broken"}, labels=dict(LABELS))
            await eventually(lambda: maps(cluster)[BASE]["model_1"] == fixed, what="fixed")

    async def test_a_configmap_that_someone_filled(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=(upsert("a_1"),))
            full = {**maps(cluster)[BASE], "theirs": b"x" * (1_048_576 - 2000)}
            write(cluster, BASE, full, labels=dict(LABELS))
            await apply(storage, upserts=many(3, size=2000))
            assert stored_except(cluster, "theirs").keys() == {"a_1", "model_0", "model_1", "model_2"}

    async def test_a_name_that_someone_else_took(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            write(cluster, f"{BASE}-2", {"theirs": b"x"})
            await apply(storage, upserts=many(12))
            assert len(stored_except(cluster, "theirs")) == 12


def stored_except(cluster: FakeCluster, *foreign: str) -> dict[str, bytes]:
    """What is in the API server but for keys of someone else's."""
    merged = {}
    for values in maps(cluster).values():
        merged.update(values)
    return {key: raw for key, raw in merged.items() if key not in foreign}


class TestFaults:
    @pytest.mark.parametrize(
        "fault",
        [
            {"action": "status", "status": 500},
            {"action": "status", "status": 503, "retry_after": 0},
            {"action": "status", "status": 429, "retry_after": 1},
            {"action": "status", "status": 409},
            {"action": "drop"},
            {"action": "drop_after"},
            {"action": "truncate"},
        ],
        ids=lambda fault: str(fault.get("status") or fault["action"]),
    )
    @pytest.mark.parametrize("verb", ["create", "patch"])
    async def test_a_write_that_fails_is_repeated(self, cluster: FakeCluster, fault: dict[str, Any], verb: str) -> None:
        async with storage_on(cluster) as storage:
            if verb == "patch":
                await apply(storage, upserts=(upsert("a_0"),))
            struck = cluster.fault(verb=verb, resource="configmaps", times=2, **fault)
            await apply(storage, upserts=(upsert("a_1"),))
            assert struck.hits == 2 or (verb == "create" and struck.hits >= 1)
            assert stored(cluster)["a_1"] == upsert("a_1")

    async def test_away_for_long_is_a_503_and_nothing_is_lost(
        self, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(configmap, "WAIT", 0.3)
        monkeypatch.setattr(writer, "LONGEST_PAUSE", 0.1)
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=(upsert("a_1"),))
            await cluster.go_down()
            await eventually(lambda: not storage.health.ready, what="noticed")
            answer = await storage.batch(upserts=[{"key": "a_2", "type": "kserve", "body": document("a_2").decode()}])
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert cluster.url in answer.json()["detail"]
            assert storage.service.stored.keys == ["a_1"], "what is not stored is not shown"
            assert storage.service.stored.complete is False
            await cluster.come_back()
            await eventually(lambda: storage.service.stored.keys == ["a_1", "a_2"], what="shown when it is stored")
            await eventually(lambda: stored(cluster).keys() == {"a_1", "a_2"}, what="written after all")
            await eventually(lambda: storage.health.ready, what="ready again")

    async def test_forbidden_names_the_missing_rule(
        self, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(configmap, "WAIT", 0.3)
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            cluster.fault("status", status=403, verb="create", times=None)
            with pytest.raises(StoreUnavailable, match=r"create.*configmaps"):
                await storage.service.apply(Batch(upserts=(upsert(),)))

    @pytest.mark.parametrize(("status", "message"), [(403, "create|patch"), (507, "Insufficient Storage"), (500, "")])
    async def test_what_cannot_be_stored_is_not_shown_and_not_lost_when_the_process_dies(
        self, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, status: int, message: str
    ) -> None:
        """What was shown and is gone after a restart would be deleted by the reader."""
        monkeypatch.setattr(configmap, "WAIT", 0.2)
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=(upsert("a_1"), upsert("b_1")), complete=True)
            await eventually(lambda: storage.health.ready, what="ready")
            cluster.fault("status", status=status, verb="patch", resource="configmaps", times=None)
            with pytest.raises(StoreUnavailable):  # in flight at the first failure: told already
                await storage.service.apply(Batch(upserts=(upsert("c_1"),)))
            since = storage.service.stored.revision
            with pytest.raises(StoreUnavailable):
                await storage.service.apply(Batch(upserts=(upsert("a_1", updated="2"), upsert("d_1"))))
            assert "d_1" not in storage.service.stored.keys
            assert storage.service.stored.shown("a_1") == upsert("a_1")
            assert "d_1" not in {u.key for u in present(await storage.service.changes(since, 0)).upserts}
            with pytest.raises(StoreUnavailable):
                await storage.service.apply(Batch(removals={"b_1": "deleted"}))
            assert "b_1" not in storage.service.stored.keys, "a removal is announced at once"
            answer = await storage.ask("GET", "/readyz")
            assert answer.status == 503
            assert str(status) in json.dumps(answer.json())
            cluster.clear_faults()
            await eventually(lambda: storage.service.stored.keys == ["a_1", "c_1", "d_1"], what="shown when stored")
            await eventually(lambda: storage.health.ready, what="ready again")
            assert storage.service.stored.shown("a_1") == upsert("a_1", updated="2")

    @pytest.mark.parametrize("begun", [False, True])
    async def test_missing_rights_to_write_are_reported_before_anything_is_written(
        self, cluster: FakeCluster, begun: bool
    ) -> None:
        if begun:
            async with storage_on(cluster) as storage:
                await apply(storage, upserts=(upsert("a_1"),), complete=True)
        rules = [
            replace(rule, verbs=tuple(verb for verb in rule.verbs if verb in ("get", "list", "watch")))
            for rule in documented_rules(NAMESPACE)
        ]
        cluster.grant("reader", "reader", rules)
        async with storage_on(cluster, token="reader") as storage:
            await storage.service.stored.loaded()
            verb = "patch" if begun else "create"
            await eventually(
                lambda: re.search(
                    rf"verbs \[{verb}\].*Role|Role.*verbs \[{verb}\]", json.dumps(storage.health.report())
                ),
                what="the verb and the Role",
            )
            assert not storage.health.ready

    async def test_away_at_the_start(self, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("services.storage_rest.stored.LOADING_WAIT", 0.05)
        async with storage_on(cluster) as storage:
            await apply(storage, upserts=(upsert("a_1"),), complete=True)
        await cluster.go_down()
        async with storage_on(cluster) as storage:
            assert (await storage.ask("GET", "/list")).status == 503
            await eventually(
                lambda: "127.0.0.1" in json.dumps(storage.health.report()), what="/readyz says what is missing"
            )
            await cluster.come_back()
            await eventually(lambda: storage.health.ready, what="loaded")
            assert storage.service.stored.keys == ["a_1"]
            assert storage.service.stored.complete

    async def test_refused_at_the_start_says_what_to_do(self, cluster: FakeCluster) -> None:
        cluster.grant("poor", "nobody", [])
        async with storage_on(cluster, token="poor") as storage:
            await eventually(lambda: "Role" in json.dumps(storage.health.report()), what="the missing rule")
            cluster.grant("poor", "someone", documented_rules(NAMESPACE))
            await eventually(lambda: storage.health.ready, what="loaded")


class TestCrash:
    """The process dies at every moment of a batch that spans several ConfigMaps; the next one makes it whole."""

    BEFORE = Batch(upserts=many(24), complete=True)
    MOVED = tuple(upsert(f"model_{n}", document("y" * 1500)) for n in range(0, 24, 2))
    REMOVED: ClassVar = {f"model_{n}": "gone" for n in range(1, 24, 4)}

    @pytest.mark.parametrize("requests", range(0, 16, 2))
    @pytest.mark.parametrize("action", ["drop", "drop_after"])
    async def test_acknowledged_survives_and_the_rest_converges(
        self, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, requests: int, action: str
    ) -> None:
        monkeypatch.setattr(configmap, "WAIT", 1.0)
        async with storage_on(cluster) as storage:
            await storage.service.apply(self.BEFORE)
            passed = itertools.count()
            monkeypatch.setattr(writer, "PARALLEL", 1)

            def dies(verb: str, _: int) -> float:
                if verb in ("create", "patch") and next(passed) == requests:
                    cluster.fault(action, verb="patch", times=None)
                    cluster.fault(action, verb="create", times=None)
                return 0.0

            cluster.set_latency(dies)
            acknowledged = True
            try:
                async with asyncio.timeout(0.5):
                    await storage.service.apply(Batch(upserts=self.MOVED, removals=self.REMOVED))
            except (TimeoutError, StoreUnavailable):
                acknowledged = False
        cluster.set_latency(lambda *_: 0.0)
        cluster.clear_faults()
        async with storage_on(cluster) as storage:
            await storage.service.stored.loaded()
            found = {u.key: u for u in storage.service.snapshot().upserts}
            wanted = {u.key: u for u in (*self.BEFORE.upserts, *self.MOVED)}
            assert storage.service.stored.complete
            for key, former in ((u.key, u) for u in self.BEFORE.upserts):
                if key in self.REMOVED:
                    assert found.get(key, former) == former
                else:
                    assert found[key] in (former, wanted[key]), "never absent"
            for key in self.REMOVED:
                del wanted[key]
            if acknowledged:
                assert found == wanted
            await storage.service.apply(Batch(upserts=self.MOVED, removals=self.REMOVED))
            await eventually(lambda: len(list(itertools.chain(*maps(cluster).values()))) == len(wanted), what="once")
        assert stored(cluster) == wanted


class TestReplicas:
    async def test_two_write_different_keys_of_the_same_configmap(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as one, storage_on(cluster) as other:
            await asyncio.gather(
                *(apply(one, upserts=(upsert(f"one_{n}"),)) for n in range(10)),
                *(apply(other, upserts=(upsert(f"other_{n}"),)) for n in range(10)),
            )
            for storage in (one, other):
                await eventually(lambda: len(storage.service.stored.keys) == 20, what="all seen")  # noqa: B023
            assert one.service.snapshot().upserts != ()
        assert len(stored(cluster)) == 20

    async def test_the_same_from_both_comes_to_rest(self, cluster: FakeCluster) -> None:
        upserts = (*many(30), upsert("a_1", card_key="c"))
        async with storage_on(cluster) as one, storage_on(cluster) as other:
            await asyncio.gather(
                apply(one, upserts=upserts, cards={"c": "text"}, complete=True),
                apply(other, upserts=upserts, cards={"c": "text"}, complete=True),
            )
            await eventually(lambda: stored(cluster).keys() == {u.key for u in upserts}, what="each key once")
            assert one.service.stored.card("c") == other.service.stored.card("c") == "text"
            assert not one.service.problems

    async def test_cards_reach_the_other_replica_too(self, cluster: FakeCluster) -> None:
        async with storage_on(cluster) as one, storage_on(cluster) as other:
            await apply(one, upserts=(upsert("a_1", card_key="c"),), cards={"c": "text"})
            await eventually(lambda: other.service.stored.card("c") == "text", what="the card")
            await apply(one, cards={"c": "changed"})
            await eventually(lambda: other.service.stored.card("c") == "changed", what="the changed card")


async def test_administrators_see_all_of_it_by_one_label(cluster: FakeCluster) -> None:
    async with storage_on(cluster) as storage:
        await apply(storage, upserts=(*many(20), upsert("a_1", card_key="c")), cards={"c": "text"})
    credentials = Credentials(cluster.url, StaticToken(ADMIN_TOKEN), False, NAMESPACE, "the test", "")
    async with KubeClient(credentials=credentials, metrics=KubeMetrics(Metrics("test", "1"))) as client:
        found = await client.list_all(
            CONFIG_MAPS,
            NAMESPACE,
            convert=lambda obj: obj["metadata"]["name"],
            label_selector="app.kubernetes.io/name=rhoai-connector",
        )
    assert set(found.items) == maps(cluster).keys()
