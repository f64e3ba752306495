"""The objects in the lists of a registry, kept from one poll to the next, and joined to one fact for each version."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from operator import is_not
from types import MappingProxyType
from typing import Any, Generic, NamedTuple

import structlog

from common.problems import Problem
from services.normalizer.facts import Ref
from services.normalizer.normalize import values
from services.normalizer.normalize.registered_version import Record, RegisteredVersion, age, joined
from services.normalizer.normalize.registry_objects import (
    Item,
    ModelArtifact,
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    ServingEnvironment,
    parse_item,
)
from services.normalizer.sources.kubeflow.artifacts import ArtifactIndex
from services.normalizer.sources.kubeflow.paging import ListAnswer, fingerprint, is_id, item_id

log = structlog.get_logger("sources")


class Row(NamedTuple):
    """An item of a list; the page that it came in is not kept.

    `item` is None if it has not changed, a Problem if it is unusable. `id` is empty without a usable id.
    """

    id: str
    print: bytes
    item: Any
    created: int


class Table(Generic[Item]):
    """The objects of one list, by id.

    An object that has not changed is not parsed again. One that became malformed is kept as it was, with a problem.
    Objects are removed only by `remove`.
    """

    def __init__(self, kind: type[Item], path: str, *, registry: str) -> None:
        self.path = path
        self.objects: Mapping[str, Item] = MappingProxyType({})
        self._kind: type[Item] = kind
        self._registry = registry
        self._fingerprints: dict[str, bytes] = {}
        self._problems: dict[str, Problem] = {}
        self._nameless: tuple[Problem, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of malformed items."""
        return (*self._problems.values(), *self._nameless)

    def read(self, raw: Any) -> Row:
        """Return the row of an item of a list, or of an answer about one object."""
        try:
            return self._read(raw)
        except Exception as error:
            each = item_id(raw)
            problem = Problem(
                "internal_error",
                "error",
                f"{self._kind.__name__} {each or 'without an id'} in registry {self._registry}",
                f"it cannot be processed: {type(error).__name__}",
                "it is kept as it was; please report this with the traceback in the log",
            )
            if self._problems.get(each) != problem:
                log.exception("problem_found", **problem.fields())
            return Row(each, b"", problem, 0)

    def _read(self, raw: Any) -> Row:
        each, now = item_id(raw), fingerprint(raw)
        created = values.millis(values.at(raw, "createTimeSinceEpoch"))
        if each and self._fingerprints.get(each) == now:
            return Row(each, now, None, created)
        given = raw if each else {**values.mapping(raw), "id": None}
        return Row(each, now, parse_item(self._kind, given, registry=self._registry), created)

    def replaced(self, rows: Iterable[Row]) -> set[str]:
        """Return the ids that belong to other objects than before: in a rebuilt database, ids start again."""
        return {
            row.id
            for row in rows
            if (known := self.objects.get(row.id)) and row.created and known.created not in (0, row.created)
        }

    def apply(self, answer: ListAnswer[Row]) -> None:
        """Take the items of a list."""
        self._nameless = tuple(row.item for row in answer.items if not row.id and isinstance(row.item, Problem))
        if answer.error is None:
            listed = {row.id for row in answer.items}
            for each in [each for each in self._problems if each not in listed and each not in self.objects]:
                del self._problems[each]
                self._fingerprints.pop(each, None)
        self.put(row for row in answer.items if row.id)

    def put(self, rows: Iterable[Row]) -> None:
        """Take single objects."""
        changed: dict[str, Item] = {}
        for row in rows:
            if row.item is None:
                continue
            self._fingerprints[row.id] = row.print
            if isinstance(row.item, Problem):
                self._problems[row.id] = row.item
            else:
                self._problems.pop(row.id, None)
                changed[row.id] = row.item
        if changed:
            self.objects = MappingProxyType({**self.objects, **changed})

    def remove(self, ids: Iterable[str]) -> None:
        """Forget objects."""
        gone = self.objects.keys() & set(ids)
        for each in gone:
            self._fingerprints.pop(each, None)
            self._problems.pop(each, None)
        if gone:
            self.objects = MappingProxyType({each: item for each, item in self.objects.items() if each not in gone})


class Tables:
    """The tables of one registry; `versions` joins them.

    `expected` are ids of versions that an earlier run has stored.
    """

    def __init__(self, registry: str, *, name: str, expected: Iterable[str] = ()) -> None:
        """`registry` is its id, `name` what problems call it."""
        self._registry = registry
        self._expected = frozenset(filter(is_id, expected))
        self.models = Table(RegisteredModel, "registered_models", registry=name)
        self.versions = Table(ModelVersion, "model_versions", registry=name)
        self.services = Table(RegistryInferenceService, "inference_services", registry=name)
        self.environments = Table(ServingEnvironment, "serving_environments", registry=name)
        self.artifacts = ArtifactIndex(registry=name)
        self._sides: tuple[Mapping[str, Any], ...] = ()
        self._joined: Mapping[str, RegisteredVersion] = {}

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """The tables that are each read from a list."""
        return self.models, self.versions, self.services, self.environments

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of malformed items."""
        return (*(problem for table in self.tables for problem in table.problems), *self.artifacts.problems)

    def live_versions(self) -> list[ModelVersion]:
        """Return the live versions of live models."""
        return [
            version
            for model, version in with_models(self.versions.objects.values(), self.models.objects)
            if model.is_live and version.is_live
        ]

    def is_live(self, model_id: str, version_id: str) -> bool:
        """Return whether that version is known and live, and its model too."""
        version = self.joined().get(version_id)
        return version is not None and version.is_live and version.model.id == model_id

    def mentioned(self, table: Table[Any]) -> set[str]:
        """Return ids that `table` should contain: other objects refer to them, or an earlier run has stored them."""
        if table is self.models:
            return set(filter(is_id, (version.registered_model_id for version in self.versions.objects.values())))
        if table is self.versions:
            recorded = (service.model_version_id for service in self.services.objects.values())
            return {*self._expected, *filter(is_id, recorded)}
        return set()

    def forget(self, table: Table[Any], ids: Set[str]) -> None:
        """Drop objects."""
        table.remove(ids)
        if table is self.versions:
            self.artifacts.forget(ids)

    def joined(self) -> Mapping[str, RegisteredVersion]:
        """Return all versions whose model is known, by id; what did not change is the same object as before."""
        sides = (*(table.objects for table in self.tables), self.artifacts.of_version)
        if len(sides) != len(self._sides) or any(map(is_not, sides, self._sides)):
            self._sides = sides
            self._joined = join(
                self._registry,
                models=self.models.objects,
                versions=self.versions.objects.values(),
                artifacts=self.artifacts.of_version,
                services=self.services.objects.values(),
                environments=self.environments.objects,
                former=self._joined,
            )
        return self._joined


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
    former: Mapping[str, RegisteredVersion] = MappingProxyType({}),
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
