"""The second format in the documented pod: what the feed names, what cache and `/fetch` hold, and a change of mind."""

import base64
import json
from typing import Any

import pytest
import yaml

from tests.fakes.kubernetes import ProcessCluster
from tests.objects import isvc
from tests.process.pod import LOCATION, NAMES, STORAGE, Pod, isvc_uri
from tests.waiting import eventually

YAML = {"NORMALIZER_FORMAT": "CatalogInfoYamlFormat"}
KINDS = ["Component", "Resource", "API"]
KEY, URI = "models_iris", "/models/iris/catalog-info.yaml"


def kinds(text: bytes) -> list[str]:
    return [entity["kind"] for entity in yaml.safe_load_all(text)]


async def cached(pod: Pod) -> bytes:
    """What the documented pipeline decodes from the ConfigMap: binaryData, body, document."""
    [found] = [each for each in await pod.configmaps() if each["metadata"]["name"] == "bac-import-model"]
    value: dict[str, Any] = json.loads(base64.b64decode(found["binaryData"][KEY]))
    return base64.b64decode(value["body"])


async def fetched(pod: Pod) -> bytes:
    answer = await pod.get(STORAGE, f"/fetch?key={KEY}")
    assert answer.status == 200, answer.body
    return base64.b64decode(answer.json()["body"])


async def listing(pod: Pod, *uris: str) -> None:
    async def named() -> bool:
        assert await pod.uris() == list(uris)
        return True

    await eventually(named, what=f"/list names {uris}")


@pytest.mark.parametrize("variables", [YAML])
async def test_feed_cache_and_fetch_are_in_the_second_format_until_another_is_set(
    pod: Pod, cluster: ProcessCluster
) -> None:
    await cluster.apply(isvc("iris"))
    await pod.start()
    await listing(pod, URI)
    answer = await pod.get(LOCATION, URI)
    assert answer.headers["Content-Type"].startswith("application/yaml")
    assert sorted(kinds(answer.body)) == sorted(KINDS)
    assert kinds(await fetched(pod)) == KINDS
    await eventually(lambda: cached(pod), what="the cache")
    assert kinds(await cached(pod)) == KINDS

    await pod.restart(*NAMES)
    await listing(pod, URI)

    for name in NAMES:
        pod.set(name, NORMALIZER_FORMAT="JsonArrayFormat")
    await pod.restart(*NAMES)
    await listing(pod, isvc_uri("iris"))
    document = await pod.document(isvc_uri("iris"))

    async def is_json() -> bool:
        return bool((await cached(pod)).startswith(b"{"))

    await eventually(is_json, what="the cache in the first format")
    assert (await fetched(pod)).startswith(b"{")

    for name in NAMES:
        pod.set(name, **YAML)
    await pod.restart(*NAMES)

    async def is_yaml() -> bool:
        return kinds(await cached(pod)) == KINDS

    await eventually(is_yaml, what="the cache in the YAML format again")
    assert await pod.document(isvc_uri("iris")) == document  # plugins that are still there go on


@pytest.mark.parametrize("variables", [YAML])
async def test_what_an_original_normalizer_sends_as_yaml_is_served(pod: Pod) -> None:
    resource = {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Resource",
        "metadata": {
            "name": "iris",
            "description": "Finds irises",
            "links": [{"url": "s3://b/iris", "title": "Files"}],
        },
        "spec": {"type": "ai-model", "owner": "user:ada", "lifecycle": "production"},
    }
    body = base64.b64encode(yaml.safe_dump(resource).encode()).decode()
    await pod.start(STORAGE, LOCATION, ready=False)
    await pod.alive(STORAGE, LOCATION)
    sent = await pod.write("POST", STORAGE, f"/upsert?key={KEY}&type=kserve", json={"body": body})
    assert sent.status == 201, sent.body
    done = await pod.write("POST", STORAGE, f"/currentkeyset?key={KEY}")
    assert done.status == 200
    await listing(pod, URI)
    [entity] = yaml.safe_load_all((await pod.get(LOCATION, URI)).body)
    assert (entity["kind"], entity["metadata"]["name"], entity["spec"]["owner"]) == ("Resource", "iris", "user:ada")
