"""What an InferenceService serves, from the forms a predictor may take (KServe v1beta1 API: PredictorSpec)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from services.normalizer.normalize import values
from services.normalizer.normalize.containers import Told, main_container, read_container

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
_TRANSFORMER_CONTAINER = "transformer-container"
_NO_MODEL: Mapping[str, Any] = {}


class Predictor(NamedTuple):
    """The model format and its version, the runtime, the protocol, and what the containers that answer are told.

    `model` is the specification with the storage, `uris` are the locations named as a whole. `containers` are those
    that know the model's name, the one that takes the requests first. `pull_secret` is the first for images.
    """

    model: Mapping[str, Any]
    model_format: str
    format_version: str
    runtime: str
    protocol: str
    uris: tuple[str, ...]
    containers: tuple[Told, ...]
    has_transformer: bool
    pull_secret: str


def read_predictor(spec: object, *, name: str, namespace: str) -> Predictor:
    """Return what `spec` says of the model; explainers, workers and canaries do not change it."""
    predictor = values.mapping(values.at(spec, "predictor"))
    transformer = values.mapping(values.at(spec, "transformer"))
    model, framework = _model(predictor)
    beside = values.items(predictor.get("containers"))
    answering = [
        main_container(transformer.get("containers")),
        next((c for c in beside if values.at(c, "name") == _TRANSFORMER_CONTAINER), _NO_MODEL),
        model,
        main_container([c for c in beside if values.at(c, "name") != _TRANSFORMER_CONTAINER]),
    ]
    return Predictor(
        model=model,
        model_format=values.line(values.at(model, "modelFormat", "name")) or framework,
        format_version=values.line(values.at(model, "modelFormat", "version")),
        runtime=values.line(model.get("runtime")),
        protocol=values.line(model.get("protocolVersion")).lower(),
        uris=_uris(predictor, model),
        containers=tuple(read_container(each, name=name, namespace=namespace) for each in answering if each),
        has_transformer=bool(transformer),
        pull_secret=next(
            filter(None, (values.line(values.at(s, "name")) for s in values.items(predictor.get("imagePullSecrets")))),
            "",
        ),
    )


def _model(predictor: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Return the specification of the model, and the framework whose key it stands under in the older form."""
    if model := values.mapping(predictor.get("model")):
        return model, ""
    for framework in FRAMEWORKS:
        if isinstance(predictor.get(framework), Mapping):
            return predictor[framework], framework
    return _NO_MODEL, ""


def _uris(predictor: Mapping[str, Any], model: Mapping[str, Any]) -> tuple[str, ...]:
    """Return where the model's files are, as KServe is told, or a custom predictor's container."""
    several = [
        values.line(values.at(item, "uri"))
        for part in (predictor, model)
        for item in values.items(part.get("storageUris"))
    ]
    told = (
        values.line(values.at(variable, "value"))
        for container in values.items(predictor.get("containers"))
        for variable in values.items(values.at(container, "env"))
        if values.at(variable, "name") == _CUSTOM_STORAGE_VARIABLE
    )
    stated = tuple(filter(None, (values.line(model.get("storageUri")), *several)))
    return tuple(dict.fromkeys(stated)) or tuple(filter(None, told))[:1]
