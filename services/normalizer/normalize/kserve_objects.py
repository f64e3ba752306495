"""KServe's objects as deployments: InferenceServices (v1beta1) and LLMInferenceServices (v1alpha1 and v1alpha2)."""

from collections.abc import Iterator, Mapping
from typing import Any

from services.normalizer.normalize import values
from services.normalizer.normalize.addresses import BY_PUBLISHER, llm_addresses, status_addresses
from services.normalizer.normalize.containers import configured_names, main_container, read_container, unique_names
from services.normalizer.normalize.deployment import Deployment, read_names, subject
from services.normalizer.normalize.readiness import (
    MODE_ANNOTATION,
    may_scale_to_zero,
    note_failed_update,
    read_readiness,
)
from services.normalizer.normalize.result import Notes
from services.normalizer.normalize.runtimes import Served, read_tasks
from services.normalizer.normalize.stated import read_stated
from services.normalizer.normalize.storage import read_storage

# In the older form, which is still admitted, the framework is a key of the predictor in place of `model`.
FRAMEWORKS = (
    "sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm", "paddle",
)  # fmt: skip
_CUSTOM_STORAGE_VARIABLE = "STORAGE_URI"
_TRANSFORMER_CONTAINER = "transformer-container"
_NO_MODEL: Mapping[str, Any] = {}
_MODEL_MESH = "modelmesh"


def read_isvc(obj: Mapping[str, Any], *, planned: bool = False) -> Deployment:
    """Return the facts of an InferenceService; parts that cannot be used are among its problems.

    Explainers, workers and canaries do not change what it serves. `planned`: see `Deployment`.
    """
    metadata, status = values.mapping(obj.get("metadata")), values.mapping(obj.get("status"))
    annotations = values.mapping(metadata.get("annotations"))
    namespace, name = read_names(metadata)
    predictor = values.mapping(values.at(obj, "spec", "predictor"))
    transformer = values.mapping(values.at(obj, "spec", "transformer"))
    model, framework = _model(predictor)
    containers = tuple(
        read_container(each, name=name, namespace=namespace) for each in _containers(predictor, transformer, model)
    )
    model_format = values.line_at(model, "modelFormat", "name") or framework
    # Where the specification names no runtime, the status says which one KServe chose.
    chosen = (model.get("runtime"), status.get("servingRuntimeName"), status.get("clusterServingRuntimeName"))
    runtime = next(filter(None, map(values.line, chosen)), "")
    tasks = read_tasks(containers)
    versioned = "-".join(filter(None, (model_format, values.line_at(model, "modelFormat", "version"))))
    # The dashboard creates a runtime for each deployment, with the same name: that would be a useless tag.
    telling = [versioned if model_format else "", runtime if runtime != name else "", *tasks]
    stated = read_stated(metadata, further_tags=telling)
    notes = Notes(subject(namespace, name))
    addresses = status_addresses(status, values.mapping(metadata.get("labels")), namespace=namespace, notes=notes)
    common = _common(obj, planned=planned)
    if common["readiness"].ready:
        note_failed_update(status, notes)
    return Deployment(
        **common,
        stated=stated,
        names=unique_names((*stated.names, *configured_names(containers))),
        served=Served(
            model_format=model_format,
            runtime=runtime,
            protocol=values.line(model.get("protocolVersion")).lower(),
            image=next((each.image for each in reversed(containers) if each.image), ""),
            tasks=tasks,
            predictive=stated.predictive,
        ),
        storage=read_storage(
            annotations,
            uris=_uris(predictor, model),
            pull_secret=_pull_secret(predictor),
            spec=values.mapping(model.get("storage")),
            model_mesh=values.line(annotations.get(MODE_ANNOTATION)).lower() == _MODEL_MESH,
        ),
        addresses=addresses,
        has_transformer=bool(transformer),
        problems=notes.problems,
    )


def read_llmisvc(obj: Mapping[str, Any], *, secured: bool | None = None, planned: bool = False) -> Deployment:
    """Return the facts of an LLMInferenceService; parts that cannot be used are among its problems.

    `secured`: its platform asks for a token by default (Open Data Hub, OpenShift AI); None where that is not known.
    `planned`: see `Deployment`.
    """
    metadata, status = values.mapping(obj.get("metadata")), values.mapping(obj.get("status"))
    model = values.mapping(values.at(obj, "spec", "model"))
    namespace, name = read_names(metadata)
    stated = read_stated(metadata)
    notes = Notes(subject(namespace, name, kind="LLMInferenceService"))
    addresses = llm_addresses(status, namespace=namespace, name=name, notes=notes)
    return Deployment(
        **_common(obj, planned=planned),
        kind="LLMInferenceService",
        stated=stated,
        names=unique_names((*stated.names, *(_addressed_names(status) or _specified_names(model)))),
        served=Served(server_type="openai-v1"),
        storage=read_storage(
            values.mapping(metadata.get("annotations")),
            uris=tuple(filter(None, (values.line(model.get("uri")),))),
            pull_secret=_pull_secret(values.at(obj, "spec", "template")),
            by_key=False,
        ),
        addresses=addresses,
        secured=secured,
        problems=notes.problems,
    )


def _common(obj: Mapping[str, Any], *, planned: bool) -> dict[str, Any]:
    """Return the fields that are read alike from both kinds; what is stopped is not planned to be shown."""
    metadata, status = values.mapping(obj.get("metadata")), values.mapping(obj.get("status"))
    namespace, name = read_names(metadata)
    readiness = read_readiness(metadata=metadata, status=status)
    return {
        "namespace": namespace,
        "name": name,
        "uid": values.line(metadata.get("uid")),
        "created": values.timestamp(metadata.get("creationTimestamp")),
        "generation": values.millis(metadata.get("generation")),
        "readiness": readiness,
        "planned": planned and not readiness.stopped,
        "may_scale_to_zero": may_scale_to_zero(obj),
    }


def _model(predictor: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Return the specification of the model, and in the older form the framework whose key it has."""
    if model := values.mapping(predictor.get("model")):
        return model, ""
    for framework in FRAMEWORKS:
        if isinstance(predictor.get(framework), Mapping):
            return predictor[framework], framework
    return _NO_MODEL, ""


def _containers(
    predictor: Mapping[str, Any], transformer: Mapping[str, Any], model: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """Yield the containers that may know the model's name, the one that takes requests first."""
    containers = values.items(predictor.get("containers"))
    of_transformer = [c for c in containers if values.at(c, "name") == _TRANSFORMER_CONTAINER]
    others = [c for c in containers if c not in of_transformer]
    found = (main_container(transformer.get("containers")), *of_transformer[:1], model, main_container(others))
    yield from filter(None, found)


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


def _pull_secret(pod: object) -> str:
    """Return the name of the first Secret for images that a pod names."""
    return next(filter(None, (values.line_at(each, "name") for each in values.items_at(pod, "imagePullSecrets"))), "")
