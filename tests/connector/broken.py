"""A small world in which everything is well, for the doctor, and ways to break it."""

import asyncio
import base64
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from services.connector.doctor.examination import examine
from services.connector.doctor.report import Report
from services.connector.doctor.steps import DoctorOptions
from tests.deploy.kustomize import ROOT, render
from tests.deploy.rbac import Permission, granted
from tests.fakes.kubernetes import FakeCluster, Rule
from tests.fakes.registry.catalog import FakeCatalog
from tests.fakes.registry.registry import FakeRegistry
from tests.objects import configmap, isvc
from tests.processes import environment

NAMESPACE = "ai-rhdh"
_OPTIONS = {"location": "location", "storage": "storage-rest", "normalizer": "rhoai-normalizer"}
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:rhdh-rhoai-connector"
READY = {"status": "ready", "conditions": [{"name": "kserve", "ok": True, "reason": "", "since": 0}]}
METRICS = """\
rhoai_connector_http_requests_total{code="200",method="GET",route="/list",server="location"} 12.0
rhoai_connector_http_last_request_timestamp_seconds{route="/list",server="location"} 1.7e+09
rhoai_connector_location_documents 1.0
rhoai_connector_location_complete 1.0
"""
"""What location's /metrics says, as far as the doctor reads it; the time is replaced by that of the request."""


