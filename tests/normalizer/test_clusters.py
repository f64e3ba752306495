"""Several clusters, each by itself: they come, go, hang and refuse, and no one else waits for it."""

import asyncio
from functools import partial

import pytest
from structlog.testing import capture_logs

from common.kube.reflector import ReflectorOptions
from common.removals import HOLD
from services.normalizer import clusters, clusters_file
from services.normalizer.sources.kserve.collection import Scope
from tests import objects
from tests.fakes.kubernetes import INFERENCE_SERVICES, LLM_INFERENCE_SERVICES
from tests.fakes.kubernetes.rbac import EVERYTHING
from tests.normalizer.fleet import Fleet, fleet, following
from tests.normalizer.memory_storage import MemoryStorage
from tests.simulation.loop import simulated
from tests.waiting import eventually

__all__ = ["fleet"]


def keys(name: str, number: int) -> list[str]:
    return sorted(f"models_{name}-{each}" for each in range(number))


@simulated
async def test_one_hangs_and_one_refuses_and_the_third_is_served(fleet: Fleet) -> None:
    for name in ("a", "b", "c"):
        await fleet.add(name, models=300)
    fleet.write("a", "b", "c")
    fleet.clusters["a"].fault("hang", times=None)
    fleet.clusters["b"].fault("status", times=None, status=403)
    async with following(fleet) as it:
        await eventually(lambda: it.keys == keys("c", 300))
        await eventually(lambda: it.storage.complete, timeout=HOLD, interval=1)
        fleet.clusters["c"].apply(objects.isvc("new"))
        await eventually(lambda: "models_new" in it.keys)
        assert not it.condition("kserve@a")["ok"]
        assert "forbidden" in it.condition("kserve@b")["reason"]
        assert it.condition("kserve@c")["ok"]


@simulated
async def test_with_an_empty_cache_the_third_is_stored_at_once_and_the_feed_waits_for_the_others(fleet: Fleet) -> None:
    """What Backstage has may be from before the cache was lost: a list without them would delete it."""
    for name in ("a", "b", "c"):
        await fleet.add(name, models=3)
    fleet.write("a", "b", "c")
    fleet.clusters["a"].fault("hang", times=None)
    fleet.clusters["b"].fault("status", times=None, status=403)
    async with following(fleet, first_sync_grace=3600) as it:
        await eventually(lambda: it.keys == keys("c", 3))

        def awaited() -> set[str]:
            return {each.source for each in it.storage.awaited or () if each.source.startswith("kserve@")}

        await eventually(lambda: awaited() == {"kserve@a", "kserve@b"})
        assert not it.storage.complete


