"""The control API of a cluster in its own process: POST /_control/<command> with the arguments as JSON.

It has a socket of its own, so that it answers while the API server is down. Commands are the methods of FakeCluster;
the answer is {"result": ...}, or a Status with its code, or 400 {"error": ...} for arguments that cannot be.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from inspect import isawaitable
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.fakes.kubernetes.cluster import FakeCluster
from tests.fakes.kubernetes.counts import Latency
from tests.fakes.kubernetes.rbac import Rule
from tests.fakes.kubernetes.resources import KNOWN_CUSTOM
from tests.fakes.kubernetes.status import ApiError

MAX_BODY = 1 << 30
PREFIX = "/_control"
SAME = (  # commands that take and return what the methods of FakeCluster do
    "add_namespace",
    "apply",
    "clear_faults",
    "come_back",
    "compact",
    "delete",
    "disturb_watches",
    "drop_connections",
    "get",
    "go_down",
    "objects",
    "restart",
    "revoke",
    "send_bookmarks",
    "uninstall",
    "watches",
)


class Control:
    """The commands, over one cluster."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self._hits: list[Callable[[], int]] = []
        self._commands: dict[str, Callable[..., Any]] = {name: getattr(cluster, name) for name in SAME} | {
            "apply_all": self._apply_all,
            "counts": lambda: cluster.counts.as_json(),
            "denied": lambda: [asdict(access) for access in sorted(cluster.denied)],
            "fault": self._fault,
            "fault_hits": lambda number: self._hits[number](),
            "grant": self._grant,
            "install": self._install,
            "load": lambda path: cluster.load(Path(path)),
            "recent": lambda: [asdict(record) for record in cluster.counts.recent],
            "reset_counts": lambda: cluster.counts.reset(),
            "revision": lambda: cluster.revision,
            "set_latency": lambda **seconds: cluster.set_latency(Latency(**seconds)),
            "used": lambda: [asdict(access) for access in sorted(cluster.used)],
        }

    def app(self) -> web.Application:
        """The application to listen with."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post(PREFIX + "/{command}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        name = request.match_info["command"]
        command = self._commands.get(name)
        if command is None:
            message = f"no command {name!r}; there are {', '.join(sorted(self._commands))}"
            return web.json_response({"error": message}, status=404)
        arguments: Mapping[str, Any] = await request.json() if request.can_read_body else {}
        try:
            result = command(**arguments)
            return web.json_response({"result": await result if isawaitable(result) else result})
        except ApiError as error:
            return web.json_response(error.status(), status=error.code)
        except (LookupError, OSError, TypeError, ValueError) as error:
            return web.json_response({"error": f"{name}: {error!r}"}, status=400)

    def _apply_all(self, objs: list[dict[str, Any]]) -> None:
        for obj in objs:
            self._cluster.apply(obj)

    def _fault(self, **criteria: Any) -> int:
        fault = self._cluster.fault(**criteria)
        self._hits.append(lambda: fault.hits)
        return len(self._hits) - 1

    def _grant(self, token: str, user: str, rules: list[dict[str, Any]]) -> None:
        self._cluster.grant(token, user, [_rule(rule) for rule in rules])

    def _install(self, plural: str) -> None:
        known = {resource.plural: resource for resource in KNOWN_CUSTOM}
        if plural not in known:
            raise LookupError(f"unknown type {plural!r}; known are {', '.join(known)}; apply a definition for others")
        self._cluster.install(known[plural])


def _rule(fields: Mapping[str, Any]) -> Rule:
    lists = {name: tuple(fields[name]) for name in ("api_groups", "resources", "verbs")}
    return Rule(namespace=fields.get("namespace", ""), **lists)
