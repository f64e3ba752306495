import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.storage_rest import screening
from services.storage_rest.screening import Unacceptable
from tests.storage_rest.running import document, upsert

LIMIT = 1000


@pytest.mark.parametrize(
    "bad",
    [
        {"key": "ab"},
        {"key": "._."},
        {"uri": "/a/b.json"},
        {"body": b'{"models":[]}'},
        {"body": b'{"models":[{"name":"x","annotations":{"a":1}}]}'},
        {"card_key": "k" * 1025},
    ],
    ids=str,
)
def test_what_the_feed_cannot_have_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(Unacceptable) as caught:
        screening.usable(upsert(**bad), document_limit=LIMIT)
    assert caught.value.status == 400


def test_the_limit_is_the_last_that_passes() -> None:
    body = document("x" * 100)
    screening.usable(upsert(body=body), document_limit=len(body))
    with pytest.raises(Unacceptable, match=f"{len(body)} bytes, more than {len(body) - 1}") as caught:
        screening.usable(upsert(body=body), document_limit=len(body) - 1)
    assert caught.value.status == 413


def test_cards() -> None:
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
def test_anything_else_is_refused_and_never_an_error_of_ours(value: Any) -> None:
    body = json.dumps(value).encode()
    try:
        screening.usable(upsert(body=body), document_limit=100_000)
        status = 200
    except Unacceptable as fault:
        status = fault.status
    assert status == 400 or all(model["name"].strip() for model in value["models"])