@simulated
async def test_at_the_start_no_cluster_waits_for_the_first_answers_of_another(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting in ("controller.SETTLE", "sink.SLOW"):
        monkeypatch.setattr(f"services.normalizer.{setting}", 3600.0)
    for name in ("hanging", "c"):
        await fleet.add(name, models=3)
    fleet.write("hanging", "c")
    fleet.clusters["hanging"].fault("hang", times=None, resource="services")
    async with following(fleet) as it:
        await eventually(lambda: it.keys == keys("c", 3))
        fleet.clusters["hanging"].clear_faults()
        fleet.clusters["hanging"].drop_connections()
        await eventually(lambda: it.keys == sorted(keys("c", 3) + keys("hanging", 3)))


@simulated
async def test_nothing_of_those_that_fail_is_lost(fleet: Fleet) -> None:
    storage = MemoryStorage()
    for name in ("a", "b", "c"):
        await fleet.add(name, models=30)
    fleet.write("a", "b", "c")
    everything = sorted(keys("a", 30) + keys("b", 30) + keys("c", 30))
    async with following(fleet, storage) as it:
        await eventually(lambda: it.keys == everything and it.storage.complete)
    fleet.clusters["a"].fault("hang", times=None)
    fleet.clusters["b"].fault("status", times=None, status=403)
    async with following(fleet, storage) as it:
        fleet.clusters["c"].delete("InferenceService", "models", "c-0")
        await eventually(lambda: "models_c-0" not in it.keys)
        await asyncio.sleep(2 * HOLD)
        assert it.keys == sorted(set(everything) - {"models_c-0"})
        for name in ("a", "b"):
            fleet.clusters[name].clear_faults()
            fleet.clusters[name].drop_connections()
            fleet.clusters[name].apply(objects.isvc(f"{name}-new"))
        await eventually(lambda: {"models_a-new", "models_b-new"} <= set(it.keys))
        assert set(it.keys) == set(everything) - {"models_c-0"} | {"models_a-new", "models_b-new"}


@simulated
async def test_one_that_is_added_to_the_file_is_there_and_one_that_is_taken_out_leaves_after_its_grace(
    fleet: Fleet,
) -> None:
    for name in ("a", "b"):
        await fleet.add(name, models=3)
    fleet.write("a")
    async with following(fleet, source_gone_grace=600) as it:
        await eventually(lambda: it.keys == keys("a", 3))
        fleet.write("a", "b")
        await eventually(lambda: it.keys == keys("a", 3) + keys("b", 3))
        fleet.write("b")
        await asyncio.sleep(590)
        assert it.keys == keys("a", 3) + keys("b", 3)
        await eventually(lambda: it.keys == keys("b", 3))
        assert {reason for batch in it.storage.batches for reason in batch.removals.values()} == {"source-gone"}
        assert not it.condition("kserve@a")
        assert b"@a" not in it.metrics.render()


@simulated
async def test_one_that_comes_back_within_its_grace_has_lost_what_has_gone_meanwhile_and_nothing_else(
    fleet: Fleet,
) -> None:
    for name in ("a", "b"):
        await fleet.add(name, models=3)
    fleet.write("a", "b")
    async with following(fleet, source_gone_grace=600) as it:
        await eventually(lambda: it.keys == keys("a", 3) + keys("b", 3))
        fleet.write("a")
        await eventually(lambda: not it.condition("kserve@b"))
        fleet.clusters["b"].delete("InferenceService", "models", "b-1")
        fleet.write("a", "b")
        await eventually(lambda: it.keys == [*keys("a", 3), "models_b-0", "models_b-2"])


@simulated
async def test_one_that_gets_another_name_keeps_its_entries_and_two_may_swap_theirs(fleet: Fleet) -> None:
    for name in ("a", "b"):
        cluster = await fleet.add(name)
        cluster.apply(objects.isvc("same"))
    fleet.write("a", "b")
    async with following(fleet, source_gone_grace=600) as it:
        await eventually(lambda: len(it.keys) == 2 and it.storage.complete)
        before = {entry.ref: key for key, entry in it.storage.entries.items()}
        fleet.write(fleet.entry("a", called="b"), fleet.entry("b", called="a"))
        plain = next(ref for ref, key in before.items() if key == "models_same")
        was = it.document(before[plain])["models"][0]["annotations"]["rhdh.modelcatalog.io/cluster"]
        swapped = {"a": "b", "b": "a"}[was]

        def told() -> bool:
            return all(
                it.document(key)["models"][0]["annotations"]["rhdh.modelcatalog.io/cluster"]
                == (swapped if ref == plain else was)
                for ref, key in before.items()
            )

        await eventually(told)
        assert {entry.ref: key for key, entry in it.storage.entries.items()} == before


@simulated
async def test_a_file_that_is_broken_keeps_the_last_good_one_and_says_where(fleet: Fleet) -> None:
    await fleet.add("a", models=2)
    fleet.write("a")
    async with following(fleet) as it:
        await eventually(lambda: it.keys == keys("a", 2))
        fleet.replace("clusters:\n  - name: a\n    uri: x\n")
        await eventually(lambda: not it.condition("CLUSTERS_FILE")["ok"])
        assert "line 3, clusters[0].uri: there is no such field" in it.condition("CLUSTERS_FILE")["reason"]
        fleet.clusters["a"].apply(objects.isvc("a-2"))
        await eventually(lambda: it.keys == keys("a", 3))
        fleet.write("a")
        await eventually(lambda: it.condition("CLUSTERS_FILE")["ok"])


@simulated
async def test_a_file_that_is_too_large_cannot_be_used(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters_file, "_LARGEST", 1000)
    await fleet.add("a", models=1)
    fleet.write("a")
    longest = fleet.path.read_text().ljust(1000, "\n")
    fleet.replace(longest)
    async with following(fleet) as it:
        await eventually(lambda: it.keys == keys("a", 1))
        fleet.replace(longest + "\n")
        await eventually(lambda: not it.condition("CLUSTERS_FILE")["ok"])
        assert "is larger than 1000 bytes; the clusters that" in it.condition("CLUSTERS_FILE")["reason"]


@pytest.mark.parametrize("text", ["", "clusters: [", None])
@simulated
async def test_a_file_that_was_never_good_says_nothing_about_any_entry(fleet: Fleet, text: str | None) -> None:
    storage = MemoryStorage()
    await fleet.add("a", models=2)
    fleet.write("a")
    async with following(fleet, storage) as it:
        await eventually(lambda: it.keys == keys("a", 2) and it.storage.complete)
    if text is None:
        fleet.path.unlink()
    else:
        fleet.replace(text)
    async with following(fleet, storage, source_gone_grace=0, removal_hold=0) as it:
        await eventually(lambda: "CLUSTERS_FILE" in it.condition("CLUSTERS_FILE").get("reason", ""))
        assert it.keys == keys("a", 2)
        fleet.write("a")
        await eventually(lambda: it.condition("kserve@a").get("ok"))
        assert it.keys == keys("a", 2)


@simulated
async def test_a_cluster_without_a_way_to_it_keeps_its_entries_and_those_of_any_that_it_may_be(fleet: Fleet) -> None:
    storage = MemoryStorage()
    for name in ("a", "b"):
        await fleet.add(name, models=2)
    kubeconfig = fleet.clusters["a"].kubeconfig(fleet.folder / "a.kubeconfig")
    fleet.write({"name": "a", "kubeconfig": "a.kubeconfig"}, "b")
    async with following(fleet, storage) as it:
        await eventually(lambda: it.keys == keys("a", 2) + keys("b", 2) and it.storage.complete)
    text = kubeconfig.read_text()
    kubeconfig.unlink()
    async with following(fleet, storage, source_gone_grace=0, removal_hold=0) as it:
        await eventually(lambda: "a.kubeconfig" in it.condition("cluster:a").get("reason", ""))
        fleet.clusters["b"].apply(objects.isvc("b-2"))
        await eventually(lambda: it.keys == keys("a", 2) + keys("b", 3))
        kubeconfig.write_text(text)
        await eventually(lambda: it.condition("kserve@a").get("ok"))
        assert it.keys == keys("a", 2) + keys("b", 3)


@simulated
async def test_a_token_that_expires_makes_one_stale_until_a_new_one_is_in_its_file(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new token ends the pauses, however long these are."""
    monkeypatch.setattr(clusters, "Scope", partial(Scope, options=ReflectorOptions(slow=3600)))
    for name in ("a", "b"):
        await fleet.add(name, models=1)
    fleet.write("a", "b")
    async with following(fleet) as it:
        await eventually(lambda: it.keys == [*keys("a", 1), *keys("b", 1)])
        cluster = fleet.clusters["a"]
        cluster.revoke(cluster.token)
        cluster.drop_connections()
        await eventually(lambda: "a.token is not, or no longer, valid" in it.condition("kserve@a")["reason"])
        fleet.clusters["b"].apply(objects.isvc("b-1"))
        await eventually(lambda: "models_b-1" in it.keys)
        (fleet.folder / "a.token").write_text("renewed")
        cluster.grant("renewed", "system:admin", EVERYTHING)
        cluster.apply(objects.isvc("a-1"))
        await eventually(lambda: "models_a-1" in it.keys)


@simulated
async def test_two_entries_that_lead_to_the_same_server_are_followed_once(fleet: Fleet) -> None:
    cluster = await fleet.add("a", models=1)
    cluster.kubeconfig(fleet.folder / "again.kubeconfig")
    fleet.write("a", {"name": "again", "kubeconfig": "again.kubeconfig"})
    async with following(fleet) as it:
        await eventually(lambda: it.keys == keys("a", 1))
        await eventually(lambda: "same API server" in "".join(it.reasons("cluster:a", "cluster:again")))


@simulated
async def test_a_cluster_without_kserve_or_routes_keeps_no_one_waiting_and_is_shown_once_it_has_it(
    fleet: Fleet,
) -> None:
    await fleet.add("a", models=1)
    await fleet.add("bare", resources=())
    fleet.write("a", "bare")
    async with following(fleet, first_sync_grace=3600) as it:
        await eventually(lambda: it.keys == keys("a", 1) and it.storage.complete)
        assert "absent" in it.condition("kserve@bare")["reason"]
        assert it.condition("kserve@a")["ok"]


@simulated
async def test_another_version_of_kserve_is_followed_as_it_is(fleet: Fleet) -> None:
    """One cluster has LLMInferenceServices, in a version that the other never had."""
    await fleet.add("a", models=1)
    newer = await fleet.add("newer", resources=(INFERENCE_SERVICES, LLM_INFERENCE_SERVICES))
    newer.apply(objects.llm_isvc("qwen"))
    fleet.write("a", "newer")
    async with following(fleet) as it:
        await eventually(lambda: it.keys == ["models_a-0", "models_qwen"])
        assert it.details("models_qwen")["cluster"] == "newer"
        assert it.condition("kserve-llm@a")["ok"]


@simulated
async def test_a_mount_that_is_written_again_restarts_no_cluster_whose_files_are_the_same(fleet: Fleet) -> None:
    """The kubelet writes all files of a projected volume again when one of them changes."""
    cluster = await fleet.add("a", models=1)
    kubeconfig = cluster.kubeconfig(fleet.folder / "a.kubeconfig")
    fleet.write({"name": "a", "kubeconfig": "a.kubeconfig"})
    async with following(fleet) as it:
        await eventually(lambda: it.condition("kserve@a").get("ok"))
        lists = cluster.counts.of("list")
        with capture_logs() as logs:
            kubeconfig.write_text(kubeconfig.read_text())
            fleet.replace(fleet.path.read_text() + "# read again\n")
            await eventually(lambda: [each for each in logs if each["event"].startswith("clusters")])
        cluster.apply(objects.isvc("a-1"))
        await eventually(lambda: it.keys == keys("a", 2))
        assert cluster.counts.of("list") == lists
        kubeconfig.write_text(kubeconfig.read_text() + "# by another hand\n")
        await eventually(lambda: cluster.counts.of("list") > lists)
