"""What the pod logs: a line at the start, one for each change, nothing else, and nothing but JSON."""

import pytest

from tests.fakes.kubernetes import ProcessCluster
from tests.objects import isvc
from tests.process.pod import LOCATION, NAMES, NORMALIZER, STORAGE, Pod, isvc_uri
from tests.process.service import parse_line
from tests.waiting import eventually


async def test_a_pod_says_once_what_it_does_and_then_what_changes(pod: Pod, cluster: ProcessCluster) -> None:
    await cluster.apply_all(map(isvc, ("iris", "wine")))
    await pod.start(LOCATION, ready=False)
    await eventually(lambda: pod[LOCATION].events("storage_unreadable"), what="it waits for its neighbour")
    await pod.start(STORAGE, NORMALIZER, ready=False)
    await pod.ready(*NAMES)
    await pod.serving(isvc_uri("iris"), isvc_uri("wine"))

    for name in NAMES:
        (started,) = pod[name].events("started")
        assert started["version"]
        assert started["addresses"]
        assert started["settings"]["token"] == "set"
    assert pod[NORMALIZER].events("started")[0]["follows"] == "the cluster that it runs in"
    await eventually(lambda: len(pod[NORMALIZER].events("entry_added")) == 2, what="arrivals are logged")
    before = {name: len(pod[name].events("")) for name in NAMES}

    await cluster.delete("InferenceService", "models", "wine")
    await pod.serving(isvc_uri("iris"))
    await eventually(lambda: pod[NORMALIZER].events("entry_removed"), what="the departure is logged")
    after = {name: pod[name].events("")[before[name] :] for name in NAMES}
    assert [(line["event"], line["key"], line["reason"]) for line in after[NORMALIZER]] == [
        ("entry_removed", "models_wine", "deleted")
    ]
    assert after[STORAGE] == after[LOCATION] == []
    for name in NAMES:
        assert [line for line in pod[name].text.splitlines() if parse_line(line) is None] == []
        assert [line for line in pod[name].events("") if line["level"] not in ("info", "debug")] == []


@pytest.mark.parametrize("variables", [{"LOG_LEVEL": "DEBUG"}])
async def test_debug_tells_requests_and_decisions(pod: Pod, cluster: ProcessCluster) -> None:
    await cluster.apply(isvc("iris"))
    await pod.start()
    await pod.serving(isvc_uri("iris"))

    (published, *_) = pod[NORMALIZER].events("published")
    assert "models_iris" in published["upserts"]
    assert any("inferenceservices" in line["path"] for line in pod[NORMALIZER].events("request_sent"))
    assert any(line["path"] == "/batch" for line in pod[STORAGE].events("request_answered"))
    assert any(line["path"] == "/list" for line in pod[LOCATION].events("request_answered"))
