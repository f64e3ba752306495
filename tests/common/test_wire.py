"""Bodies between the services: the original's byte for byte, ours both ways, invalid ones refused with a reason."""

import base64
import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import strict_json, wire

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
MARKS = st.builds(
    wire.Leaving,
    since=st.integers(0, 253_402_300_799),
    reason=st.sampled_from(["not-listed", "not-ready"]),
    refused=st.booleans(),
)
UPSERTS = st.builds(
    wire.Upsert,
    key=TEXT.filter(bool),
    body=TEXT.filter(bool).map(str.encode),
    reconciler=st.sampled_from(wire.RECONCILERS),
    uri=TEXT,
    source=TEXT,
    ref=TEXT,
    updated=TEXT,
    model_name=TEXT,
    server_name=TEXT,
    card_key=TEXT,
    leaving=st.none() | MARKS,
)
BATCHES = st.builds(
    wire.Batch,
    upserts=st.lists(UPSERTS, max_size=3).map(tuple),
    leaving=st.dictionaries(TEXT, st.none() | MARKS, max_size=3),
    removals=st.dictionaries(TEXT, TEXT, max_size=3),
    cards=st.dictionaries(TEXT, TEXT, max_size=3),
    complete=st.booleans(),
    confirmed=st.booleans(),
)
DOCUMENT = b'{"models":[{"name":"m"}]}'

AWAITED = (
    wire.Awaited(source="registry:public", reason="unreachable: no route to host", until=1_700_000_000),
    wire.Awaited(source="kserve"),
)
"""Two sources that are waited for."""


@given(BATCHES)
def test_a_batch_arrives_as_it_was_sent(batch: wire.Batch) -> None:
    assert wire.parse_batch(wire.encode_batch(batch)) == batch


@given(BATCHES)
def test_changes_and_snapshots_arrive_as_they_were_sent(batch: wire.Batch) -> None:
    changes = wire.Changes(
        revision="e-1",
        complete=batch.complete,
        confirmed=batch.confirmed,
        damage="" if batch.complete else "bac-import-model-2 is missing",
        upserts=batch.upserts,
        removals=batch.removals,
        cards=batch.cards,
    )
    assert wire.parse_changes(wire.encode_changes(changes)) == changes
    whole = replace(changes, removals={})
    assert wire.parse_snapshot(wire.snapshot_lines(whole)) == whole


def test_what_is_waited_for_is_reported_in_batches_and_in_what_readers_get() -> None:
    for awaited in (AWAITED, (), None):
        batch = wire.Batch(awaited=awaited)
        assert wire.parse_batch(wire.encode_batch(batch)) == batch
    changes = wire.Changes(revision="e-1", complete=False, awaited=AWAITED)
    assert wire.parse_changes(wire.encode_changes(changes)) == changes
    assert wire.parse_snapshot(wire.snapshot_lines(changes)) == changes


def test_services_of_earlier_releases_say_nothing_of_what_is_waited_for() -> None:
    assert wire.parse_batch(b"{}").awaited is None
    assert wire.parse_changes(b'{"revision":"e-1","complete":false}').awaited == ()
    listing = wire.parse_listing(b'{"revision":"e-1","complete":false,"entries":{}}')
    assert listing is not None
    assert listing.awaited is None


@pytest.mark.parametrize("item", ['"kserve"', "{}", '{"source":"kserve","until":5}', '{"source":"kserve","reason":[]}'])
def test_what_is_waited_for_must_be_named(item: str) -> None:
    with pytest.raises(wire.WireError):
        wire.parse_batch(f'{{"awaited":[{item}]}}'.encode())


def test_removals_may_come_without_reasons() -> None:
    assert wire.parse_batch(b'{"removals":["a_b"]}').removals == {"a_b": ""}


@given(UPSERTS, st.none() | MARKS)
def test_a_mark_does_not_change_the_digest(upsert: wire.Upsert, mark: wire.Leaving | None) -> None:
    marked = replace(upsert, leaving=mark)
    assert marked.digest == upsert.digest
    assert marked.stored.leaving == mark


def test_a_mark_is_readable_in_the_cache() -> None:
    mark = wire.Leaving(since=1_700_000_000, reason="not-listed")
    raw = wire.encode_storage_body(wire.Upsert(key="a_b", body=DOCUMENT, reconciler="kserve", leaving=mark))
    assert json.loads(raw)["leaving"] == {"since": "2023-11-14T22:13:20Z", "reason": "not-listed"}


