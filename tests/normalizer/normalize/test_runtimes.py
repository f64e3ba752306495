"""What a model server speaks: by its ServingRuntime, else by its format and its names."""

from typing import Any

import pytest

from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.runtimes import Runtime, detect_server_type, read_runtime
from tests.normalizer.normalize.objects import isvc, normalized, normalized_deployment, server_of


def model(name: str = "", runtime: str = "", protocol: str = "", *args: str) -> dict[str, Any]:
    spec = {"modelFormat": {"name": name}, "runtime": runtime, "protocolVersion": protocol, "args": list(args)}
    return {"model": {key: value for key, value in spec.items() if value}}


def serving_runtime(
    *, annotations: dict[str, str] | None = None, protocols: tuple[str, ...] = (), **more: Any
) -> Runtime:
    metadata = {"name": "acme-runtime", "annotations": annotations or {}}
    return read_runtime({"metadata": metadata, "spec": {"protocolVersions": list(protocols), **more}})


@pytest.mark.parametrize(
    ("predictor", "speaks"),
    [
        (model("vLLM"), "openai-v1"),
        (model("vLLM", protocol="v2"), "openai-v1"),
        (model("pytorch", "vllm-cuda-runtime"), "openai-v1"),
        (model("nvidia-nim-llama3"), "openai-v1"),
        (model("gguf", "llama-cpp-runtime"), "openai-v1"),
        (model("huggingface"), "openai-v1"),
        (model("huggingface", "", "v2", "--task=text_generation"), "openai-v1"),
        (model("huggingface", "", "v2"), "open-inference-protocol-v2"),
        (model("huggingface", "", "", "--task=fill_mask"), "kserve-v1"),
        (model("huggingface", "", "v2", "--task", "sequence_classification"), "open-inference-protocol-v2"),
        (model("onnx", "kserve-ovms"), "open-inference-protocol-v2"),
        (model("onnx"), "open-inference-protocol-v2"),
        (model("sklearn"), "open-inference-protocol-v2"),
        (model("sklearn", "kserve-mlserver"), "open-inference-protocol-v2"),
        (model("sklearn", protocol="v1"), "kserve-v1"),
        (model("tensorflow", "kserve-tensorflow-serving"), "kserve-v1"),
        (model("tensorflow", "kserve-tritonserver"), "open-inference-protocol-v2"),
        (model("onnx", "kserve-tritonserver", "grpc-v2"), "grpc"),
        (model("acme", protocol="v2"), "open-inference-protocol-v2"),
        (model("acme", protocol="v1"), "kserve-v1"),
        (model("acme"), ""),
        ({"triton": {}}, "open-inference-protocol-v2"),
        ({"containers": [{"image": "docker.io/vllm/vllm-openai:v0.9"}]}, "openai-v1"),
        ({"containers": [{"image": "ghcr.io/huggingface/text-generation-inference:3"}]}, "openai-v1"),
        ({"containers": [{"image": "quay.io/acme/own:1"}]}, ""),
    ],
)
def test_guessed_from_what_the_deployment_says(predictor: dict[str, Any], speaks: str) -> None:
    assert normalized(isvc(predictor=predictor)).details.server_type == speaks


def test_what_people_say_goes_before() -> None:
    facts = isvc(predictor=model("vLLM"), annotations={"rhdh.io/serverType": "kserve-v1"})
    assert normalized(facts).details.server_type == "kserve-v1"


def test_a_model_that_is_said_to_be_predictive_generates_no_text() -> None:
    facts = isvc(predictor=model("huggingface"), annotations={"opendatahub.io/model-type": "predictive"})
    assert normalized(facts).details.server_type == "kserve-v1"


def test_the_runtime_that_kserve_chose_counts_where_none_is_named() -> None:
    facts = read_isvc(isvc(predictor=model("pytorch"), status={"clusterServingRuntimeName": "kserve-tritonserver"}))
    assert detect_server_type(facts.served) == "open-inference-protocol-v2"
    assert "kserve-tritonserver" in facts.stated.tags()


@pytest.mark.parametrize(
    ("runtime", "speaks", "api_type"),
    [
        (serving_runtime(annotations={"opendatahub.io/apiProtocol": "gRPC"}), "grpc", "grpc"),
        (serving_runtime(protocols=("grpc-v2",)), "grpc", "grpc"),
        (serving_runtime(protocols=("v2", "grpc-v2")), "", "openapi"),
        (
            serving_runtime(annotations={"opendatahub.io/apiProtocol": "REST"}, protocols=("v2", "grpc-v2")),
            "open-inference-protocol-v2",
            "openapi",
        ),
        (serving_runtime(annotations={"openshift.io/display-name": "vLLM NVIDIA GPU"}), "openai-v1", "openapi"),
        (serving_runtime(containers=[{"image": "quay.io/acme/vllm:1"}]), "openai-v1", "openapi"),
        (serving_runtime(supportedModelFormats=[{"name": "openvino_ir"}]), "open-inference-protocol-v2", "openapi"),
        (serving_runtime(), "", "openapi"),
    ],
)
def test_told_by_the_runtime(runtime: Runtime, speaks: str, api_type: str) -> None:
    result = normalized_deployment(read_isvc(isvc(predictor=model("acme", "acme-runtime"))), runtime=runtime)
    assert result.details.server_type == speaks
    assert server_of(result.document).api.type == api_type


def test_what_is_known_of_a_runtime() -> None:
    annotations = {"openshift.io/display-name": "vLLM CPU", "opendatahub.io/runtime-version": "v0.9.1"}
    formats = [{"name": "vLLM"}, {"name": "vLLM"}, {"nome": "x"}, None]
    runtime = serving_runtime(annotations=annotations, supportedModelFormats=formats)
    assert (runtime.name, runtime.title, runtime.version) == ("acme-runtime", "vLLM CPU", "v0.9.1")
    assert runtime.formats == ("vLLM",)


@pytest.mark.parametrize(
    ("args", "tasks"),
    [
        (["--task=text_embedding"], ("feature-extraction",)),
        (["--task", "generate"], ("text-generation",)),
        (["--task=Token Classification"], ("token-classification",)),
        (["--task=paint"], ()),
    ],
)
def test_tasks_are_reported_in_the_words_of_hugging_face(args: list[str], tasks: tuple[str, ...]) -> None:
    result = normalized(isvc(predictor=model("huggingface", "", "", *args)))
    assert result.details.tasks == tasks
    assert set(tasks) <= set(result.document.models[0].tags)
