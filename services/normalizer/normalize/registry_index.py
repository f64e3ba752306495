"""A registry's live versions and deployed records, for looking up; built again when the registry's content changed."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from services.normalizer.facts import Ref
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.labels import NamedVersion, RegistryLabels
from services.normalizer.normalize.registry_objects import (
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    RegistryRef,
    ServingEnvironment,
)


class VersionRef(NamedTuple):
    """A version by the ids of its registry, its model and itself."""

    registry: str
    model: str
    version: str

    @property
    def ref(self) -> str:
        """The lasting name of the version's document."""
        return str(Ref.version(*self))


class Record(NamedTuple):
    """A deployed record; sorted by name."""

    name: str
    id: str
    updated: int
    version: VersionRef

    @property
    def isvc_name(self) -> str:
        """The name of the isvc: the record's is `name`, or `name/uid` where isvcs are synchronised with a registry."""
        return self.name.partition("/")[0]


class _Place(NamedTuple):
    """The records of one namespace: by the isvc's name that they give, and all of them sorted by their names."""

    by_isvc: Mapping[str, Sequence[Record]]
    by_name: Sequence[Record]

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        by_isvc: defaultdict[str, list[Record]] = defaultdict(list)
        for record in records:
            by_isvc[record.isvc_name].append(record)
        return cls(by_isvc, sorted(records))

    def beginning_with(self, name: str) -> Iterator[Record]:
        for position in range(bisect_left(self.by_name, (name,)), len(self.by_name)):
            if not self.by_name[position].name.startswith(name):
                return
            yield self.by_name[position]


_NOWHERE = _Place({}, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryIndex:
    """One registry's live versions and deployed records, for looking up.

    `live` has the versions by id, `newest` the newest of each model by its id; `models` the models' ids by name, and
    `versions` the versions by the model's id and each of the names that they are called by.
    """

    ref: RegistryRef
    live: Mapping[str, VersionRef]
    newest: Mapping[str, VersionRef]
    models: Mapping[str, str]
    versions: Mapping[tuple[str, str], VersionRef]
    records: Mapping[str, Record]
    places: Mapping[str, _Place]

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
        live_models = {model.id: model.name for model in models if model.is_live}
        live_versions = [v for v in versions if v.is_live and v.registered_model_id in live_models]
        live = {v.id: VersionRef(ref.id, v.registered_model_id, v.id) for v in live_versions}
        by_age = sorted(live_versions, key=lambda v: (v.created, len(v.id), v.id))
        newest = {v.registered_model_id: live[v.id] for v in by_age}
        names = {environment.id: environment.name for environment in environments}
        records: dict[str, Record] = {}
        places: defaultdict[str, list[Record]] = defaultdict(list)
        for service in inference_services:
            if service.model_version_id:
                served = live.get(service.model_version_id)
            else:
                served = newest.get(service.registered_model_id)
            if not service.is_deployed or served is None or served.model != service.registered_model_id:
                continue
            record = Record(service.name, service.id, service.updated, served)
            records[service.id] = record
            if name := names.get(service.serving_environment_id):
                places[name].append(record)
        return cls(
            ref=ref,
            live=live,
            newest=newest,
            models={name: id_ for id_, name in live_models.items()},
            versions={(v.registered_model_id, name): live[v.id] for v in by_age for name in (*v.called, v.name)},
            records=records,
            places={name: _Place.of(at) for name, at in places.items()},
        )

    def labelled(self, labels: RegistryLabels) -> VersionRef | None:
        """Return the live version that the labels name by its ids; of a model alone the newest."""
        if self.ref.api != "kubeflow":  # whose ids the labels are
            return None
        if labels.version:
            found = self.live.get(labels.version)
        elif record := self.records.get(labels.inference_service):
            found = record.version
        else:
            found = self.newest.get(labels.model)
        return found if found and labels.model in ("", found.model) else None

    def named(self, name: NamedVersion) -> VersionRef | None:
        """Return the live version of these names; without the version's the newest of the model."""
        model = self.models.get(name.model) if name.api == self.ref.api else None
        if model is None:
            return None
        return self.versions.get((model, name.version)) if name.version else self.newest.get(model)

    def answers_at(self, host: str) -> bool:
        """Return whether `host` names this registry, as far as its name tells: `<name>[.<namespace>...][:port]`."""
        name, _, rest = host.partition(":")[0].partition(".")
        return bool(self.ref.name) and name == self.ref.name and rest.partition(".")[0] in ("", self.ref.namespace)

    def recorded(self, isvc: Deployment) -> Iterable[Record]:
        """Return the records of the isvc; without any, those in its namespace whose names begin with the isvc's."""
        place = self.places.get(isvc.namespace, _NOWHERE)
        return place.by_isvc.get(isvc.name) or place.beginning_with(isvc.name)
