"""InferenceServices (serving.kserve.io/v1beta1) as facts: what the mapping needs and nothing more."""

from collections.abc import Mapping
from typing import Any

from services.normalizer.normalize import values
from services.normalizer.normalize.addresses import status_addresses
from services.normalizer.normalize.deployment import Deployment, read_names, subject
from services.normalizer.normalize.model_names import told_names, unique_names
from services.normalizer.normalize.predictor import read_predictor
from services.normalizer.normalize.readiness import may_sleep, read_failed_update, read_readiness
from services.normalizer.normalize.runtimes import Served, read_tasks
from services.normalizer.normalize.stated import read_stated
from services.normalizer.normalize.storage import read_storage

_DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
_MODEL_MESH = "modelmesh"


def read_isvc(obj: Mapping[str, Any]) -> Deployment:
    """Return the facts of an InferenceService; what is unusable is among its problems."""
    metadata, status = values.mapping(obj.get("metadata")), values.mapping(obj.get("status"))
    annotations = values.mapping(metadata.get("annotations"))
    namespace, name = read_names(metadata)
    predictor = read_predictor(obj.get("spec"), name=name, namespace=namespace)
    runtime = predictor.runtime or _chosen_runtime(status)
    tasks = read_tasks(predictor.containers)
    versioned = "-".join(filter(None, (predictor.model_format, predictor.format_version)))
    # The dashboard makes a runtime of its own for each deployment: its name says nothing more.
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
        names=unique_names((*stated.names, *told_names(predictor.containers))),
        served=Served(
            model_format=predictor.model_format,
            runtime=runtime,
            protocol=predictor.protocol,
            image=next((told.image for told in reversed(predictor.containers) if told.image), ""),
            tasks=tasks,
            predictive=stated.predictive,
        ),
        storage=read_storage(
            predictor.model,
            annotations,
            uris=predictor.uris,
            pull_secret=predictor.pull_secret,
            model_mesh=values.line(annotations.get(_DEPLOYMENT_MODE)).lower() == _MODEL_MESH,
        ),
        addresses=addresses,
        has_transformer=predictor.has_transformer,
        readiness=readiness,
        may_sleep=may_sleep(obj),
        problems=problems,
    )


def _chosen_runtime(status: Mapping[str, Any]) -> str:
    """Return the runtime that KServe chose where the specification names none."""
    return values.line(status.get("servingRuntimeName")) or values.line(status.get("clusterServingRuntimeName"))
