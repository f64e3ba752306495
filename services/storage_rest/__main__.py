"""`storage-rest`: the service that keeps what the normalizer found."""

import sys

import click

from common import logs, runtime
from common.http.server import Address, parse_address
from common.kube.credentials import CredentialsError
from common.settings import SettingsError
from services.storage_rest.factory import run
from services.storage_rest.settings import StorageSettings


def _address(_context: click.Context, _parameter: click.Parameter, text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option("--address", callback=_address, default="7070", show_default=True, help="PORT, :PORT or HOST:PORT.")
def main(address: Address) -> None:
    """Keep the documents and model cards, and tell location of each change."""
    try:
        settings = StorageSettings.load()
    except SettingsError as error:
        click.echo(f"storage-rest: {error}", err=True)
        sys.exit(2)
    logs.configure(level=settings.log_level, format=settings.log_format)
    try:
        runtime.run(lambda stop: run(settings, [address], stop))
    except* CredentialsError as group:
        click.echo(f"storage-rest: {group.exceptions[0]}", err=True)
        sys.exit(2)
    except* OSError as group:
        click.echo(f"storage-rest: cannot listen: {group.exceptions[0]}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
