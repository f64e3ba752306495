"""The fake model catalog: sources, models and their cards, read-only over HTTP."""

from collections.abc import Collection
from typing import Any

from aiohttp import web

from tests.fakes.registry.faults import Fault
from tests.fakes.registry.paging import PageLimits, cut
from tests.fakes.registry.server import Answer, FakeServer
from tests.fakes.registry.store import Clock, Item, StoreError

V1ALPHA1 = "v1alpha1"


class FakeCatalog(FakeServer):
    """A model catalog on a loopback port, used with `async with`; `versions` are the API versions it serves.

    A name of more than 255 characters is refused with 400.
    """

    def __init__(
        self, *, limits: PageLimits | None = None, versions: Collection[str] = (V1ALPHA1,), **server: Any
    ) -> None:
        super().__init__(**server)
        self._versions = tuple(versions)
        self.limits = limits or PageLimits(default=10, cap=100)
        self._clock = Clock()
        self._sources: dict[str, dict[str, Item]] = {}

    def put_card(self, source: str, name: str, readme: str | None, **fields: Any) -> None:
        """Add or edit a model `name` (with its group, such as "example/model-1"); None: a model without a card."""
        models = self._sources.setdefault(source, {})
        now = self._clock()
        created = models.get(name, {}).get("createTimeSinceEpoch", now)
        times = {"createTimeSinceEpoch": created, "lastUpdateTimeSinceEpoch": now}
        card = {} if readme is None else {"readme": readme}
        models[name] = {"name": name, "source_id": source, **card, **fields, **times}

    def drop_card(self, source: str, name: str) -> None:
        """Take a model out of the catalog."""
        del self._sources[source][name]

    def add_routes(self, app: web.Application) -> None:
        """Serve the catalog's API."""
        for version in self._versions:
            prefix = f"/api/model_catalog/{version}"
            self.route(app, "GET", prefix, "sources", self._list_sources)
            self.route(app, "GET", prefix, "models", self._list_models)
            self.route(app, "GET", prefix, "sources/{id}/models/{name:.+}", self._get_model)

    def _list_sources(self, request: web.Request, _: list[Fault]) -> Answer:
        sources = [{"id": name, "name": name, "enabled": True} for name in self._sources]
        return cut(sources, request.query, self.limits), 200

    def _list_models(self, request: web.Request, _: list[Fault]) -> Answer:
        source = request.query.get("source")
        if not source:
            raise StoreError(400, "source is required")
        return cut(list(self._sources.get(source, {}).values()), request.query, self.limits), 200

    def _get_model(self, request: web.Request, _: list[Fault]) -> Answer:
        if len(request.match_info["name"]) > 255:
            raise StoreError(400, "the model's name is invalid")
        model = self._sources.get(request.match_info["id"], {}).get(request.match_info["name"])
        if model is None:
            raise StoreError(404, f"no model {request.match_info['name']} in {request.match_info['id']}")
        return model, 200
