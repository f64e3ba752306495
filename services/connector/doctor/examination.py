"""Runs the steps: asks, has the answers judged, and lets no step hold up or break another."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from common import __version__
from common.http.client import HttpClient, RemoteError, StatusError
from common.kube.credentials import CredentialsError
from common.kube.environment import MOUNT, find_credentials
from common.kube.resources import CONFIG_MAPS, INFERENCE_SERVICES, ROUTES, SERVICES
from common.metrics import Metrics
from common.trust import TrustError
from services.connector.doctor import access, cache, feed, sources
from services.connector.doctor.asking import Api, Asked
from services.connector.doctor.report import Finding, Step
from services.connector.doctor.settings import Settings, read_settings
from services.normalizer.registries import create_connector, discovery_settings
from services.normalizer.sources.http import Connector
from services.normalizer.sources.kubeflow.addresses import read_route, read_service_address
from services.normalizer.sources.kubeflow.discovery import Discovery, discover
from services.normalizer.sources.refs import SourceRef
from services.storage_rest.stores.families import BASE

log = structlog.get_logger("doctor")

_REGISTRY_LISTS = (
    "/api/model_registry/v1alpha3/registered_models",
    "/api/model_registry/v1/registered_models",
)
_CATALOG_LISTS = ("/api/model_catalog/v1alpha1/sources",)
_TRIAL = {"metadata": {"annotations": {"modelcatalogbridge.rhdh.io/tried": "true"}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to look at. `urls` are where the services answer, by name; `timeout` (seconds) is each step's."""

    environ: Mapping[str, str]
    urls: Mapping[str, str] = field(
        default_factory=lambda: {
            "location": "http://localhost:9090",
            "storage-rest": "http://localhost:7070",
            "rhoai-normalizer": "http://localhost:8081",
        }
    )
    timeout: float = 15.0
    home: Path | None = None
    mount: Path = MOUNT
    clock: Callable[[], float] = time.time


async def examine(options: Options) -> AsyncIterator[Step]:
    """Yield the steps in the order of a model's way, each as soon as it and those before it are done."""
    settings, findings = read_settings(options.environ)
    yield Step(name="settings", title="Settings", findings=tuple(findings))
    async with AsyncExitStack() as stack:
        examination = _Examination(options, settings, stack)
        yield await examination.step("credentials", "Credentials and API server", examination.log_in)
        works = (
            ("kinds", "Kinds", examination.check_kinds),
            ("rights", "Rights", examination.check_rights),
            ("models", "InferenceServices", examination.check_models),
            ("registries", "Model registries and catalogs", examination.check_registries),
            ("cache", "Cache", examination.check_cache),
            ("feed", "Feed", examination.check_feed),
            ("backstage", "Backstage", examination.check_readers),
        )
        async with asyncio.TaskGroup() as group:
            for task in [group.create_task(examination.step(*work)) for work in works]:
                yield await task


