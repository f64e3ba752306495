"""What a registry holds, kept from poll to poll, and which documents a change of it concerns."""

from collections.abc import Iterable
from typing import Any

from common.problems import Problem
from services.normalizer.normalize.registry_objects import (
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    ServingEnvironment,
)
from services.normalizer.sources.artifacts import ArtifactIndex
from services.normalizer.sources.reading import RegistrySnapshot
from services.normalizer.sources.table import Table


class RegistryContents:
    """The tables of one registry. Sets of versions that methods return are those whose documents may differ now.

    `expected` are ids of versions that were there before the start.
    """

    def __init__(self, *, registry: str, expected: Iterable[str] = ()) -> None:
        self._expected = frozenset(expected)
        self.models = Table(RegisteredModel, "registered_models", registry=registry)
        self.versions = Table(ModelVersion, "model_versions", registry=registry)
        self.services = Table(RegistryInferenceService, "inference_services", registry=registry)
        self.environments = Table(ServingEnvironment, "serving_environments", registry=registry)
        self.artifacts = ArtifactIndex(registry=registry)
        self._snapshot = RegistrySnapshot()

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """The tables that are read from a list each."""
        return self.models, self.versions, self.services, self.environments

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is malformed."""
        return (*(problem for table in self.tables for problem in table.problems), *self.artifacts.problems)

    def live_versions(self) -> list[ModelVersion]:
        """Return the live versions of live models."""
        return [version for _, version in self.snapshot().live()]

    def is_live(self, model_id: str, version_id: str) -> bool:
        """Tell whether that version is known and live, and its model too."""
        model, version = self.models.objects.get(model_id), self.versions.objects.get(version_id)
        return bool(model and version and model.is_live and version.is_live)

    def mentioned(self, table: Table[Any]) -> set[str]:
        """Return the ids that `table` ought to hold: other objects name them, or they were there before the start."""
        if table is self.models:
            return {version.registered_model_id for version in self.versions.objects.values()}
        if table is self.versions:
            recorded = {service.model_version_id for service in self.services.objects.values()}
            return {*self._expected, *recorded} - {""}
        return set()

    def affected(self, table: Table[Any], changed: Iterable[str]) -> set[str]:
        """Return the versions that these objects of `table` have to do with, now or at the last snapshot."""
        ids = set(changed)
        if not ids or table is self.versions:
            return ids
        models = ids if table is self.models else self._models_of(table, ids)
        return {each for each, version in self.versions.objects.items() if version.registered_model_id in models}

    def forget(self, table: Table[Any], ids: set[str]) -> set[str]:
        """Drop objects and return the versions that this touches."""
        touched = self.affected(table, ids & table.objects.keys())
        table.remove(ids)
        if table is self.versions:
            self.artifacts.forget(ids)
        return touched

    def snapshot(self) -> RegistrySnapshot:
        """Return everything as it is now, the same object as long as nothing changes."""
        now = RegistrySnapshot(
            models=self.models.objects,
            versions=self.versions.objects,
            artifacts=self.artifacts.of_version,
            inference_services=self.services.objects,
            environments=self.environments.objects,
        )
        if not now.is_same(self._snapshot):
            self._snapshot = now
        return self._snapshot

    def _models_of(self, table: Table[Any], ids: set[str]) -> set[str]:
        """Return the models that records of deployments, or the places they are in, have to do with."""
        records = [*self.services.objects.values(), *self._snapshot.inference_services.values()]
        if table is self.services:
            return {record.registered_model_id for record in records if record.id in ids}
        return {record.registered_model_id for record in records if record.serving_environment_id in ids}
