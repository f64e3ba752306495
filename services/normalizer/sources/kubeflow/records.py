"""What a poll of a registry brings, as data that does not change any more."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from common.problems import Problem
from services.normalizer.facts import Ref
from services.normalizer.normalize.linking import RegistryIndex
from services.normalizer.normalize.registry_objects import (
    ModelArtifact,
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    RegistryRef,
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


@dataclass(frozen=True, slots=True)
class RegistryContent:
    """All that is known of one registry; `settled`: each of its lists was read to the end at least once.

    `problems` are those of items that are unusable, and so of no document.
    """

    ref: RegistryRef
    snapshot: RegistrySnapshot
    settled: bool = True
    problems: tuple[Problem, ...] = ()

    def version_refs(self, ids: Iterable[str]) -> Iterator[str]:
        """Yield the references of those of the versions that are here."""
        for id_ in ids:
            if version := self.snapshot.versions.get(id_):
                yield str(Ref.version(self.ref.id, version.registered_model_id, id_))

    @property
    def source(self) -> str:
        """The id of this registry as a source of entries."""
        return registry_source(self.ref.id)

    def find(self, model_id: str, version_id: str) -> tuple[RegisteredModel, ModelVersion] | None:
        """Return a live version of a live model, or None.

        A version belongs to the model that it names itself: ids start again when a registry's database is rebuilt.
        """
        version, model = self.snapshot.versions.get(version_id), self.snapshot.models.get(model_id)
        if version is None or model is None or version.registered_model_id != model_id:
            return None
        return (model, version) if version.is_live and model.is_live else None

    def index(self) -> RegistryIndex:
        """Return the index for linking."""
        return RegistryIndex.build(
            self.ref,
            models=self.snapshot.models.values(),
            versions=self.snapshot.versions.values(),
            inference_services=self.snapshot.inference_services.values(),
            environments=self.snapshot.environments.values(),
        )


def registry_source(registry: str) -> str:
    """Return the id under which the entries of a registry are stored."""
    return f"registry:{registry}"
