"""KServe's objects as deployments: InferenceServices (v1beta1) and LLMInferenceServices (v1alpha1 and v1alpha2)."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from services.normalizer.normalize import values
from services.normalizer.normalize.addresses import BY_PUBLISHER, llm_addresses, status_addresses
from services.normalizer.normalize.containers import (
    ContainerConfig,
    configured_names,
    main_container,
    read_container,
    unique_names,
)
from services.normalizer.normalize.deployment import Deployment, read_names, subject
from services.normalizer.normalize.readiness import (
    MODE_ANNOTATION,
    may_scale_to_zero,
    read_failed_update,
    read_readiness,
)
from services.normalizer.normalize.runtimes import Served, read_tasks
from services.normalizer.normalize.stated import read_stated
from services.normalizer.normalize.storage import read_llm_storage, read_storage

# In the older form, which is still admitted, the framework is a key of the predictor in place of `model`.
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
_MODEL_MESH = "modelmesh"


class Predictor(NamedTuple):
    """What the specification of an InferenceService says about the model that it serves.

    `model` is the part with the storage, `uris` are complete locations. `containers` are those that may know the
    model's name, the one that takes requests first. `pull_secret` is the first one for images.
    """

    model: Mapping[str, Any]
    model_format: str
    format_version: str
    runtime: str
    protocol: str
    uris: tuple[str, ...]
    containers: tuple[ContainerConfig, ...]
    has_transformer: bool
    pull_secret: str


def _read_predictor(spec: object, *, name: str, namespace: str) -> Predictor:
    """Return what `spec` says about the model; explainers, workers and canaries do not change that."""
    predictor = values.mapping(values.at(spec, "predictor"))
    transformer = values.mapping(values.at(spec, "transformer"))
    model, framework = _model(predictor)
    containers = values.items(predictor.get("containers"))
    answering = [
        main_container(transformer.get("containers")),
        next((c for c in containers if values.at(c, "name") == _TRANSFORMER_CONTAINER), _NO_MODEL),
        model,
        main_container([c for c in containers if values.at(c, "name") != _TRANSFORMER_CONTAINER]),
    ]
    return Predictor(
        model=model,
        model_format=values.line_at(model, "modelFormat", "name") or framework,
        format_version=values.line_at(model, "modelFormat", "version"),
        runtime=values.line(model.get("runtime")),
        protocol=values.line(model.get("protocolVersion")).lower(),
        uris=_uris(predictor, model),
        containers=tuple(read_container(each, name=name, namespace=namespace) for each in answering if each),
        has_transformer=bool(transformer),
        pull_secret=next(
            filter(None, (values.line_at(s, "name") for s in values.items(predictor.get("imagePullSecrets")))),
            "",
        ),
    )


def _model(predictor: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Return the specification of the model, and in the older form the framework whose key it has."""
    if model := values.mapping(predictor.get("model")):
        return model, ""
    for framework in FRAMEWORKS:
        if isinstance(predictor.get(framework), Mapping):
            return predictor[framework], framework
    return _NO_MODEL, ""


def _uris(predictor: Mapping[str, Any], model: Mapping[str, Any]) -> tuple[str, ...]:
    """Return where the model's files are, according to the specification, else to a custom predictor's container."""
    several = [
        values.line_at(item, "uri") for part in (predictor, model) for item in values.items(part.get("storageUris"))
    ]
    told = (
        values.line_at(variable, "value")
        for container in values.items(predictor.get("containers"))
        for variable in values.items_at(container, "env")
        if values.at(variable, "name") == _CUSTOM_STORAGE_VARIABLE
    )
    stated = tuple(filter(None, (values.line(model.get("storageUri")), *several)))
    return tuple(dict.fromkeys(stated)) or tuple(filter(None, told))[:1]