def jwt(**claims: Any) -> str:
    """A token that has these claims and a signature that no one can verify."""
    parts = ({"alg": "RS256"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".x"


TOKEN = jwt(sub=ACCOUNT, exp=4_000_000_000)


class StubPod:
    """The three services on one port, each below a path of its own; what they answer is for tests to change."""

    def __init__(self) -> None:
        self.ready: dict[str, Any] = {name: dict(READY) for name in ("location", "storage-rest", "rhoai-normalizer")}
        self.documents: dict[str, str] = {"/models/iris/model-catalog.json": ""}
        """What is served; a text other than the empty one is why it answers 503."""
        self.metrics = METRICS
        self.hidden: list[dict[str, Any]] = []
        self.source = "kserve"
        """The only source of models."""
        self.explained: dict[str, Any] = {"found": [], "near": [], "unread": []}
        self.asked_before = 20.0
        self.absent: set[str] = set()
        self.url = ""

    async def start(self, stack: AsyncExitStack) -> None:
        """Listen until the stack is closed."""
        app = web.Application()
        app.router.add_get("/{service}/readyz", self._ready)
        app.router.add_get("/location/{model}/{version}/model-catalog.json", self._document)
        app.router.add_get("/location/metrics", self._metrics)
        app.router.add_get("/rhoai-normalizer/status", self._status)
        app.router.add_get("/rhoai-normalizer/explain", self._explain)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    def urls(self) -> Mapping[str, str]:
        """Where each service is; port 1 for those that are absent."""
        return {name: "http://127.0.0.1:1" if name in self.absent else f"{self.url}/{name}" for name in self.ready}

    async def _ready(self, request: web.Request) -> web.Response:
        body = self.ready[request.match_info["service"]]
        if body is None:  # the original has no such path
            return web.Response(status=404)
        return web.json_response(body, status=200 if body.get("status") == "ready" else 503)

    async def _document(self, request: web.Request) -> web.Response:
        why = self.documents.get(request.path.removeprefix("/location"))
        if why is None:
            return web.Response(status=404)
        return web.json_response({"detail": why} if why else {}, status=503 if why else 200)

    async def _status(self, _: web.Request) -> web.Response:
        sources = [{"id": self.source, "kind": "kserve", "ok": True}]
        return web.json_response({"hidden": self.hidden, "sources": sources})

    async def _explain(self, request: web.Request) -> web.Response:
        return web.json_response({"model": request.query["model"]} | self.explained)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=self.metrics.replace("1.7e+09", str(time.time() - self.asked_before)))


class World:
    """Used with `async with`: a cluster with one model, a registry, a catalog, a cache and the pod's services."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cluster = FakeCluster(tls=True)
        self.registry = FakeRegistry(tokens=[TOKEN])
        self.catalog = FakeCatalog(tokens=[TOKEN])
        self.pod = StubPod()
        self.environ: dict[str, str] = {}
        self.rights = granted(render(ROOT / "rbac/overlays/rhoai"))
        self.timeout = 20.0
        self.clock: Callable[[], float] = time.time
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for part in (self.cluster, self.registry, self.catalog):
            await self._stack.enter_async_context(part)
        await self.pod.start(self._stack)
        self.registry.add_model("granite")
        self.cluster.apply(isvc("iris"))
        self.cluster.add_namespace(NAMESPACE)
        self.put_cache({"models_iris": self.entry()})
        self.allow(self.rights)
        self.environ |= {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.cluster.port),
            "token": TOKEN,
            "ca.crt": self.cluster.ca_pem,
            "POD_NAMESPACE": NAMESPACE,
            "MODEL_REGISTRY_URLS": self.registry.url,
            "MODEL_CATALOG_URL": self.catalog.url,
        }
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def enter(self, part: AbstractAsyncContextManager[Any]) -> None:
        """Have something else for as long as this world."""
        await self._stack.enter_async_context(part)

    async def serve(self, app: web.Application) -> str:
        """Serve another program for as long as this world; returns its URL."""
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    def allow(self, rights: set[Permission], user: str = ACCOUNT) -> None:
        """Let the token have these rights and no others."""
        rules = [
            Rule(api_groups=(p.group,), resources=(p.resource,), verbs=(p.verb,), namespace=p.namespace)
            for p in sorted(rights)
        ]
        self.cluster.grant(TOKEN, user, rules)

    def without(self, resource: str, *verbs: str) -> None:
        """Take rights on a resource away; all of them when no verb is named."""
        self.allow({p for p in self.rights if p.resource != resource or (verbs and p.verb not in verbs)})

    @staticmethod
    def entry(**marks: Any) -> str:
        """A value of the cache, as the ConfigMap has it; `marks` are further fields."""
        document = {"models": [{"name": "iris", "owner": "o", "description": "d", "lifecycle": "l"}]}
        body = {"body": base64.b64encode(json.dumps(document).encode()).decode(), "reconcilerType": "kserve"}
        body |= marks
        return base64.b64encode(json.dumps(body).encode()).decode()

    def put_cache(self, values: Mapping[str, str], *, complete: bool = True, **fields: Any) -> None:
        """Have the ConfigMap hold these values, as base64."""
        marks = {"modelcatalogbridge.rhdh.io/complete": "true"} if complete else None
        self.cluster.apply(configmap("bac-import-model", NAMESPACE, binary_data=values, annotations=marks) | fields)

    def options(self) -> DoctorOptions:
        """The configuration of the doctor."""
        return DoctorOptions(
            environ=self.environ,
            urls=self.pod.urls(),
            timeout=self.timeout,
            mount=self.directory / "no-mount",
            clock=self.clock,
        )

    async def examine(self) -> Report:
        """Return what the doctor finds."""
        return Report([step async for step in examine(self.options())])

    async def run(self, *arguments: str) -> tuple[int, str]:
        """Run the command `connector doctor`; returns its exit status and what it prints."""
        urls = self.pod.urls()
        options = [f"--{name}={urls[service]}" for name, service in _OPTIONS.items()]
        status, out, errors = await self.command("doctor", *options, *arguments)
        assert not errors, errors
        return status, out

    async def command(self, *arguments: str) -> tuple[int, str, str]:
        """Run the command `connector` with the world's environment; returns exit status, output and errors."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.connector", *arguments),
            cwd=ROOT,
            env=environment(HOME=str(self.directory), **self.environ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), errors.decode()


def expired() -> str:
    """A token that was valid until an hour ago."""
    return jwt(sub=ACCOUNT, exp=time.time() - 3600)
