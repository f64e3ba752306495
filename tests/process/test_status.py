"""What location says of the whole pod, asked as in the pod."""

import json
from typing import Any

import jsonschema

from scripts.status_schema import SCHEMA
from tests.fakes.kubernetes import ProcessCluster
from tests.objects import isvc
from tests.process.pod import LOCATION, NORMALIZER, STORAGE, Pod, isvc_uri
from tests.waiting import eventually


async def status(pod: Pod) -> dict[str, Any]:
    answer = await pod.get(LOCATION, "/status")
    assert answer.status == 200
    told: dict[str, Any] = answer.json()
    jsonschema.validate(told, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return told


async def test_the_pod_is_shown_with_its_three_containers(pod: Pod, cluster: ProcessCluster) -> None:
    await cluster.apply_all(map(isvc, ("iris", "wine")))
    await pod.start()
    await pod.serving(isvc_uri("iris"), isvc_uri("wine"))

    async def stored() -> bool:
        return bool((await status(pod))["shards"])

    await eventually(stored, what="a shard is reported")
    told = await status(pod)
    assert [service["answers"] for service in told["services"]] == [True, True, True]
    assert {source["id"]: source["shown"] for source in told["sources"]}["kserve"] == 2
    assert sorted(model["key"] for model in told["models"]["items"]) == ["models_iris", "models_wine"]
    assert sorted(arrival["key"] for arrival in told["arrivals"]) == ["models_iris", "models_wine"]
    shard = told["shards"][0]
    assert (shard["name"], shard["limit"]) == ("bac-import-model", 1_048_576)
    assert 0 < shard["bytes"] < shard["budget"]
    settings = {each["name"]: each["value"] for service in told["services"] for each in service["settings"]}
    assert settings["token"] == "set"
    assert pod.token not in json.dumps(told)

    await cluster.apply(isvc("oak"))
    await pod.serving(*map(isvc_uri, ("iris", "wine", "oak")))

    async def measured() -> bool:
        return await pod.metric(NORMALIZER, "rhoai_connector_event_to_served_seconds_count") >= 1

    await eventually(measured, what="the time from the event is measured")
    await cluster.delete("InferenceService", "models", "wine")

    async def departed() -> bool:
        return [(each["key"], each["reason"]) for each in (await status(pod))["departures"]] == [
            ("models_wine", "deleted")
        ]

    await eventually(departed, what="a departure is reported")


async def test_containers_that_are_away_are_named(pod: Pod, cluster: ProcessCluster) -> None:
    await cluster.apply_all([isvc("iris")])
    await pod.start()
    await pod.serving(isvc_uri("iris"))
    await pod.kill(NORMALIZER)
    await pod.kill(STORAGE)

    async def silent() -> bool:
        told = await status(pod)
        return "rhoai-normalizer" in told["verdict"]["text"] and "storage-rest" in told["verdict"]["text"]

    await eventually(silent, what="both are reported")
    told = await status(pod)
    assert told["verdict"]["level"] == "warning"
    assert "does not answer" in told["verdict"]["remedy"]
    assert len(told["models"]["items"]) == 1
