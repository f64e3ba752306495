"""The cache in ConfigMaps: edited, deleted, refused, taken over, read with the documented commands."""

import base64
import contextlib
import json
import subprocess
from functools import partial
from typing import Any

import pytest

from tests.fakes.kubernetes import ProcessCluster
from tests.objects import isvc
from tests.process.conftest import TOKEN, USER, own_rules
from tests.process.pod import LOCATION, NAMESPACE, NORMALIZER, READY, STORAGE, Pod, isvc_uri
from tests.process.reader import Reader
from tests.storage_rest.running import WIRE
from tests.waiting import eventually

OWNER = "modelcatalogbridge.rhdh.io/owner"
CACHE = "bac-import-model"
MODELS = ("iris", "wine", "oak")
URIS = tuple(map(isvc_uri, MODELS))
KEYS = {f"models_{name}" for name in MODELS}


@pytest.fixture
async def running(pod: Pod, cluster: ProcessCluster, reader: Reader) -> Pod:
    """The pod with three models that are served and stored."""
    await cluster.apply_all(map(isvc, MODELS))
    await pod.start()
    await pod.serving(*URIS)
    reader.expect(*URIS)
    await stored(pod, KEYS)
    return pod


async def stored(pod: Pod, keys: set[str]) -> None:
    """Wait until the ConfigMaps hold exactly these keys, each once and with a document."""

    async def exactly() -> bool:
        entries = [entry for config_map in await pod.configmaps() for entry in documents(config_map).items()]
        assert sorted(key for key, _ in entries) == sorted(keys)
        assert all(json.loads(document)["models"] for _, document in entries)
        return True

    await eventually(exactly, what="stored")


def documents(config_map: dict[str, Any]) -> dict[str, bytes]:
    """The documents of a ConfigMap by key, decoded as the documentation describes, leaving out what is not one."""
    decoded = {}
    for key, value in config_map.get("binaryData", {}).items():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            decoded[key] = base64.b64decode(json.loads(base64.b64decode(value))["body"])
    return decoded