class _Examination:
    """The steps of one examination, with what they share."""

    def __init__(self, options: Options, settings: Settings, stack: AsyncExitStack) -> None:
        self._options = options
        self._settings = settings
        self._stack = stack
        self._api: Api | None = None
        self._has_routes = False
        self._kserve: tuple[Asked[Any], Asked[Any]] = (None, None)
        self._pod: asyncio.Task[feed.Pod] | None = None

    async def step(self, name: str, title: str, work: Callable[[], Awaitable[list[Finding]]]) -> Step:
        """Run one step; whatever becomes of it is a finding."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._options.timeout):
                findings = await work()
        except TimeoutError:
            limit = f"{self._options.timeout:g} s"
            findings = [
                Finding("fault", f"no end within {limit}", "give it longer with --timeout, or look at the network")
            ]
        except Exception as error:
            log.exception("a step of the doctor failed", step=name)
            findings = [
                Finding("fault", f"a fault of the doctor's own: {error!r}", "report it with the log's traceback")
            ]
        return Step(name=name, title=title, findings=tuple(findings), seconds=round(time.perf_counter() - began, 3))

    async def log_in(self) -> list[Finding]:
        """Find the credentials and try them; the other steps use them if they work."""
        options = self._options
        try:
            credentials = await find_credentials(options.environ, home=options.home, mount=options.mount)
        except CredentialsError as error:
            return [Finding("fault", str(error))]
        api = await self._stack.enter_async_context(Api(credentials, timeout=options.timeout / 2, clock=options.clock))
        ahead = await api.ahead()
        user: Asked[str] = ahead if isinstance(ahead, RemoteError) else await api.user()
        if not isinstance(ahead, RemoteError):
            self._api = api
            routes = await api.served(ROUTES.group, ROUTES.version)
            self._has_routes = isinstance(routes, Mapping)
        return access.judge_login(
            access.Login(
                credentials=credentials,
                ahead=ahead,
                user=user,
                now=options.clock(),
                expires=access.expiry_of(credentials.token() if credentials.token else None),
                proxies=access.proxies_of(options.environ),
            )
        )

    async def check_kinds(self) -> list[Finding]:
        """Ask which kinds of objects the cluster has."""
        if self._api is None:
            return _NO_WAY
        group, version = INFERENCE_SERVICES.group, INFERENCE_SERVICES.version
        kserve, versions = await asyncio.gather(self._api.served(group, version), self._api.served(group))
        return access.judge_kinds(kserve, versions, has_routes=self._has_routes)

    async def check_rights(self) -> list[Finding]:
        """Ask for every right that is needed."""
        api = self._api
        if api is None:
            return _NO_WAY
        scope = access.Scope(
            watched=self._watched,
            searched=self._searched,
            own=self._own if self._settings.storage.storage_type == "ConfigMap" else "",
            has_routes=self._has_routes,
        )
        rights = access.wanted_rights(scope)
        wanted = [(right, verb) for right in rights for verb in right.verbs]
        answers = await asyncio.gather(
            *(
                api.may(
                    verb=verb,
                    group=right.resource.group,
                    resource=right.resource.plural,
                    namespace=right.namespace,
                )
                for right, verb in wanted
            )
        )
        return access.judge_rights(rights, dict(zip(wanted, answers, strict=True)))

    async def check_models(self) -> list[Finding]:
        """List the InferenceServices."""
        api = self._api
        if api is None:
            return _NO_WAY
        namespaces = self._watched or ("",)
        found = await asyncio.gather(*(api.objects(INFERENCE_SERVICES, name or None) for name in namespaces))
        return sources.judge_models(dict(zip(namespaces, found, strict=True)))

    async def check_registries(self) -> list[Finding]:
        """Look for registries and catalogs as the normalizer does, and ask each for its first page."""
        findings: list[Finding] = []
        routes: Asked[Sequence[Any]] = []
        services: Asked[Sequence[Any]] = []
        if self._api is not None:
            routes, services = await self._search(self._api)
            findings += sources.judge_search(routes, services)
        discovery = discover(
            map(read_route, [] if isinstance(routes, RemoteError) else routes),
            map(read_service_address, [] if isinstance(services, RemoteError) else services),
            discovery_settings(self._settings.normalizer),
        )
        try:
            probes = await self._probe(discovery)
        except TrustError as error:
            remedy = "a file with certificates in PEM form, mounted into the container that reads registries"
            return [*findings, Finding("fault", f"no registry can be verified: {error}", remedy)]
        return [*findings, *sources.judge_registries(discovery, probes)]

    async def _search(self, api: Api) -> tuple[Asked[Sequence[Any]], Asked[Sequence[Any]]]:
        namespaces: Sequence[str | None] = self._searched if self._watched else (None,)
        routes: list[Any] = []
        services: list[Any] = []
        for namespace in namespaces:
            for resource, into in ((ROUTES, routes), (SERVICES, services)):
                if resource is ROUTES and not self._has_routes:
                    continue
                answer = await api.objects(resource, namespace)
                if isinstance(answer, RemoteError):
                    return (answer, services) if resource is ROUTES else (routes, answer)
                into += answer
        return routes, services

    async def _probe(self, discovery: Discovery) -> list[sources.Probe]:
        token = self._api.credentials.token if self._api else None
        connector = create_connector(
            self._settings.normalizer,
            token=token,
            metrics=Metrics("doctor", __version__),
            environ=self._options.environ,
        )
        answers = await asyncio.gather(*(_first_page(connector, ref) for ref in discovery.refs))
        return [
            sources.Probe(ref=ref, answer=answer, sent_token=connector.token is not None)
            for ref, answer in zip(discovery.refs, answers, strict=True)
        ]

    async def check_cache(self) -> list[Finding]:
        """Read the ConfigMaps, and try to write without effect."""
        kind = self._settings.storage.storage_type
        if kind != "ConfigMap":
            return [Finding("skipped", f"STORAGE_TYPE is {kind}: no ConfigMaps are kept")]
        if self._api is None:
            return _NO_WAY
        if not self._own:
            return [Finding("skipped", "the namespace of the cache is not known")]
        found, write = await asyncio.gather(
            self._api.objects(CONFIG_MAPS, self._own),
            self._api.rehearse(CONFIG_MAPS, self._own, BASE, _TRIAL),
        )
        return cache.judge_cache(found, write, namespace=self._own)

    async def check_feed(self) -> list[Finding]:
        """Ask the services how they fare."""
        return feed.judge_feed(await self._ask_pod())

    async def check_readers(self) -> list[Finding]:
        """Ask location who has read."""
        return feed.judge_readers(await self._ask_pod())

    async def _ask_pod(self) -> feed.Pod:
        if self._pod is None:
            self._pod = asyncio.create_task(self._services())
        return await asyncio.shield(self._pod)

    async def _services(self) -> feed.Pod:
        urls, timeout = self._options.urls, self._options.timeout / 3
        location = urls["location"]
        ready, listing, metrics = await asyncio.gather(
            asyncio.gather(*(_report(url, timeout) for url in urls.values())),
            _get(location, "/list", timeout),
            _get(location, "/metrics", timeout),
        )
        return feed.Pod(
            inside=bool(self._options.environ.get("KUBERNETES_SERVICE_HOST")),
            ready=dict(zip(urls, ready, strict=True)),
            listing=_object(listing),
            metrics=metrics if isinstance(metrics, RemoteError) else metrics.decode("utf-8", "replace"),
        )

    @property
    def _own(self) -> str:
        return (self._api.credentials.namespace if self._api else None) or ""

    @property
    def _watched(self) -> tuple[str, ...]:
        return self._settings.normalizer.watch_namespaces

    @property
    def _searched(self) -> tuple[str, ...]:
        return discovery_settings(self._settings.normalizer).namespaces


_NO_WAY = [Finding("skipped", "not looked at: there is no way to the API server, see above")]


async def _first_page(connector: Connector, ref: SourceRef) -> Asked[tuple[str, int]]:
    """Return the path that a server answers and how many items it has at first; an error when it answers none."""
    if not ref.url:
        return RemoteError("no address")
    paths = _REGISTRY_LISTS if ref.kind == "registry" else _CATALOG_LISTS
    error: RemoteError = RemoteError("not asked")
    async with connector.open(ref) as remote:
        for path in paths:
            try:
                answer = await remote.get(path, {"pageSize": "100"})
            except RemoteError as failure:
                error = failure
                if not isinstance(failure, StatusError) or failure.status != 404:
                    return failure
            else:
                items = answer.get("items") if isinstance(answer, dict) else None
                return path, len(items) if isinstance(items, list) else 0
    return error


async def _report(url: str, timeout: float) -> Asked[Mapping[str, Any]]:
    """Return the body of /readyz, whether it comes with 200 or 503."""
    answer = await _get(url, "/readyz", timeout)
    if isinstance(answer, StatusError) and answer.status == 503:
        parsed = _object(answer.body)
        return answer if isinstance(parsed, RemoteError) else parsed
    return _object(answer)


async def _get(url: str, path: str, timeout: float) -> Asked[bytes]:
    try:
        async with HttpClient(name=url, base_url=url, timeout=timeout, attempts=1) as client:
            return (await client.request("GET", path)).body
    except RemoteError as error:
        return error


def _object(body: Asked[bytes]) -> Asked[Mapping[str, Any]]:
    if isinstance(body, RemoteError):
        return body
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        parsed = None
    return parsed if isinstance(parsed, dict) else RemoteError("something else than the connector answers there")
