"""The server skeleton: what every answer of every service has in common, and what it costs to be rude to it."""

import asyncio
import gzip
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import structlog
from structlog.testing import capture_logs

from common.http import connection, server, transports
from common.http.addresses import Address, parse_address
from common.http.ports import holder_of
from common.http.server import create_app, listening
from tests.common.http.serving import Server
from tests.waiting import PATIENCE, eventually

SECRET = "s3cr3t-token"


@pytest.fixture
async def service() -> AsyncIterator[Server]:
    async with Server(body_limit=1000).running() as running:
        yield running


def request(line: str, *headers: str, body: str = "") -> str:
    return "\r\n".join([line, "Host: x", *headers, "", body])


MALFORMED = {
    "a control character in the path": request("GET /a\x01b HTTP/1.1"),
    "a path of 10 kB": request(f"GET /{'a' * 10_000} HTTP/1.1"),
    "a header of 10 kB": request("GET /hello HTTP/1.1", f"X-A: {'a' * 10_000}"),
    "a token with a control character": request("GET /hello HTTP/1.1", f"Authorization: Bearer {SECRET}\x01"),
    "a token of 10 kB": request("GET /hello HTTP/1.1", f"Authorization: Bearer {SECRET * 1000}"),
    "a token in a name": request("GET /hello HTTP/1.1", f"Bearer {SECRET}: x"),
    "200 headers": request("GET /hello HTTP/1.1", *(f"X-{n}: a" for n in range(200))),
    "no host": "GET /hello HTTP/1.1\r\n\r\n",
    "a folded header": request("GET /hello HTTP/1.1", "X-A: a", " b"),
    "an unknown method": request("BREW /hello HTTP/1.1"),
    "an unknown version": request("GET /hello HTTP/9.9"),
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
    "two lengths": request("POST /echo HTTP/1.1", "Content-Length: 5", "Content-Length: 6", body="hello"),
    "a negative length": request("POST /echo HTTP/1.1", "Content-Length: -5", body="hello"),
    "a length and chunks": request(
        "POST /echo HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked", body="0\r\n\r\n"
    ),
    "a broken chunk": request("POST /echo HTTP/1.1", "Transfer-Encoding: chunked", body="zz\r\nhello"),
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_is_answered_with_400_and_nothing_of_it_is_repeated(
    service: Server, raw: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    structlog.reset_defaults()
    answer = await service.send(raw)
    assert answer.status == 400
    assert len(answer.problem["detail"]) > 10
    assert SECRET.encode() not in answer.body
    assert SECRET not in "".join((*capfd.readouterr(), caplog.text))
    assert (await service.send(request("GET /hello HTTP/1.1"))).body == b"hello"


async def test_errors_are_problems(service: Server) -> None:
    missing = await service.send(request("GET /nope<script> HTTP/1.1"))
    assert missing.status == 404
    assert missing.problem["instance"] == "/nope<script>"
    wrong_method = await service.send(request("DELETE /hello HTTP/1.1"))
    assert (wrong_method.status, wrong_method.headers["allow"]) == (405, "GET,HEAD")
    assert "does not allow DELETE" in wrong_method.problem["detail"]
    large = await service.send(request("POST /echo HTTP/1.1", "Content-Length: 2000", body="x" * 2000))
    assert large.status == 413
    assert "1000 bytes" in large.problem["detail"]


async def test_an_error_of_ours_is_logged_with_its_request_id_and_not_shown(service: Server) -> None:
    with capture_logs() as logs:
        answer = await service.send(request("GET /fault HTTP/1.1", "X-Request-Id: abc-1"))
    assert answer.status == 500
    assert answer.problem["requestId"] == "abc-1"
    assert b"inner detail" not in answer.body
    assert [entry["request_id"] for entry in logs if entry["event"] == "request_failed"] == ["abc-1"]


@pytest.mark.parametrize("offered", ["", "x" * 65, "a<b>", "a b", "a\tb"])
async def test_request_ids_are_made_where_none_usable_is_offered(service: Server, offered: str) -> None:
    made = (await service.send(request("GET /hello HTTP/1.1", f"X-Request-Id: {offered}"))).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]+", made)


async def test_every_answer_forbids_guessing_its_type(service: Server) -> None:
    for path in ("/hello", "/nope", "/healthz", "/readyz", "/metrics", "/fault"):
        with capture_logs():
            answer = await service.send(request(f"GET {path} HTTP/1.1"))
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["server"] == "rhoai-connector"
    answer = await service.send(request("GET /hello HTTP/1.1", "Expect: <script>"))
    assert (answer.status, answer.headers["x-content-type-options"]) == (417, "nosniff")


async def test_a_compressed_body_is_refused_before_it_unfolds(service: Server) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)[:900].decode("latin-1")
    head = ("POST /echo HTTP/1.1", "Content-Encoding: gzip", f"Content-Length: {len(bomb)}")
    answer = await service.send(request(*head, body=bomb))
    assert answer.status == 415
    assert "compressed" in answer.problem["detail"]


