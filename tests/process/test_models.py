"""What happens to models on a cluster is seen on the feed."""

import pytest

from tests.fakes.kubernetes import ProcessCluster
from tests.objects import isvc, not_ready, predictor_service, service_account_for, stopped
from tests.process.pod import LOCATION, NORMALIZER, Pod, isvc_uri
from tests.process.reader import Reader

OWNER = "modelcatalogbridge.rhdh.io/owner"
IRIS, WINE = isvc_uri("iris"), isvc_uri("wine")


async def test_an_empty_cluster_is_known_to_be_empty(pod: Pod) -> None:
    await pod.start()

    assert await pod.uris() == []


async def test_a_model_appears_changes_and_vanishes(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await pod.start()

    await cluster.apply(isvc("iris"))
    await pod.serving(IRIS)
    document = await pod.document(IRIS)
    assert document["models"][0]["name"] == document["modelServer"]["name"] == "models-iris"
    assert document["modelServer"]["API"]["url"] == "https://iris-models.apps.example.com"

    await cluster.apply(isvc("iris", url="https://elsewhere.example.com"))
    await pod.shows(IRIS, lambda d: d["modelServer"]["API"]["url"] == "https://elsewhere.example.com")

    await cluster.apply(isvc("iris", url="https://elsewhere.example.com", annotations={OWNER: "lab"}))
    await pod.shows(IRIS, lambda d: d["models"][0]["owner"] == "lab")

    reader.release(IRIS)
    await cluster.delete("InferenceService", "models", "iris")
    await pod.serving()
    assert (await pod.get(LOCATION, IRIS)).status == 404


async def test_two_models_at_once(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await pod.start()

    await cluster.apply_all([isvc("iris"), isvc("wine")])
    await pod.serving(IRIS, WINE)

    reader.release(IRIS, WINE)
    await cluster.apply_all([isvc("iris", annotations={OWNER: "lab"}), isvc("oak", "forest")])
    await cluster.delete("InferenceService", "models", "wine")
    await pod.serving(IRIS, isvc_uri("oak", "forest"))
    await pod.shows(IRIS, lambda d: d["models"][0]["owner"] == "lab")


async def test_models_that_would_share_a_name_are_all_served(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await pod.start()

    await cluster.apply(isvc("c", "a-b"))
    await pod.serving(isvc_uri("c", "a-b"))
    await cluster.apply(isvc("b-c", "a"))
    await pod.serving(isvc_uri("c", "a-b"), isvc_uri("b-c", "a"))

    await reader.round()
    assert (await pod.document(isvc_uri("c", "a-b")))["models"][0]["name"] == "a-b-c"


@pytest.mark.parametrize("variables", [{"NOT_READY_GRACE": "1h"}])
async def test_a_flapping_model_does_not_blink(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await cluster.apply_all([isvc("iris"), isvc("wine")])
    await pod.start()
    await pod.serving(IRIS, WINE)

    await cluster.apply(not_ready(isvc("iris")))
    await cluster.apply(isvc("wine", annotations={OWNER: "lab"}))
    await pod.shows(WINE, lambda d: d["models"][0]["owner"] == "lab")
    assert "modelServer" in await pod.document(IRIS)

    await pod.restart(NORMALIZER)
    await cluster.apply(isvc("wine", annotations={OWNER: "lab two"}))
    await pod.shows(WINE, lambda d: "two" in d["models"][0]["owner"])
    await pod.serving(IRIS, WINE)

    await cluster.apply(isvc("iris", annotations={OWNER: "lab"}))
    await pod.shows(IRIS, lambda d: d["models"][0]["owner"] == "lab")


@pytest.mark.parametrize("variables", [{"NOT_READY_GRACE": "1h"}])
async def test_a_stopped_model_leaves_at_once(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await cluster.apply_all([isvc("iris"), isvc("wine")])
    await pod.start()
    await pod.serving(IRIS, WINE)

    reader.release(IRIS)
    await cluster.apply(stopped(isvc("iris")))
    await pod.serving(WINE)

    await cluster.apply(isvc("iris"))
    await pod.serving(IRIS, WINE)


async def test_what_belongs_to_a_model_may_come_after_it(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await pod.start()

    internal = "http://iris-predictor.models.svc.cluster.local"
    iris = await cluster.apply(isvc("iris", url=internal))
    await pod.serving(IRIS)

    await cluster.apply(predictor_service(iris, target_port=8888))
    document = await pod.shows(IRIS, lambda d: d["modelServer"]["API"]["url"] == f"{internal}:8888")
    assert document["modelServer"].get("authentication", False) is False

    await cluster.apply(service_account_for(iris))
    await pod.shows(IRIS, lambda d: d["modelServer"]["authentication"] is True)

    await cluster.delete("Service", "models", "iris-predictor")
    await pod.shows(IRIS, lambda d: d["modelServer"]["API"]["url"] == internal)


async def test_a_thousand_models(pod: Pod, cluster: ProcessCluster) -> None:
    names = [f"model-{number:04}" for number in range(1000)]
    await cluster.apply_all([isvc(name) for name in names])
    async with Reader(pod[LOCATION].url, sample=10) as reader:
        await pod.start()
        uris = [isvc_uri(name) for name in names]
        await pod.serving(*uris)

        reader.release(uris[0], uris[1])
        await cluster.delete("InferenceService", "models", names[0])
        await cluster.delete("InferenceService", "models", names[1])
        await cluster.apply(isvc(names[2], annotations={OWNER: "lab"}))
        await pod.shows(uris[2], lambda d: d["models"][0]["owner"] == "lab")
        await pod.serving(*uris[2:])
        await reader.round()
