"""The command `connector removals`: lists the entries that are about to leave the catalog, and confirms or refuses."""

import json
from collections.abc import Sequence
from typing import Any

import click

from common import STORAGE_PORT
from common.commandline import UrlType, finish, reported
from common.http.client import HttpClient
from common.http.errors import RemoteError, StatusError
from common.settings import SettingsError
from common.texts import parse_json
from services.storage_rest.settings import StorageSettings

_LEFT_SHOWN = 20

_url = click.option(
    "--url",
    type=UrlType(),
    envvar="STORAGE_URL",
    default=f"http://localhost:{STORAGE_PORT}",
    show_default=True,
    help="Address of storage-rest, or of `connector run`.",
)
_keys = click.argument("keys", nargs=-1)
_all = click.option("--all", "everything", is_flag=True, help="All entries that are about to leave.")


@click.group()
def removals() -> None:
    """List what is about to leave the catalog; confirm or refuse it.

    An entry that its source no longer lists is kept for a while, unless it is proven that it was deleted.
    """


@removals.command(name="list")
@_url
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def list_command(url: str, output: str) -> None:
    """List what is about to leave, and what was removed last.

    For each entry, it shows since when, why and when it is due.
    """
    told = _ask(url, "GET", "/removals")
    if output == "json":
        click.echo(json.dumps(told, indent=2))
        return
    if told["damage"]:
        click.echo(f"The cache is damaged: {told['damage']}.")
        click.echo("It is served when every source has been read, or after `connector removals accept`.")
    _table("leaving", told["leaving"], ("key", "reason", "since", "due", "ref"))
    _table("left", told["left"][:_LEFT_SHOWN], ("key", "reason", "at", "ref"))


@removals.command()
@_keys
@_all
@_url
def confirm(keys: Sequence[str], everything: bool, url: str) -> None:
    """Remove entries that are about to leave now."""
    _decide("confirm", "removed", keys, everything, url)


@removals.command()
@_keys
@_all
@_url
def refuse(keys: Sequence[str], everything: bool, url: str) -> None:
    """Keep entries that are about to leave.

    They are kept until their source lists them again, or you confirm their removal.
    """
    _decide("refuse", "kept", keys, everything, url)


@removals.command()
@_url
def accept(url: str) -> None:
    """Serve a damaged cache as it is.

    Models that are missing from it are removed from Backstage until they are found again.
    """
    damage = _ask(url, "POST", "/removals/accept")["damage"]
    click.echo(f"accepted, although {damage}" if damage else "the cache is not damaged")


def _decide(decision: str, done: str, keys: Sequence[str], everything: bool, url: str) -> None:
    if everything == bool(keys):
        raise click.UsageError("give keys that `connector removals list` shows, or --all")
    body: dict[str, Any] = {"all": True} if everything else {"keys": list(keys)}
    decided = _ask(url, "POST", f"/removals/{decision}", json=body)["keys"]
    for key in decided:
        click.echo(f"{done}: {key}")
    if not decided:
        click.echo("nothing is leaving")


def _ask(url: str, method: str, path: str, **options: Any) -> Any:
    """Return the answer of storage-rest.

    Raises:
        click.ClickException: the request failed; the text says why and what to do.
    """

    async def ask() -> bytes:
        async with HttpClient(name="storage", base_url=url, token=settings.shared_token) as client:
            return (await client.request(method, path, **options)).body

    with reported("connector", SettingsError):
        settings = StorageSettings.load()
    try:
        return parse_json(finish(ask()))
    except StatusError as error:
        raise click.ClickException(f"{error}{_remedy(error.status)}") from None
    except (RemoteError, ValueError) as error:
        raise click.ClickException(f"{error}; check that --url is the address of storage-rest") from None


def _remedy(status: int) -> str:
    if status in (401, 403):
        return "; set the variable `token` to the one that the sidecars share"
    return "; check that --url is the address of this connector's storage-rest" if status == 405 else ""


def _table(title: str, items: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    if not items:
        click.echo(f"nothing {'is leaving' if title == 'leaving' else 'has left'}")
        return
    rows = [tuple(name.upper() for name in columns), *(tuple(_cell(item[name]) for name in columns) for item in items)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(columns))]
    click.echo(f"{title}:")
    for row in rows:
        click.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    return "kept" if value is None else str(value)
