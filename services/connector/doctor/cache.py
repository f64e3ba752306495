"""Step "cache": the ConfigMaps of the cache, and whether they can be written. No I/O."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from common.http.client import RETRIED
from common.http.errors import RemoteError, StatusError
from common.kube.errors import remedy_of
from common.wire import Upsert, parse_storage_body
from common.words import counted, listed
from services.connector.doctor.asking import Asked, is_forbidden
from services.connector.doctor.report import MISSING_RULE, Finding
from services.storage_rest.stores.families import BASE, CARDS_BASE
from services.storage_rest.stores.objects import COMPLETE, LIMIT

_REFUSED = (
    "a quota or an admission policy refuses the write; the message names it:\n"
    "kubectl get resourcequota -n {namespace}\n"
    "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations"
)
_EXEMPT = "exempt the ConfigMaps whose names begin with bac-import-model in namespace {namespace} from it"
_REFUSALS = {
    "exceeded quota": "kubectl describe resourcequota -n {namespace}     # raise the limit that the message names, or "
    "delete what is not needed",
    "too long": "ConfigMap bac-import-model is full. The connector spreads its entries, so replace the original "
    "sidecars, which write into one ConfigMap,\nand then: kubectl delete configmap bac-import-model -n {namespace}     "
    "# it is written again from the sources",
    "space exceeded": "the database of the API server (etcd) is full: its administrator has to free space",
    "being terminated": "namespace {namespace} is being deleted: wait until it is gone, and create it again",
    "failed calling webhook": "the webhook that the message names does not answer: repair it, or " + _EXEMPT,
    "admission webhook": "the webhook that the message names refuses the write: meet its rule, or " + _EXEMPT,
    "validatingadmissionpolicy": "the policy that the message names refuses the write: meet its rule, or " + _EXEMPT,
}
"""What to do about a refused write, by words in the API server's answer (in lower case), the most precise first."""


def judge_cache(
    found: Asked[Sequence[Any]], write: Asked[None], *, namespace: str, hold: float, now: float
) -> list[Finding]:
    """Return findings about the cache; `found` are all ConfigMaps of the namespace, `write` the result of a test write.

    Missing models are kept for `hold` seconds; `now` is in seconds since the epoch.
    """
    if is_forbidden(found) and is_forbidden(write):
        return [Finding("fault", "the cache cannot be read, nor written: the rights are missing", MISSING_RULE)]
    if isinstance(found, RemoteError):
        remedy = MISSING_RULE if is_forbidden(found) else remedy_of(found)
        return [Finding("fault", f"the cache cannot be read: {found}", remedy), *_judge_write(write, namespace)]
    maps = [each for each in found if _is_ours(str(each["metadata"]["name"]))]
    entries = entries_of(found)
    findings: list[Finding] = []
    if not entries:
        findings.append(
            Finding(
                "skipped",
                f"there is no ConfigMap {BASE} in namespace {namespace} yet; it is created with the first model",
            )
        )
    else:
        size = sum(_size(each) for each in maps)
        models, kept = _keys(entries), _keys(maps)
        cards = f" and {counted(kept - models, 'model card')}" if kept > models else ""
        where = f"in {counted(len(maps), 'ConfigMap')}, {size / 1024:.1f} KiB in all"
        findings.append(Finding("ok", f"{counted(models, 'model')}{cards} {where}"))
        findings += _judge_contents(entries, namespace)
        findings += _judge_leaving(entries, hold=hold, now=now)
    return [*findings, *_judge_write(write, namespace)]


def entries_of(config_maps: Sequence[Any]) -> list[Any]:
    """Return the ConfigMaps with documents among all in a namespace."""
    names = [(str(each["metadata"]["name"]), each) for each in config_maps]
    return [each for name, each in names if _is_ours(name) and not name.startswith(CARDS_BASE)]


def _keys(maps: Sequence[Any]) -> int:
    return sum(len(each.get("binaryData") or {}) for each in maps)


def _is_ours(name: str) -> bool:
    rest = name.removeprefix(CARDS_BASE if name.startswith(CARDS_BASE) else BASE)
    return name.startswith(BASE) and (not rest or (rest.startswith("-") and rest[1:].isdigit()))


