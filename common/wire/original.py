"""The original's messages, and its form of an entry in the cache, with additional fields of ours."""

import base64

from common import catalog_info, strict_json
from common.wire.fields import (
    details_field,
    dump,
    mark_of,
    own_fields,
    parse_leaving,
    parse_reconciler,
    read_details,
    read_own_fields,
)
from common.wire.messages import Upsert

_DOCUMENT = "document"
"""The field with the document if the original's `body` contains its entities instead."""


def is_yaml_form(raw: bytes) -> bool:
    """Return whether a value of the cache is in the format CatalogInfoYamlFormat."""
    return f'"{_DOCUMENT}":'.encode() in raw


def encode_original_upsert(upsert: Upsert, *, yaml: bool = False) -> bytes:
    """Return the body of the original's `POST /upsert`; `yaml`: with the document as CatalogInfoYamlFormat."""
    body = catalog_info.to_yaml(upsert.body) if yaml else upsert.body
    return dump(
        {
            "body": base64.b64encode(body).decode(),
            "lastUpdateTimeSinceEpoch": upsert.updated,
            "modelCardKey": upsert.card_key,
            "modelCard": upsert.card or "",
        }
    )


def parse_original_upsert(raw: bytes, *, key: str, reconciler: str) -> Upsert:
    """Return the upsert in the body of the original's `POST /upsert?key=…&type=…`."""
    fields = strict_json.parse_object(raw)
    card_key = strict_json.text(fields, "modelCardKey")
    return Upsert(
        key=key,
        body=catalog_info.document_of(strict_json.decoded(fields, "body")),
        reconciler=parse_reconciler(reconciler),
        updated=strict_json.text(fields, "lastUpdateTimeSinceEpoch"),
        card_key=card_key,
        card=strict_json.text(fields, "modelCard") if card_key else None,
    )


def encode_storage_body(upsert: Upsert, *, yaml: bool = False) -> bytes:
    """Return the value for one key of the cache: the original's StorageBody with additional fields of ours.

    With CatalogInfoYamlFormat (`yaml`), the document itself is in one of our fields.
    """
    document = base64.b64encode(upsert.body).decode()
    body = base64.b64encode(catalog_info.to_yaml(upsert.body)).decode() if yaml else document
    return dump(
        {
            "body": body,
            **({_DOCUMENT: document} if yaml else {}),
            "locationId": "",
            "locationTarget": "",
            "locationIDValid": False,
            "reconcilerType": upsert.reconciler,
            "lastUpdateTimeSinceEpoch": upsert.updated,
            **own_fields(upsert),
            **mark_of(upsert),
            **details_field(upsert),
        }
    )


def parse_storage_body(key: str, raw: bytes) -> Upsert:
    """Return the entry that `encode_storage_body`, or the original, wrote for `key`."""
    fields = strict_json.parse_object(raw)
    return Upsert(
        key=key,
        body=catalog_info.document_of(strict_json.decoded(fields, _DOCUMENT if _DOCUMENT in fields else "body")),
        reconciler=parse_reconciler(
            strict_json.text(fields, "reconcilerType") or "kserve"
        ),  # the first originals wrote none
        updated=strict_json.text(fields, "lastUpdateTimeSinceEpoch"),
        leaving=parse_leaving(fields),
        details=read_details(fields),
        **read_own_fields(fields),
    )


def parse_keys(raw: bytes) -> tuple[str, ...]:
    """Return the keys of the original's answer to `GET /list`."""
    return strict_json.texts(strict_json.parse_object(raw), "keys")
