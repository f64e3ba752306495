"""A fake MLflow server: what the connector reads of its REST API 2.0, and the requests by which tests fill it.

`tests/mlflow` runs the same assertions against a real server; the answers here are those of MLflow 3.17.2: fields that
are empty are left out, lists are cut by offset, versions in lists carry no aliases.
"""

import base64
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import uuid4

from aiohttp import web

from tests.fakes.registry.faults import Fault
from tests.fakes.registry.server import Answer, FakeServer
from tests.fakes.registry.store import StoreError

PREFIX = "/api/2.0/mlflow"
MOST = {"registered-models/search": 1000, "model-versions/search": 200_000}
"""The largest `max_results` of each list; more is answered with 400."""
MODELS, VERSIONS, VERSION, RUN = (
    "registered-models/search",
    "model-versions/search",
    "model-versions/get",
    "runs/get",
)
_RESERVED = "/:"


class FakeMlflow(FakeServer):
    """A tracking server on a loopback port, used with `async with`.

    `most`: the largest `max_results`, where it is less than usual (Databricks takes 100).
    """

    def __init__(self, *, most: int | None = None, **server: Any) -> None:
        super().__init__(**server)
        self._most = most
        self._now = int(time.time() * 1000)
        self._models: dict[str, dict[str, Any]] = {}
        self._versions: dict[tuple[str, int], dict[str, Any]] = {}
        self._numbers: dict[str, int] = {}
        self._runs: dict[str, dict[str, Any]] = {}
        self._experiments = 0

    def add_routes(self, app: web.Application) -> None:
        """Serve the API."""
        self.route(app, "GET", PREFIX, MODELS, self._search_models)
        self.route(app, "GET", PREFIX, VERSIONS, self._search_versions)
        self.route(app, "GET", PREFIX, VERSION, self._get_version)
        self.route(app, "GET", PREFIX, RUN, self._get_run)
        for method, path, act in (
            ("POST", "experiments/create", self._create_experiment),
            ("POST", "runs/create", self._create_run),
            ("POST", "runs/log-metric", self._log_metric),
            ("POST", "registered-models/create", self._create_model),
            ("DELETE", "registered-models/delete", self._delete_model),
            ("POST", "registered-models/alias", self._set_alias),
            ("POST", "registered-models/set-tag", self._set_model_tag),
            ("POST", "model-versions/create", self._create_version),
            ("DELETE", "model-versions/delete", self._delete_version),
            ("POST", "model-versions/transition-stage", self._transition),
        ):
            app.router.add_route(method, f"{PREFIX}/{path}", _writing(act))

    def lose_database(self) -> None:
        """Begin again with an empty database, as a server does whose volume is gone."""
        for kept in (self._models, self._versions, self._numbers, self._runs):
            kept.clear()

    # --- reading

    def _search_models(self, request: web.Request, hits: list[Fault]) -> Answer:
        listed = [self._shown(model) for _, model in sorted(self._models.items())]
        return self._cut(request, hits, MODELS, "registered_models", listed)

    def _search_versions(self, request: web.Request, hits: list[Fault]) -> Answer:
        order = request.query.get("order_by", "last_updated_timestamp DESC")
        field, _, direction = order.partition(" ")
        versions = sorted(self._versions.values(), key=lambda each: each[field], reverse=direction == "DESC")
        return self._cut(request, hits, VERSIONS, "model_versions", versions)

    def _get_version(self, request: web.Request, _: list[Fault]) -> Answer:
        version = self._version(request.query["name"], request.query["version"])
        aliases = [
            each["alias"] for each in self._models[version["name"]]["aliases"] if each["version"] == version["version"]
        ]
        return {"model_version": {**version, **({"aliases": aliases} if aliases else {})}}, 200

    def _get_run(self, request: web.Request, _: list[Fault]) -> Answer:
        run = self._runs.get(request.query["run_id"])
        if run is None:
            raise _unknown(f"Run with id={request.query['run_id']} not found")
        return {"run": run}, 200

    def _cut(self, request: web.Request, hits: list[Fault], path: str, name: str, items: list[Any]) -> Answer:
        most = min(self._most or MOST[path], MOST[path])
        size = int(request.query.get("max_results", "100"))
        if size > most:
            raise _refused(400, "INVALID_PARAMETER_VALUE", f"Invalid value {size} for parameter 'max_results' supplied")
        if missing := sum(fault.count for fault in hits if fault.kind == "shrinking"):
            items = items[:-missing]
        token = request.query.get("page_token", "")
        offset = json.loads(base64.b64decode(token))["offset"] if token else 0
        if any(fault.kind == "repeating" for fault in hits):
            offset = 0
        page, end = items[offset : offset + size], offset + size
        answer: dict[str, Any] = {name: page} if page else {}
        if end < len(items):
            answer["next_page_token"] = base64.b64encode(json.dumps({"offset": end}).encode()).decode()
        return answer, 200

    def _shown(self, model: Mapping[str, Any]) -> dict[str, Any]:
        name, latest = model["name"], dict[str, Any]()
        for number in range(1, self._numbers.get(name, 0) + 1):
            if version := self._versions.get((name, number)):
                latest[version["current_stage"]] = version
        shown = {**model, "latest_versions": list(latest.values())}
        return {key: value for key, value in shown.items() if value not in ("", [])}

    # --- writing

    def _create_experiment(self, order: Mapping[str, Any]) -> Any:
        self._experiments += 1
        return {"experiment_id": str(self._experiments)}

    def _create_run(self, order: Mapping[str, Any]) -> Any:
        each = uuid4().hex
        info = {"run_id": each, "run_name": order["run_name"], "experiment_id": order["experiment_id"], "user_id": ""}
        run = self._runs[each] = {"info": info, "data": {"tags": list(order.get("tags", []))}}
        return {"run": run}

    def _log_metric(self, order: Mapping[str, Any]) -> Any:
        data = self._runs[order["run_id"]]["data"]
        data["metrics"] = [*data.get("metrics", []), {"key": order["key"], "value": order["value"], "step": 0}]
        return {}

    def _create_model(self, order: Mapping[str, Any]) -> Any:
        name = order["name"]
        if any(letter in name for letter in _RESERVED):
            raise _refused(
                400, "INVALID_PARAMETER_VALUE", f"Invalid model name '{name}'. Names cannot contain '/' or ':'."
            )
        now = self._tick()
        self._models[name] = {
            "name": name,
            "creation_timestamp": now,
            "last_updated_timestamp": now,
            "description": order.get("description", ""),
            "tags": order.get("tags", []),
            "aliases": [],
        }
        self._numbers[name] = 0
        return {"registered_model": self._shown(self._models[name])}

    def _delete_model(self, order: Mapping[str, Any]) -> Any:
        del self._models[order["name"]]
        for key in [key for key in self._versions if key[0] == order["name"]]:
            del self._versions[key]
        return {}

    def _set_alias(self, order: Mapping[str, Any]) -> Any:
        model = self._models[order["name"]]
        others = [each for each in model["aliases"] if each["alias"] != order["alias"]]
        model["aliases"] = [*others, {"alias": order["alias"], "version": order["version"]}]
        return {}

    def _set_model_tag(self, order: Mapping[str, Any]) -> Any:
        model = self._models[order["name"]]
        others = [each for each in model["tags"] if each["key"] != order["key"]]
        model["tags"] = [*others, {"key": order["key"], "value": order["value"]}]
        return {}

    def _create_version(self, order: Mapping[str, Any]) -> Any:
        name, now = order["name"], self._tick()
        self._numbers[name] = number = self._numbers[name] + 1
        version = {
            "name": name,
            "version": str(number),
            "creation_timestamp": now,
            "last_updated_timestamp": now,
            "current_stage": "None",
            "description": order.get("description", ""),
            "source": order["source"],
            "run_id": order.get("run_id", ""),
            "status": "READY",
            "run_link": order.get("run_link", ""),
            **({"tags": order["tags"]} if order.get("tags") else {}),
        }
        self._versions[name, number] = version
        self._models[name]["last_updated_timestamp"] = now
        return {"model_version": version}

    def _delete_version(self, order: Mapping[str, Any]) -> Any:
        self._version(order["name"], order["version"])
        del self._versions[order["name"], int(order["version"])]
        self._models[order["name"]]["last_updated_timestamp"] = self._tick()
        return {}

    def _transition(self, order: Mapping[str, Any]) -> Any:
        version = self._version(order["name"], order["version"])
        version |= {"current_stage": order["stage"], "last_updated_timestamp": self._tick()}
        return {"model_version": version}

    def _version(self, name: str, number: str) -> dict[str, Any]:
        found = self._versions.get((name, int(number)))
        if found is None:
            raise _unknown(f"Model Version (name={name}, version={number}) not found")
        return found

    def _tick(self) -> int:
        self._now += 1
        return self._now


def _writing(act: Callable[[Mapping[str, Any]], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            return web.json_response(act(await request.json()))
        except StoreError as error:
            return web.json_response(json.loads(str(error)), status=error.status)

    return handle


def _refused(status: int, code: str, message: str) -> StoreError:
    return StoreError(status, json.dumps({"error_code": code, "message": message}))


def _unknown(message: str) -> StoreError:
    return _refused(404, "RESOURCE_DOES_NOT_EXIST", message)
