"""The steps of one cluster, as the normalizer sees it: credentials, kinds, rights, deployments, registries."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from common import __version__
from common.http.errors import RemoteError, TimedOut
from common.kube.credentials import Credentials, CredentialsError, MissingCredentials
from common.kube.resources import GATEWAYS, HTTP_ROUTES, INFERENCE_SERVICES, ROUTES, SERVICES, Resource
from common.metrics import Metrics
from common.trust import TrustError, read_authority
from services.connector.doctor import access, rights, sources
from services.connector.doctor.asking import ApiServerClient, Asked
from services.connector.doctor.registries import FirstPage, RegistryObjects, discovery_of, first_page, search
from services.connector.doctor.report import Finding, Step
from services.connector.doctor.settings import Settings
from services.connector.doctor.steps import DoctorOptions, run_step
from services.normalizer.cluster_specs import ClusterSpec, GivenAccess, id_of_server
from services.normalizer.connectors import registry_connector
from services.normalizer.facts import DeploymentKind
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.kserve_objects import read_isvc, read_llmisvc
from services.normalizer.sources.http import Connector
from services.normalizer.sources.kubeflow.discovery import Discovery
from services.normalizer.sources.refs import SourceRef

NOT_CHECKED = Finding("skipped", "the other checks of this cluster are skipped until its API server can be used")


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What a cluster is there for.

    `followed`: its models are shown; `has_cache`: the ConfigMaps are in it; `named`: by which setting its namespaces
    are chosen. `servers` are those that it reads in addition to its registries and that nothing in it names.
    """

    followed: bool = True
    has_cache: bool = False
    named: str = "WATCH_NAMESPACES"
    servers: tuple[SourceRef, ...] = ()


