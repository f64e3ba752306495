"""Runs all steps, so that no step and no cluster delays or breaks another."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, TypeVar

from common import LOCATION, NORMALIZER
from common.http.client import HttpClient
from common.http.errors import RemoteError, StatusError
from common.kube.credentials import CredentialsError
from common.kube.resources import CONFIG_MAPS
from common.status import StatusModel
from common.texts import parse_json
from common.words import counted, listed
from services.connector.doctor import cache, explained, feed
from services.connector.doctor.asking import ApiServerClient, Asked
from services.connector.doctor.cluster import ClusterExamination, Purpose
from services.connector.doctor.report import Finding, Step
from services.connector.doctor.settings import Settings, read_settings
from services.connector.doctor.steps import DoctorOptions, run_step
from services.normalizer.cluster_specs import (
    ClusterSpec,
    EnvironmentAccess,
    own_cluster_spec,
    specs_of_contexts,
    specs_of_file,
)
from services.normalizer.clusters_file import CLUSTERS_FILE, ClustersFileError, read_clusters
from services.normalizer.facts import MANIFESTS
from services.normalizer.sources.openai_servers import server_refs
from services.storage_rest.stores.families import BASE

P = TypeVar("P", bound=StatusModel)

_TRIAL = {"metadata": {"annotations": {"modelcatalogbridge.rhdh.io/tried": "true"}}}


async def examine(options: DoctorOptions) -> AsyncIterator[Step]:
    """Yield the steps in order from the source to Backstage, each when it and those before it are done.

    The steps of a cluster among several come together, those of the cluster that is done first before the others'.
    """
    settings, findings = read_settings(options.environ)
    yield Step(name="settings", title="Settings", findings=tuple(findings))
    async with AsyncExitStack() as stack:
        examination = Examination(options, settings, stack)
        if examination.names_clusters:
            yield await examination.step("clusters", "Clusters", examination.find_clusters)
        works = (
            ("hidden", "Hidden models", examination.check_hidden),
            ("feed", "Feed", examination.check_feed),
            ("backstage", "Backstage", examination.check_readers),
        )
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(examination.cache_step()),
                *(group.create_task(examination.step(*work)) for work in works),
            ]
            async for step in _together(examination.clusters):
                yield await examination.without_needless_fault(step)
            for task in tasks:
                yield await task


async def _together(clusters: Sequence[ClusterExamination]) -> AsyncIterator[Step]:
    """Yield the steps of all clusters, which are examined side by side."""
    if len(clusters) == 1:
        async for step in clusters[0].steps():
            yield step
        return

    async def all_of(cluster: ClusterExamination) -> list[Step]:
        return [step async for step in cluster.steps()]

    async with asyncio.TaskGroup() as group:
        for done in asyncio.as_completed([group.create_task(all_of(cluster)) for cluster in clusters]):
            for step in await done:
                yield step


class Examination:
    """The steps of one examination, and what they share.

    `clusters` are those that are followed, the one with the cache, and what is read without any; `home` is the one with
    the cache, None where it is kept elsewhere or where no one knows.
    """

    def __init__(self, options: DoctorOptions, settings: Settings, stack: AsyncExitStack) -> None:
        self.options = options
        if options.contexts:  # `connector run` keeps it in a folder then
            storage = settings.storage.model_copy(update={"storage_type": "File"})
            settings = replace(settings, storage=storage)
        self.settings = settings
        self._stack = stack
        self._pod: asyncio.Task[feed.Pod] | None = None
        self.home: ClusterExamination | None = None
        self.clusters: list[ClusterExamination] = []
        self._servers: dict[str, str] = {}
        if not self.names_clusters:
            alone = replace(own_cluster_spec(settings.normalizer, None), access=self._own_access, searched=True)
            self.home = self._cluster(alone, has_cache=True, with_servers=True)
            self.clusters = [self.home]

    @property
    def names_clusters(self) -> bool:
        """Whether CLUSTERS_FILE or the command line lists the clusters."""
        return bool(self.options.contexts or self.settings.normalizer.clusters_file)

    @property
    def _own_access(self) -> EnvironmentAccess:
        return EnvironmentAccess(self.options.environ, self.options.mount)

    async def step(self, name: str, title: str, work: Callable[[], Awaitable[list[Finding]]]) -> Step:
        """Run a step that does not belong to a cluster."""
        return await run_step(name, title, work, options=self.options)

    async def find_clusters(self) -> list[Finding]:
        """Read the list of clusters; the one with the cache is included even if the list cannot be read."""
        options, settings = self.options, self.settings.normalizer
        path, contexts = settings.clusters_file, options.contexts
        wanted: list[ClusterSpec] = []
        try:
            if contexts:
                wanted = specs_of_contexts(settings, contexts, options.environ)
            elif path is not None:
                wanted = specs_of_file(settings, read_clusters(path), options.environ)
        except ClustersFileError as error:
            remedy = f"correct the file that {CLUSTERS_FILE} names; docs/clusters.md describes all fields"
            findings = [Finding("fault", str(error), remedy)]
        except CredentialsError as error:
            findings = [Finding("fault", str(error), "kubectl config get-contexts")]
        else:
            named = [each.name for each in wanted if each.name]
            origin = f"{CLUSTERS_FILE} {path}" if path and not contexts else "the kubeconfig"
            findings = [Finding("ok", f"{counted(len(named), 'cluster')} in {origin}: {listed(named, 20)}")]
        if any(server_refs(settings.openai_servers)) and not any(each.inside for each in wanted):
            wanted.append(own_cluster_spec(settings, None))
        served = next((each for each in wanted if each.inside), None)
        for each in wanted:
            own = isinstance(each.access, EnvironmentAccess)
            self.clusters.append(self._cluster(each, has_cache=own, with_servers=each is served))
            self.home = self.clusters[-1] if own else self.home
        if self.home is None and self.settings.storage.storage_type == "ConfigMap":
            own_one = replace(own_cluster_spec(settings, None), access=self._own_access)
            self.home = self._cluster(own_one, has_cache=True, followed=False)
            self.clusters.append(self.home)
        return findings

    def _cluster(
        self, wanted: ClusterSpec, *, has_cache: bool, followed: bool = True, with_servers: bool = False
    ) -> ClusterExamination:
        settings = self.settings.normalizer
        named = "WATCH_NAMESPACES"
        if wanted.name and not self.options.contexts:
            named = f"namespaces of cluster {wanted.name} in {CLUSTERS_FILE}"
        servers = (
            server_refs(settings.openai_servers, insecure=settings.model_registry_insecure) if with_servers else ()
        )
        return ClusterExamination(
            wanted,
            Purpose(followed=followed, has_cache=has_cache, named=named, servers=tuple(servers)),
            options=self.options,
            settings=self.settings,
            stack=self._stack,
            servers=self._servers,
        )

    async def without_needless_fault(self, step: Step) -> Step:
        """Return a step of a cluster, without a fault if there is no cluster and the connector that runs needs none."""
        if step.name != "credentials" or self.home is None or not self.home.is_absent:
            return step
        running = await ask_running(self.options, "/status", explained.RunningSources)
        if isinstance(running, RemoteError) or all(each.id != MANIFESTS for each in running.sources):
            return step
        needless = Finding(
            "skipped", "there is no cluster, and none is needed: the connector that runs reads manifests"
        )
        return replace(step, findings=(needless,))

    async def cache_step(self) -> Step:
        """Return the step about the cache; its time starts when it is known whether its cluster answers."""
        if self.home is not None:
            await self.home.login()
        return await self.step("cache", "Cache", self.check_cache)

    async def check_cache(self) -> list[Finding]:
        """Read the ConfigMaps, and test whether they can be written (dry run)."""
        access = self.cache_access()
        if isinstance(access, list):
            return access
        api, own = access
        found, write = await asyncio.gather(
            api.objects(CONFIG_MAPS, own),
            api.rehearse(CONFIG_MAPS, own, BASE, _TRIAL),
        )
        hold = self.settings.normalizer.patience.hold
        return cache.judge_cache(found, write, namespace=own, hold=hold, now=self.options.clock())

    def cache_access(self) -> tuple[ApiServerClient, str] | list[Finding]:
        """Return the API server and the namespace of the ConfigMaps, or why these are not checked."""
        kind = self.settings.storage.storage_type
        if kind != "ConfigMap":
            return [Finding("skipped", f"STORAGE_TYPE is {kind}, so there are no ConfigMaps to check")]
        if self.home is None or self.home.api is None:
            return [Finding("skipped", "no ConfigMaps are checked, because no API server can be used: see above")]
        if not self.home.own:
            return [Finding("skipped", "the namespace of the cache is not known")]
        return self.home.api, self.home.own

    async def check_hidden(self) -> list[Finding]:
        """Ask a running normalizer which models it hides."""
        return explained.judge_hidden(await ask_running(self.options, "/status", explained.HiddenModels))

    async def check_feed(self) -> list[Finding]:
        """Ask the services for their conditions."""
        return feed.judge_feed(await self.ask_pod())

    async def check_readers(self) -> list[Finding]:
        """Ask location which readers have read the feed."""
        return feed.judge_readers(await self.ask_pod(), now=self.options.clock())

    async def ask_pod(self) -> feed.Pod:
        """Return the answers of the services; they are requested once."""
        if self._pod is None:
            self._pod = asyncio.create_task(self._services())
        return await asyncio.shield(self._pod)

    async def _services(self) -> feed.Pod:
        urls, timeout = self.options.urls, self.options.timeout / 3
        ready, metrics = await asyncio.gather(
            asyncio.gather(*(_report(url, timeout) for url in urls.values())),
            get(urls[LOCATION], "/metrics", timeout),
        )
        return feed.Pod(
            inside=bool(self.options.environ.get("KUBERNETES_SERVICE_HOST")),
            ready=dict(zip(urls, ready, strict=True)),
            metrics=metrics if isinstance(metrics, RemoteError) else metrics.decode("utf-8", "replace"),
        )


async def _report(url: str, timeout: float) -> Asked[Mapping[str, Any]]:
    """Return the body of /readyz, whether it comes with 200 or 503."""
    answer = await get(url, "/readyz", timeout)
    if isinstance(answer, StatusError) and answer.status == 503:
        parsed = _object(answer.body)
        return answer if isinstance(parsed, RemoteError) else parsed
    found = _object(answer)
    if isinstance(found, Mapping) and not isinstance(found.get("conditions"), list):
        return RemoteError(f"{url}/readyz: something other than the connector answers there")
    return found


async def ask_running(options: DoctorOptions, path: str, kind: type[P]) -> Asked[P]:
    """Return the answer of a running normalizer; in one process with location, it answers at location's address."""
    error = RemoteError("it does not answer")
    for service in (NORMALIZER, LOCATION):
        answer = await get(options.urls[service], path, options.timeout / 3)
        if isinstance(answer, RemoteError):
            error = answer if service == NORMALIZER else error
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
        parsed = parse_json(body)
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else RemoteError("something other than the connector answers there")
