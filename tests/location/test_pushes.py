"""The requests that storage pushes with, the original's byte for byte."""

import asyncio
import io
import json

import pytest

from tests.location.conftest import AUTHORIZED, TOKEN, Location
from tests.location.samples import model_document, push_body, shows, upsert
from tests.waiting import PATIENCE


async def raw_exchange(port: int, request: bytes) -> bytes:
    """Send bytes and return the whole answer; the connection is closed after it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        length = next(
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        )
        return head + await reader.readexactly(length)
    finally:
        writer.close()
        await writer.wait_closed()


def go_request(method: str, target: str, body: bytes = b"") -> bytes:
    """A request as the HTTP client of the original sends it."""
    head = [
        f"{method} {target} HTTP/1.1",
        "Host: 127.0.0.1:9090",
        "User-Agent: go-resty/2.16.3 (https://github.com/go-resty/resty)",
        *([f"Content-Length: {len(body)}"] if body else []),
        "Accept: application/json",
        f"Authorization: Bearer {TOKEN}",
        *(["Content-Type: application/json"] if body else []),
        "Accept-Encoding: gzip",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def test_the_original_pushes_and_removes(location: Location) -> None:
    location.fill()
    body = json.dumps(push_body(model_document("wire-two")), separators=(",", ":")).encode()
    answer = await raw_exchange(location.port, go_request("POST", "/upsert?key=models_wire-two", body))
    assert answer.startswith(b"HTTP/1.1 201 Created\r\n")
    assert shows((await location.get("/models/wire-two/model-catalog.json"))[2], model_document("wire-two"))
    answer = await raw_exchange(location.port, go_request("DELETE", "/remove?key=models_wire-two"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (await location.get("/models/wire-two/model-catalog.json"))[0] == 404
    answer = await raw_exchange(location.port, go_request("DELETE", "/remove?key=models_wire-two"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def push(location: Location, key: str, body: object, **headers: str) -> int:
    data = io.BytesIO(json.dumps(body).encode())
    async with location.client.post(
        "/upsert", params={"key": key}, data=data, headers={**AUTHORIZED, **headers}
    ) as answer:
        return answer.status


async def test_a_push_carries_its_card(location: Location) -> None:
    location.fill()
    assert await push(location, "a_1", push_body(model_document(), card_key="k", card="# card")) == 201
    assert (await location.get("/modelcard?key=k&raw=true"))[2] == b"# card"
    # after a restart the sender knows the key alone
    assert await push(location, "a_1", push_body(model_document(), card_key="k")) == 201
    assert (await location.get("/modelcard?key=k&raw=true"))[2] == b"# card"
    assert await push(location, "a_1", push_body(model_document(), card_key="k", card="# new")) == 201
    assert (await location.get("/modelcard?key=k&raw=true"))[2] == b"# new"
    assert await push(location, "a_1", push_body(model_document())) == 201
    assert (await location.get("/modelcard?key=k"))[0] == 404


async def test_a_push_does_not_make_the_feed_complete(location: Location) -> None:
    assert await push(location, "a_1", push_body(model_document())) == 201
    assert (await location.get("/list"))[0] == 503


async def test_a_push_keeps_the_uri_that_its_key_has(location: Location) -> None:
    location.fill(upsert("a_b_c", uri="/a_b/c/model-catalog.json"))
    assert await push(location, "a_b_c", push_body(model_document("new"))) == 201
    assert shows((await location.get("/a_b/c/model-catalog.json"))[2], model_document("new"))
    assert (await location.get("/a/b_c/model-catalog.json"))[0] == 404


async def test_a_push_for_a_uri_of_another_key_is_refused(location: Location) -> None:
    location.fill(upsert("x_y", uri="/a/b/model-catalog.json"))
    assert await push(location, "a_b", push_body(model_document("intruder"))) == 400
    assert shows((await location.get("/a/b/model-catalog.json"))[2], model_document())


async def test_a_push_older_than_what_was_followed_is_ignored(location: Location) -> None:
    location.fill(upsert("a_1"))
    old = {"X-Connector-Revision": "old-1"}
    assert await push(location, "a_1", push_body(model_document("old")), **old) == 201
    async with location.client.delete("/remove", params={"key": "a_1"}, headers={**AUTHORIZED, **old}) as answer:
        assert answer.status == 200
    assert shows((await location.get("/a/1/model-catalog.json"))[2], model_document())


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", json.dumps(push_body(model_document()))),
        ("?key=", json.dumps(push_body(model_document()))),
        ("?key=a_1&key=b_1", json.dumps(push_body(model_document()))),
        ("?key=nounderscore", json.dumps(push_body(model_document()))),
        ("?key=a%2F..%2Fb_1", json.dumps(push_body(model_document()))),
        ("?key=a_1%00", json.dumps(push_body(model_document()))),
        ("?key=a_1", ""),
        ("?key=a_1", "not json"),
        ("?key=a_1", "[]"),
        ("?key=a_1", '{"body": "%%%"}'),
        ("?key=a_1", '{"body": 1}'),
        ("?key=a_1", json.dumps(push_body(b""))),
        ("?key=a_1", json.dumps(push_body(b'{"models": null}'))),
        ("?key=a_1", json.dumps(push_body(b"not json"))),
        ("?key=a_1", "[" * 100_000),
        ("?key=a_1", '{"body": "e30=", "body": "e30="}'),
        ("?key=a_1", b"\xff\xfe"),
    ],
)
async def test_a_push_that_cannot_be_used_is_refused_and_told_why(
    location: Location, query: str, body: str | bytes
) -> None:
    location.fill(upsert("a_1"))
    async with location.client.post(f"/upsert{query}", data=body, headers=AUTHORIZED) as answer:
        assert answer.status == 400
        assert answer.content_type == "application/problem+json"
        assert len((await answer.json(content_type=None))["detail"]) > 10
    assert (await location.get("/list"))[2] == b'{"uris":["/a/1/model-catalog.json"]}'
    assert shows((await location.get("/a/1/model-catalog.json"))[2], model_document())


async def test_a_document_over_the_limit_is_refused(location: Location) -> None:
    location.fill()
    large = model_document(description="x" * (1024 * 1024))
    assert await push(location, "a_1", push_body(large)) == 413
    assert await push(location, "a_1", push_body(model_document(description="x" * 3_000_000))) == 413
    assert await push(location, "a_1", push_body(model_document(description="x" * 1_000_000))) == 201
