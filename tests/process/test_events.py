"""What is wrong with a model is reported at the model, if this is switched on."""

from typing import Any

import pytest

from tests.fakes.kubernetes import ProcessCluster, Rule
from tests.objects import isvc
from tests.process.pod import NORMALIZER, Pod, isvc_uri
from tests.waiting import eventually

WRITING = (Rule(api_groups=("",), resources=("events",), verbs=("create", "patch")),)


@pytest.mark.parametrize(("further_rules", "variables"), [(WRITING, {"EVENTS": "true"})])
async def test_an_event_names_the_mistake_and_what_to_do(pod: Pod, cluster: ProcessCluster) -> None:
    await cluster.apply(isvc("iris", annotations={"rhdh.io/homepageurl": "none yet"}))
    await pod.start()
    await pod.serving(isvc_uri("iris"))

    async def events() -> list[dict[str, Any]]:
        return await cluster.objects("Event", "models")

    [event] = await eventually(events, what="an Event")
    assert event["involvedObject"]["name"] == "iris"
    assert event["reason"] == "InvalidUrl"
    assert "write an absolute URL" in event["message"]

    await pod.restart(NORMALIZER)
    await pod.serving(isvc_uri("iris"))

    async def renewed() -> bool:
        return (await cluster.counts()).of("patch", "events") > 0

    await eventually(renewed, what="the Event is renewed")
    assert len(await events()) == 1


async def test_without_being_asked_nothing_is_written(pod: Pod, cluster: ProcessCluster) -> None:
    await cluster.apply(isvc("iris", annotations={"rhdh.io/homepageurl": "none yet"}))
    await pod.start()
    await pod.serving(isvc_uri("iris"))
    assert not [access for access in await cluster.used() if access.resource == "events"]
