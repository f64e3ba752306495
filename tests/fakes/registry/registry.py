"""The fake model registry: its REST API over a store, and methods to edit the store like its users do."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from aiohttp import web

from tests.fakes.registry.faults import Fault
from tests.fakes.registry.paging import PageLimits, cut
from tests.fakes.registry.server import Answer, FakeServer
from tests.fakes.registry.store import (
    ARTIFACTS,
    ENVIRONMENTS,
    MODELS,
    SERVICES,
    VERSIONS,
    Item,
    RegistryStore,
    StoreError,
    properties,
)

V1ALPHA3 = "v1alpha3"
V1 = "v1"


class FakeRegistry(FakeServer):
    """A Kubeflow model registry on a loopback port, used with `async with`.

    `versions` are the API versions it serves, `limits` how it cuts pages. The methods that add and edit take the
    API's own field names; `properties` are custom properties as plain values. They return the new object's id.
    """

    def __init__(
        self,
        *,
        versions: Collection[str] = (V1ALPHA3, V1),
        limits: PageLimits | None = None,
        **server: Any,
    ) -> None:
        super().__init__(**server)
        self.store = RegistryStore()
        self.limits = limits or PageLimits()
        self._versions = tuple(versions)

    # What a registry's users do.

    def add_model(self, name: str, **fields: Any) -> str:
        """Register a model."""
        return self._create(MODELS, name=name, **fields)

    def add_version(self, model_id: str, name: str, **fields: Any) -> str:
        """Register a version of a model."""
        return self._create(VERSIONS, registeredModelId=model_id, name=name, **fields)

    def add_artifact(self, version_id: str | None = None, **fields: Any) -> str:
        """Add an artifact to a version, or to none."""
        return self._create(ARTIFACTS, version_id=version_id, **fields)

    def add_environment(self, name: str, **fields: Any) -> str:
        """Add a serving environment, which is a namespace."""
        return self._create(ENVIRONMENTS, name=name, **fields)

    def add_inference_service(self, name: str, model_id: str, version_id: str, namespace: str, **fields: Any) -> str:
        """Record that a version is deployed in a namespace, whose serving environment is made when missing."""
        try:
            environment = self.store.find(ENVIRONMENTS, name=namespace, external_id=None, parent_id=None)["id"]
        except StoreError:
            environment = self.add_environment(namespace)
        return self._create(
            SERVICES,
            name=name,
            registeredModelId=model_id,
            modelVersionId=version_id,
            servingEnvironmentId=environment,
            **fields,
        )

    def populate(
        self, models: int, *, versions: int = 1, artifacts: int = 1, prefix: str = "model", grouped: bool = True
    ) -> list[str]:
        """Register many models, with a `modelSource…` each, and return their ids.

        `grouped`: as dashboards did before September 2025; later ones write no group, and the whole name.
        """
        ids = []
        for number in range(1, models + 1):
            name = f"{prefix}-{number:04}"
            ids.append(self.add_model(name, description=f"description of {name}", owner="someone"))
            for each in range(1, versions + 1):
                version = self.add_version(ids[-1], f"v{each}", description=f"version v{each} of {name}")
                for artifact in range(artifacts):
                    self.add_artifact(
                        version,
                        name=f"{name}-v{each}-{artifact}",
                        uri=f"oci://quay.example.com/{name}:v{each}",
                        modelSourceKind="catalog",
                        modelSourceClass="curated",
                        modelSourceGroup="example" if grouped else None,
                        modelSourceName=name if grouped else f"example/{name}",
                    )
        return ids

    def edit(self, kind: str, item_id: str, **fields: Any) -> None:
        """Change fields of an object of `kind` (a path of the API, `artifacts` for any artifact)."""
        self.store.patch(kind, item_id, _fields(fields))

    def archive(self, kind: str, item_id: str) -> None:
        """Archive a model or a version."""
        self.store.patch(kind, item_id, {"state": "ARCHIVED"})

    def restore(self, kind: str, item_id: str) -> None:
        """Restore an archived model or version."""
        self.store.patch(kind, item_id, {"state": "LIVE"})

    def undeploy(self, service_id: str) -> None:
        """Let an inference service's record say that it is to be taken down."""
        self.store.patch(SERVICES, service_id, {"desiredState": "UNDEPLOYED"})

    def delete(self, kind: str, item_id: str) -> None:
        """Drop an object and what is below it, as an edit of the database does."""
        self.store.delete(kind, item_id)

    def rebuild(self) -> None:
        """Begin with an empty database: ids start again."""
        self.store = RegistryStore()

    def add_raw(self, kind: str, item: Any) -> None:
        """Let lists of `kind` carry `item` as it is, however malformed."""
        self.store.add_raw(kind, item)

    def load(self, answers: Mapping[str, Any]) -> None:
        """Take plain list answers; an artifact is of the version whose "<model>-<version>" is its name."""
        listed = {kind: answers.get(kind, {"items": []})["items"] for kind in (MODELS, VERSIONS)}
        models = {item["id"]: item["name"] for item in listed[MODELS]}
        names = {f"{models[item['registeredModelId']]}-{item['name']}": item["id"] for item in listed[VERSIONS]}
        self.store.load(answers, lambda artifact: names.get(artifact.get("name", "")))

    def _create(self, kind: str, *, version_id: str | None = None, **fields: Any) -> str:
        return str(self.store.create(kind, _fields(fields), version_id=version_id)["id"])

    # The REST API.

    def add_routes(self, app: web.Application) -> None:
        """Serve the API under each of its versions."""
        for version in self._versions:
            prefix = f"/api/model_registry/{version}"
            for kind in (MODELS, VERSIONS, ARTIFACTS, "model_artifacts", SERVICES, ENVIRONMENTS):
                self._add_kind(app, prefix, kind)
            self.route(app, "GET", prefix, f"{MODELS}/{{id}}/versions", self._list_versions)
            self.route(app, "POST", prefix, f"{MODELS}/{{id}}/versions", self._create_version)
            self.route(app, "GET", prefix, f"{VERSIONS}/{{id}}/artifacts", self._list_artifacts)
            self.route(app, "POST", prefix, f"{VERSIONS}/{{id}}/artifacts", self._upsert_artifact)

    def _add_kind(self, app: web.Application, prefix: str, path: str) -> None:
        kind = ARTIFACTS if path == "model_artifacts" else path

        def many(request: web.Request, hits: list[Fault]) -> Answer:
            items = self.store.listed(kind)
            if path == "model_artifacts":
                items = [item for item in items if not _is_other_artifact(item)]
            return self._page(request, items, hits)

        def create(request: web.Request, _: list[Fault]) -> Answer:
            return self.store.create(kind, _sent(request)), 201

        def one(request: web.Request, _: list[Fault]) -> Answer:
            return self.store.get(kind, request.match_info["id"]), 200

        def patch(request: web.Request, _: list[Fault]) -> Answer:
            return self.store.patch(kind, request.match_info["id"], _sent(request)), 200

        def find(request: web.Request, _: list[Fault]) -> Answer:
            query = request.query
            names = (query.get("name"), query.get("externalId"), query.get("parentResourceId"))
            return self.store.find(kind, name=names[0], external_id=names[1], parent_id=names[2]), 200

        self.route(app, "GET", prefix, path, many)
        self.route(app, "POST", prefix, path, create)
        self.route(app, "GET", prefix, f"{path}/{{id}}", one)
        self.route(app, "PATCH", prefix, f"{path}/{{id}}", patch)
        self.route(app, "GET", prefix, path.removesuffix("s"), find)

    def _list_versions(self, request: web.Request, hits: list[Fault]) -> Answer:
        return self._page(request, self.store.versions_of(request.match_info["id"]), hits)

    def _create_version(self, request: web.Request, _: list[Fault]) -> Answer:
        fields = {**_sent(request), "registeredModelId": request.match_info["id"]}
        return self.store.create(VERSIONS, fields), 201

    def _list_artifacts(self, request: web.Request, hits: list[Fault]) -> Answer:
        return self._page(request, self.store.artifacts_of(request.match_info["id"]), hits)

    def _upsert_artifact(self, request: web.Request, _: list[Fault]) -> Answer:
        fields = _sent(request)
        if fields.get("id"):
            return self.store.patch(ARTIFACTS, str(fields["id"]), fields), 200
        return self.store.create(ARTIFACTS, fields, version_id=request.match_info["id"]), 201

    def _page(self, request: web.Request, items: list[Any], hits: list[Fault]) -> Answer:
        if request.query.get("nextPageToken"):
            items = items[sum(fault.count for fault in hits if fault.kind == "shrinking") :]
        return cut(items, request.query, self.limits), 200


def _is_other_artifact(item: Any) -> bool:
    return isinstance(item, dict) and item.get("artifactType", "model-artifact") != "model-artifact"


def _fields(fields: Mapping[str, Any]) -> Item:
    changed = dict(fields)
    if "properties" in changed:
        changed["customProperties"] = properties(changed.pop("properties"))
    return changed


def _sent(request: web.Request) -> Item:
    """The JSON object in a request's body, which has been read already."""
    try:
        fields = json.loads(request._read_bytes or b"null")
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise StoreError(400, "the body is not a JSON object")
    return fields
