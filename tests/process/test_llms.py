"""LLMInferenceServices next to InferenceServices on the feed, where the kind is there and where it is not."""

import pytest

from tests.fakes.kubernetes import ProcessCluster, Rule
from tests.objects import isvc, llm_isvc, stopped
from tests.process.pod import NORMALIZER, Pod, isvc_uri
from tests.process.reader import Reader
from tests.waiting import eventually

IRIS, QWEN = isvc_uri("iris"), isvc_uri("qwen")
ALLOWED = (
    Rule(api_groups=("serving.kserve.io",), resources=("llminferenceservices",), verbs=("get", "list", "watch")),
)
EVERY_KIND = ["inferenceservices", "llminferenceservices", "routes"]
with_llms = pytest.mark.parametrize(("resources", "further_rules"), [(EVERY_KIND, ALLOWED)])
URL = "https://qwen-models.apps.example.com/v1"


@with_llms
async def test_a_model_appears_stops_and_comes_back(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await pod.start()

    await cluster.apply_all([isvc("iris"), llm_isvc("qwen", model_name="acme/qwen")])
    await pod.serving(IRIS, QWEN)
    document = await pod.document(QWEN)
    assert document["modelServer"]["API"]["url"] == URL
    assert document["models"][0]["annotations"]["rhdh.modelcatalog.io/model-name"] == "acme/qwen"
    assert document["models"][0]["artifactLocationURL"] == "hf://example/qwen"

    await pod.restart(NORMALIZER)
    reader.release(QWEN)
    await cluster.apply(stopped(llm_isvc("qwen")))
    await pod.serving(IRIS)
    await cluster.apply(llm_isvc("qwen"))
    await pod.serving(IRIS, QWEN)

    reader.release(QWEN)
    await cluster.delete("LLMInferenceService", "models", "qwen")
    await pod.serving(IRIS)


@with_llms
async def test_two_kinds_of_one_name_are_two_models(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await cluster.apply(isvc("qwen"))
    await pod.start()
    await pod.serving(QWEN)

    await cluster.apply(llm_isvc("qwen"))

    async def both() -> bool:
        return len(await pod.uris()) == 2

    await eventually(both, what="both are served")
    assert (await pod.document(QWEN))["modelServer"]["API"]["url"] == "https://qwen-models.apps.example.com"


@pytest.mark.parametrize("further_rules", [ALLOWED])
async def test_a_cluster_that_gets_the_kind_later(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await cluster.apply(isvc("iris"))
    await pod.start()
    await pod.serving(IRIS)

    await cluster.install("llminferenceservices")
    await cluster.apply(llm_isvc("qwen"))
    await pod.serving(IRIS, QWEN)


@pytest.mark.parametrize(("resources", "asked_in_vain"), [(EVERY_KIND, ("llminferenceservices",))])
async def test_without_the_right_the_rest_is_served_and_the_condition_says_what_is_missing(
    pod: Pod, cluster: ProcessCluster, reader: Reader
) -> None:
    pod.tolerate("collection_unreadable")
    await cluster.apply_all([isvc("iris"), llm_isvc("qwen")])
    await pod.start()
    await pod.serving(IRIS)

    report = (await pod.get(NORMALIZER, "/readyz")).json()
    reason = next(c["reason"] for c in report["conditions"] if c["name"] == "kserve-llm")
    assert "llminferenceservices" in reason
