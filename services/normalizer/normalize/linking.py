"""Which registered version an InferenceService serves, and which of several such isvcs a document shows.

Labels on the isvc decide; without them the registries' own records of deployments do. One isvc costs a few look-ups,
whatever the number of versions and records; the indexes are built anew when a registry's content changed.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from common.problems import Problem
from services.normalizer.normalize.isvc import Isvc, subject
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.registry_objects import (
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    RegistryRef,
    ServingEnvironment,
)
from services.normalizer.normalize.result import version_ref


class VersionRef(NamedTuple):
    """A version by the ids of its registry, its model and itself."""

    registry: str
    model: str
    version: str

    @property
    def ref(self) -> str:
        """The lasting name of the version's document."""
        return version_ref(*self)


@dataclass(frozen=True, slots=True)
class Link:
    """What an isvc serves: `version` is None for an isvc that no registry describes.

    `record` is the name of the registry's record of the deployment, if there is one. `certain` is false when only
    the beginning of that record's name speaks for the link, which may belong to an isvc with a longer name.
    """

    version: VersionRef | None = None
    record: str = ""
    certain: bool = True
    problems: tuple[Problem, ...] = ()


class _Record(NamedTuple):
    """A deployed record; sorted by name."""

    name: str
    id: str
    updated: int
    version: VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryIndex:
    """One registry's live versions and deployed records, for looking up."""

    ref: RegistryRef
    live: Mapping[str, VersionRef]
    records: Mapping[str, _Record]
    places: Mapping[str, Sequence[_Record]]

    @classmethod
    def build(
        cls,
        ref: RegistryRef,
        *,
        models: Iterable[RegisteredModel],
        versions: Iterable[ModelVersion],
        inference_services: Iterable[RegistryInferenceService],
        environments: Iterable[ServingEnvironment],
    ) -> Self:
        """Return the index of what a registry holds; what is archived or not deployed is not in it."""
        live_models = {model.id for model in models if model.is_live}
        live_versions = [v for v in versions if v.is_live and v.registered_model_id in live_models]
        live = {v.id: VersionRef(ref.id, v.registered_model_id, v.id) for v in live_versions}
        newest = {
            v.registered_model_id: v.id for v in sorted(live_versions, key=lambda v: (v.created, len(v.id), v.id))
        }
        names = {environment.id: environment.name for environment in environments}
        records: dict[str, _Record] = {}
        places: defaultdict[str, list[_Record]] = defaultdict(list)
        for service in inference_services:
            served = live.get(service.model_version_id or newest.get(service.registered_model_id, ""))
            if not service.is_deployed or served is None or served.model != service.registered_model_id:
                continue
            record = _Record(service.name, service.id, service.updated, served)
            records[service.id] = record
            if name := names.get(service.serving_environment_id):
                places[name].append(record)
        return cls(ref=ref, live=live, records=records, places={name: tuple(sorted(at)) for name, at in places.items()})

    def labelled(self, labels: RegistryLabels) -> VersionRef | None:
        """Return the live version that the labels name by its ids."""
        if labels.version:
            found = self.live.get(labels.version)
        else:
            found = record.version if (record := self.records.get(labels.inference_service)) else None
        return found if found and labels.model in ("", found.model) else None

    def recorded(self, isvc: Isvc) -> Iterator[_Record]:
        """Yield the records in the isvc's namespace whose names begin with the isvc's."""
        at = self.places.get(isvc.namespace, ())
        for position in range(bisect_left(at, (isvc.name,)), len(at)):
            if not at[position].name.startswith(isvc.name):
                return
            yield at[position]


def link(isvc: Isvc, indexes: Sequence[RegistryIndex]) -> Link:
    """Return which live version of the registries the isvc serves."""
    records = sorted((r for index in indexes for r in index.recorded(isvc)), key=lambda r: _rank(r, isvc))
    labels = isvc.registry
    if labels is None or not labels.names_version:
        return _by_records(isvc, records)
    asked = _named(labels, indexes)
    found = sorted(version for index in asked if (version := index.labelled(labels)))
    if not found:
        return Link(problems=_gone(isvc, labels) if indexes else ())
    recorded = {record.version: record.name for record in reversed(records)}
    version = next((version for version in found if version in recorded), found[0])
    by_id = {record.version: record.name for index in asked if (record := index.records.get(labels.inference_service))}
    return Link(
        version,
        record=by_id.get(version) or recorded.get(version, ""),
        problems=() if len(found) == 1 or version in recorded else _ambiguous(isvc, found),
    )


def _named(labels: RegistryLabels, indexes: Sequence[RegistryIndex]) -> Sequence[RegistryIndex]:
    """Return the registries that the labels may mean: those of the name given, else those whose name is unknown."""
    if not labels.registry_name:
        return indexes
    named = [
        index
        for index in indexes
        if index.ref.name == labels.registry_name
        and ("" in (labels.registry_namespace, index.ref.namespace) or index.ref.namespace == labels.registry_namespace)
    ]
    return named or [index for index in indexes if not index.ref.name]


def _by_records(isvc: Isvc, records: Sequence[_Record]) -> Link:
    if not records:
        return Link()
    best = records[0]
    others = sorted({record.version for record in records if _certain(record, isvc) == _certain(best, isvc)})
    problems = _ambiguous(isvc, others) if len(others) > 1 else ()
    return Link(best.version, record=best.name, certain=_certain(best, isvc), problems=problems)


def _certain(record: _Record, isvc: Isvc) -> bool:
    """Tell whether the isvc's name ends where a word of the record's name does."""
    after = record.name[len(isvc.name) : len(isvc.name) + 1]
    return not (after.isalnum() or after == "-")


def _rank(record: _Record, isvc: Isvc) -> tuple[bool, bool, int, VersionRef, str]:
    """Return the key that sorts the record that speaks for the isvc best first: the same name, then the newest."""
    return record.name != isvc.name, not _certain(record, isvc), -record.updated, record.version, record.id


def _gone(isvc: Isvc, labels: RegistryLabels) -> tuple[Problem, ...]:
    named = f"version {labels.version}" if labels.version else f"deployment {labels.inference_service}"
    return (
        Problem(
            "info",
            subject(isvc.namespace, isvc.name),
            f"its labels name {named} of a model registry, which is not live in any registry read: it is shown alone",
            "restore the version in the registry, or correct the labels modelregistry.opendatahub.io/…",
        ),
    )


def _ambiguous(isvc: Isvc, versions: Sequence[VersionRef]) -> tuple[Problem, ...]:
    return (
        Problem(
            "warning",
            subject(isvc.namespace, isvc.name),
            f"{len(versions)} registered versions could be meant: {', '.join(v.ref for v in versions)}",
            "name the one meant with the labels modelregistry.opendatahub.io/registered-model-id, "
            "…/model-version-id and …/name (of the registry)",
        ),
    )
