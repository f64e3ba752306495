"""Which API a model server has: by its ServingRuntime where that may be read, else by its format, names and image.

Source: the ServingRuntimes that KServe, Open Data Hub and Red Hat OpenShift AI ship.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from common.details import ServerType
from services.normalizer.normalize import values
from services.normalizer.normalize.containers import ContainerConfig, configured_names, main_container, read_container

_API_PROTOCOL_ANNOTATION = "opendatahub.io/apiProtocol"
_RUNTIME_VERSION = "opendatahub.io/runtime-version"
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")

OPENAI: ServerType = "openai-v1"
_OPEN_INFERENCE: ServerType = "open-inference-protocol-v2"
_KSERVE_V1: ServerType = "kserve-v1"
_GRPC: ServerType = "grpc"

# Words in the names of formats, runtimes and images. The first one that is found decides.
_WORDS: tuple[tuple[ServerType, tuple[str, ...]], ...] = (
    (OPENAI, (
        "vllm", "nim", "tgi", "text generation inference", "llama cpp", "llamacpp", "llamafile", "ollama", "sglang",
    )),
    (_OPEN_INFERENCE, (
        "triton", "tritonserver", "ovms", "openvino", "mlserver", "sklearn", "sklearnserver", "xgboost", "xgbserver",
        "lightgbm", "lgbserver", "mlflow", "onnx", "tensorrt",
    )),
    (_KSERVE_V1, (
        "tensorflow", "tensorflow serving", "torchserve", "pytorch", "pmml", "pmmlserver", "paddle", "paddleserver",
    )),
)  # fmt: skip
_HUGGING_FACE = ("huggingface", "huggingfaceserver", "hugging face")
_BY_PROTOCOL: Mapping[str, ServerType] = {"v1": _KSERVE_V1, "v2": _OPEN_INFERENCE}

# The tasks of KServe's Hugging Face server and of vLLM, in Hugging Face's words.
_TASKS = {
    "text-generation": "text-generation",
    "generate": "text-generation",
    "text2text-generation": "text2text-generation",
    "text-embedding": "feature-extraction",
    "embed": "feature-extraction",
    "embedding": "feature-extraction",
    "fill-mask": "fill-mask",
    "sequence-classification": "text-classification",
    "classify": "text-classification",
    "token-classification": "token-classification",
    "question-answering": "question-answering",
    "score": "text-ranking",
    "transcription": "automatic-speech-recognition",
}
_GENERATING = frozenset({"text-generation", "text2text-generation", "feature-extraction"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A ServingRuntime or ClusterServingRuntime: its names, and what it says about its API."""

    name: str
    title: str = ""
    version: str = ""
    api_protocol: str = ""
    protocols: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    container: ContainerConfig


def read_runtime(obj: Mapping[str, Any]) -> Runtime:
    """Return the facts of a ServingRuntime or ClusterServingRuntime (serving.kserve.io/v1alpha1)."""
    metadata, spec = values.mapping(obj.get("metadata")), values.mapping(obj.get("spec"))
    annotations = values.mapping(metadata.get("annotations"))
    formats = (values.line_at(item, "name") for item in values.items(spec.get("supportedModelFormats")))
    return Runtime(
        name=values.line(metadata.get("name")),
        title=values.line(annotations.get(values.DISPLAY_NAME)),
        version=values.line(annotations.get(_RUNTIME_VERSION)),
        api_protocol=values.line(annotations.get(_API_PROTOCOL_ANNOTATION)).lower(),
        protocols=tuple(filter(None, map(values.line, values.items(spec.get("protocolVersions"))))),
        formats=tuple(dict.fromkeys(filter(None, formats))),
        container=read_container(main_container(spec.get("containers")), name="", namespace=""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a deployment says about its server: the model's format, the runtime, the requested protocol, the image.

    `tasks` are in Hugging Face's words. `server_type` is set where the kind of deployment decides it. `predictive`: the
    model is marked as not generative.
    """

    model_format: str = ""
    runtime: str = ""
    protocol: str = ""
    image: str = ""
    tasks: tuple[str, ...] = ()
    server_type: ServerType = ""
    predictive: bool = False


def read_tasks(containers: Iterable[ContainerConfig]) -> tuple[str, ...]:
    """Return the tasks, in Hugging Face's words, of the first container that is configured with known ones."""
    for container in containers:
        given = (_plain(task).replace(" ", "-") for task in container.option("task"))
        if tasks := tuple(dict.fromkeys(_TASKS[task] for task in given if task in _TASKS)):
            return tasks
    return ()


def protocol_of(served: Served, runtime: Runtime | None) -> str:
    """Return the requested protocol, else that of the runtime, where it has only one."""
    if served.protocol or runtime is None:
        return served.protocol
    if runtime.api_protocol == "grpc":
        return "grpc-v2"
    offered = [p for p in runtime.protocols if not (runtime.api_protocol == "rest" and p.startswith("grpc"))]
    return offered[0] if len(offered) == 1 else ""


def detect_server_type(served: Served, runtime: Runtime | None = None) -> ServerType:
    """Return the type of a server, empty when nothing shows it."""
    if served.server_type:
        return served.server_type
    protocol = protocol_of(served, runtime)
    if protocol.startswith("grpc"):
        return _GRPC
    texts = [served.runtime, served.image]
    if runtime is not None:
        texts += [runtime.title, runtime.container.image, *runtime.formats[:1]]
    for text in filter(None, (*texts, served.model_format)):
        match _named(text):
            case "":
                continue
            case "hugging-face":
                return _hugging_face(served, protocol)
            case "openai-v1":
                return OPENAI
            case found:
                return _BY_PROTOCOL.get(protocol, found)
    return _BY_PROTOCOL.get(protocol, "")


@lru_cache(maxsize=256)  # the same few runtimes, images and formats serve all models
def _named(text: str) -> ServerType | Literal["hugging-face"]:
    """Return the type of server that the name of a runtime, an image or a format shows, empty if it shows none."""
    words = f" {_plain(text)} "
    if any(f" {name} " in words for name in _HUGGING_FACE):
        return "hugging-face"
    return next((type_ for type_, names in _WORDS for name in names if f" {name} " in words), "")


def names_by_runtime(runtime: Runtime | None) -> tuple[str, ...]:
    """Return the names that a runtime gives to every model that it serves."""
    return configured_names((runtime.container,)) if runtime else ()


def _hugging_face(served: Served, protocol: str) -> ServerType:
    """Return the type of KServe's Hugging Face server, which has the OpenAI API for models that generate text."""
    generates = bool(_GENERATING & set(served.tasks))
    if not generates and (served.tasks or served.predictive):
        return _BY_PROTOCOL.get(protocol, _KSERVE_V1)
    return OPENAI if generates else _BY_PROTOCOL.get(protocol, OPENAI)


def _plain(text: str) -> str:
    return _NOT_ALPHANUMERIC.sub(" ", text.lower()).strip()
