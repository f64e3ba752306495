"""Runs all three services in one process: the same parts as in the pod, connected without HTTP."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import web

from common import NORMALIZER, STORAGE, __version__
from common.health import Health
from common.http import server
from common.http.access import AccessPolicy
from common.http.addresses import Address
from common.kube.metrics import KubeMetrics
from common.logs import log_start
from common.metrics import Metrics
from common.settings import report_unusable
from common.status import SettingStatus, settings_of
from common.words import counted
from services.location.app import create_location_app
from services.location.follow import ShelfUpdater
from services.location.service import access_policy, card_fetcher, rendering_options
from services.location.settings import LocationSettings
from services.location.shelf import Shelf
from services.location.status.neighbours import Neighbours, in_process
from services.normalizer.clusters import Environment
from services.normalizer.context import create_context
from services.normalizer.controller import Controller
from services.normalizer.reports import add_explanations
from services.normalizer.service import follow_sources, run_until
from services.normalizer.settings import NormalizerSettings
from services.storage_rest import administration
from services.storage_rest.factory import registering, storage_service
from services.storage_rest.service import StorageService
from services.storage_rest.settings import StorageSettings
from services.storage_rest.status import report

NAME = "connector"
_LONG_POLL = 60.0
_TOLD = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What to run: the sources, the addresses of the feed, and further addresses for metrics."""

    addresses: Sequence[Address]
    manifests: Sequence[Path] = ()
    cluster: bool = False
    contexts: Sequence[str] = ()
    metrics_addresses: Sequence[Address] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AllSettings:
    """The settings of the three services."""

    normalizer: NormalizerSettings
    storage: StorageSettings
    location: LocationSettings


def load_settings(
    *, registries: Sequence[str], catalogs: Sequence[str], cluster: bool, state: Path | None
) -> AllSettings:
    """Return the settings from the environment and the command line; with a cluster, STORAGE_TYPE selects the cache.

    Raises:
        SettingsError: a value is invalid.
    """
    return AllSettings(
        normalizer=NormalizerSettings.load_usable(
            model_registry_urls=registries or None, model_catalog_url=catalogs or None
        ),
        storage=StorageSettings.load_usable(
            storage_type=None if cluster and state is None else "File", state_dir=state
        ),
        location=LocationSettings.load_usable(),
    )


async def run(options: RunOptions, settings: AllSettings, stop: asyncio.Event, *, tell: Callable[[str], None]) -> None:
    """Run everything until `stop` is set; `tell` prints what is served and where.

    Raises:
        CredentialsError: a cluster is wanted, but there are no credentials for one.
        OSError: an address cannot be bound, or the folder of the cache cannot be written.
    """
    health, metrics = Health(), Metrics(NAME, __version__)
    for each in (settings.normalizer, settings.storage, settings.location):
        report_unusable(each, health)
    kube_metrics = KubeMetrics(metrics)  # shared by the cache in ConfigMaps and the sources
    shelf = Shelf(health=health)
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(
            storage_service(
                settings.storage,
                metrics=metrics,
                health=health,
                push=False,
                kube_metrics=kube_metrics,
                sources=named_sources(options, settings.normalizer),
            )
        )
        await stack.enter_async_context(registering(settings.storage, storage))
        controller = Controller(
            create_context(settings=settings.normalizer, storage=storage, health=health, metrics=metrics)
        )
        environment = Environment(
            settings=settings.normalizer, metrics=metrics, kube_metrics=kube_metrics, manifests=options.manifests
        )
        sources = await follow_sources(
            intake=controller.intake, environment=environment, cluster=options.cluster, contexts=options.contexts
        )
        app = create_location_app(
            shelf=shelf,
            metrics=metrics,
            health=health,
            access=await access_policy(settings.location, stack),
            connector_id=settings.location.connector_id,
            options=rendering_options(settings.location, options.addresses[0]),
            fetcher=card_fetcher(settings.location),
            neighbours=_neighbours(controller, storage, settings),
            settings=settings.location,
        )
        administration.add_routes(app, storage)
        add_explanations(app, controller.reporter)
        bound = await stack.enter_async_context(server.listening(app, options.addresses))
        if options.metrics_addresses:
            own = _of_normalizer(controller, settings.normalizer, metrics=metrics, health=health)
            await stack.enter_async_context(server.listening(own, options.metrics_addresses))
        stack.callback(storage.stored.close)
        base = f"http://{Address(bound[0].host or 'localhost', bound[0].port)}"
        log_start(
            NAME,
            __version__,
            addresses=bound,
            follows=named_sources(options, settings.normalizer),
            cache=settings.storage.storage_type,
            settings=_given(settings),
        )
        tell(f"{base}/list  {base}/catalog-info.yaml  {base}/readyz  {base}/metrics")
        await run_until(
            stop, lambda: fill(shelf, storage, complete=lambda: announce(shelf, base, tell)), controller.run, *sources
        )


