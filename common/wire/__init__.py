"""The messages between the three services: the original's, and our own.

They are plain dataclasses, because thousands of documents pass through here as bytes. The input of `parse_…` may come
from any program: invalid input raises `WireError` with a text that names the fault. docs/protocol.md describes the
messages; services/storage_rest/openapi.json specifies them.
"""

from common.wire.exchange import (
    encode_batch,
    encode_changes,
    encode_listing,
    parse_applied,
    parse_batch,
    parse_changes,
    parse_listing,
)
from common.wire.fields import awaited_fields
from common.wire.messages import (
    RECONCILERS,
    REVISION_HEADER,
    Applied,
    Awaited,
    Batch,
    CacheListing,
    Changes,
    Leaving,
    Reconciler,
    Stored,
    Upsert,
    WireError,
    card_digest,
    parse_revision,
    without_card,
)
from common.wire.original import (
    encode_original_upsert,
    encode_storage_body,
    is_yaml_form,
    parse_keys,
    parse_original_upsert,
    parse_storage_body,
)
from common.wire.snapshot import (
    END_LINE,
    SNAPSHOT_TYPE,
    SnapshotReader,
    card_line,
    entry_line,
    head_line,
    parse_snapshot,
    snapshot_lines,
)

__all__ = [
    "END_LINE",
    "RECONCILERS",
    "REVISION_HEADER",
    "SNAPSHOT_TYPE",
    "Applied",
    "Awaited",
    "Batch",
    "CacheListing",
    "Changes",
    "Leaving",
    "Reconciler",
    "SnapshotReader",
    "Stored",
    "Upsert",
    "WireError",
    "awaited_fields",
    "card_digest",
    "card_line",
    "encode_batch",
    "encode_changes",
    "encode_listing",
    "encode_original_upsert",
    "encode_storage_body",
    "entry_line",
    "head_line",
    "is_yaml_form",
    "parse_applied",
    "parse_batch",
    "parse_changes",
    "parse_keys",
    "parse_listing",
    "parse_original_upsert",
    "parse_revision",
    "parse_snapshot",
    "parse_storage_body",
    "snapshot_lines",
    "without_card",
]
