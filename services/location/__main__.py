"""The command `location`: the container that serves the feed of models to Backstage."""

import click

from common import LOCATION, LOCATION_PORT, logs, runtime
from common.commandline import AddressType, reported, service_command
from common.http.addresses import Address
from common.settings import SettingsError
from services.location import service
from services.location.settings import LocationSettings


@service_command(LOCATION)
@click.option(
    "--address", type=AddressType(), default=str(LOCATION_PORT), show_default=True, help="PORT, :PORT or HOST:PORT."
)
def main(address: Address) -> None:
    """Serve the models in storage-rest's cache to Backstage."""
    with reported(LOCATION, SettingsError, OSError, service=True):
        settings = LocationSettings.load_usable()
        logs.configure(level=settings.log_level, format=settings.log_format)
        runtime.run(lambda stop: service.serve(settings, address, stop))


if __name__ == "__main__":
    main()
