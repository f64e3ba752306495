"""Assembles the normalizer: sources, controller, and the server for its health, status and metrics."""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial

import structlog

from common import NORMALIZER, STORAGE, __version__
from common.health import Health
from common.http import server
from common.http.access import AccessPolicy
from common.http.addresses import Address
from common.http.client import HttpClient
from common.kube.environment import find_credentials, pod_authorities
from common.kube.metrics import KubeMetrics
from common.logs import log_start
from common.metrics import Metrics
from common.settings import report_unusable
from common.status import settings_of
from services.normalizer.cluster_specs import own_cluster_spec, specs_of_contexts, specs_of_file
from services.normalizer.clusters import Clusters, Environment, Task, model_servers
from services.normalizer.clusters_file import CLUSTERS_FILE, ClustersFile, follow_file
from services.normalizer.connectors import own_connector, registry_trust
from services.normalizer.context import create_context
from services.normalizer.controller import Controller
from services.normalizer.registries import POLLING_FLOOR
from services.normalizer.remote_storage import RemoteStorage
from services.normalizer.reports import add_explanations
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sink import Intake
from services.normalizer.source import Source
from services.normalizer.sources.kserve.server_answers import ServerAnswers
from services.normalizer.sources.manifests import ManifestSource
from services.normalizer.sources.openai_servers import OpenAiSource, server_refs
from services.normalizer.sources.wrappers import SelectionFilter

log = structlog.get_logger("normalizer")


def _manifest_sources(environment: Environment) -> Iterable[Source]:
    if not environment.manifests:
        return
    settings = environment.settings
    source = ManifestSource(paths=environment.manifests, connections=settings.reads_secrets)
    trust = registry_trust(settings, pod_authorities(os.environ))
    servers = model_servers(settings, trust=trust, inside=True)
    yield source if servers is None else ServerAnswers(SelectionFilter(source, settings.selection), servers)


def _openai_sources(environment: Environment) -> Iterable[Source]:
    settings = environment.settings
    if not settings.openai_servers:
        return
    connector = own_connector(settings, token=None, metrics=environment.metrics)
    for ref in server_refs(settings.openai_servers, insecure=settings.model_registry_insecure):
        yield OpenAiSource(
            ref,
            connector=connector,
            interval=max(settings.polling_interval, environment.polling_floor),
            hold=settings.patience.hold,
        )


KINDS: dict[str, Callable[[Environment], Iterable[Source]]] = {
    "manifests": _manifest_sources,
    "openai": _openai_sources,
}
"""The kinds of sources outside clusters, each with a function that returns the sources in an environment."""


async def follow_sources(
    *, intake: Intake, environment: Environment, cluster: bool = False, contexts: Sequence[str] = ()
) -> Sequence[Task]:
    """Return the tasks that follow the sources of an environment and its clusters.

    The clusters are those in CLUSTERS_FILE, else those of `contexts`, else, with `cluster`, the environment's own.

    Raises:
        CredentialsError: a cluster is asked for, and there are no credentials for one in the environment.
        TrustError: a certificate authority for registries cannot be used.
    """
    settings = environment.settings
    registry_trust(settings, pod_authorities(os.environ))  # fails at once if an authority is invalid
    clusters = Clusters(intake=intake, environment=environment)
    tasks: list[Task] = [clusters.run]
    if settings.clusters_file is not None:
        intake.await_cluster(CLUSTERS_FILE)

        def configure(file: ClustersFile) -> None:
            clusters.configure(specs_of_file(settings, file, os.environ))

        tasks.append(partial(follow_file, settings.clusters_file, use=configure, intake=intake))
    elif contexts:
        clusters.configure(specs_of_contexts(settings, contexts, os.environ))
    else:
        clusters.configure([own_cluster_spec(settings, await find_credentials(os.environ) if cluster else None)])
    for sources_of in KINDS.values():
        tasks += [intake.follow(SelectionFilter(source, settings.selection)) for source in sources_of(environment)]
    return tasks


async def run(
    settings: NormalizerSettings,
    addresses: Sequence[Address],
    stop: asyncio.Event,
    *,
    polling_floor: float = POLLING_FLOOR,
) -> None:
    """Run the normalizer as a service of its own until `stop` is set.

    Raises:
        CredentialsError: there are no credentials for a cluster in the environment.
        OSError: an address cannot be bound.
    """
    health = Health()
    report_unusable(settings, health)
    metrics = Metrics(NORMALIZER, __version__)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            HttpClient(name=STORAGE, base_url=settings.storage, token=settings.shared_token)
        )
        storage = RemoteStorage(client, yaml=settings.writes_yaml)
        controller = Controller(create_context(settings=settings, storage=storage, health=health, metrics=metrics))
        environment = Environment(
            settings=settings, metrics=metrics, kube_metrics=KubeMetrics(metrics), polling_floor=polling_floor
        )
        tasks = await follow_sources(intake=controller.intake, environment=environment, cluster=True)
        access = AccessPolicy(token=settings.shared_token, open_reads=settings.open_reads)
        app = server.create_app(name=NORMALIZER, metrics=metrics, health=health, access=access)
        server.add_status(app, partial(controller.reporter.status, settings))
        add_explanations(app, controller.reporter)
        bound = await stack.enter_async_context(server.listening(app, addresses))
        follows = str(settings.clusters_file or "the cluster that it runs in")
        log_start(NORMALIZER, __version__, addresses=bound, settings=settings_of(settings), follows=follows)
        await run_until(stop, controller.run, *tasks)


async def run_until(stop: asyncio.Event, *tasks: Task) -> None:
    """Run the tasks together until `stop` is set; if one of them fails, all end."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(task()) for task in tasks]
        await stop.wait()
        for task in running:
            task.cancel()
