"""Details of a document: what is written is read again, and no input makes an entry unusable."""

import json
from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from common import details, wire
from common.details import LINK_ICONS, NO_DETAILS, SERVER_TYPES, DetailLink, Details, packed, unpacked

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
LINKS = st.builds(
    DetailLink,
    url=TEXT.map(lambda text: f"https://example.com/{text}"),
    title=TEXT.filter(bool),
    icon=st.sampled_from(("", *LINK_ICONS)),
)
SPECIAL = {
    "names": st.lists(TEXT.filter(bool), max_size=3).map(tuple),
    "tags": st.lists(TEXT.filter(bool), max_size=3).map(tuple),
    "operations": st.lists(TEXT.filter(bool), max_size=3).map(tuple),
    "tasks": st.lists(TEXT.filter(bool), max_size=3).map(tuple),
    "server_type": st.sampled_from(SERVER_TYPES),
    "links": st.lists(LINKS, max_size=3).map(tuple),
}
DETAILS = st.builds(Details, **{field.name: SPECIAL.get(field.name, TEXT) for field in fields(Details)})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)
)


@given(DETAILS)
def test_what_is_encoded_is_decoded_again(given_details: Details) -> None:
    assert details.decode(given_details.encode()) == given_details


@given(st.dictionaries(st.sampled_from(["title", "names", "links", "serverType", "owner"]), JSON))
def test_details_of_the_wrong_type_are_left_out_and_never_refused(value: object) -> None:
    details.decode(json.dumps(value).encode()).encode()


@given(st.binary())
def test_bytes_that_are_no_json_are_no_details(raw: bytes) -> None:
    details.decode(raw)


def test_empty_details_take_no_room() -> None:
    assert NO_DETAILS.encode() == b""
    assert details.decode(b"") == NO_DETAILS


def test_a_link_that_no_browser_opens_is_left_out() -> None:
    raw = b'{"links":[{"url":"javascript:alert(1)","title":"x"},{"url":"https://example.com","title":"y","icon":"no"}]}'
    assert details.decode(raw).links == (DetailLink("https://example.com", "y"),)


@given(DETAILS)
def test_details_travel_with_their_document_through_storage_and_batches(given_details: Details) -> None:
    upsert = wire.Upsert(key="a_b", body=b"{}", reconciler="kserve", details=given_details.encode())
    assert wire.parse_storage_body("a_b", wire.encode_storage_body(upsert)) == upsert
    assert wire.parse_batch(wire.encode_batch(wire.Batch(upserts=(upsert,)))).upserts == (upsert,)


def test_an_entry_without_details_keeps_its_digest_and_its_bytes() -> None:
    upsert = wire.Upsert(key="a_b", body=b"{}", reconciler="kserve")
    assert b"details" not in wire.encode_storage_body(upsert)
    assert upsert.digest != wire.Upsert(key="a_b", body=b"{}", reconciler="kserve", details=b'{"title":"A"}').digest


def test_details_that_are_no_object_count_as_none() -> None:
    body = json.loads(wire.encode_storage_body(wire.Upsert(key="a_b", body=b"{}", reconciler="kserve")))
    for wrong in (None, "x", [1], 3):
        raw = json.dumps({**body, "details": wrong}).encode()
        assert wire.parse_storage_body("a_b", raw).details == b""


def test_details_are_completed_by_others() -> None:
    said, known = Details(title="Granite", names=("granite",)), Details(title="granite-8b", kind="InferenceService")
    assert said.over(known) == Details(title="Granite", names=("granite",), kind="InferenceService")
    assert NO_DETAILS.over(known) == known


def test_packed_texts_are_unpacked_and_others_are_none() -> None:
    assert unpacked(packed("räksmörgås")) == "räksmörgås"
    assert unpacked(packed("x" * 100_000)) == "", "larger than anybody shows"
    assert [unpacked(written) for written in ("", "x", "eA==", packed("x")[:-4])] == [""] * 4
