"""What model servers say of themselves, and what their runtimes are, as developers see it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.kubernetes import ProcessCluster, Rule
from tests.fakes.model_server import ModelServer
from tests.objects import isvc, llm_isvc
from tests.process.pod import NORMALIZER, Pod, isvc_uri
from tests.process.reader import Reader

KSERVE = "serving.kserve.io"
READ = ("get", "list", "watch")
LLMS = (Rule(api_groups=(KSERVE,), resources=("llminferenceservices",), verbs=READ),)
RUNTIMES = (Rule(api_groups=(KSERVE,), resources=("servingruntimes", "clusterservingruntimes"), verbs=READ),)
EVERY_KIND = ["inferenceservices", "llminferenceservices", "servingruntimes", "clusterservingruntimes", "routes"]
NAME = "rhdh.modelcatalog.io/model-name"
ASKING = {"DISCOVER_MODELS": "true", "FETCH_OPENAPI": "true", "LOG_LEVEL": "DEBUG"}


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer("granite-8b", further=("sql-adapter",)) as server:
        yield server


def granite(server: ModelServer, **options: Any) -> dict[str, Any]:
    obj = isvc("granite", model_format="vLLM", url=server.url, **options)
    obj["status"]["address"]["url"] = server.url
    return obj


def qwen(server: ModelServer) -> dict[str, Any]:
    obj = llm_isvc("qwen", model_name="qwen", url=server.url)
    obj["status"]["addresses"] = [{"url": server.url}]
    return obj


def name(document: dict[str, Any]) -> str:
    return str(document["models"][0]["annotations"][NAME])


def operations(document: dict[str, Any]) -> list[str]:
    return list(json.loads(document["modelServer"]["API"]["spec"]).get("paths", ()))


@pytest.mark.parametrize(("resources", "further_rules", "variables"), [(EVERY_KIND, LLMS, ASKING)])
async def test_names_and_operations_are_those_of_the_server(
    pod: Pod, cluster: ProcessCluster, reader: Reader, server: ModelServer
) -> None:
    await cluster.apply_all([granite(server), qwen(server), isvc("iris")])
    await pod.start()
    for uri in (isvc_uri("granite"), isvc_uri("qwen")):
        await pod.shows(uri, lambda document: name(document) == "granite-8b")
        document = await pod.document(uri)
        assert operations(document) == ["/models", "/chat/completions", "/tokenize"]
        assert "sql-adapter" in document["modelServer"]["API"]["spec"]
    assert sorted(call.path for call in server.calls) == ["/openapi.json"] * 2 + ["/v1/models"] * 2

    server.definition = {"openapi": "3.1.0", "info": {"title": "Ours"}, "paths": {"/score": {"post": {}}}}
    await cluster.apply(granite(server, minReplicas=1))
    await pod.shows(isvc_uri("granite"), lambda document: operations(document) == ["/score"])
    server.calls.clear()

    await pod.restart(NORMALIZER)
    await pod.ready()
    assert name(await pod.document(isvc_uri("granite"))) == "granite-8b"

    await cluster.apply(granite(server, minReplicas=0))
    asked = len(server.calls)
    await pod.restart(NORMALIZER)
    await pod.ready()
    assert len(server.calls) == asked + 2, "qwen alone: a request would start the other"


async def test_nothing_is_asked_unless_someone_wants_it(
    pod: Pod, cluster: ProcessCluster, reader: Reader, server: ModelServer
) -> None:
    await cluster.apply(granite(server))
    await pod.start()
    await pod.serving(isvc_uri("granite"))
    assert server.calls == []


def runtime(kind: str, name: str, **annotations: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "annotations": annotations}
    return {
        "apiVersion": f"{KSERVE}/v1alpha1",
        "kind": kind,
        "metadata": metadata | ({"namespace": "models"} if kind == "ServingRuntime" else {}),
        "spec": {
            "supportedModelFormats": [{"name": "own"}],
            "protocolVersions": ["v2"] if "infer" in name else [],
            "containers": [{"name": "kserve-container", "image": f"quay.io/acme/{name}:1"}],
        },
    }


@pytest.mark.parametrize(
    ("resources", "further_rules", "variables"), [(EVERY_KIND, LLMS + RUNTIMES, {"READ_RUNTIMES": "true"})]
)
async def test_what_runtimes_speak_is_read_from_them(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await cluster.apply_all(
        [
            runtime("ServingRuntime", "our-vllm"),
            runtime("ClusterServingRuntime", "our-infer"),
            isvc("a", model_format="own", runtime="our-vllm"),
            isvc("b", model_format="own", runtime="our-infer"),
        ]
    )
    await pod.start()
    await pod.shows(isvc_uri("a"), lambda document: "/chat/completions" in operations(document))
    await pod.shows(isvc_uri("b"), lambda document: "/v2/models/b/infer" in operations(document))

    await cluster.apply(runtime("ServingRuntime", "our-infer") | {"spec": runtime("", "our-vllm")["spec"]})
    await pod.shows(isvc_uri("b"), lambda document: "/chat/completions" in operations(document))
    await cluster.delete("ServingRuntime", "models", "our-infer")
    await pod.shows(isvc_uri("b"), lambda document: "/v2/models/b/infer" in operations(document))


@pytest.mark.parametrize(
    ("resources", "variables", "asked_in_vain"),
    [(EVERY_KIND, {"READ_RUNTIMES": "true"}, ("llminferenceservices", "servingruntimes", "clusterservingruntimes"))],
)
async def test_without_the_right_to_runtimes_the_rest_is_served(
    pod: Pod, cluster: ProcessCluster, reader: Reader
) -> None:
    pod.tolerate("collection_unreadable", "runtimes")
    await cluster.apply(isvc("iris", model_format="vLLM", runtime="our-infer"))
    await pod.start()
    await pod.shows(isvc_uri("iris"), lambda document: "/chat/completions" in operations(document))
