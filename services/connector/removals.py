"""`connector removals`: what is about to leave the catalog, and what is to become of it."""

import json
from collections.abc import Sequence
from typing import Any

import click

from common.commandline import finish, reported
from common.http.client import HttpClient, RemoteError, StatusError
from common.settings import SettingsError
from services.storage_rest.settings import StorageSettings

_DEFAULT_URL = "http://localhost:7070"
_LEFT_SHOWN = 20

_url = click.option(
    "--url",
    metavar="URL",
    envvar="STORAGE_URL",
    default=_DEFAULT_URL,
    show_default=True,
    help="storage-rest, or the address of `connector run`.",
)
_keys = click.argument("keys", nargs=-1)
_all = click.option("--all", "everything", is_flag=True, help="All that is leaving.")


@click.group()
def removals() -> None:
    """Show what is about to leave the catalog, and decide about it.

    An entry whose source does not show it any more stays for a while, unless there is proof that it is gone.
    """


@removals.command(name="list")
@_url
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def list_command(url: str, output: str) -> None:
    """Show what is leaving, since when, why and when it is due, and what has left lately."""
    told = _ask(url, "GET", "/removals")
    if output == "json":
        click.echo(json.dumps(told, indent=2))
        return
    if told["damage"]:
        click.echo(f"The cache is damaged: {told['damage']}.")
        click.echo("It is served when every source was read, or after `connector removals accept`.")
    _table("leaving", told["leaving"], ("key", "reason", "since", "due", "ref"))
    _table("left", told["left"][:_LEFT_SHOWN], ("key", "reason", "at", "ref"))


@removals.command()
@_keys
@_all
@_url
def confirm(keys: Sequence[str], everything: bool, url: str) -> None:
    """Let entries that are leaving go now."""
    _decide("confirm", "removed", keys, everything, url)


@removals.command()
@_keys
@_all
@_url
def refuse(keys: Sequence[str], everything: bool, url: str) -> None:
    """Keep entries that are leaving until their source shows them again, or they are confirmed."""
    _decide("refuse", "kept", keys, everything, url)


@removals.command()
@_url
def accept(url: str) -> None:
    """Serve a damaged cache as it is: what is missing from it leaves Backstage until it is found again."""
    damage = _ask(url, "POST", "/removals/accept")["damage"]
    click.echo(f"accepted, although {damage}" if damage else "the cache is not damaged")


def _decide(decision: str, done: str, keys: Sequence[str], everything: bool, url: str) -> None:
    if everything == bool(keys):
        raise click.UsageError("name the keys that `connector removals list` shows, or give --all")
    body: dict[str, Any] = {"all": True} if everything else {"keys": list(keys)}
    decided = _ask(url, "POST", f"/removals/{decision}", json=body)["keys"]
    for key in decided:
        click.echo(f"{done}: {key}")
    if not decided:
        click.echo("nothing is leaving")


def _ask(url: str, method: str, path: str, **options: Any) -> Any:
    """Return the answer of storage-rest.

    Raises:
        click.ClickException: saying what went wrong and what to do.
    """

    async def ask() -> bytes:
        async with HttpClient(name="storage", base_url=url, token=settings.shared_token) as client:
            return (await client.request(method, path, **options)).body

    with reported("connector", SettingsError):
        settings = StorageSettings.load()
    try:
        return json.loads(finish(ask()))
    except StatusError as error:
        raise click.ClickException(f"{error}{_remedy(error.status)}") from None
    except (RemoteError, ValueError) as error:
        raise click.ClickException(f"{error}; is --url the address of storage-rest?") from None


def _remedy(status: int) -> str:
    if status in (401, 403):
        return "; the variable `token` must be the one that the sidecars share"
    return "; is --url the address of a storage-rest of this connector?" if status == 405 else ""


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