def facts(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What a served document has word for word from the stored one."""
    server = document.get("modelServer", {})
    parts = [*document["models"], server]
    said = [tuple(part.get(field) for field in ("name", "owner", "lifecycle", "license")) for part in parts]
    return [*said, (server.get("API", {}).get("url"), server.get("authentication"))]


async def test_the_cache_is_deleted(running: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await cluster.delete("ConfigMap", NAMESPACE, CACHE)

    await stored(running, KEYS)
    await running.restart(STORAGE)
    await running.serving(*URIS)


async def test_the_cache_is_deleted_while_no_one_looks(running: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await running.kill(STORAGE)
    await cluster.delete("ConfigMap", NAMESPACE, CACHE)
    await running.start(STORAGE)

    await stored(running, KEYS)
    await running.serving(*URIS)


@pytest.mark.parametrize("variables", [{"SHARD_BUDGET": "8192"}])
@pytest.mark.parametrize("asked_in_vain", [(), ("routes", "services")], ids=["all rights", "no registries in sight"])
async def test_a_part_of_the_cache_is_deleted_while_storage_is_away_and_lists_are_forbidden(
    pod: Pod, cluster: ProcessCluster, reader: Reader, asked_in_vain: tuple[str, ...]
) -> None:
    await cluster.grant(TOKEN, USER, [rule for rule in own_rules() if rule.resources[0] not in asked_in_vain])
    names = [f"model-{number}" for number in range(12)]
    uris = tuple(map(isvc_uri, names))
    pod.tolerate("cache_damaged")
    await cluster.apply_all(map(isvc, names))
    await pod.start(ready=not asked_in_vain)
    await pod.serving(*uris)
    reader.expect(*uris)
    await stored(pod, {f"models_{name}" for name in names})

    await pod.kill(STORAGE, NORMALIZER)
    await cluster.delete("ConfigMap", NAMESPACE, f"{CACHE}-2")
    await cluster.fault("status", resource="inferenceservices", verb="list", times=None, status=403)
    await pod.start(STORAGE, NORMALIZER, ready=False)
    await pod.alive(STORAGE, NORMALIZER)
    await eventually(partial(is_damaged, pod), what="the damage is noticed")
    await reader.round()
    await pod.serving(*uris)
    await pod.restart_unready(LOCATION)
    await eventually(partial(waits_for_the_cache, pod), what="a feed that would be too short is not served")

    await cluster.clear_faults()
    await pod.restart_unready(NORMALIZER)
    await pod.ready(STORAGE, LOCATION, timeout=2 * READY)
    await pod.serving(*uris)
    await stored(pod, {f"models_{name}" for name in names})


async def waits_for_the_cache(pod: Pod) -> bool:
    """Whether the feed is 503 and names the part that is missing."""
    answer = await pod.get(LOCATION, "/list")
    assert answer.status == 503, answer.body.decode()
    return f"{CACHE}-2" in answer.json()["detail"]


async def is_damaged(pod: Pod) -> bool:
    """Whether storage says that something is missing from the cache."""
    return f"{CACHE}-2" in (await pod.failing(STORAGE)).get("cache", "")


async def test_entries_are_edited_and_removed_by_hand(running: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    config_map = await cluster.existing("ConfigMap", NAMESPACE, CACHE)
    original = documents(config_map)
    data = config_map["binaryData"]
    del data["models_iris"]
    data["models_wine"] = data["models_oak"]
    data["models_oak"] = base64.b64encode(b"what is this?").decode()
    del config_map["metadata"]["resourceVersion"]
    await cluster.apply(config_map)

    async def repaired() -> bool:
        return documents(await cluster.existing("ConfigMap", NAMESPACE, CACHE)) == original

    await eventually(repaired, what="the cache is as it was")
    await running.serving(*URIS)
    document = await running.document(isvc_uri("wine"))
    assert document["models"][0]["name"] == "models-wine"


async def test_unchanged_content_is_no_write(running: Pod, cluster: ProcessCluster) -> None:
    await cluster.reset_counts()
    await running.restart(NORMALIZER)
    await running.restart(STORAGE)
    await running.serving(*URIS)
    await cluster.apply(isvc("iris", url="https://changed.example.com"))
    await running.shows(URIS[0], lambda d: d["modelServer"]["API"]["url"] == "https://changed.example.com")

    async def two_patches() -> bool:
        return (await cluster.counts()).patches == 2

    # One changes nothing: it tells storage-rest, at its start, that the cache can be written.
    await eventually(two_patches, what="the patch of the change")
    assert (await cluster.counts()).of("create") == (await cluster.counts()).of("update") == 0


async def test_a_cache_of_the_original_is_taken_over(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    """One ConfigMap as the original left it: an entry of a registry that no one reads, and one with a new owner."""
    config_map = json.loads((WIRE / "configmap.json").read_text())
    config_map["metadata"] = {"name": CACHE, "namespace": NAMESPACE}
    await cluster.apply(config_map)
    await cluster.apply(isvc("iris", "serving"))
    await pod.start(STORAGE, LOCATION)

    keys = set(config_map["binaryData"])
    uris = {"/" + key.replace("_", "/", 1) + "/model-catalog.json" for key in keys}
    await pod.serving(*uris)
    taken = documents(config_map)
    for key, document in taken.items():
        served = await pod.document("/" + key.replace("_", "/", 1) + "/model-catalog.json")
        assert facts(served) == facts(json.loads(document))

    await pod.start(NORMALIZER)
    await pod.shows(isvc_uri("iris", "serving"), lambda d: d["models"][0]["owner"] == "rhdh-rhoai-bridge")
    await pod.serving(*uris)
    await stored(pod, keys)


async def test_the_documented_commands_decode_the_cache(running: Pod) -> None:
    """What `oc get configmap bac-import-model -o json | jq -r '.binaryData[...]' | base64 -d | ...` prints."""
    (config_map,) = [c for c in await running.configmaps() if c["metadata"]["name"] == CACHE]
    wrapper = base64_d(config_map["binaryData"]["models_iris"])
    document = base64_d(json.loads(wrapper)["body"])

    assert facts(json.loads(document)) == facts(await running.document(URIS[0]))


def base64_d(text: str) -> bytes:
    """Decode with the command that the documentation names."""
    return subprocess.run(["base64", "-d"], input=text.encode(), capture_output=True, check=True).stdout


async def test_the_api_server_refuses_writes_for_a_while(running: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    for fault in (
        {"status": 500, "times": 2},
        {"status": 429, "times": 1, "retry_after": 1},
        {"status": 409, "times": 1},
    ):
        await cluster.fault("status", resource="configmaps", verb="patch", **fault)
    await cluster.fault("drop_after", resource="configmaps", verb="patch", times=1)
    await cluster.apply(isvc("new"))

    await running.serving(*URIS, isvc_uri("new"))
    await stored(running, KEYS | {"models_new"})
    await running.ready()


async def test_what_is_reported_while_the_cache_cannot_be_written(
    running: Pod, cluster: ProcessCluster, reader: Reader
) -> None:
    """The feed shows it at once, a killed storage forgets it, and the normalizer tells it again."""
    await cluster.fault("status", resource="configmaps", method="PATCH", times=None, status=503)
    await cluster.apply(isvc("new"))
    await running.serving(*URIS, isvc_uri("new"))
    await stored(running, KEYS)
    await running.kill(STORAGE)
    await cluster.clear_faults()
    await running.start(STORAGE)

    await running.serving(*URIS, isvc_uri("new"))
    await stored(running, KEYS | {"models_new"})
