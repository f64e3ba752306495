"""Builds location from its settings and runs it."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from common import LOCATION, NORMALIZER, STORAGE, __version__, removals
from common.health import Health
from common.http import access
from common.http.access import AccessPolicy, Verifier
from common.http.addresses import Address
from common.http.client import HttpClient
from common.http.server import run
from common.logs import log_start
from common.metrics import Metrics
from common.settings import report_unusable
from common.status import NormalizerStatus, StorageStatus, settings_of
from services.location.app import create_location_app
from services.location.fetching import CardFetcher
from services.location.follow import StorageFollower
from services.location.jwks import KeySet
from services.location.rendering import RenderOptions
from services.location.second_generation import base_path
from services.location.service_tokens import ServiceTokens
from services.location.settings import LocationSettings
from services.location.shelf import Shelf
from services.location.status import routes as status
from services.location.status.neighbours import Neighbours, over_http


async def serve(settings: LocationSettings, address: Address, stop: asyncio.Event) -> None:
    """Follow storage and serve until `stop` is set."""
    metrics, health = Metrics(LOCATION, __version__), Health()
    report_unusable(settings, health)
    shelf = Shelf(health=health)
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(
            HttpClient(name="storage", base_url=settings.storage_url, token=settings.shared_token)
        )
        hold = removals.HOLD if settings.removal_hold is None else settings.removal_hold
        follower = StorageFollower(storage=storage, shelf=shelf, metrics=metrics, hold=hold)
        app = create_location_app(
            shelf=shelf,
            metrics=metrics,
            health=health,
            access=await access_policy(settings, stack),
            follower=follower,
            connector_id=settings.connector_id,
            document_limit=settings.document_limit,
            options=rendering_options(settings, address),
            fetcher=card_fetcher(settings),
            neighbours=await _neighbours(settings, stack),
            settings=settings,
        )
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follower.run())
            started = partial(
                log_start, LOCATION, __version__, settings=settings_of(settings), follows=settings.storage_url
            )
            await run(app, [address], stop=stop, started=lambda bound: started(addresses=bound))
            following.cancel()


def rendering_options(settings: LocationSettings, address: Address) -> RenderOptions:
    """Return the options of rendering for a location that listens at `address`."""
    return RenderOptions(
        port=address.port or RenderOptions().port, both_feeds=settings.both_feeds, yaml=settings.writes_yaml
    )


def card_fetcher(settings: LocationSettings) -> CardFetcher:
    """Return the fetcher of model cards that are kept on other hosts."""
    return CardFetcher(settings.fetch_cards_hosts, enabled=settings.fetch_cards)


async def access_policy(settings: LocationSettings, stack: AsyncExitStack) -> AccessPolicy:
    """Return who may read and write; with a JWKS configured, the second-generation feed needs a service token."""
    guards: dict[str, Verifier] = {}
    clients = [HttpClient(name="backstage", base_url=url) for url in settings.jwks_urls]
    if clients:
        keys = [KeySet(client=await stack.enter_async_context(client)) for client in clients]
        tokens = ServiceTokens(keys=keys, audience=settings.connector_id)
        guards[base_path(settings.connector_id)] = tokens.verify
    return AccessPolicy(
        token=settings.shared_token,
        open_reads=settings.open_reads,
        open_paths=access.OPEN_PATHS | status.OPEN_PATHS,
        guards=guards,
    )


async def _neighbours(settings: LocationSettings, stack: AsyncExitStack) -> Neighbours:
    def client(name: str, url: str) -> HttpClient:
        return HttpClient(name=name, base_url=url, token=settings.shared_token)

    normalizer = await stack.enter_async_context(client(NORMALIZER, settings.normalizer_address))
    storage = await stack.enter_async_context(client(STORAGE, settings.storage_url))
    return Neighbours(over_http(normalizer, NormalizerStatus), over_http(storage, StorageStatus))
