"""List requests: consistent pages, continue tokens, and what resourceVersion means to them."""

import base64
import binascii
import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.fakes.kubernetes import selectors
from tests.fakes.kubernetes.history import Entry, Key, dump
from tests.fakes.kubernetes.requests import View, number
from tests.fakes.kubernetes.resources import ResourceType
from tests.fakes.kubernetes.status import Cause, bad_request, expired, invalid, too_large_version, too_old
from tests.fakes.kubernetes.store import Store, Table

_TOKEN_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without"
    " the continue parameter, or use the continue token in this response to retrieve the remainder of the results."
    " Continuing with the provided token results in an inconsistent list - objects that were created, modified, or"
    " deleted between the time the first chunk was returned and now may show up in the list."
)
_NOW = -1  # the revision in a token that goes on without consistency


@dataclass(frozen=True)
class Page:
    """A part of a list: the entries, the revision they are of, and how to get the rest."""

    entries: list[Entry]
    revision: int
    continue_token: str = ""
    remaining: int | None = None

    def encode(self, view: View) -> bytes:
        """The body of the answer."""
        metadata: dict[str, Any] = {"resourceVersion": str(self.revision)}
        if self.continue_token:
            metadata["continue"] = self.continue_token
            if self.remaining is not None:
                metadata["remainingItemCount"] = self.remaining
        head = dump({**view.list_head, "metadata": metadata})[:-1]
        return head + b',"items":[' + b",".join(view.encode_item(entry) for entry in self.entries) + b"]}\n"


def read(store: Store, resource: ResourceType, namespace: str, query: Mapping[str, str]) -> Page:
    """The page a query asks for.

    Raises:
        ApiError: 400 for parameters that cannot be, 410 for an expired token or version, 504 for a future version.
    """
    table = store.table(resource)
    selector = selectors.parse(query.get("labelSelector", ""), query.get("fieldSelector", ""), resource.selectable)
    limit = number(query, "limit")
    token = query.get("continue", "")
    after: Key | None = None
    if token:
        if query.get("resourceVersion", "") not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        revision, after = _decode(token)
        if _NOW < revision < table.log.compacted:
            raise expired(_TOKEN_TOO_OLD, _encode(_NOW, after))
    else:
        revision = _start(store, table, query)
        if query.get("resourceVersion") == "0":
            limit = 0  # the watch cache answers these, and always as a whole
    consistent = revision != _NOW
    entries = table.then(revision, namespace) if consistent else table.now(namespace)
    revision = revision if consistent else store.revision
    if after is not None:
        entries = entries[bisect_right(entries, after, key=lambda entry: entry.key) :]
    if selector:
        entries = [entry for entry in entries if entry.selected_by(selector)]
    if not limit or len(entries) <= limit:
        return Page(entries, revision)
    rest = None if selector else len(entries) - limit
    return Page(entries[:limit], revision, _encode(revision, entries[limit - 1].key), rest)


def _start(store: Store, table: Table, query: Mapping[str, str]) -> int:
    """The revision of a list's first page."""
    match = query.get("resourceVersionMatch", "")
    wanted = number(query, "resourceVersion")
    if match and "resourceVersion" not in query:
        raise _forbidden_match("resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match not in ("", "Exact", "NotOlderThan"):
        raise _forbidden_match(f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""')
    if match == "Exact" and not wanted:
        raise _forbidden_match('resourceVersionMatch "Exact" is forbidden for resourceVersion "0"')
    if wanted > store.revision:
        raise too_large_version(wanted, store.revision)
    if match == "Exact":
        if wanted < table.log.compacted:
            raise too_old(wanted, table.log.compacted)
        return wanted
    return store.revision


def _forbidden_match(message: str) -> Exception:
    return invalid("meta.k8s.io", "ListOptions", "", [Cause("FieldValueForbidden", message, "resourceVersionMatch")])


def _encode(revision: int, after: Key | None) -> str:
    token = {"v": "meta.k8s.io/v1", "rv": revision, "start": list(after or ())}
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode()


def _decode(token: str) -> tuple[int, Key]:
    try:
        content = json.loads(base64.urlsafe_b64decode(token))
        namespace, name = content["start"]
        return int(content["rv"]), (str(namespace), str(name))
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise bad_request(f"continue key is not valid: {error}") from error