def _judge_contents(maps: Sequence[Any], namespace: str) -> Iterator[Finding]:
    broken = {str(each["metadata"]["name"]): _unreadable(each) for each in maps}
    for name, keys in broken.items():
        if keys:
            yield Finding(
                "fault",
                f"{counted(len(keys), 'value')} of ConfigMap {name} cannot be read: {listed(keys)}",
                f"kubectl get configmap {name} -n {namespace} -o yaml     # was it edited by hand?\n"
                f"kubectl patch configmap {name} -n {namespace} --type merge -p '{_without(keys)}'"
                "     # each value is written again from its source",
            )
    for each in maps:
        if _size(each) > LIMIT * 0.95:
            yield Finding(
                "warning",
                f"ConfigMap {each['metadata']['name']} is nearly full: {_size(each)} of {LIMIT} bytes",
                "nothing needs to be done: new models are stored in another ConfigMap",
            )
        if each.get("immutable"):
            yield Finding(
                "fault",
                f"ConfigMap {each['metadata']['name']} is immutable: nothing can be stored in it",
                f"kubectl delete configmap {each['metadata']['name']} -n {namespace}     # it is created again",
            )
    if not any(_annotations(each).get(COMPLETE) == "true" for each in maps):
        yield Finding(
            "warning",
            "the cache has never been marked as complete: the feed waits until every source has been listed once",
            '"Feed" below shows which source has not been listed',
        )


def _judge_leaving(maps: Sequence[Any], *, hold: float, now: float) -> Iterator[Finding]:
    """Yield a finding for each entry that is about to leave: since when, why, and when it is due."""
    for each in maps:
        for key, entry in values_of(each):
            mark = entry.leaving if entry else None
            if mark is None:
                continue
            minutes = round((mark.since + hold - now) / 60)
            due = f"will be removed in {counted(minutes, 'minute')}" if minutes > 0 else "is about to be removed"
            when = "is kept, because its removal was refused" if mark.refused else due
            since = datetime.fromtimestamp(mark.since, UTC).strftime("%Y-%m-%d %H:%M UTC")
            yield Finding(
                "warning",
                f"{key} {when}; it has been marked for removal since {since} ({mark.reason})",
                "if it was deleted, nothing needs to be done; to keep it in the catalog:\n"
                f"connector removals refuse {key}     # 'connector removals list' shows all",
            )


def _without(keys: Sequence[str]) -> str:
    """Return the merge patch that removes these values."""
    return json.dumps({"binaryData": dict.fromkeys(keys)}, separators=(",", ":"))


def _unreadable(obj: Mapping[str, Any]) -> list[str]:
    return [key for key, entry in values_of(obj) if entry is None]


def values_of(obj: Mapping[str, Any]) -> Iterator[tuple[str, Upsert | None]]:
    """Yield the entries of a ConfigMap by key, None for a value that cannot be read."""
    for key, text in sorted((obj.get("binaryData") or {}).items()):
        try:
            yield key, parse_storage_body(key, base64.b64decode(text, validate=True))
        except (ValueError, binascii.Error):
            yield key, None


def _size(obj: Mapping[str, Any]) -> int:
    values = (obj.get("binaryData") or {}).values()
    return sum(len(text) * 3 // 4 for text in values) + sum(len(text) for text in (obj.get("data") or {}).values())


def _annotations(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}


def _judge_write(write: Asked[None], namespace: str) -> list[Finding]:
    if write is None:
        return [Finding("ok", "the cache can be written (tested with a dry run)")]
    if is_forbidden(write):
        return [Finding("fault", f"the cache cannot be written: {write}", MISSING_RULE)]
    said = str(write).lower()
    remedy = next((remedy for words, remedy in _REFUSALS.items() if words in said), "")
    if not remedy:
        is_refused = isinstance(write, StatusError) and 400 <= write.status < 500 and write.status not in RETRIED
        remedy = _REFUSED if is_refused else remedy_of(write)
    return [Finding("fault", f"the cache cannot be written: {write}", remedy.format(namespace=namespace))]