@pytest.mark.parametrize(
    "since", ["", "yesterday", "2026-01-31T12:00:00", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59Z", "9" * 5000]
)
def test_a_mark_without_a_point_in_time_is_refused(since: str) -> None:
    with pytest.raises(wire.WireError, match="since must"):
        wire.parse_batch(json.dumps({"leaving": {"a_b": {"since": since, "reason": "r"}}}).encode())


def test_a_mark_without_an_identifier_as_its_reason_is_refused() -> None:
    mark = {"since": "2026-01-31T12:00:00Z", "reason": "It is gone."}
    with pytest.raises(wire.WireError, match="a reason may contain only"):
        wire.parse_batch(json.dumps({"leaving": {"a_b": mark}}).encode())


@given(st.lists(UPSERTS, max_size=3, unique_by=lambda upsert: upsert.key))
def test_a_listing_arrives_as_it_was_sent(upserts: list[wire.Upsert]) -> None:
    listing = wire.CacheListing(
        revision="e-1",
        complete=True,
        confirmed=True,
        damage="bac-import-model-2 is missing",
        awaited=AWAITED,
        entries={upsert.key: upsert.stored for upsert in upserts},
        cards={"c": "d"},
    )
    assert wire.parse_listing(wire.encode_listing(listing)) == listing


@given(UPSERTS)
def test_the_cache_gives_back_what_was_put_in(upsert: wire.Upsert) -> None:
    assert wire.parse_storage_body(upsert.key, wire.encode_storage_body(upsert)) == upsert


@given(UPSERTS, UPSERTS)
def test_digests_tell_any_two_documents_apart(one: wire.Upsert, other: wire.Upsert) -> None:
    assert (one.digest == other.digest) == (replace(one, leaving=None) == replace(other, leaving=None))


def test_a_snapshot_without_its_end_is_refused() -> None:
    lines = list(wire.snapshot_lines(wire.Changes(revision="e-1", complete=True, cards={"k": "text"})))
    with pytest.raises(wire.WireError, match="is incomplete"):
        wire.parse_snapshot(lines[:-1])


def test_a_snapshot_that_continues_after_its_end_is_refused() -> None:
    lines = list(wire.snapshot_lines(wire.Changes(revision="e-1", complete=True, cards={"k": "text"})))
    with pytest.raises(wire.WireError, match="continues after its end"):
        wire.parse_snapshot([*lines, lines[-1]])


def test_the_originals_upsert_is_written_as_its_client_writes_it() -> None:
    upsert = wire.Upsert(key="a_b", body=DOCUMENT, reconciler="kserve", updated="17", card_key="k", card="# é")
    assert wire.encode_original_upsert(upsert) == (
        b'{"body":"' + base64.b64encode(DOCUMENT) + b'","lastUpdateTimeSinceEpoch":"17",'
        b'"modelCardKey":"k","modelCard":"# ' + "é".encode() + b'"}'
    )
    parsed = wire.parse_original_upsert(wire.encode_original_upsert(upsert), key="a_b", reconciler="kserve")
    assert parsed == upsert


def test_a_cache_entry_of_the_original_is_read() -> None:
    raw = {
        "body": base64.b64encode(DOCUMENT).decode(),
        "locationId": "",
        "locationTarget": "",
        "locationIDValid": False,
        "reconcilerType": "kubeflow",
        "lastUpdateTimeSinceEpoch": "",
    }
    entry = wire.parse_storage_body("a_b", json.dumps(raw).encode())
    assert (entry.body, entry.reconciler, entry.ref) == (DOCUMENT, "kubeflow", "")


def test_a_listing_of_the_original_is_distinguished_from_ours() -> None:
    assert wire.parse_listing(b'{"keys":["a_b"]}') is None
    assert wire.parse_keys(b'{"keys":["a_b"]}') == ("a_b",)
    assert wire.parse_keys(b'{"keys":null}') == ()


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"body":1}', "body must be a string"),
        (b'{"body":""}', "body must not be empty"),
        (b'{"body":"%%%"}', "body is not base64"),
        (b'{"body":"e30=","modelCardKey":[]}', "modelCardKey must be a string"),
        (b'{"body":"e30=","body":"e30="}', "'body' occurs twice"),
        (b'{"body":"\xff"}', "not UTF-8"),
        (b'{"body":"e30=","x":"\\ud800"}', "surrogate"),
        (b'{"body":"e30=","x":NaN}', "NaN"),
        (b'{"body":"e30=","x":' + b"[" * 100_000, "nested too deeply"),
        (b'{"body":"e30=","x":' + b"1" * 5000 + b"}", "not JSON"),
    ],
)
def test_bad_bodies_are_refused_with_their_fault(raw: bytes, fault: str) -> None:
    with pytest.raises(wire.WireError, match=fault):
        wire.parse_original_upsert(raw, key="a_b", reconciler="kserve")


def test_an_unknown_kind_of_source_is_refused() -> None:
    with pytest.raises(wire.WireError, match="kserve, kubeflow"):
        wire.parse_original_upsert(b'{"body":"e30="}', key="a_b", reconciler="bogus")


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_refused_as_such(raw: bytes) -> None:
    with contextlib.suppress(strict_json.JsonError):
        strict_json.load(raw)
