"""What the sources hold, in the form that the catalogue takes it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from common.problems import Problem
from common.wire import card_digest
from services.normalizer.normalize.linking import RegistryIndex
from services.normalizer.normalize.registry_objects import ModelVersion, RegisteredModel, RegistryRef
from services.normalizer.normalize.result import isvc_ref, version_ref
from services.normalizer.sources.kubeflow.records import RegistrySnapshot


@dataclass(frozen=True, slots=True)
class IsvcSource:
    """A place where InferenceServices are: its id in the cache, and the cluster's name in references."""

    id: str
    cluster: str

    def ref(self, namespace: str, name: str) -> str:
        """Return the reference of an isvc there."""
        return isvc_ref(self.cluster, namespace, name)


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
                yield version_ref(self.ref.id, version.registered_model_id, id_)

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


@dataclass(frozen=True, slots=True)
class Card:
    """The text (Markdown) of a model card, and its digest."""

    text: str
    digest: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the card of that text."""
        return cls(text, card_digest(text))
