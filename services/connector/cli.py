"""The command line `connector` with its commands `run` and `preview`; `doctor` and `removals` are modules of their own.

Each command imports what it needs when it is called, so that a preview starts without loading servers and clients.
"""

import atexit
import gc
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from common import LOCATION_PORT, __version__
from common.commandline import HELP, INTERRUPTED, AddressType, UrlType, finish, print_out, progress_bar, reported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from common.http.addresses import Address
    from services.connector.comparison import Difference
    from services.connector.preview import Clusters, Preview
    from services.normalizer.facts import Ref
    from services.normalizer.settings import NormalizerSettings
    from services.normalizer.source import Fact
    from services.normalizer.sources.manifest_files import FileContents

_EXISTING = click.Path(exists=True, path_type=Path)
_COMPARING = ("table", "json", "yaml")
"""The formats of a preview that can show differences from a running connector."""


_FURTHER = {"doctor": "services.connector.doctor.command", "removals": "services.connector.removals"}
"""Commands in other modules, by name."""


class _Commands(click.Group):
    """The commands; those in other modules are imported when they are used."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command: without colours if NO_COLOR is set, and with a status of its own if Ctrl-C ends it."""
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nconnector: interrupted", err=True)
            ctx.exit(INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), *_FURTHER])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command with this name, None if there is none."""
        if cmd_name not in _FURTHER:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(_FURTHER[cmd_name]), cmd_name)
        return command


@click.group(cls=_Commands, context_settings=HELP)
@click.version_option(__version__, prog_name="connector")
def main() -> None:
    """Show AI models from KServe and model registries in Backstage."""


@main.command()
@click.option(
    "--manifests", "-m", type=_EXISTING, multiple=True, help="Files or folders with InferenceServices; repeatable."
)
@click.option(
    "--cluster",
    "clusters",
    metavar="[CONTEXT]",
    is_flag=False,
    flag_value="",
    multiple=True,
    help="Read the cluster of this context in the kubeconfig; repeatable. Without a context: the current cluster of "
    "the environment or the kubeconfig. Registries given with --registry describe the models of all contexts.",
)
@click.option("--registry", type=UrlType(named=True), multiple=True, help="URL of a model registry; repeatable.")
@click.option(
    "--catalog", type=UrlType(named=True), multiple=True, help="URL of a model catalog, for model cards; repeatable."
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the cache; default: STATE_DIR, or 'state'. With only --cluster, the cache is in ConfigMaps.",
)
@click.option(
    "--address",
    type=AddressType(),
    default=f"127.0.0.1:{LOCATION_PORT}",
    show_default=True,
    help="Address of the feed.",
)
@click.option(
    "--metrics-address",
    type=AddressType(),
    help="Second address, for metrics, health, /status and /explain, like that of a separate normalizer.",
)
def run(
    manifests: tuple[Path, ...],
    clusters: tuple[str, ...],
    registry: tuple[str, ...],
    catalog: tuple[str, ...],
    state: Path | None,
    address: "Address",
    metrics_address: "Address | None",
) -> None:
    """Run normalizer, cache and feed in one process."""
    from common import logs, runtime
    from common.kube.credentials import CredentialsError
    from common.settings import SettingsError
    from common.trust import TrustError
    from services.connector import assembly

    with reported("connector", SettingsError, CredentialsError, TrustError, OSError, service=bool(clusters)):
        contexts = tuple(filter(None, clusters))
        if contexts and "" in clusters:
            raise click.UsageError("give --cluster with a context each time, or once without a context")
        cluster = bool(clusters) and not contexts
        settings = assembly.load_settings(registries=registry, catalogs=catalog, cluster=cluster, state=state)
        file = settings.normalizer.clusters_file
        if contexts and file is not None:
            raise click.UsageError(f"CLUSTERS_FILE ({file}) already lists the clusters: remove --cluster CONTEXT")
        if not (manifests or clusters or file or settings.normalizer.names_servers):
            raise click.UsageError("nothing to read: give --manifests, --registry or --cluster, or set CLUSTERS_FILE")
        as_json = logs.configure(level=settings.normalizer.log_level, format=settings.normalizer.log_format)
        options = assembly.RunOptions(
            addresses=[address],
            manifests=manifests,
            cluster=cluster,
            contexts=contexts,
            metrics_addresses=[metrics_address] if metrics_address else [],
        )
        # In a pod, readable lines would be mixed with the log.
        tell = (lambda text: None) if cluster and as_json else click.echo
        runtime.run(lambda stop: assembly.run(options, settings, stop, tell=tell))


@main.command()
@click.argument("paths", nargs=-1)
@click.option("--cluster", is_flag=True, help="Read the current cluster of the environment or a kubeconfig.")
@click.option(
    "--bundle",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read a file that 'connector doctor --bundle' wrote in another cluster.",
)
@click.option(
    "--registry", type=UrlType(named=True), multiple=True, help="URL of a model registry to read; repeatable."
)
@click.option(
    "--diff",
    type=UrlType(),
    help="Compare with a running connector: the address of location, storage-rest or 'connector run'. For --format "
    "table, json and yaml.",
)
@click.option(
    "--format",
    "output",
    type=click.Choice(["table", "json", "yaml", "entities", "github", "sarif"]),
    default="table",
    show_default=True,
    help="Format of the output.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "info", "never"]),
    default="error",
    show_default=True,
    help="Exit with status 1 if a problem is at least as severe as this.",
)
def preview(
    paths: tuple[str, ...],
    cluster: bool,
    bundle: Path | None,
    registry: tuple[str, ...],
    diff: str | None,
    output: str,
    fail_on: str,
) -> None:
    """Show what would be served from manifests, and what is wrong.

    PATHS are files, folders, patterns such as 'models/**/*.yaml', or - for standard input:
    kustomize build . | connector preview -

    \b
    Exit status:
      0  no problem at least as severe as --fail-on
      1  there is such a problem
      2  the command or the configuration is wrong, for example:
         a path does not exist, or standard input is empty
    """
    # Pydantic would look into all installed packages for plugins, of which none is used.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()  # the process ends soon, so neither collecting garbage now nor at its end is worth the time
    atexit.register(gc.freeze)

    from services.connector.reading import EmptyInput, Reading

    if not (paths or cluster or bundle or registry):
        raise click.UsageError("nothing to read: give PATHS, --cluster, --registry or --bundle")
    if diff and output not in _COMPARING:
        raise click.UsageError(f"--diff needs --format {', '.join(_COMPARING)}")
    try:
        with Reading(paths) as reading:
            # While other processes read, this one loads what only it needs.
            from common.settings import SettingsError
            from services.connector import reports
            from services.connector.preview import preview as preview_of
            from services.normalizer.settings import NormalizerSettings

            with reported("connector", SettingsError):
                settings = NormalizerSettings.load()
                clusters = _from_elsewhere(cluster, bundle, settings)
                result = preview_of(
                    reading,
                    defaults=settings.defaults,
                    progress=progress_bar(sys.stderr),
                    selection=settings.selection,
                    clusters=clusters,
                    registries=_of_registries(registry, settings, shared=any(clusters)),
                    connections=settings.reads_secrets,
                )
                differences = _differences(diff, result, settings) if diff else None
    except (FileNotFoundError, EmptyInput) as error:
        raise click.UsageError(str(error)) from None
    if text := reports.FORMATS[output](result, differences):
        print_out(text)
    if output == "entities" and (problems := reports.problems(result)):
        click.echo(problems, err=True)
    if not result.shown and not result.hidden:
        elsewhere = [*(["the cluster"] if cluster else []), *([str(bundle)] if bundle else []), *registry]
        click.echo(reports.nothing_found(result, paths, elsewhere), err=True)
    sys.exit(1 if result.fails(fail_on) else 0)


def _from_elsewhere(cluster: bool, bundle: Path | None, settings: "NormalizerSettings") -> "Clusters":
    """Return the manifests from a cluster or a bundle; the client is imported only if they are used."""
    found: dict[str, dict[Path, FileContents]] = {}
    if not (cluster or bundle):
        return found

    from common.http.errors import RemoteError
    from common.kube.credentials import CredentialsError
    from services.connector.elsewhere import BundleError, read_bundle, read_cluster

    try:
        if bundle:
            found = read_bundle(bundle)
        if cluster:
            found[""] = {**found.get("", {}), **finish(read_cluster(os.environ, settings))}
    except (BundleError, CredentialsError, RemoteError) as error:
        raise click.UsageError(str(error)) from None
    return found


def _of_registries(
    urls: "Sequence[str]", settings: "NormalizerSettings", *, shared: bool
) -> "Sequence[Mapping[Ref, Fact]]":
    """Return the content of the registries at these URLs; their client is imported only if there are any."""
    if not urls:
        return ()

    from common.http.errors import RemoteError
    from common.trust import TrustError
    from services.connector.elsewhere import read_registries

    try:
        return finish(read_registries(urls, settings, shared=shared))
    except (RemoteError, TrustError) as error:
        raise click.UsageError(str(error)) from None


def _differences(url: str, result: "Preview", settings: "NormalizerSettings") -> "Sequence[Difference]":
    """Return the differences from the connector at a URL."""

    from common.http.errors import RemoteError
    from services.connector.comparison import compare, read_served

    try:
        return compare(result.shown, finish(read_served(url, settings.shared_token)))
    except RemoteError as error:
        raise click.UsageError(f"--diff {url}: {error}") from None


if __name__ == "__main__":
    main()
