"""Answers are made when they are read, again only when what they are made of changes, and few enough are kept."""

import gzip

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from services.location.rendering import RenderCache, RenderOptions


def request(**headers: str) -> web.Request:
    return make_mocked_request("GET", "/", headers={name.replace("_", "-"): value for name, value in headers.items()})


class Made:
    """Counts what is made."""

    def __init__(self, size: int = 2000) -> None:
        self.times = 0
        self.size = size

    def __call__(self) -> bytes:
        self.times += 1
        return b"x" * self.size


def test_the_same_inputs_are_rendered_once() -> None:
    rendered, made = RenderCache(RenderOptions()), Made()
    for _ in range(3):
        assert rendered.answer(request(), "k", ["a"], made).body == b"x" * 2000
    packed = rendered.answer(request(Accept_Encoding="gzip"), "k", ["a"], made)
    assert gzip.decompress(packed.body) == b"x" * 2000  # type: ignore[arg-type]
    assert made.times == 1
    rendered.answer(request(), "k", ["b"], made)
    assert made.times == 2


def test_a_reader_that_has_it_costs_no_rendering() -> None:
    made = Made()
    first = RenderCache(RenderOptions()).answer(request(), "k", ["a"], made)
    again = RenderCache(RenderOptions()).answer(request(If_None_Match=first.headers["ETag"]), "k", ["a"], made)
    assert (again.status, made.times) == (304, 1)
    other = RenderCache(RenderOptions(both_feeds=True)).answer(
        request(If_None_Match=first.headers["ETag"]), "k", ["a"], made
    )
    assert (other.status, made.times) == (200, 2)


def test_what_no_one_has_read_for_longest_leaves() -> None:
    rendered, made = RenderCache(RenderOptions(), most_bytes=3500), Made(size=1000)
    for key in ("a", "b", "c"):
        rendered.answer(request(), key, [key], made)
    rendered.answer(request(), "a", ["a"], made)
    assert made.times == 3
    rendered.answer(request(), "d", ["d"], made)
    rendered.answer(request(), "a", ["a"], made)
    assert made.times == 4
    rendered.answer(request(), "b", ["b"], made)
    assert made.times == 5
    assert rendered.size <= 3500


def test_one_larger_than_all_that_may_be_kept_is_served_and_not_kept() -> None:
    rendered = RenderCache(RenderOptions(), most_bytes=100)
    assert rendered.answer(request(), "k", ["a"], Made(size=1000)).status == 200
    assert rendered.size == 0
