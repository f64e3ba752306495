"""What an InferenceService serves, from the forms a predictor may take (KServe v1beta1 API: PredictorSpec)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from services.normalizer.normalize import values

# A predictor names its framework as a key in the form that came before `predictor.model` and is still admitted.
FRAMEWORKS = (
    "sklearn",
    "xgboost",
    "tensorflow",
    "pytorch",
    "triton",
    "onnx",
    "huggingface",
    "pmml",
    "lightgbm",
    "paddle",
)
_CUSTOM_STORAGE_VARIABLE = "STORAGE_URI"


class Predictor(NamedTuple):
    """The model format as `name-version`, the runtime, and where the model's files are; empty when not said."""

    model_format: str
    runtime: str
    storage: str


def read_predictor(spec: object) -> Predictor:
    """Return what `spec.predictor` says; transformers, explainers, workers and canaries do not change it."""
    predictor = values.mapping(values.at(spec, "predictor"))
    if model := values.mapping(predictor.get("model")):
        name = values.line(values.at(model, "modelFormat", "name"))
        version = values.line(values.at(model, "modelFormat", "version"))
        return Predictor(_joined(name, version), values.line(model.get("runtime")), _storage(model))
    for framework in FRAMEWORKS:
        if isinstance(predictor.get(framework), Mapping):
            return Predictor(framework, "", _storage(predictor[framework]))
    return Predictor("", "", _custom_storage(predictor))


def _joined(name: str, version: str) -> str:
    return f"{name}-{version}" if name and version else name


def _storage(model: Mapping[str, Any]) -> str:
    if uri := values.line(model.get("storageUri")):
        return uri
    path = values.line(values.at(model, "storage", "path"))
    return f"s3://{path}" if path else ""


def _custom_storage(predictor: Mapping[str, Any]) -> str:
    """Return where a custom predictor's container is told to find the model."""
    for container in values.items(predictor.get("containers")):
        for variable in values.items(values.at(container, "env")):
            if values.at(variable, "name") == _CUSTOM_STORAGE_VARIABLE:
                return values.line(values.at(variable, "value"))
    return ""
