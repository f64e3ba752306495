"""What a poll of a registry brings, as data that does not change any more."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from common.problems import Problem
from services.normalizer.normalize.registry_objects import (
    ModelArtifact,
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    ServingEnvironment,
)
from services.normalizer.sources.refs import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySnapshot:
    """All that is known of a registry, by id; artifacts by the id of their version.

    A live version that is missing from `artifacts` has not been read to the end: its document stays as it is.
    """

    models: Mapping[str, RegisteredModel] = field(default_factory=dict)
    versions: Mapping[str, ModelVersion] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[ModelArtifact, ...]] = field(default_factory=dict)
    inference_services: Mapping[str, RegistryInferenceService] = field(default_factory=dict)
    environments: Mapping[str, ServingEnvironment] = field(default_factory=dict)

    def live(self) -> Iterator[tuple[RegisteredModel, ModelVersion]]:
        """Yield the live versions of live models."""
        for version in self.versions.values():
            model = self.models.get(version.registered_model_id)
            if model is not None and model.is_live and version.is_live:
                yield model, version

    def is_same(self, other: "RegistrySnapshot") -> bool:
        """Return whether nothing at all changed between the two; costs nothing, for what is unchanged is shared."""
        return (
            self.models is other.models
            and self.versions is other.versions
            and self.artifacts is other.artifacts
            and self.inference_services is other.inference_services
            and self.environments is other.environments
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryReading:
    """One poll's result: what the registry holds now, and how far that can be trusted.

    `complete`: every list came whole, so what the snapshot lacks is gone; otherwise nothing may be removed.
    `settled`: every list came whole at least once since the start, so that what the snapshot says of a version is all
    there is to say; before that it may add documents, not change them.
    `touched`: ids of versions whose document may differ from the last reading's, also those that left.
    `fault`: why something could not be read, None when nothing is missing.
    `cards`: texts of the model catalog's cards by key, those that are new or changed since the last reading; None for
    a model that the catalog says has none. A card that could not be read is not among them and stays what it was.
    """

    snapshot: RegistrySnapshot
    complete: bool
    settled: bool
    touched: frozenset[str]
    fault: Fault | None = None
    problems: tuple[Problem, ...] = ()
    retry_after: float | None = None
    cards: Mapping[str, str | None] = field(default_factory=dict)
