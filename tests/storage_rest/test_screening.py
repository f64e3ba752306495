import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.storage_rest import screening
from services.storage_rest.screening import Unacceptable
from tests.storage_rest.running import document, upsert

LIMIT = 1000


@pytest.mark.parametrize("key", ["a_b", "ns_granite-3.1", "a_b_c", "A_1", "a_" + "b" * 251, "._."])
def test_good_keys(key):
    screening.check_key(key)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("ab", "no '_'"),
        ("_b", "empty"),
        ("a_", "empty"),
        ("_", "empty"),
        ("../.._x", "letters"),
        ("..a_x", "letters"),
        ("a_b/c", "letters"),
        ("a_b%2fc", "letters"),
        ("a_b\n", "letters"),
        ("a_\x00", "letters"),
        ("a_é", "letters"),
        ("a_" + "b" * 252, "254 characters"),
        ("a" * 10_000, "10000 characters"),
    ],
)
def test_bad_keys(key, words):
    with pytest.raises(Unacceptable, match=words) as caught:
        screening.check_key(key)
    assert caught.value.status == 400
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize(
    "body",
    [
        document(),
        b'{"models":[{"name":"x"},{"name":"y","tags":[]}]}',
        b'{"models":[{"name":"x","annotations":{}}],"modelServer":{"name":"s","API":{"url":"u","tags":["a"]}}}',
    ],
)
def test_good_documents(body):
    screening.check_upsert(upsert(body=body), document_limit=LIMIT)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"null", "JSON object"),
        (b"[]", "JSON object"),
        (b"{}", "models must be a list"),
        (b'{"models":null}', "models must be a list"),
        (b'{"models":[]}', "not empty"),
        (b'{"models":["x"]}', r"models\[0\] must be a JSON object"),
        (b'{"models":[{"name":"x"},{"name":""}]}', r"models\[1\].name"),
        (b'{"models":[{"name":7}]}', r"models\[0\].name"),
        (b'{"models":[{"name":"x","tags":null}]}', r"models\[0\].tags"),
        (b'{"models":[{"name":"x","tags":[1]}]}', r"models\[0\].tags"),
        (b'{"models":[{"name":"x","annotations":null}]}', r"models\[0\].annotations"),
        (b'{"models":[{"name":"x"}],"modelServer":null}', "modelServer must be"),
        (b'{"models":[{"name":"x"}],"modelServer":{}}', "modelServer.name"),
        (b'{"models":[{"name":"x"}],"modelServer":{"name":"s","API":null}}', "modelServer.API must be"),
        (b'{"models":[{"name":"x"}],"models":[]}', "given twice"),
        (b'{"models":[{"name":"\\ud800"}]}', "surrogate"),
        (b'{"models":[{"name":"\xff"}]}', "not UTF-8"),
        (b'{"models":[{"name":"x","n":NaN}]}', "NaN"),
        (b"[" * 900, "nested too deeply|not JSON"),
    ],
)
def test_bad_documents(body, words):
    with pytest.raises(Unacceptable, match=words) as caught:
        screening.check_upsert(upsert(body=body), document_limit=LIMIT)
    assert caught.value.status == 400


def test_the_limit_is_the_last_that_passes():
    body = document("x" * 100)
    screening.check_upsert(upsert(body=body), document_limit=len(body))
    with pytest.raises(Unacceptable, match=f"{len(body)} bytes, more than {len(body) - 1}") as caught:
        screening.check_upsert(upsert(body=body), document_limit=len(body) - 1)
    assert caught.value.status == 413


@pytest.mark.parametrize("uri", ["x", "/", "//x", "/a b", "/a?b", "/a#b", "/a/", "/a\n", "/" + "a" * 1024])
def test_bad_uris(uri):
    with pytest.raises(Unacceptable, match="URI"):
        screening.check_upsert(upsert(uri=uri), document_limit=LIMIT)


def test_cards():
    screening.check_card("c", "ü" * 500, limit=LIMIT)
    with pytest.raises(Unacceptable) as caught:
        screening.check_card("c", "ü" * 501, limit=LIMIT)
    assert caught.value.status == 413
    for key in ("", "k" * 1025):
        with pytest.raises(Unacceptable, match="key of a model card"):
            screening.check_card(key, "text", limit=LIMIT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["models", "name", "tags", "API", "x"]), inner),
)


@given(JSON)
def test_anything_else_is_refused_and_never_an_error_of_ours(value):
    body = json.dumps(value).encode()
    try:
        screening.check_upsert(upsert(body=body), document_limit=100_000)
        status = 200
    except Unacceptable as fault:
        status = fault.status
    assert status == 400 or all(model["name"] for model in value["models"])
