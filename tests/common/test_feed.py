"""What may stand in the feed."""

import pytest

from common import feed
from common.feed import Refused
from tests.location.samples import model_document, served_document


@pytest.mark.parametrize("key", ["a_b", "ns_granite-3.1", "a_b_c", "A_1", "a_" + "b" * 251])
def test_keys_that_can_be_kept_and_served(key: str) -> None:
    feed.check_key(key)
    first, _, second = key.partition("_")
    assert feed.path_of(key, "") == f"/{first}/{second}/model-catalog.json"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "letters"),
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
def test_keys_that_cannot(key: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        feed.check_key(key)
    assert len(str(caught.value)) < 200


def test_the_uri_tells_where_the_parts_of_the_key_meet() -> None:
    assert feed.path_of("a_b_c", "/a_b/c/model-catalog.json") == "/a_b/c/model-catalog.json"


@pytest.mark.parametrize(
    ("key", "uri"),
    [
        ("._.", ""),
        ("a-_b", ""),
        *(
            ("a_b", uri)
            for uri in (
                "x",
                "/",
                "/a/model-catalog.json",
                "/../b/model-catalog.json",
                "/a/./model-catalog.json",
                "/a/b%2fc/model-catalog.json",
                "/a/b c/model-catalog.json",
                "/a/b/c/model-catalog.json",
                "//b/model-catalog.json",
                "/a/b/model-catalog.json\n",
                "/a/b/model-catalog.json?x",
                "/a/b/list",
                "a/b/model-catalog.json",
                f"/a/{'b' * 1024}/model-catalog.json",
            )
        ),
    ],
)
def test_paths_that_are_not_served(key: str, uri: str) -> None:
    with pytest.raises(Refused, match="is not a path of the feed"):
        feed.path_of(key, uri)


@pytest.mark.parametrize(
    "body",
    [
        model_document(),
        served_document(),
        b'{"models":[{"name":"x"},{"name":"y","tags":[]}]}',
        b'{"models":[{"name":"x","annotations":{}}],"modelServer":{"name":"s","API":{"url":"u","tags":["a"]}}}',
        b'{"models":[{"name":"x"}],"x":-1.5e300}',
    ],
)
def test_documents_that_readers_can_walk_through(body: bytes) -> None:
    feed.check_document(body)


@pytest.mark.parametrize(
    ("body", "fixed"),
    [
        (model_document(), model_document()),
        (b'{"models":[{"name":"null"}]}', b'{"models":[{"name":"null"}]}'),
        (b'{"models":[{"name":"x","tags":null,"annotations":null}]}', b'{"models":[{"name":"x"}]}'),
        (b'{"models":[{"name":"x","tags":["a",null]}],"modelServer":null}', b'{"models":[{"name":"x","tags":["a"]}]}'),
        (
            b'{"models":[{"name":"x"}],"modelServer":{"name":"s","API":null,"tags":null}}',
            b'{"models":[{"name":"x"}],"modelServer":{"name":"s"}}',
        ),
        (
            b'{"models":[{"name":"x"}],"modelServer":{"name":"s","API":{"url":"u","tags":null}}}',
            b'{"models":[{"name":"x"}],"modelServer":{"name":"s","API":{"url":"u"}}}',
        ),
    ],
)
def test_null_is_absent(body: bytes, fixed: bytes) -> None:
    assert feed.fix_document(body) == fixed


@pytest.mark.parametrize("body", [b"null", b'{"models":null}', b'{"models":[null]}', b'{"models":[{"name":null}]}'])
def test_what_is_needed_must_not_be_null(body: bytes) -> None:
    with pytest.raises(Refused, match="the document cannot be served"):
        feed.fix_document(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"models: [{name: a}]", "not JSON"),
        (b"null", "JSON object"),
        (b"[]", "JSON object"),
        (b"{}", "models must be a list"),
        (b'{"models":null}', "models must be a list"),
        (b'{"models":{}}', "models must be a list"),
        (b'{"models":[]}', "at least one"),
        (b'{"models":["x"]}', r"models\[0\] must be a JSON object"),
        (b'{"models":[null]}', r"models\[0\] must be a JSON object"),
        (b'{"models":[{"owner":"x"}]}', r"models\[0\].name"),
        (b'{"models":[{"name":"x"},{"name":""}]}', r"models\[1\].name"),
        (b'{"models":[{"name":" "}]}', r"models\[0\].name"),
        (b'{"models":[{"name":7}]}', r"models\[0\].name"),
        (b'{"models":[{"name":"x","tags":null}]}', r"models\[0\].tags"),
        (b'{"models":[{"name":"x","tags":[1]}]}', r"models\[0\].tags"),
        (b'{"models":[{"name":"x","annotations":null}]}', r"models\[0\].annotations"),
        (b'{"models":[{"name":"x","annotations":{"a":1}}]}', r"models\[0\].annotations"),
        (b'{"models":[{"name":"x"}],"modelServer":null}', "modelServer must be"),
        (b'{"models":[{"name":"x"}],"modelServer":[]}', "modelServer must be"),
        (b'{"models":[{"name":"x"}],"modelServer":{}}', "modelServer.name"),
        (b'{"models":[{"name":"x"}],"modelServer":{"name":"s","annotations":[]}}', "modelServer.annotations"),
        (b'{"models":[{"name":"x"}],"modelServer":{"name":"s","API":null}}', "modelServer.API must be"),
        (b'{"models":[{"name":"x"}],"modelServer":{"name":"s","API":{"tags":null}}}', "modelServer.API.tags"),
        (b'{"models":[{"name":"x"}],"models":[]}', "occurs twice"),
        (b'{"models":[{"name":"\\ud800"}]}', "surrogate"),
        (b'{"models":[{"name":"\xff"}]}', "not UTF-8"),
        (b'{"models":[{"name":"x","n":NaN}]}', "NaN"),
        (b'{"models":[{"name":"x","n":1e999}]}', "1e999 is too large"),
        (b'{"models":[{"name":"x","n":-1e999}]}', "-1e999 is too large"),
        (b'{"models":[{"name":"x","n":' + b"9" * 100_000 + b"}]}", "not JSON"),
        (b'{"models":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_documents_that_would_stop_a_reader(body: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        feed.check_document(body)
    assert len(str(caught.value)) < 300
