"""Entry point of the container `rhoai-normalizer`."""

import click

from common import NORMALIZER, NORMALIZER_PORT, logs, runtime
from common.commandline import AddressType, reported, service_command
from common.http.addresses import Address
from common.kube.credentials import CredentialsError
from common.settings import SettingsError
from common.trust import TrustError
from services.normalizer import service
from services.normalizer.settings import NormalizerSettings


@service_command(NORMALIZER)
@click.option(
    "--metrics-address",
    type=AddressType(),
    default=f":{NORMALIZER_PORT}",
    show_default=True,
    help="Where /metrics, /healthz and /readyz are served: host:port or :port.",
)
@click.option("--pprof-address", hidden=True, help="Taken from the original's command line and ignored.")
def main(metrics_address: Address, pprof_address: str | None) -> None:
    """Watch InferenceServices, poll model registries, and keep storage-rest up to date."""
    with reported(NORMALIZER, SettingsError, CredentialsError, TrustError, OSError, service=True):
        settings = NormalizerSettings.load_usable()
        logs.configure(level=settings.log_level, format=settings.log_format)
        runtime.run(lambda stop: service.run(settings, [metrics_address], stop))


if __name__ == "__main__":
    main()
