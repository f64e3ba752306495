"""What a model registry keeps: the five kinds of its REST API, with ids and times as the server gives them.

Kubeflow Model Registry REST API: every id and every time (milliseconds) is a string.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Item = dict[str, Any]

MODELS = "registered_models"
VERSIONS = "model_versions"
ARTIFACTS = "artifacts"
SERVICES = "inference_services"
ENVIRONMENTS = "serving_environments"
KINDS = (MODELS, VERSIONS, ARTIFACTS, SERVICES, ENVIRONMENTS)

_SERVER_SIDE = ("id", "createTimeSinceEpoch", "lastUpdateTimeSinceEpoch")
_DEFAULTS: Mapping[str, Item] = {
    MODELS: {"state": "LIVE"},
    VERSIONS: {"state": "LIVE"},
    ARTIFACTS: {"artifactType": "model-artifact", "state": "LIVE"},
    SERVICES: {"desiredState": "DEPLOYED"},
    ENVIRONMENTS: {},
}


class StoreError(Exception):
    """A request that the registry refuses, with the HTTP status it answers."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Clock:
    """Milliseconds since the epoch, never the same twice, so that each edit has a time of its own."""

    def __init__(self, now: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._now = now
        self._last = 0

    def __call__(self) -> str:
        self._last = max(self._now(), self._last + 1)
        return str(self._last)


class RegistryStore:
    """All objects of one registry, in memory."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._items: dict[str, dict[str, Item]] = {kind: {} for kind in KINDS}
        self._raw: dict[str, list[Any]] = {kind: [] for kind in KINDS}
        self._version_of: dict[str, str] = {}
        self._owned: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._last_id = dict.fromkeys(KINDS, 0)

    def create(self, kind: str, fields: Mapping[str, Any], *, version_id: str | None = None) -> Item:
        """Keep a new object; `version_id` is the model version that an artifact belongs to."""
        self._check(kind, fields, version_id)
        self._last_id[kind] += 1
        now = self._clock()
        item = {
            "customProperties": {},
            **_DEFAULTS[kind],
            **{name: value for name, value in fields.items() if name not in _SERVER_SIDE and value is not None},
            "id": str(self._last_id[kind]),
            "createTimeSinceEpoch": now,
            "lastUpdateTimeSinceEpoch": now,
        }
        self._items[kind][item["id"]] = item
        if version_id is not None:
            self._assign(item["id"], version_id)
        return item

    def patch(self, kind: str, item_id: str, fields: Mapping[str, Any]) -> Item:
        """Change fields of an object and its time of change."""
        changes = {name: value for name, value in fields.items() if name not in _SERVER_SIDE and value is not None}
        item = {**self.get(kind, item_id), **changes, "lastUpdateTimeSinceEpoch": self._clock()}
        self._items[kind][item_id] = item
        return item

    def delete(self, kind: str, item_id: str) -> None:
        """Drop an object with everything below it. (The REST API has no such request; databases are edited.)"""
        self.get(kind, item_id)
        if kind == MODELS:
            for version in self.versions_of(item_id):
                self.delete(VERSIONS, version["id"])
        if kind == VERSIONS:
            for artifact in self.artifacts_of(item_id):
                self.delete(ARTIFACTS, artifact["id"])
        if kind == ARTIFACTS:
            self._owned[self._version_of.pop(item_id, "")].pop(item_id, None)
        del self._items[kind][item_id]

    def add_raw(self, kind: str, item: Any) -> None:
        """Let lists of `kind` carry `item` as it is, however malformed."""
        self._raw[kind].append(item)

    def get(self, kind: str, item_id: str) -> Item:
        """Return one object.

        Raises:
            StoreError: 404 when there is none.
        """
        try:
            return self._items[kind][item_id]
        except KeyError:
            raise StoreError(404, f"no {kind} with id {item_id}") from None

    def listed(self, kind: str) -> list[Any]:
        """Return all of a kind, oldest first, with what `add_raw` put there."""
        return [*self._items[kind].values(), *self._raw[kind]]

    def versions_of(self, model_id: str) -> list[Item]:
        """Return the versions of a registered model."""
        self.get(MODELS, model_id)
        return [item for item in self._items[VERSIONS].values() if item["registeredModelId"] == model_id]

    def artifacts_of(self, version_id: str) -> list[Item]:
        """Return the artifacts of a model version; none of them says so itself."""
        self.get(VERSIONS, version_id)
        return [self._items[ARTIFACTS][each] for each in self._owned[version_id]]

    def find(self, kind: str, *, name: str | None, external_id: str | None, parent_id: str | None) -> Item:
        """Return the first object of that name (below that parent) or external id.

        Raises:
            StoreError: 404 when there is none.
        """
        for item in self._items[kind].values():
            if external_id is not None and item.get("externalId") == external_id:
                return item
            if name is not None and item.get("name") == name and self._below(kind, item, parent_id):
                return item
        raise StoreError(404, f"no {kind} of that name")

    def load(self, answers: Mapping[str, Mapping[str, Any]], version_of: Callable[[Item], str | None]) -> None:
        """Take plain list answers (kind → `{"items": […]}`, or `model_artifacts`) with their ids and times."""
        for name, answer in answers.items():
            kind = ARTIFACTS if name == "model_artifacts" else name
            for item in answer["items"]:
                self._items[kind][item["id"]] = dict(item)
                self._last_id[kind] = max(self._last_id[kind], int(item["id"]))
        for artifact_id, artifact in self._items[ARTIFACTS].items():
            owner = self._version_of.get(artifact_id) or version_of(artifact)
            if owner is not None:
                self._assign(artifact_id, owner)

    def _assign(self, artifact_id: str, version_id: str) -> None:
        self._version_of[artifact_id] = version_id
        self._owned[version_id][artifact_id] = None

    def _below(self, kind: str, item: Item, parent_id: str | None) -> bool:
        if parent_id is None:
            return True
        if kind == ARTIFACTS:
            return self._version_of.get(item["id"]) == parent_id
        parent = {VERSIONS: "registeredModelId", SERVICES: "servingEnvironmentId"}.get(kind)
        return parent is None or item.get(parent) == parent_id

    def _check(self, kind: str, fields: Mapping[str, Any], version_id: str | None) -> None:
        for name in _required(kind):
            if not fields.get(name):
                raise StoreError(400, f"{name} is required")
        if kind == VERSIONS:
            self.get(MODELS, fields["registeredModelId"])
        if kind == SERVICES:
            self.get(MODELS, fields["registeredModelId"])
            self.get(ENVIRONMENTS, fields["servingEnvironmentId"])
        if version_id is not None:
            self.get(VERSIONS, version_id)
        if kind in (MODELS, VERSIONS, ENVIRONMENTS) and self._taken(kind, fields):
            raise StoreError(409, f"{fields['name']} exists already")

    def _taken(self, kind: str, fields: Mapping[str, Any]) -> bool:
        rivals: Iterable[Item] = self._items[kind].values()
        if kind == VERSIONS:
            rivals = self.versions_of(fields["registeredModelId"])
        return any(rival.get("name") == fields["name"] for rival in rivals)


def _required(kind: str) -> tuple[str, ...]:
    return {
        MODELS: ("name",),
        VERSIONS: ("name", "registeredModelId"),
        SERVICES: ("registeredModelId", "servingEnvironmentId"),
        ENVIRONMENTS: ("name",),
    }.get(kind, ())


def properties(values: Mapping[str, Any]) -> Item:
    """Return custom properties in the API's typed form; a dict among the values is taken as it is."""
    return {name: _typed(value) for name, value in values.items()}


def _typed(value: Any) -> Item:
    match value:
        case dict():
            return value
        case bool():
            return {"metadataType": "MetadataBoolValue", "bool_value": value}
        case int():
            return {"metadataType": "MetadataIntValue", "int_value": str(value)}
        case float():
            return {"metadataType": "MetadataDoubleValue", "double_value": value}
        case _:
            return {"metadataType": "MetadataStringValue", "string_value": str(value)}
