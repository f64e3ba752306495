"""`connector`: run all in one process, preview what would be served."""

import json
import sys
from pathlib import Path

import click

from common import __version__, logs, runtime
from common.commandline import AddressType, reported
from common.http.server import Address
from common.kube.credentials import CredentialsError
from common.settings import SettingsError
from common.trust import TrustError
from services.connector import assembly, removals
from services.connector.doctor.command import doctor
from services.connector.preview import Preview, Shown, as_json, preview
from services.location.settings import LocationSettings
from services.normalizer.settings import NormalizerSettings
from services.storage_rest.settings import StorageSettings

_EXISTING = click.Path(exists=True, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Carry AI models from KServe and Kubeflow model registries to Backstage."""


main.add_command(doctor)
main.add_command(removals.removals)


@main.command()
@click.option(
    "--manifests", "-m", type=_EXISTING, multiple=True, help="Files or folders with InferenceServices; repeatable."
)
@click.option("--cluster", is_flag=True, help="Follow the cluster that the environment or a kubeconfig names.")
@click.option("--registry", metavar="URL", multiple=True, help="A model registry's root; repeatable.")
@click.option("--catalog", metavar="URL", multiple=True, help="A model catalog's root, for model cards; repeatable.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the cache; default: STATE_DIR, or 'state'. With --cluster the cache is a ConfigMap.",
)
@click.option(
    "--address", type=AddressType(), default="127.0.0.1:9090", show_default=True, help="Where the feed is served."
)
@click.option("--metrics-address", type=AddressType(), help="Where metrics and health are served besides.")
def run(
    manifests: tuple[Path, ...],
    cluster: bool,
    registry: tuple[str, ...],
    catalog: tuple[str, ...],
    state: Path | None,
    address: Address,
    metrics_address: Address | None,
) -> None:
    """Run normalizer, cache and feed in one process."""
    with reported("connector", SettingsError, CredentialsError, TrustError, OSError):
        settings = assembly.AllSettings(
            normalizer=NormalizerSettings.load(model_registry_urls=registry or None, model_catalog_url=catalog or None),
            storage=StorageSettings.load(storage_type=_storage_type(cluster, state), state_dir=state),
            location=LocationSettings.load(),
        )
        if not (manifests or cluster or settings.normalizer.model_registry_urls):
            raise click.UsageError("nothing to read: give --manifests, --registry or --cluster")
        logs.configure(level=settings.normalizer.log_level, format=settings.normalizer.log_format)
        plan = assembly.Plan(
            addresses=[address],
            manifests=manifests,
            cluster=cluster,
            metrics_addresses=[metrics_address] if metrics_address else [],
        )
        runtime.run(lambda stop: assembly.run(plan, settings, stop, tell=click.echo))


def _storage_type(cluster: bool, state: Path | None) -> str | None:
    """Return where the cache is; None leaves it to STORAGE_TYPE."""
    if cluster and state is None:
        return None
    return "File"


@main.command(name="preview")
@click.argument("paths", type=_EXISTING, nargs=-1, required=True)
@click.option(
    "--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
)
def preview_command(paths: tuple[Path, ...], output: str) -> None:
    """Print what would be served of the manifests in PATHS, and what is wrong with them.

    Ends with status 1 when an object could not be used.
    """
    with reported("connector", SettingsError, OSError):
        result = preview(paths, defaults=NormalizerSettings.load().defaults)
    if output == "json":
        print_json(result)
    else:
        print_table(result)
    sys.exit(0 if result.usable else 1)


def print_json(result: Preview) -> None:
    """Print the documents as an array; problems of objects that are not served go to standard error."""
    click.echo(json.dumps([as_json(shown, json.loads(shown.document)) for shown in result.shown], indent=2))
    for problem in result.hidden:
        click.echo(f"{problem.severity}: {problem.object}: {problem.message} ({problem.remedy})", err=True)


def print_table(result: Preview) -> None:
    """Print one row a document, then the problems."""
    rows = [("KEY", "MODEL", "SERVER", "API"), *map(_row, result.shown)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True))
        click.echo("  ".join(cells).rstrip())
    problems = [*(problem for shown in result.shown for problem in shown.problems), *result.hidden]
    if problems:
        click.echo()
    for problem in problems:
        click.echo(f"{problem.severity}: {problem.object}: {problem.message}")
        click.echo(f"  {problem.remedy}")


def _row(shown: Shown) -> tuple[str, str, str, str]:
    document = json.loads(shown.document)
    server = document.get("modelServer")
    name, url = (server["name"], server["API"]["url"]) if server else ("", "")
    return shown.key, document["models"][0]["name"], name, url


if __name__ == "__main__":
    main()