def _of_normalizer(
    controller: Controller, settings: NormalizerSettings, *, metrics: Metrics, health: Health
) -> web.Application:
    """Return the web application of a separate normalizer: its status and explanations, metrics and health."""
    access = AccessPolicy(token=settings.shared_token, open_reads=settings.open_reads)
    app = server.create_app(name=NAME, metrics=metrics, health=health, access=access)
    server.add_status(app, partial(controller.reporter.status, settings))
    add_explanations(app, controller.reporter)
    return app


def _neighbours(controller: Controller, storage: StorageService, settings: AllSettings) -> Neighbours:
    """Return how to ask the other two services; all three share the conditions, which location reports."""
    shared = Health()
    return Neighbours(
        in_process(
            NORMALIZER,
            lambda: controller.reporter.status(settings.normalizer).model_copy(update={"conditions": ()}),
        ),
        in_process(STORAGE, lambda: report(storage, health=shared, settings=settings.storage)),
    )


def _given(settings: AllSettings) -> list[SettingStatus]:
    """Return the settings of the three services, each once."""
    all_three = (settings.normalizer, settings.storage, settings.location)
    return list({each.name: each for of_one in all_three for each in settings_of(of_one)}.values())


def named_sources(options: RunOptions, settings: NormalizerSettings) -> list[str]:
    """Return the sources of models, as options of the command line or variables."""
    return [
        *(f"--manifests {path.resolve()}" for path in options.manifests),
        *(f"--registry {url}" for url in settings.model_registry_urls),
        *(f"MLFLOW_URLS={url}" for url in settings.mlflow_urls),
        *(f"OPENAI_SERVERS={url}" for url in settings.openai_servers),
        *(["--cluster"] if options.cluster else []),
        *(f"--cluster {context}" for context in options.contexts),
        *([f"CLUSTERS_FILE {settings.clusters_file}"] if settings.clusters_file else []),
    ]


def announce(shelf: Shelf, base: str, tell: Callable[[str], None]) -> None:
    """Print the number of models in the feed, and some of their addresses."""
    for entry in shelf.entries()[:_TOLD]:
        tell(f"{base}{entry.uri}")
    if len(shelf) > _TOLD:
        tell("...")
    served = counted(len(shelf), "model is served", "models are served")
    tell(served if len(shelf) else "no model is ready to be served yet")


async def fill(shelf: Shelf, storage: StorageService, *, complete: Callable[[], None]) -> None:
    """Keep the shelf equal to storage until cancelled; call `complete` once, as soon as the shelf is complete."""
    await storage.stored.loaded(patiently=True)
    updater = ShelfUpdater(shelf)
    completed = False
    while True:
        if updater.revision is None:
            updater.load_snapshot(storage.snapshot())
        elif (changes := await storage.changes(updater.revision, _LONG_POLL)) is not None:
            updater.apply(changes)
        else:
            updater.revision = None
        if shelf.complete and not completed:
            complete()
            completed = True
