"""The command `storage-rest`: the container that keeps the cache of documents and model cards."""

import click

from common import STORAGE, STORAGE_PORT, logs, runtime
from common.commandline import AddressType, reported, service_command
from common.http.addresses import Address
from common.kube.credentials import CredentialsError
from common.settings import SettingsError
from services.storage_rest.factory import run
from services.storage_rest.settings import StorageSettings


@service_command(STORAGE)
@click.option(
    "--address", type=AddressType(), default=str(STORAGE_PORT), show_default=True, help="PORT, :PORT or HOST:PORT."
)
def main(address: Address) -> None:
    """Keep the documents and model cards, and send every change to location."""
    with reported(STORAGE, SettingsError, CredentialsError, OSError, service=True):
        settings = StorageSettings.load_usable()
        logs.configure(level=settings.log_level, format=settings.log_format)
        runtime.run(lambda stop: run(settings, [address], stop))


if __name__ == "__main__":
    main()