def read_isvc(obj: Mapping[str, Any]) -> Deployment:
    """Return the facts of an InferenceService; parts that cannot be used are among its problems."""
    metadata, status = values.mapping(obj.get("metadata")), values.mapping(obj.get("status"))
    annotations = values.mapping(metadata.get("annotations"))
    namespace, name = read_names(metadata)
    predictor = _read_predictor(obj.get("spec"), name=name, namespace=namespace)
    runtime = predictor.runtime or _chosen_runtime(status)
    tasks = read_tasks(predictor.containers)
    versioned = "-".join(filter(None, (predictor.model_format, predictor.format_version)))
    # The dashboard creates a runtime for each deployment, with the same name: that would be a useless tag.
    telling = [versioned if predictor.model_format else "", runtime if runtime != name else "", *tasks]
    stated = read_stated(metadata, further_tags=telling)
    readiness = read_readiness(metadata=metadata, status=status)
    addresses, problems = status_addresses(
        status, values.mapping(metadata.get("labels")), namespace=namespace, subject=subject(namespace, name)
    )
    if readiness.ready:
        problems += read_failed_update(status, subject(namespace, name))
    return Deployment(
        namespace=namespace,
        name=name,
        uid=values.line(metadata.get("uid")),
        created=values.timestamp(metadata.get("creationTimestamp")),
        generation=values.millis(metadata.get("generation")),
        stated=stated,
        names=unique_names((*stated.names, *configured_names(predictor.containers))),
        served=Served(
            model_format=predictor.model_format,
            runtime=runtime,
            protocol=predictor.protocol,
            image=next((each.image for each in reversed(predictor.containers) if each.image), ""),
            tasks=tasks,
            predictive=stated.predictive,
        ),
        storage=read_storage(
            predictor.model,
            annotations,
            uris=predictor.uris,
            pull_secret=predictor.pull_secret,
            model_mesh=values.line(annotations.get(MODE_ANNOTATION)).lower() == _MODEL_MESH,
        ),
        addresses=addresses,
        has_transformer=predictor.has_transformer,
        readiness=readiness,
        may_scale_to_zero=may_scale_to_zero(obj),
        problems=problems,
    )


def _chosen_runtime(status: Mapping[str, Any]) -> str:
    """Return the runtime that KServe chose where the specification names none."""
    return values.line(status.get("servingRuntimeName")) or values.line(status.get("clusterServingRuntimeName"))


def read_llmisvc(obj: Mapping[str, Any], *, secured: bool | None = None) -> Deployment:
    """Return the facts of an LLMInferenceService; parts that cannot be used are among its problems.

    `secured`: its platform asks for a token by default (Open Data Hub, OpenShift AI); None where that is not known.
    """
    metadata, status = values.mapping(obj.get("metadata")), values.mapping(obj.get("status"))
    spec = values.mapping(obj.get("spec"))
    model = values.mapping(spec.get("model"))
    namespace, name = read_names(metadata)
    stated = read_stated(metadata)
    addresses, problems = llm_addresses(
        status, namespace=namespace, name=name, subject=subject(namespace, name, kind="LLMInferenceService")
    )
    return Deployment(
        kind="LLMInferenceService",
        namespace=namespace,
        name=name,
        uid=values.line(metadata.get("uid")),
        created=values.timestamp(metadata.get("creationTimestamp")),
        generation=values.millis(metadata.get("generation")),
        stated=stated,
        names=unique_names((*stated.names, *(_addressed_names(status) or _specified_names(model)))),
        served=Served(server_type="openai-v1"),
        storage=read_llm_storage(
            values.line(model.get("uri")),
            values.mapping(metadata.get("annotations")),
            pull_secret=next(_pull_secrets(spec), ""),
        ),
        addresses=addresses,
        secured=secured,
        readiness=read_readiness(metadata=metadata, status=status),
        may_scale_to_zero=may_scale_to_zero(obj),
        problems=problems,
    )


def _addressed_names(status: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the models' names at the addresses, without `publishers/...`, which names the same models again."""
    named = (
        values.line_at(model, "name")
        for address in values.items(status.get("addresses"))
        for model in values.items_at(address, "models")
    )
    return tuple(dict.fromkeys(name for name in named if name and not name.startswith(BY_PUBLISHER)))


def _specified_names(model: Mapping[str, Any]) -> tuple[str, ...]:
    adapters = values.items_at(model, "lora", "adapters")
    return (values.line(model.get("name")), *(values.line_at(adapter, "name") for adapter in adapters))


def _pull_secrets(spec: Mapping[str, Any]) -> Iterator[str]:
    secrets = values.items_at(spec, "template", "imagePullSecrets")
    return filter(None, (values.line_at(secret, "name") for secret in secrets))
