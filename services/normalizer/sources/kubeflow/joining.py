"""Joins the tables of a registry to one fact for each version: with its model, its artifacts, and its deployments.

Pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from services.normalizer.facts import Ref
from services.normalizer.normalize.registered_version import Record, RegisteredVersion, age, joined
from services.normalizer.normalize.registry_objects import (
    ModelArtifact,
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    ServingEnvironment,
)

_NOTHING: Mapping[str, RegisteredVersion] = {}


def with_models(
    versions: Iterable[ModelVersion], models: Mapping[str, RegisteredModel]
) -> Iterator[tuple[RegisteredModel, ModelVersion]]:
    """Yield the versions whose models are known, with these.

    A version belongs to the model that it names itself: ids start again when a registry's database is rebuilt.
    """
    for version in versions:
        if (model := models.get(version.registered_model_id)) is not None:
            yield model, version


def join(
    registry: str,
    *,
    models: Mapping[str, RegisteredModel],
    versions: Iterable[ModelVersion],
    artifacts: Mapping[str, tuple[ModelArtifact, ...]],
    services: Iterable[RegistryInferenceService] = (),
    environments: Mapping[str, ServingEnvironment],
    former: Mapping[str, RegisteredVersion] = _NOTHING,
) -> Mapping[str, RegisteredVersion]:
    """Return all versions whose model is known, by id, `artifacts` being by the ids of versions.

    What did not change is the same object as in `former`, which was joined before.
    """
    pairs = list(with_models(versions, models))
    live = [version for model, version in pairs if model.is_live and version.is_live]
    records = _records(registry, live, services, environments)
    return {
        version.id: joined(
            registry,
            model,
            version,
            artifacts.get(version.id),
            records.get(version.id, ()),
            former=former.get(version.id),
        )
        for model, version in pairs
    }


def _records(
    registry: str,
    live: Iterable[ModelVersion],
    services: Iterable[RegistryInferenceService],
    environments: Mapping[str, ServingEnvironment],
) -> Mapping[str, tuple[Record, ...]]:
    """Return the records of deployments by the live versions that they are of; without one, a model's newest."""
    by_id = {version.id: version for version in live}
    newest = {version.registered_model_id: version for version in sorted(by_id.values(), key=age)}
    found: defaultdict[str, tuple[Record, ...]] = defaultdict(tuple)
    for service in services:
        model, named = service.registered_model_id, service.model_version_id
        version = by_id.get(named) if named else newest.get(model)
        if service.is_deployed and version is not None and version.registered_model_id == model:
            place = environments.get(service.serving_environment_id)
            ref = Ref.version(registry, model, version.id)
            record = Record(service.name, service.id, service.updated, ref, place.name if place else "")
            found[version.id] = (*found[version.id], record)
    return found