async def test_a_body_without_end_is_cut_off_at_the_limit(service: Server) -> None:
    chunks = "".join("64\r\n" + "x" * 100 + "\r\n" for _ in range(50))
    answer = await service.send(request("POST /echo HTTP/1.1", "Transfer-Encoding: chunked", body=chunks))
    assert answer.status == 413


async def test_a_body_that_does_not_come_ends_with_408(service: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BODY_TIMEOUT", 0.1)
    answer = await service.send(request("POST /echo HTTP/1.1", "Content-Length: 10", body="half"))
    assert answer.status == 408
    assert answer.headers["connection"] == "close"
    assert "did not arrive" in answer.problem["detail"]


@pytest.mark.parametrize("said", [b"", b"GET /hel", b"GET /hello HTTP/1.1\r\nHost: x\r\nX-A: "])
async def test_a_connection_that_never_sends_a_whole_request_ends(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(connection, "FIRST_REQUEST_TIMEOUT", 0.2)
    async with Server().running() as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(said)

        async def drip() -> None:
            while True:  # a byte now and then does not prolong it
                writer.write(b"x" if said else b"")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        try:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), PATIENCE)
        finally:
            dripping.cancel()
            writer.close()


async def test_an_idle_or_half_said_second_request_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_TIMEOUT", 0.2)
    async with Server().running() as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        try:
            writer.write(request("GET /hello HTTP/1.1").encode())
            await reader.readuntil(b"hello")
            writer.write(b"GET /hello HTTP/1.1\r\nHost:")
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        finally:
            writer.close()


async def test_a_client_that_takes_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "STALLED_TIMEOUT", 1)
    async with Server().running() as service:
        client = socket.socket()
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", service.port))
            await asyncio.get_running_loop().sock_sendall(client, request("GET /large HTTP/1.1").encode())
            await eventually(lambda: requests_of(service, "/large") == 1, what="the stalled answer ended")
        finally:
            client.close()


def requests_of(service: Server, route: str) -> float:
    return sum(
        sample.value
        for metric in service.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "rhoai_connector_http_requests_total" and sample.labels["route"] == route
    )


async def test_hundreds_of_half_open_connections_do_not_keep_others_out(service: Server) -> None:
    writers = []
    try:
        for _ in range(300):
            _, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(b"GET /hello HTTP/1.1\r\n")
            writers.append(writer)
        assert (await service.send(request("GET /hello HTTP/1.1"))).body == b"hello"
    finally:
        for writer in writers:
            writer.close()


async def test_what_is_under_way_is_finished_at_the_end() -> None:
    service = Server()
    async with aiohttp.ClientSession() as client:
        async with service.running(grace=5):
            late = asyncio.create_task(read(client, service.port, "/slow"))
            await service.entered.wait()
            asyncio.get_running_loop().call_later(0.1, service.release.set)
        assert await late == (200, b"late")
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection("127.0.0.1", service.port)


async def read(client: aiohttp.ClientSession, port: int, path: str) -> tuple[int, bytes]:
    async with client.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.read()