class ClusterExamination:
    """The steps of one cluster, and what they share: `api` after `log_in`, `is_absent` without any credentials."""

    def __init__(
        self,
        wanted: ClusterSpec,
        purpose: Purpose,
        *,
        options: DoctorOptions,
        settings: Settings,
        stack: AsyncExitStack,
        servers: dict[str, str],
    ) -> None:
        """Prepare; `servers` is shared by all clusters: which of them is read, by the ids of their API servers."""
        self.wanted = wanted
        self.purpose = purpose
        self.options = options
        self.settings = settings.normalizer
        self._caches = settings.storage.storage_type == "ConfigMap"
        self._stack = stack
        self._servers = servers
        self.credentials: Credentials | None = None
        self.api: ApiServerClient | None = None
        self.is_absent = False
        self._has_routes = False
        self._login: asyncio.Task[Step] | None = None

    @property
    def name(self) -> str:
        """The name of the cluster, empty if there is only one."""
        return self.wanted.name

    @property
    def own(self) -> str:
        """The namespace of the cache, empty if it is unknown or in another cluster."""
        return (self.credentials.namespace if self.credentials and self.purpose.has_cache else None) or ""

    @property
    def id(self) -> str:
        """The cluster in the references of its objects."""
        return self.wanted.id or id_of_server(self.credentials.server if self.credentials else "")

    async def step(self, name: str, title: str, work: Callable[[], Awaitable[list[Finding]]]) -> Step:
        """Run one step of this cluster."""
        return await run_step(name, title, work, options=self.options, cluster=self.name)

    async def steps(self) -> AsyncIterator[Step]:
        """Yield the steps in order from the source to Backstage, each when it and those before it are done."""
        if self.has_way:
            yield await self.login()
        works: list[tuple[str, str, Callable[[], Awaitable[list[Finding]]]]] = []
        if (api := self.api) is not None:
            works = [("rights", "Rights", partial(self.check_rights, api))]
            if self.purpose.followed:
                works.insert(0, ("kinds", "Kinds", partial(self.check_kinds, api)))
                works.append(("models", "Deployments", partial(self.check_models, api)))
        if self.reads_registries:
            works.append(("registries", "Model registries and catalogs", self.check_registries))
        async with asyncio.TaskGroup() as group:
            for task in [group.create_task(self.step(*work)) for work in works]:
                yield await task

    @property
    def has_way(self) -> bool:
        """Whether it is a cluster at all: registries can be read without one."""
        return self.wanted.access != GivenAccess(None)

    @property
    def reads_registries(self) -> bool:
        """Whether registries are read: without credentials, only those that the environment names, if there are any."""
        may_be_read = self.purpose.followed and (not self.name or not self.has_way or self.credentials is not None)
        return may_be_read and (
            self.api is not None
            or not self.wanted.searched
            or bool(self.purpose.servers or discovery_of({}, self.wanted.registries).refs)
        )

    async def login(self) -> Step:
        """Return the step that logs in; it runs once, even if it is requested repeatedly."""
        if self._login is None:
            title = "Credentials and API server" if self.purpose.followed else "Credentials for the cache"
            self._login = asyncio.create_task(self._login_step(title))
        return await asyncio.shield(self._login)

    async def _login_step(self, title: str) -> Step:
        step = await self.step("credentials", title, self._log_in)
        return step if self.api is not None else replace(step, findings=(*step.findings, NOT_CHECKED))

    async def _log_in(self) -> list[Finding]:
        """Find the credentials and try them; the other steps use them if they work."""
        options = self.options
        try:
            credentials = await self.wanted.access.credentials()
        except (CredentialsError, TrustError) as error:
            self.is_absent = isinstance(error, MissingCredentials)
            message, remedy = (error.message, error.remedy) if isinstance(error, CredentialsError) else (str(error), "")
            return [Finding("fault", message, "\n".join(filter(None, (self.remedy_of_way, remedy))))]
        if credentials is None:
            return [Finding("skipped", "there is no cluster")]
        self.credentials = credentials
        other = self._servers.setdefault(self.id, self.name) if self.purpose.followed else self.name
        if other != self.name:
            message = f"this is the same API server as that of cluster {other}"
            return [Finding("fault", message, "remove one of the two clusters")]
        api = await self._stack.enter_async_context(
            ApiServerClient(credentials, timeout=options.timeout / 2, clock=options.clock)
        )
        ahead = await api.ahead()
        user: Asked[str] = ahead if isinstance(ahead, RemoteError) else await api.user()
        if not isinstance(ahead, RemoteError):
            self.api = api
            routes = await api.served(ROUTES.group, ROUTES.version)
            self._has_routes = isinstance(routes, Mapping)
        findings = access.judge_login(
            access.Login(
                credentials=credentials,
                ahead=ahead,
                user=user,
                now=options.clock(),
                expires=access.expiry_of(credentials.current_token()),
                proxies=access.proxies_of(options.environ),
                has_cache=self.purpose.has_cache,
            )
        )
        return [*findings, *access.judge_token_files(self.wanted.tokens)]

    @property
    def remedy_of_way(self) -> str:
        """What to do about the entry of a cluster without usable credentials; empty if there is no entry."""
        if not self.name or self.options.contexts:
            return ""
        return (
            f"correct the entry of cluster {self.name} in CLUSTERS_FILE, or the file that the entry names; "
            "docs/clusters.md describes both"
        )

    async def check_kinds(self, api: ApiServerClient) -> list[Finding]:
        """Check which kinds of objects the cluster has."""
        group, version = INFERENCE_SERVICES.group, INFERENCE_SERVICES.version
        kserve, versions = await asyncio.gather(api.served(group, version), api.served(group))
        return access.judge_kinds(kserve, versions, has_routes=self._has_routes, searched=self.wanted.searched)

    async def check_rights(self, api: ApiServerClient) -> list[Finding]:
        """Check every permission that is needed."""
        settings, searched = self.settings, self.wanted.searched
        scope = rights.Scope(
            watched=self.wanted.namespaces,
            searched=self.wanted.registries.namespaces if searched else (),
            own=self.own if self._caches else "",
            has_routes=self._has_routes and searched,
            gateways=settings.model_registry_gateways and searched,
            llm=await api.llm_kind(),
            runtimes=settings.read_runtimes,
            namespaces=settings.read_namespaces,
            connections=settings.resolve_connections,
            further=not self.wanted.inside,
            followed=self.purpose.followed,
        )
        needed = rights.wanted_rights(scope)
        wanted = [(right, verb) for right in needed for verb in right.verbs]
        answers = await asyncio.gather(
            *(
                api.may(
                    verb=verb, group=right.resource.group, resource=right.resource.plural, namespace=right.namespace
                )
                for right, verb in wanted
            )
        )
        findings = rights.judge_rights(needed, dict(zip(wanted, answers, strict=True)), further=scope.further)
        return [*findings, rights.optional(scope)] if self.purpose.followed else findings

    async def check_models(self, api: ApiServerClient) -> list[Finding]:
        """List the deployments."""
        found = await self.list_deployments(api)
        return sources.judge_models(found, self.settings.selection, setting=self.purpose.named)

    async def list_deployments(self, api: ApiServerClient) -> list[sources.DeploymentList]:
        """Return the InferenceServices, and the LLMInferenceServices if the cluster has them, by namespace."""
        llm = await api.llm_kind()
        kinds: list[tuple[DeploymentKind, Resource, Callable[[Any], Deployment]]] = [
            ("InferenceService", INFERENCE_SERVICES, read_isvc)
        ]
        if llm is not None:
            kinds.append(("LLMInferenceService", llm, read_llmisvc))
        wanted = [(*kind, namespace) for kind in kinds for namespace in self.wanted.namespaces or ("",)]
        answers = await asyncio.gather(*(api.objects(kind, namespace or None) for _, kind, _, namespace in wanted))
        return [
            sources.DeploymentList(
                kind=kind,
                namespace=namespace,
                answer=answer if isinstance(answer, RemoteError) else [read(obj) for obj in answer],
            )
            for (kind, _, read, namespace), answer in zip(wanted, answers, strict=True)
        ]

    async def check_registries(self) -> list[Finding]:
        """Find registries and catalogs as the normalizer does, and read the first page of each."""
        try:
            connector = self.connector()
        except TrustError as error:
            remedy = (
                "mount a file with certificates in PEM format into the container that reads registries; to look into "
                "it:\nopenssl x509 -noout -subject -enddate -in FILE"
            )
            return [Finding("fault", f"the certificates of registries cannot be verified: {error}", remedy)]
        discovery, findings = await self.discover()
        if file := self.settings.model_registry_ca_file:
            findings += sources.judge_authority(*read_authority("MODEL_REGISTRY_CA_FILE", Path(file)))
        refs = (*discovery.refs, *self.purpose.servers)
        answers = await asyncio.gather(*(self._first_page(connector, ref) for ref in refs))
        refused = self.has_way and self.api is None and self.settings.model_registry_token is None
        probes = [
            sources.Probe(ref=ref, answer=answer, sent_token=connector.authenticates(ref), refused=refused)
            for ref, answer in zip(refs, answers, strict=True)
        ]
        looked_for = self.wanted.registries.names if self.wanted.searched and self.api is not None else None
        return [*findings, *sources.judge_registries(discovery, probes, looked_for)]

    async def _first_page(self, connector: Connector, ref: SourceRef) -> Asked[FirstPage]:
        """Return the first page of a server; one that hangs is named before the time of the step is over."""
        try:
            async with asyncio.timeout(self.options.timeout * 0.7):
                return await first_page(connector, ref)
        except TimeoutError:
            return TimedOut(ref.url)

    async def discover(self) -> tuple[Discovery, list[Finding]]:
        """Return the registries and catalogs, and what could not be searched for more."""
        found: RegistryObjects = {}
        if self.api is not None and self.wanted.searched:
            kinds = [*([ROUTES] if self._has_routes else []), SERVICES]
            if self.settings.model_registry_gateways:
                kinds += [HTTP_ROUTES, GATEWAYS]
            namespaces = self.wanted.registries.namespaces if self.wanted.namespaces else (None,)
            found = await search(self.api, kinds, namespaces)
        findings = sources.judge_search({str(kind): answer for kind, answer in found.items()})
        return discovery_of(found, replace(self.wanted.registries, cluster=self.id)), findings

    def connector(self) -> Connector:
        """Return what opens connections to registries, with the normalizer's token and authorities.

        Raises:
            TrustError: one of the authorities is none.
        """
        return registry_connector(
            self.wanted,
            self.id,
            self.credentials,
            settings=self.settings,
            metrics=Metrics("doctor", __version__),
            environ=self.options.environ,
        )
