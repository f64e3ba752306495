"""Compares a preview with what a running connector serves, for `connector preview --diff URL`."""

import asyncio
import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import click

from common import identity
from common.http.client import HttpClient
from common.http.errors import RemoteError, StatusError
from common.secrets import TokenSource
from common.texts import parse_json
from common.wire import WireError, parse_storage_body
from services.connector.preview import Shown

Change = Literal["added", "changed", "same", "only-served"]
Document = Mapping[str, Any]

_PARALLEL = 16
_CONTEXT = 2
_COLOURS = {"+": "green", "-": "red", "~": "yellow"}
_MARKS: Mapping[Change, str] = {"added": "+", "changed": "~", "only-served": "-"}
_MOST = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """The document of one key in the preview (`wanted`) and in the running connector (`served`), None without one."""

    key: str
    change: Change
    served: Document | None
    wanted: Document | None


async def read_served(url: str, token: TokenSource | None) -> dict[str, Document]:
    """Return the documents of the location or storage-rest at `url`, by key.

    Raises:
        RemoteError: there is no answer, or the answer is not the connector's.
    """
    async with HttpClient(name="the running connector", base_url=url, token=token, attempts=1) as client:
        listed = _object(await _get(client, "/list"), url)
        if isinstance(listed.get("uris"), list):
            paths = {_key_of(str(uri)): f"{uri}?form=stored" for uri in listed["uris"]}
        elif isinstance(listed.get("keys"), list):
            paths = {str(key): f"/fetch?key={quote(str(key))}" for key in listed["keys"]}
        else:
            raise RemoteError(f"{url}/list contains neither documents nor keys: it is not location or storage-rest")
        gate = asyncio.Semaphore(_PARALLEL)

        async def read(path: str) -> Document | None:
            async with gate:
                try:
                    body = await _get(client, path)
                except StatusError as error:
                    if error.status == 404:  # removed since it was listed
                        return None
                    raise
            return _object(_stored(body, path) if "keys" in listed else body, path)

        documents = await asyncio.gather(*map(read, paths.values()))
    return {key: each for key, each in zip(paths, documents, strict=True) if each is not None}


def compare(shown: Iterable[Shown], served: Mapping[str, Document]) -> list[Difference]:
    """Return a difference for each key of both, sorted.

    A manifest that is not deployed yet does not contain the address of its server: then the server is not compared.
    """
    wanted = {each.key: _object(each.document, each.key) for each in shown}
    found = []
    for key in sorted(wanted.keys() | served.keys()):
        new, old = wanted.get(key), served.get(key)
        change: Change = "same"
        if new is None:
            change = "only-served"
        elif old is None:
            change = "added"
        elif new != (old if "modelServer" in new else _without_server(old)):
            change = "changed"
        found.append(Difference(key, change, old, new))
    return found


def lines_of(differences: Iterable[Difference]) -> Iterator[str]:
    """Yield the differences as text; documents that are only served are listed too: others may have deployed them."""
    differences = list(differences)
    for each in differences:
        if each.change in ("added", "changed"):
            yield _marked(_MARKS[each.change], f"{each.key} ({each.change})")
        if each.change == "changed" and each.served is not None and each.wanted is not None:
            served = each.served if "modelServer" in each.wanted else _without_server(each.served)
            for line in difflib.unified_diff(_pretty(served), _pretty(each.wanted), n=_CONTEXT, lineterm=""):
                if not line.startswith(("---", "+++")):
                    yield _marked(line[0], f"  {line}", bare=True)
    alone = [each.key for each in differences if each.change == "only-served"]
    for key in alone[:_MOST]:
        yield _marked("-", f"{key} (served, but not in the preview)")
    if len(alone) > _MOST:
        yield f"… and {len(alone) - _MOST} more"
    count = {change: sum(each.change == change for each in differences) for change in ("added", "changed", "same")}
    counts = ", ".join(f"{number} {change}" for change, number in count.items())
    yield f"{counts}, {len(alone)} only served"


def _marked(mark: str, text: str, *, bare: bool = False) -> str:
    return click.style(text if bare else f"{mark} {text}", fg=_COLOURS.get(mark))


def _pretty(document: Document) -> list[str]:
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True).splitlines()


def _without_server(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "modelServer"}


async def _get(client: HttpClient, path: str) -> bytes:
    return (await client.request("GET", path)).body


def _stored(body: bytes, path: str) -> bytes:
    """Return the document in a value of the cache."""
    try:
        return parse_storage_body(path, body).body
    except WireError as error:
        raise RemoteError(f"{path}: {error}") from None


def _object(body: bytes, where: str) -> Document:
    try:
        parsed = parse_json(body)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise RemoteError(f"{where}: the answer is not the connector's")
    return parsed


def _key_of(uri: str) -> str:
    """Return the key of a document from its path, with or without a slash at the beginning."""
    segments = uri.strip("/").split("/")
    return identity.key_of((segments[0], segments[1])) if len(segments) >= 3 else uri
