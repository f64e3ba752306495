"""`location`: the service that Backstage reads."""

import asyncio
import sys
from contextlib import AsyncExitStack
from importlib.metadata import version

import click

from common import logs, runtime
from common.commandline import AddressType, reported
from common.health import Health
from common.http.access import AccessPolicy, Verifier
from common.http.client import HttpClient
from common.http.server import Address, run
from common.metrics import Metrics
from common.settings import SettingsError
from services.location.app import create_location_app
from services.location.follow import Follower
from services.location.jwks import ServiceTokens
from services.location.second_generation import base_path
from services.location.settings import LocationSettings
from services.location.shelf import Shelf


@click.command()
@click.option("--address", type=AddressType(), default="9090", show_default=True, help="PORT, :PORT or HOST:PORT.")
def main(address: Address) -> None:
    """Serve the models that storage-rest holds to Backstage."""
    try:
        settings = LocationSettings.load()
    except SettingsError as error:
        click.echo(f"location: {error}", err=True)
        sys.exit(2)
    logs.configure(level=settings.log_level, format=settings.log_format)
    with reported("location", OSError):
        runtime.run(lambda stop: serve(settings, address, stop))


async def serve(settings: LocationSettings, address: Address, stop: asyncio.Event) -> None:
    """Follow storage and serve until `stop` is set."""
    metrics, health = Metrics("location", version("rhoai-connector")), Health()
    shelf = Shelf(health=health)
    token = settings.shared_token
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(
            HttpClient(name="storage", base_url=settings.storage_url, token=token)
        )
        follower = Follower(storage=storage, shelf=shelf, metrics=metrics)
        app = create_location_app(
            shelf=shelf,
            metrics=metrics,
            health=health,
            access=AccessPolicy(
                token=token, open_reads=settings.open_reads, guards=await backstage_guards(settings, stack)
            ),
            followed=follower,
            connector_id=settings.connector_id,
            document_limit=settings.document_limit,
        )
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follower.run())
            await run(app, [address], stop=stop)
            following.cancel()


async def backstage_guards(settings: LocationSettings, stack: AsyncExitStack) -> dict[str, Verifier]:
    """Return the guard of the second-generation feed, for `AccessPolicy`; none when no JWKS is configured."""
    if settings.jwks_url is None:
        return {}
    backstage = await stack.enter_async_context(HttpClient(name="backstage", base_url=settings.jwks_url))
    tokens = ServiceTokens(client=backstage, audience=settings.connector_id)
    return {base_path(settings.connector_id): tokens.verify}


if __name__ == "__main__":
    main()