async def test_a_port_in_use_is_named() -> None:
    async with Server().running() as first:
        second = Server()
        with pytest.raises(OSError, match=f"127.0.0.1:{first.port} is in use"):
            async with listening(second.app, [Address("127.0.0.1", first.port)]):
                pass


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say who listens")
async def test_the_holder_of_a_port_in_use_is_named_where_it_can_be_seen(tmp_path: Path) -> None:
    async with Server().running() as first:
        assert holder_of(first.port).startswith(f"process {os.getpid()} (")
        assert holder_of(first.port, proc=tmp_path) == ""
    assert holder_of(first.port) == ""


@pytest.mark.parametrize(
    ("host", "why"), [("192.0.2.1", "this machine does not have that address"), ("nowhere.invalid", ".")]
)
async def test_an_address_that_cannot_be_had_is_named(host: str, why: str) -> None:
    with pytest.raises(OSError, match=f"cannot listen on {host}:8080: {why}"):
        async with listening(Server().app, [Address(host, 8080)]):
            pass


async def test_without_a_host_it_listens_on_both_families() -> None:
    service = Server()
    async with listening(service.app, [Address(None, 0)]) as bound, aiohttp.ClientSession() as client:
        (port,) = {address.port for address in bound}
        for host in ("127.0.0.1", "[::1]", "localhost"):
            async with client.get(f"http://{host}:{port}/hello") as answer:
                assert answer.status == 200


async def test_readiness_liveness_and_metrics(service: Server) -> None:
    assert (await service.send(request("GET /healthz HTTP/1.1"))).body == b"ok\n"
    assert (await service.send(request("GET /readyz HTTP/1.1"))).status == 503
    service.health.set("feed", True)
    answer = await service.send(request("GET /readyz HTTP/1.1"))
    assert (answer.status, json.loads(answer.body)["status"]) == (200, "ready")
    assert (
        b'rhoai_connector_http_requests_total{code="503",method="GET",route="/readyz",server="test"} 1.0'
        in (await service.send(request("GET /metrics HTTP/1.1"))).body
    )


async def test_two_servers_of_a_process_share_their_metrics() -> None:
    service = Server()
    other = create_app(name="other", metrics=service.metrics, health=service.health, access=None)
    async with (
        service.running(),
        listening(other, [Address("127.0.0.1", 0)]) as (address,),
        aiohttp.ClientSession() as client,
    ):
        await read(client, address.port, "/healthz")
        await read(client, service.port, "/hello")
        _, text = await read(client, address.port, "/metrics")
    assert b'route="/hello",server="test"} 1.0' in text
    assert b'route="/healthz",server="other"} 1.0' in text


async def test_a_longer_request_line_is_taken_where_the_application_says_so() -> None:
    async with Server(line_limit=1_000_000).running() as service:
        answer = await service.send(request(f"GET /hello?key={'k' * 500_000} HTTP/1.1"))
        assert answer.body == b"hello"
        assert (await service.send(request("GET /hello HTTP/1.1", f"X-A: {'a' * 10_000}"))).status == 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9090", Address(None, 9090)),
        (":8081", Address(None, 8081)),
        ("127.0.0.1:9090", Address("127.0.0.1", 9090)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:9090", Address("::1", 9090)),
    ],
)
def test_addresses(text: str, expected: Address) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", ":", "x", "localhost", "1.2.3.4:", ":99999", ":-1", ":١٢"])
def test_what_is_no_address_is_refused_and_the_expected_named(text: str) -> None:
    with pytest.raises(ValueError, match="expected PORT"):
        parse_address(text)


async def test_the_private_count_of_requests_in_aiohttp_is_what_the_deadline_takes_it_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connections: list[connection.ServerConnection] = []
    made = connection.ServerConnection.connection_made

    def note(self: connection.ServerConnection, transport: asyncio.BaseTransport) -> None:
        connections.append(self)
        made(self, transport)

    monkeypatch.setattr(connection.ServerConnection, "connection_made", note)
    async with Server().running() as service, aiohttp.ClientSession() as client:
        for number in (1, 2):
            async with client.get(f"http://127.0.0.1:{service.port}/hello") as answer:
                assert await answer.text() == "hello"
            [only] = connections
            assert only._request_count == number
            only._end_if_silent()
