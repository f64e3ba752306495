"""LLMInferenceServices (serving.kserve.io/v1alpha1 and v1alpha2) as facts."""

from collections.abc import Iterator, Mapping
from typing import Any

from services.normalizer.normalize import values
from services.normalizer.normalize.addresses import llm_addresses
from services.normalizer.normalize.deployment import Deployment, read_names, subject
from services.normalizer.normalize.model_names import unique_names
from services.normalizer.normalize.readiness import may_sleep, read_readiness
from services.normalizer.normalize.runtimes import Served
from services.normalizer.normalize.stated import read_stated
from services.normalizer.normalize.storage import read_llm_storage

_BY_PUBLISHER = "publishers/"


def read_llmisvc(obj: Mapping[str, Any], *, secured: bool | None = None) -> Deployment:
    """Return the facts of an LLMInferenceService; what is unusable is among its problems.

    `secured`: its platform asks for a token unless it is told not to (Open Data Hub, OpenShift AI), None where that is
    not known.
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
        served=Served(said="openai-v1"),
        storage=read_llm_storage(
            values.line(model.get("uri")),
            values.mapping(metadata.get("annotations")),
            pull_secret=next(_pull_secrets(spec), ""),
        ),
        addresses=addresses,
        secured=secured,
        readiness=read_readiness(metadata=metadata, status=status),
        may_sleep=may_sleep(obj),
        problems=problems,
    )


def _addressed_names(status: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names that the addresses answer to; those by their publisher are the same models again."""
    named = (
        values.line(values.at(model, "name"))
        for address in values.items(status.get("addresses"))
        for model in values.items(values.at(address, "models"))
    )
    return tuple(dict.fromkeys(name for name in named if name and not name.startswith(_BY_PUBLISHER)))


def _specified_names(model: Mapping[str, Any]) -> tuple[str, ...]:
    adapters = values.items(values.at(model, "lora", "adapters"))
    return (values.line(model.get("name")), *(values.line(values.at(adapter, "name")) for adapter in adapters))


def _pull_secrets(spec: Mapping[str, Any]) -> Iterator[str]:
    secrets = values.items(values.at(spec, "template", "imagePullSecrets"))
    return filter(None, (values.line(values.at(secret, "name")) for secret in secrets))
