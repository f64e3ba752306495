"""A registry's live versions and records of deployments, for looking up; built again when one of these changed."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from services.normalizer.facts import Ref
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.labels import NamedVersion, RegistryLabels
from services.normalizer.normalize.registered_version import Record, RegisteredVersion, Registry, age


class _NamespaceRecords(NamedTuple):
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


_NO_RECORDS = _NamespaceRecords({}, ())


def linkable(version: RegisteredVersion) -> tuple[object, ...] | None:
    """Return what an index is made of: while that is the same, no deployment is linked otherwise."""
    if not version.is_live:
        return None
    return version.model.name, version.version.name, version.version.called, version.version.created, version.records


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryIndex:
    """One registry's live versions and records of deployments, for looking up.

    `live` has the versions by id, `newest` the newest of each model by its id; `models` the models' ids by name, and
    `versions` the versions by the model's id and each of the names that they are called by.
    """

    registry: Registry
    live: Mapping[str, Ref]
    newest: Mapping[str, Ref]
    models: Mapping[str, str]
    versions: Mapping[tuple[str, str], Ref]
    records: Mapping[str, Record]
    namespaces: Mapping[str, _NamespaceRecords]

    @classmethod
    def build(cls, registry: Registry, versions: Iterable[RegisteredVersion]) -> Self:
        """Return the index of what a registry has; what is archived is not in it."""
        live = sorted((v for v in versions if v.is_live), key=lambda v: age(v.version))
        records = [record for each in live for record in each.records]
        namespaces: defaultdict[str, list[Record]] = defaultdict(list)
        for record in records:
            if record.namespace:
                namespaces[record.namespace].append(record)
        return cls(
            registry=registry,
            live={v.version.id: v.ref for v in live},
            newest={v.model.id: v.ref for v in live},
            models={v.model.name: v.model.id for v in live},
            versions={(v.model.id, name): v.ref for v in live for name in (*v.version.called, v.version.name)},
            records={record.id: record for record in records},
            namespaces={name: _NamespaceRecords.of(at) for name, at in namespaces.items()},
        )

    def labelled(self, labels: RegistryLabels) -> Ref | None:
        """Return the live version that the labels name by its ids; of a model alone the newest."""
        if self.registry.api != "kubeflow":  # whose ids the labels are
            return None
        if labels.version:
            found = self.live.get(labels.version)
        elif record := self.records.get(labels.inference_service):
            found = record.version
        else:
            found = self.newest.get(labels.model)
        return found if found and labels.model in ("", found.ids[0]) else None

    def named(self, name: NamedVersion) -> Ref | None:
        """Return the live version of these names; without the version's the newest of the model."""
        model = self.models.get(name.model) if name.api == self.registry.api else None
        if model is None:
            return None
        return self.versions.get((model, name.version)) if name.version else self.newest.get(model)

    def answers_at(self, host: str) -> bool:
        """Return whether `host` names this registry, as far as its name tells: `<name>[.<namespace>...][:port]`."""
        own = self.registry
        name, _, rest = host.partition(":")[0].partition(".")
        return bool(own.name) and name == own.name and rest.partition(".")[0] in ("", own.namespace)

    def recorded(self, isvc: Deployment) -> Iterable[Record]:
        """Return the records of the isvc; without any, those in its namespace whose names begin with the isvc's."""
        records = self.namespaces.get(isvc.namespace, _NO_RECORDS)
        return records.by_isvc.get(isvc.name) or records.beginning_with(isvc.name)
