"""Entry point of the container `rhoai-normalizer`."""

import sys

import click

from common import logs, runtime
from common.http.server import Address, parse_address
from common.kube.credentials import CredentialsError
from common.settings import SettingsError
from services.normalizer.settings import NormalizerSettings


class AddressType(click.ParamType[Address]):
    """host:port, :port or port."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """Return the address meant."""
        try:
            return parse_address(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option(
    "--metrics-address",
    type=AddressType(),
    default=":8081",
    show_default=True,
    help="Where /metrics, /healthz and /readyz are served: host:port or :port.",
)
@click.option("--pprof-address", hidden=True, help="Taken from the original's command line and ignored.")
def main(metrics_address: Address, pprof_address: str | None) -> None:
    """Watch InferenceServices, poll model registries, and keep storage-rest up to date."""
    from services.normalizer import service

    try:
        settings = NormalizerSettings.load()
        logs.configure(level=settings.log_level, format=settings.log_format)
        runtime.run(lambda stop: service.run(settings, [metrics_address], stop))
    except (SettingsError, CredentialsError, OSError) as error:
        click.echo(f"rhoai-normalizer: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
