"""Runs the steps: asks, has the answers judged, and lets no step hold up or break another."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import structlog

from common import __version__
from common.http.client import HttpClient, RemoteError, StatusError
from common.kube.credentials import CredentialsError
from common.kube.environment import MOUNT, find_credentials
from common.kube.resources import CONFIG_MAPS, INFERENCE_SERVICES, LLM_INFERENCE_SERVICES, ROUTES, SERVICES, Resource
from common.metrics import Metrics
from common.status import Part
from common.trust import TrustError
from services.connector.doctor import access, cache, feed, model, sources
from services.connector.doctor.asking import Api, Asked
from services.connector.doctor.report import Finding, Step
from services.connector.doctor.settings import Settings, read_settings
from services.normalizer.facts import DeploymentKind
from services.normalizer.normalize.answers import models_path
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.kserve_objects import read_isvc, read_llmisvc
from services.normalizer.registries import create_connector, discovery_settings
from services.normalizer.sources.http import Connector
from services.normalizer.sources.kubeflow.addresses import read_route, read_service_address
from services.normalizer.sources.kubeflow.discovery import Discovery, discover
from services.normalizer.sources.mlflow import MODELS_PATH as MLFLOW_MODELS
from services.normalizer.sources.openai_servers import server_refs
from services.normalizer.sources.refs import SourceRef
from services.storage_rest.stores.families import BASE

log = structlog.get_logger("doctor")

P = TypeVar("P", bound=Part)

REGISTRY_ROOTS = ("/api/model_registry/v1alpha3", "/api/model_registry/v1")
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
        examination = Examination(options, settings, stack)
        yield await examination.step("credentials", "Credentials and API server", examination.log_in)
        works = (
            ("kinds", "Kinds", examination.check_kinds),
            ("rights", "Rights", examination.check_rights),
            ("models", "Deployments", examination.check_models),
            ("registries", "Model registries and catalogs", examination.check_registries),
            ("cache", "Cache", examination.check_cache),
            ("hidden", "Hidden models", examination.check_hidden),
            ("feed", "Feed", examination.check_feed),
            ("backstage", "Backstage", examination.check_readers),
        )
        async with asyncio.TaskGroup() as group:
            for task in [group.create_task(examination.step(*work)) for work in works]:
                yield await task


class Examination:
    """The steps of one examination, with what they share; `api` is there once `log_in` has succeeded."""

    def __init__(self, options: Options, settings: Settings, stack: AsyncExitStack) -> None:
        self.options = options
        self.settings = settings
        self._stack = stack
        self.api: Api | None = None
        self._has_routes = False
        self._pod: asyncio.Task[feed.Pod] | None = None

    async def step(self, name: str, title: str, work: Callable[[], Awaitable[list[Finding]]]) -> Step:
        """Run one step; whatever becomes of it is a finding."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self.options.timeout):
                findings = await work()
        except TimeoutError:
            limit = f"{self.options.timeout:g} s"
            findings = [
                Finding("fault", f"no end within {limit}", "give it longer with --timeout, or look at the network")
            ]
        except Exception as error:
            log.exception("doctor_step_failed", step=name)
            findings = [
                Finding("fault", f"a fault of the doctor's own: {error!r}", "report it with the log's traceback")
            ]
        return Step(name=name, title=title, findings=tuple(findings), seconds=round(time.perf_counter() - began, 3))

    async def log_in(self) -> list[Finding]:
        """Find the credentials and try them; the other steps use them if they work."""
        options = self.options
        try:
            credentials = await find_credentials(options.environ, home=options.home, mount=options.mount)
        except CredentialsError as error:
            return [Finding("fault", str(error))]
        api = await self._stack.enter_async_context(Api(credentials, timeout=options.timeout / 2, clock=options.clock))
        ahead = await api.ahead()
        user: Asked[str] = ahead if isinstance(ahead, RemoteError) else await api.user()
        if not isinstance(ahead, RemoteError):
            self.api = api
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
        if self.api is None:
            return NO_WAY
        group, version = INFERENCE_SERVICES.group, INFERENCE_SERVICES.version
        kserve, versions = await asyncio.gather(self.api.served(group, version), self.api.served(group))
        return access.judge_kinds(kserve, versions, has_routes=self._has_routes)

    async def check_rights(self) -> list[Finding]:
        """Ask for every right that is needed."""
        api = self.api
        if api is None:
            return NO_WAY
        scope = access.Scope(
            watched=self.watched,
            searched=self._searched,
            own=self.own if self.settings.storage.storage_type == "ConfigMap" else "",
            has_routes=self._has_routes,
            gateways=self.settings.normalizer.model_registry_gateways,
            llm=await self.llm_kind(api),
            runtimes=self.settings.normalizer.read_runtimes,
            namespaces=self.settings.normalizer.read_namespaces,
            connections=self.settings.normalizer.resolve_connections,
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
        findings = access.judge_rights(rights, dict(zip(wanted, answers, strict=True)))
        return [*findings, access.optional(scope)]

    async def llm_kind(self, api: Api) -> Resource | None:
        """Return LLMInferenceServices in the version that the cluster has, if any."""
        for resource in LLM_INFERENCE_SERVICES:
            served = await api.served(resource.group, resource.version)
            if isinstance(served, Mapping) and resource.plural in access.plurals(served):
                return resource
        return None

    async def check_models(self) -> list[Finding]:
        """List the deployments."""
        if self.api is None:
            return NO_WAY
        return sources.judge_models(await self.list_deployments(self.api), self.settings.normalizer.selection)

    async def list_deployments(self, api: Api) -> list[sources.Listed]:
        """Return the InferenceServices, and the LLMInferenceServices where the cluster has them, by namespace."""
        llm = await self.llm_kind(api)
        kinds: list[tuple[DeploymentKind, Resource, Callable[[Any], Deployment]]] = [
            ("InferenceService", INFERENCE_SERVICES, read_isvc)
        ]
        if llm is not None:
            kinds.append(("LLMInferenceService", llm, read_llmisvc))
        wanted = [(*kind, namespace) for kind in kinds for namespace in self.watched or ("",)]
        answers = await asyncio.gather(*(api.objects(kind, namespace or None) for _, kind, _, namespace in wanted))
        return [
            sources.Listed(
                kind=kind,
                namespace=namespace,
                answer=answer if isinstance(answer, RemoteError) else [read(obj) for obj in answer],
            )
            for (kind, _, read, namespace), answer in zip(wanted, answers, strict=True)
        ]

    async def check_registries(self) -> list[Finding]:
        """Look for registries and catalogs as the normalizer does, and ask each for its first page."""
        try:
            connector = self.connector()
        except TrustError as error:
            remedy = "a file with certificates in PEM form, mounted into the container that reads registries"
            return [Finding("fault", f"no registry can be verified: {error}", remedy)]
        discovery, findings = await self.discover()
        settings = self.settings.normalizer
        servers = server_refs(settings.openai_servers, insecure=settings.model_registry_insecure)
        refs = (*discovery.refs, *servers)
        answers = await asyncio.gather(*(_first_page(connector, ref) for ref in refs))
        probes = [
            sources.Probe(ref=ref, answer=answer, sent_token=connector.authenticates(ref))
            for ref, answer in zip(refs, answers, strict=True)
        ]
        return [*findings, *sources.judge_registries(discovery, probes)]

    async def discover(self) -> tuple[Discovery, list[Finding]]:
        """Return the registries and catalogs there are, and what kept us from looking for more."""
        routes: Asked[Sequence[Any]] = []
        services: Asked[Sequence[Any]] = []
        if self.api is not None:
            routes, services = await self._search(self.api)
        discovery = discover(
            map(read_route, [] if isinstance(routes, RemoteError) else routes),
            map(read_service_address, [] if isinstance(services, RemoteError) else services),
            discovery_settings(self.settings.normalizer),
        )
        return discovery, sources.judge_search(routes, services)

    def connector(self) -> Connector:
        """Return what opens connections to registries, with the normalizer's token and authorities.

        Raises:
            TrustError: one of the authorities is none.
        """
        token = self.api.credentials.token if self.api else None
        metrics = Metrics("doctor", __version__)
        return create_connector(self.settings.normalizer, token=token, metrics=metrics, environ=self.options.environ)

    async def _search(self, api: Api) -> tuple[Asked[Sequence[Any]], Asked[Sequence[Any]]]:
        namespaces: Sequence[str | None] = self._searched if self.watched else (None,)
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

    async def check_cache(self) -> list[Finding]:
        """Read the ConfigMaps, and try to write without effect."""
        kind = self.settings.storage.storage_type
        if kind != "ConfigMap":
            return [Finding("skipped", f"STORAGE_TYPE is {kind}: no ConfigMaps are kept")]
        if self.api is None:
            return NO_WAY
        if not self.own:
            return [Finding("skipped", "the namespace of the cache is not known")]
        found, write = await asyncio.gather(
            self.api.objects(CONFIG_MAPS, self.own),
            self.api.rehearse(CONFIG_MAPS, self.own, BASE, _TRIAL),
        )
        hold = self.settings.normalizer.patience.hold
        return cache.judge_cache(found, write, namespace=self.own, hold=hold, now=self.options.clock())

    async def check_hidden(self) -> list[Finding]:
        """Ask a running normalizer what it hides."""
        return model.judge_hidden(await ask_running(self.options, "/status", model.HiddenModels))

    async def check_feed(self) -> list[Finding]:
        """Ask the services how they fare."""
        return feed.judge_feed(await self.ask_pod())

    async def check_readers(self) -> list[Finding]:
        """Ask location who has read."""
        return feed.judge_readers(await self.ask_pod(), now=self.options.clock())

    async def ask_pod(self) -> feed.Pod:
        """Return what the services answer; they are asked once."""
        if self._pod is None:
            self._pod = asyncio.create_task(self._services())
        return await asyncio.shield(self._pod)

    async def _services(self) -> feed.Pod:
        urls, timeout = self.options.urls, self.options.timeout / 3
        ready, metrics = await asyncio.gather(
            asyncio.gather(*(_report(url, timeout) for url in urls.values())),
            get(urls["location"], "/metrics", timeout),
        )
        return feed.Pod(
            inside=bool(self.options.environ.get("KUBERNETES_SERVICE_HOST")),
            ready=dict(zip(urls, ready, strict=True)),
            metrics=metrics if isinstance(metrics, RemoteError) else metrics.decode("utf-8", "replace"),
        )

    @property
    def own(self) -> str:
        """The namespace of the cache, empty when it is not known."""
        return (self.api.credentials.namespace if self.api else None) or ""

    @property
    def watched(self) -> tuple[str, ...]:
        """The namespaces of WATCH_NAMESPACES; none stands for all."""
        return self.settings.normalizer.watch_namespaces

    @property
    def _searched(self) -> tuple[str, ...]:
        return discovery_settings(self.settings.normalizer).namespaces


NO_WAY = [Finding("skipped", "not looked at: there is no way to the API server, see above")]


async def _first_page(connector: Connector, ref: SourceRef) -> Asked[tuple[str, int]]:
    """Return the path that a server answers and how many items it has at first; an error when it answers none."""
    if not ref.url:
        return RemoteError("no address")
    paths, limit, field = list(_CATALOG_LISTS), "pageSize", "items"
    if ref.api == "mlflow":
        paths, limit, field = [MLFLOW_MODELS], "max_results", "registered_models"
    elif ref.api == "openai":
        paths, limit, field = [models_path(ref.url)], "limit", "data"
    elif ref.kind == "registry":
        paths = [f"{root}/registered_models" for root in REGISTRY_ROOTS]
    error: RemoteError = RemoteError("not asked")
    async with connector.open(ref) as remote:
        for path in paths:
            try:
                answer = await remote.get(path, {limit: "100"})
            except RemoteError as failure:
                error = failure
                if not isinstance(failure, StatusError) or failure.status != 404:
                    return failure
            else:
                items = answer.get(field) if isinstance(answer, dict) else None
                return path, len(items) if isinstance(items, list) else 0
    return error


async def _report(url: str, timeout: float) -> Asked[Mapping[str, Any]]:
    """Return the body of /readyz, whether it comes with 200 or 503."""
    answer = await get(url, "/readyz", timeout)
    if isinstance(answer, StatusError) and answer.status == 503:
        parsed = _object(answer.body)
        return answer if isinstance(parsed, RemoteError) else parsed
    return _object(answer)


async def ask_running(options: Options, path: str, kind: type[P]) -> Asked[P]:
    """Return what a running normalizer answers; one that runs in one process with location answers where that does."""
    error = RemoteError("it does not answer")
    for service in ("rhoai-normalizer", "location"):
        answer = await get(options.urls[service], path, options.timeout / 3)
        if isinstance(answer, RemoteError):
            error = answer if service == "rhoai-normalizer" else error
            continue
        try:
            return kind.model_validate_json(answer)
        except ValueError:
            error = RemoteError("another version of the normalizer, or something else, answers there")
    return error


async def get(url: str, path: str, timeout: float) -> Asked[bytes]:
    """Return the body at a path of a service of the pod; one attempt."""
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
