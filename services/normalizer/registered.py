"""The versions that registries have, or lack while they have not left yet, and which one a deployment serves.

Pure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from services.normalizer.facts import DELETED, Ref
from services.normalizer.hidden import Why
from services.normalizer.ledger import NOT_LISTED, Ledger
from services.normalizer.normalize import registry_objects
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.linking import Link, RegistryIndex, link
from services.normalizer.normalize.registry_objects import ModelArtifact, ModelVersion, RegisteredModel
from services.normalizer.normalize.result import IGNORE
from services.normalizer.places import Places
from services.normalizer.sources.kubeflow.records import RegistryContent, registry_source

ARCHIVED: Final = "archived"
"""The proof that somebody wanted a version to go."""


@dataclass(frozen=True, slots=True)
class Version:
    """A live version of a live model; `missed`: since when looks at its registry lack it."""

    model: RegisteredModel
    version: ModelVersion
    artifacts: tuple[ModelArtifact, ...] | None
    missed: float | None = None


class Registered:
    """What all registries hold, by registry and by reference."""

    def __init__(self, ledger: Ledger, places: Places) -> None:
        self._ledger = ledger
        self._places = places
        self._contents: dict[str, RegistryContent] = {}
        self._indexes: dict[str, RegistryIndex] = {}
        self._missed: dict[str, Version] = {}

    def put(
        self, registry: str, content: RegistryContent | None, *, touched: Iterable[str], now: float
    ) -> tuple[set[str], bool, bool]:
        """Take what a registry holds now, None when it is gone; `touched` are the ids of versions that changed.

        Returns the references of versions that may be shown otherwise, whether that may be any of the registry's, and
        whether deployments may be linked otherwise.
        """
        index = content.index() if content is not None else None  # before anything is changed: it may fail
        former = self._contents.pop(registry, None)
        changed: set[str] = set()
        if former is not None and content is not None:
            changed |= self._keep_missed(former, content, now)
        if content is not None:
            self._contents[registry] = content
        everything = content is None or former is None or former.settled != content.settled
        for holds in filter(None, (former, content)):
            changed.update(holds.version_refs(holds.snapshot.versions if everything else touched))
        relinked = index != self._indexes.pop(registry, None)
        if index is not None:
            self._indexes[registry] = index
        return changed, everything, relinked

    def content_of(self, ref: str) -> RegistryContent | None:
        """Return what the registry of a version holds, None when it was not read."""
        return self._contents.get(Ref.parse(ref).place)

    def over(self) -> list[str]:
        """Return the registries that are gone, with all their entries."""
        return [registry for registry in self._contents if self._ledger.is_over(registry_source(registry))]

    def withdraw(self, ref: str) -> None:
        """Keep a version no longer that its registry lacks."""
        self._missed.pop(ref, None)

    def find(self, ref: str, content: RegistryContent) -> Version | None:
        """Return a version that is live, or that its registry lacks and that has not left yet; tell the ledger."""
        model_id, version_id = Ref.parse(ref).ids
        model, version = content.snapshot.models.get(model_id), content.snapshot.versions.get(version_id)
        if model is not None and version is not None and version.registered_model_id == model_id:
            self._missed.pop(ref, None)
            if model.is_live and version.is_live:
                self._ledger.see(ref, content.source)
                return Version(model, version, content.snapshot.artifacts.get(version_id))
            self._ledger.end(ref, DELETED if version.state == registry_objects.DELETED else ARCHIVED)
            return None
        missed = self._missed.get(ref)
        if missed is not None and self._ledger.doubt(ref, content.source, NOT_LISTED, since=missed.missed or 0):
            return missed
        self._missed.pop(ref, None)
        return None

    def hidden(self, ref: str) -> Why | None:
        """Return what is in the way of showing a version that its registry has."""
        content = self.content_of(ref)
        if content is None:
            return None
        model_id, version_id = Ref.parse(ref).ids
        model, version = content.snapshot.models.get(model_id), content.snapshot.versions.get(version_id)
        if model is None or version is None or version.registered_model_id != model_id:
            return None
        for noun, found in (("registered model", model), ("version", version)):
            if found.is_ignored:
                return Why("ignored", f"its {noun} {found.name} is marked with {IGNORE}", "remove that property")
            if not found.is_live:
                return Why("archived", f"its {noun} {found.name} is {found.state}", "restore it in the registry")
        if version_id not in content.snapshot.artifacts:
            remedy = "see the registry among the sources: it says what cannot be read"
            return Why("not-read", "its registry was not read to the end yet", remedy)
        return None

    def versions(self) -> Iterator[tuple[str, RegisteredModel, ModelVersion]]:
        """Yield all versions, live or not, by reference."""
        for content in self._contents.values():
            for version in content.snapshot.versions.values():
                if (model := content.snapshot.models.get(version.registered_model_id)) is not None:
                    yield str(Ref.version(content.ref.id, model.id, version.id)), model, version

    @property
    def refs(self) -> Iterator[str]:
        """The references of all versions that registries have."""
        for content in self._contents.values():
            yield from content.version_refs(content.snapshot.versions)

    def link(self, deployment: Deployment, cluster: str, former: Link) -> Link:
        """Return which version a deployment in a cluster serves; one that its registry lacks for now it keeps."""
        within = [each for registry, each in self._indexes.items() if self._places.may_describe(registry, cluster)]
        new = link(deployment, within)
        keeps = new.version is None and former.version is not None and former.version.ref in self._missed
        return former if keeps else new

    def _keep_missed(self, former: RegistryContent, content: RegistryContent, now: float) -> set[str]:
        """Keep the versions that are no longer in a registry until the ledger lets them go; return all of them."""
        before, after = former.snapshot, content.snapshot
        models = before.models.keys() - after.models.keys()
        versions = before.versions.keys() - after.versions.keys()
        if models:
            versions |= {id_ for id_, version in before.versions.items() if version.registered_model_id in models}
        refs = set()
        for id_ in versions:
            found = former.find(before.versions[id_].registered_model_id, id_)
            for ref in former.version_refs([id_]):
                refs.add(ref)
                if found is not None and self._ledger.knows(ref):
                    self._missed[ref] = Version(*found, before.artifacts.get(id_), missed=now)
        return refs
