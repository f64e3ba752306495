"""The artifacts of versions, and which have to be fetched again.

A registry lists the artifacts of one version, or all model artifacts at once, but these without their versions. So the
list of all shows that something changed, and the artifacts that were fetched before show in which version.
"""

from collections.abc import Iterable, Mapping, Set
from types import MappingProxyType
from typing import Any, NamedTuple

from common.problems import Problem
from services.normalizer.normalize import values
from services.normalizer.normalize.registry_objects import ModelArtifact, ModelVersion, parse_item
from services.normalizer.sources.kubeflow.paging import ListAnswer, fingerprint, item_id


class ListedArtifact(NamedTuple):
    """An artifact in the list of all: its id, a fingerprint of its content, and its time of change."""

    id: str
    print: bytes
    updated: int


class ArtifactIndex:
    """The artifacts of versions, and which versions to ask so that they are up to date."""

    def __init__(self, *, registry: str) -> None:
        self._registry = registry
        self._of_version: dict[str, tuple[ModelArtifact, ...]] = {}
        self._frozen: Mapping[str, tuple[ModelArtifact, ...]] | None = None
        self._fetched_for: dict[str, ModelVersion] = {}
        self._owner: dict[str, str] = {}
        # By fingerprint; until the list of all artifacts shows an artifact that was fetched, by its time of change.
        self._listed: dict[str, bytes | int] = {}
        self._missed: Set[str] = set()
        self._strays: set[str] = set()
        self._candidates: list[str] = []
        self._problems: dict[str, tuple[Problem, ...]] = {}

    @property
    def of_version(self) -> Mapping[str, tuple[ModelArtifact, ...]]:
        """The artifacts by version id, the same object until something changes."""
        if self._frozen is None:
            self._frozen = MappingProxyType(dict(self._of_version))
        return self._frozen

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of malformed artifacts."""
        return tuple(problem for each in self._problems.values() for problem in each)

    @staticmethod
    def read(raw: Any) -> "ListedArtifact | None":
        """Return an item of the list of all artifacts, None for one of an experiment run, which has no version."""
        each = item_id(raw)
        if not each or values.line_at(raw, "experimentRunId"):
            return None
        return ListedArtifact(each, fingerprint(raw), values.millis(values.at(raw, "lastUpdateTimeSinceEpoch")))

    def notice(self, answer: ListAnswer["ListedArtifact | None"]) -> None:
        """Take the list of all artifacts: one that changed or is gone makes its version due, a new one is a stray."""
        listed = {item.id: item for item in answer.items if item is not None}
        known = self._listed
        self._missed = known.keys() - listed.keys() if answer.error is None else set()
        changed = {
            each
            for each in listed.keys() & known.keys()
            if known[each] not in (listed[each].print, listed[each].updated)
        }
        for each in changed | self._missed:
            self._fetched_for.pop(self._owner.get(each, ""), None)
        self._strays -= self._missed
        # Before any version was asked, nothing is new: all live versions are due anyway.
        if self._fetched_for and (fresh := listed.keys() - known.keys() - self._owner.keys()):
            self._strays |= fresh
            self._candidates = []
        for each in self._missed:
            del known[each]
        known |= {each: item.print for each, item in listed.items()}

    def due(self, live: Iterable[ModelVersion]) -> list[ModelVersion]:
        """Return the live versions whose artifacts are unknown, or may have changed since they were fetched."""
        return [version for version in live if self._fetched_for.get(version.id) is not version]

    def take_candidates(self, live: Iterable[ModelVersion], *, limit: int) -> list[ModelVersion]:
        """Return the next versions that strays may belong to: first those without artifacts, then the newest.

        Each is named once per search; artifacts that no live version owns belong to archived ones, or to none.
        """
        if not self._strays:
            return []
        by_id = {version.id: version for version in live}
        if not self._candidates:
            order = sorted(by_id.values(), key=lambda each: (bool(self._of_version.get(each.id)), -each.created))
            self._candidates = [version.id for version in order]
        asked, self._candidates = self._candidates[:limit], self._candidates[limit:]
        if not self._candidates:
            self._strays.clear()
        return [by_id[each] for each in asked if each in by_id]

    def record(self, version: ModelVersion, items: Iterable[Any]) -> None:
        """Keep a version's artifacts as fetched."""
        raw = list(items)
        parsed = [parse_item(ModelArtifact, item, registry=self._registry) for item in raw]
        artifacts = tuple(item for item in parsed if isinstance(item, ModelArtifact))
        self._fetched_for[version.id] = version
        self._problems[version.id] = tuple(item for item in parsed if isinstance(item, Problem))
        for item in raw:
            self._assign(item_id(item), version)
        for artifact in artifacts:
            # One that the list lacks although it is there is not waited for again.
            if artifact.is_model and artifact.id not in self._missed:
                self._listed.setdefault(artifact.id, artifact.updated)
        if self._of_version.get(version.id) != artifacts:
            self._of_version[version.id] = artifacts
            self._frozen = None

    def _assign(self, artifact_id: str, version: ModelVersion) -> None:
        self._owner[artifact_id] = version.id
        self._strays.discard(artifact_id)

    def forget(self, versions: Iterable[str]) -> None:
        """Forget the artifacts of these versions."""
        gone = set(versions)
        for version in gone:
            self._fetched_for.pop(version, None)
            self._problems.pop(version, None)
            if self._of_version.pop(version, None) is not None:
                self._frozen = None
        if gone:
            self._owner = {each: owner for each, owner in self._owner.items() if owner not in gone}
