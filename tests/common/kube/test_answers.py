"""Whatever a server sends is an answer that was understood, or a RemoteError; nothing else ever comes out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.http.client import Response
from common.http.errors import RemoteError, StatusError
from common.kube.answers import _event, read_object, read_page
from common.kube.errors import Asked, GarbledAnswer, KubeError, from_answer
from common.kube.replica import key_of
from common.kube.resources import INFERENCE_SERVICES

ASKED = Asked("list", INFERENCE_SERVICES)
NESTED = b'{"a":' * 100_000

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner))


def mapping(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A mapping with some of the fields, each as it should be or anything else; or no mapping at all."""
    return st.fixed_dictionaries({}, optional={name: field | anything for name, field in fields.items()}) | anything


objects = mapping(
    kind=st.sampled_from(["InferenceServiceList", "Status"]),
    metadata=mapping(resourceVersion=st.just("7"), name=st.just("a"), namespace=st.just("b")),
    items=st.lists(mapping(metadata=mapping(name=st.just("a")))),
    code=st.sampled_from([410, 500]),
    details=mapping(causes=st.lists(mapping(reason=st.text())), retryAfterSeconds=st.integers()),
)
events = mapping(type=st.sampled_from(["ADDED", "BOOKMARK", "ERROR"]), object=objects)


def answer(body: bytes) -> Response:
    return Response(200, {}, body, "https://api")


@given(objects)
def test_lists(body: Any) -> None:
    try:
        items, metadata = read_page(answer(json.dumps(body).encode()), ASKED)
    except RemoteError:
        return
    assert isinstance(items, list)
    assert metadata["resourceVersion"]


@given(events)
def test_events(event: Any) -> None:
    try:
        understood = _event(json.dumps(event).encode(), ASKED, "")
    except RemoteError:
        return
    assert understood.type != "ERROR"
    assert isinstance(understood.version, str)


@given(objects)
def test_refusals(body: Any) -> None:
    refusal = StatusError(status=422, reason="", url="https://api", retry_after=None, body=json.dumps(body).encode())
    error = from_answer(refusal, ASKED, refused="")
    assert error.status == 422
    assert error.retry_after is None or isinstance(error.retry_after, int | float)
    assert not error.caused_by("no such reason")


@given(objects)
def test_keys(obj: Any) -> None:
    try:
        namespace, name = key_of(obj)
    except GarbledAnswer:
        return
    assert isinstance(namespace, str)
    assert isinstance(name, str)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", NESTED, b"nullnull"])
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(GarbledAnswer):
        read_object(answer(body), ASKED)
    with pytest.raises(GarbledAnswer):
        _event(body, ASKED, "")
    refusal = StatusError(status=500, reason="no words", url="https://api", retry_after=3, body=body)
    error = from_answer(refusal, ASKED, refused="")
    assert isinstance(error, KubeError)
    assert (error.message, error.retry_after) == ("no words", 3)
