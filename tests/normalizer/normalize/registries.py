"""Objects of a model registry, as its REST API gives them, and how they are shown."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.document import ServerFacts, server_facts
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.linking import RegistryIndex
from services.normalizer.normalize.registered_version import RegisteredVersion, Registry, joined
from services.normalizer.normalize.registry import normalize_version
from services.normalizer.normalize.registry_objects import (
    Item,
    ModelArtifact,
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    ServingEnvironment,
    parse_item,
)
from services.normalizer.normalize.result import Defaults, Normalized
from services.normalizer.sources.kubeflow.tables import join
from tests.normalizer.normalize.objects import DEFAULTS, isvc

PUBLIC = Registry("r1", "public", "registries")


def parsed(kind: type[Item], **raw: Any) -> Item:
    item = parse_item(kind, raw, registry="public")
    assert isinstance(item, kind), item
    return item


def strings(**properties: str) -> dict[str, Any]:
    """Return custom properties; an underscore inside an argument's name is a blank in the property's."""
    return {
        key[0] + key[1:].replace("_", " "): {"metadataType": "MetadataStringValue", "string_value": text}
        for key, text in properties.items()
    }


def model(**raw: Any) -> RegisteredModel:
    return parsed(RegisteredModel, **({"id": "1", "name": "granite"} | raw))


def version(**raw: Any) -> ModelVersion:
    return parsed(ModelVersion, **({"id": "10", "name": "v1", "registeredModelId": "1"} | raw))


def artifact(**raw: Any) -> ModelArtifact:
    return parsed(ModelArtifact, **({"id": "100", "uri": "oci://quay.io/acme/granite:1"} | raw))


def record(**raw: Any) -> RegistryInferenceService:
    return parsed(
        RegistryInferenceService,
        **({"id": "5", "name": "mnist", "registeredModelId": "1", "servingEnvironmentId": "7"} | raw),
    )


def server(*, said: dict[str, str] | None = None, annotations: dict[str, str] | None = None) -> ServerFacts:
    facts = server_facts(read_isvc(isvc(said=said, annotations=annotations)))
    assert facts is not None
    return facts


def document(
    of_model: RegisteredModel | None = None,
    of_version: ModelVersion | None = None,
    artifacts: list[ModelArtifact] | None = None,
    *,
    registry: Registry = PUBLIC,
    served: ServerFacts | None = None,
    registry_isvc_name: str = "",
    card: str = "",
    defaults: Defaults = DEFAULTS,
) -> Normalized:
    return normalize_version(
        joined(
            registry.id,
            of_model or model(),
            of_version or version(),
            (artifact(),) if artifacts is None else tuple(artifacts),
        ),
        registry=registry,
        server=served,
        registry_isvc_name=registry_isvc_name,
        card=card,
        defaults=defaults,
    )


def index(
    registry: Registry = PUBLIC,
    *,
    models: list[RegisteredModel] | None = None,
    versions: list[ModelVersion] | None = None,
    records: list[RegistryInferenceService] | None = None,
    environments: list[ServingEnvironment] | None = None,
) -> RegistryIndex:
    joined_versions = registered(
        registry.id,
        models=[model()] if models is None else models,
        versions=[version()] if versions is None else versions,
        records=records or [],
        environments=[parsed(ServingEnvironment, id="7", name="vision")] if environments is None else environments,
    )
    return RegistryIndex.build(registry, joined_versions.values())


def registered(
    registry: str,
    *,
    models: Iterable[RegisteredModel] = (),
    versions: Iterable[ModelVersion] = (),
    artifacts: Mapping[str, tuple[ModelArtifact, ...]] = MappingProxyType({}),
    records: Iterable[RegistryInferenceService] = (),
    environments: Iterable[ServingEnvironment] = (),
) -> Mapping[str, RegisteredVersion]:
    """What a registry with these tables says of its versions, by id."""
    return join(
        registry,
        models={each.id: each for each in models},
        versions=versions,
        artifacts=artifacts,
        services=records,
        environments={each.id: each for each in environments},
    )


def labelled(family: str = "modelregistry.opendatahub.io", /, **labels: str) -> Deployment:
    """Return an isvc with labels of a registry; underscores in the arguments' names are dashes in the labels'."""
    return read_isvc(isvc(labels={f"{family}/{key.replace('_', '-')}": value for key, value in labels.items()}))
