"""The client of all services: what it repeats, what it refuses, and what its errors say."""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from common.http.client import HttpClient
from common.http.errors import NoCredentials, RemoteError, StatusError, Unreachable
from common.secrets import FileToken, StaticToken

Answer = Callable[[web.Request], web.StreamResponse]


class Remote:
    """A server that answers from a list, the last answer again and again, and keeps what it was asked."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        self.answers = list(answers) or [(200, {}, b"{}")]
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.delay = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        await asyncio.sleep(self.delay)
        status, headers, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, headers=headers, body=body)

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        app = web.Application(client_max_size=10_000_000)
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def client(url: str, **options: object) -> HttpClient:
    return HttpClient(name="remote", base_url=url, **options)  # type: ignore[arg-type]


async def test_a_request_carries_the_token_and_the_path_as_given() -> None:
    remote = Remote((200, {"X-A": "b"}, b'{"a": 1}'))
    async with remote.running() as url, client(f"{url}/base/", token=StaticToken("t0k")) as http:
        answer = await http.request("POST", "/a%2Fb", params={"key": "x y"}, json={"n": "é"})
    assert (answer.status, answer.headers["X-A"], answer.json()) == (200, "b", {"a": 1})
    ((method, path, headers, body),) = remote.asked
    assert (method, path) == ("POST", "/base/a%2Fb?key=x+y")
    assert (headers["Authorization"], headers["Content-Type"]) == ("Bearer t0k", "application/json")
    assert json.loads(body) == {"n": "é"}


async def test_a_body_of_megabytes_is_sent_whole_and_again_at_a_retry() -> None:
    remote = Remote((503, {"Retry-After": "0"}, b""), (200, {}, b""))
    async with remote.running() as url, client(url) as http:
        await http.request("POST", "/x", data=b"y" * 3_000_000)
    assert [len(body) for *_, body in remote.asked] == [3_000_000] * 2


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_may_pass_is_tried_again(status: int) -> None:
    remote = Remote((status, {"Retry-After": "0"}, b""), (200, {}, b"{}"))
    async with remote.running() as url, client(url) as http:
        assert (await http.request("GET", "/x")).status == 200
    assert len(remote.asked) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 500])
async def test_what_will_not_pass_is_reported_at_once(status: int) -> None:
    remote = Remote((status, {"Location": "http://127.0.0.1:1/"}, b'{"detail": "the reason"}'))
    async with remote.running() as url, client(url) as http:
        with pytest.raises(StatusError, match="the reason") as caught:
            await http.request("GET", "/x", params={"q": "hidden"})
    assert caught.value.status == status
    assert "hidden" not in str(caught.value)
    assert len(remote.asked) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"message": "forbidden: no RoleBinding"}', "forbidden: no RoleBinding"),
        (b"<html><body><h1>502</h1> Bad   Gateway</body></html>", "502 Bad Gateway"),
        (b"404 page not found", "page not found"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 100_000, "[" * 300),
        (b"", "Not Found"),
    ],
)
async def test_an_error_says_what_the_server_said(body: bytes, reason: str) -> None:
    async with Remote((404, {}, body)).running() as url, client(url) as http:
        with pytest.raises(StatusError) as caught:
            await http.request("GET", "/x")
    assert caught.value.reason == reason


async def test_a_server_that_asks_for_a_pause_gets_it() -> None:
    remote = Remote((503, {"Retry-After": "1"}, b""), (200, {}, b""))
    loop = asyncio.get_running_loop()
    async with remote.running() as url, client(url) as http:
        began = loop.time()
        await http.request("GET", "/x")
        assert loop.time() - began > 0.9


async def test_no_answer_in_time_is_unreachable() -> None:
    remote = Remote()
    remote.delay = 5
    async with remote.running() as url, client(url, timeout=0.1, attempts=1) as http:
        with pytest.raises(Unreachable, match="no answer in time"):
            await http.request("GET", "/x")


async def test_a_refused_connection_is_unreachable_and_names_the_place() -> None:
    async with Remote().running() as url:
        gone = url
    place = gone.removeprefix("http://")
    async with client(gone, attempts=2) as http:
        with pytest.raises(Unreachable) as caught:
            await http.request("GET", "/x")
    assert caught.value.cause == f"cannot connect to {place}: connection refused"


async def test_an_unknown_name_is_unreachable_and_said_to_be_unknown() -> None:
    async with client("http://registry.invalid", attempts=1) as http:
        with pytest.raises(Unreachable, match=r"cannot connect to registry\.invalid:80: \w[\w ,]+\Z"):
            await http.request("GET", "/x")


async def test_a_server_without_tls_is_told_from_one_that_is_away() -> None:
    async with Remote().running() as url, client(url.replace("http:", "https:"), attempts=1) as http:
        with pytest.raises(Unreachable, match=r"it does not speak TLS: is its URL http:// instead of https://\?"):
            await http.request("GET", "/x")


async def test_where_a_redirect_leads_is_said_without_what_may_be_secret() -> None:
    remote = Remote((302, {"Location": "https://me:secret@login.example.com/start?state=secret"}, b"302: Found"))
    async with remote.running() as url, client(url) as http:
        with pytest.raises(StatusError, match=r": 302 redirects to https://login\.example\.com/start\Z") as caught:
            await http.request("GET", "/x")
    assert caught.value.expects == ""


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (400, {}, b"Client sent an HTTP request to an HTTPS server.\n"),
        (400, {}, b"<html><h1>400 Bad Request</h1><p>The plain HTTP request was sent to HTTPS port</p></html>"),
    ],
    ids=["Go", "nginx"],
)
async def test_a_server_that_expects_tls_is_recognised(status: int, headers: dict[str, str], body: bytes) -> None:
    async with Remote((status, headers, body)).running() as url, client(url) as http:
        with pytest.raises(StatusError) as caught:
            await http.request("GET", "/x")
    assert caught.value.expects == "https"


async def test_an_answer_over_the_limit_is_not_taken() -> None:
    async with Remote((200, {}, b"x" * 10_000)).running() as url, client(url, body_limit=1000) as http:
        with pytest.raises(RemoteError, match="larger than 1000 bytes"):
            await http.request("GET", "/x")


@pytest.mark.parametrize("body", [b"<html>", b"", b"[" * 100_000, b"\xff"])
async def test_an_answer_that_is_no_json_says_so(body: bytes) -> None:
    async with Remote((200, {"Content-Type": "text/html"}, body)).running() as url, client(url) as http:
        answer = await http.request("GET", "/login")
        with pytest.raises(RemoteError, match=r"text/html\) is not JSON"):
            answer.json()


async def test_what_is_not_unicode_in_an_answer_is_replaced() -> None:
    async with Remote((200, {}, b'["\\ud800", "\xff", "whole"]')).running() as url, client(url) as http:
        assert (await http.request("GET", "/x")).json() == ["\ufffd", "\ufffd", "whole"]


async def test_without_a_token_that_can_be_sent_nothing_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"t\xffken")
    remote = Remote()
    async with remote.running() as url:
        for token, told in (
            (FileToken(file), f"{file} cannot be read: it is neither UTF-8"),
            (StaticToken("one\ntwo"), "the token contains something else than one line of ASCII"),
            (StaticToken("t\udcff"), "the token contains something else than one line of ASCII"),
        ):
            async with client(url, token=token) as http:
                with pytest.raises(NoCredentials, match=re.escape(told)) as caught:
                    await http.request("GET", "/x")
            assert caught.value.remedy
    assert remote.asked == []


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "name\udce9"])
async def test_a_host_that_no_name_can_be_is_an_error_that_says_so(host: str) -> None:
    async with client(f"http://{host}") as http:
        with pytest.raises(Unreachable, match="its host is not a valid name"):
            await http.request("GET", "/x", attempts=1)


async def test_a_certificate_that_is_not_trusted_is_an_error_and_no_retry() -> None:
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    remote = Remote()
    async with remote.running(serving) as url:
        async with client(url) as http:
            with pytest.raises(Unreachable, match=r"certificate not trusted: unable to get local issuer certificate\Z"):
                await http.request("GET", "/x")
        assert remote.asked == []
        async with client(url, ssl=trusting) as http:
            assert (await http.request("GET", "/x")).status == 200


async def test_a_stream_is_read_piece_by_piece_and_its_status_checked() -> None:
    remote = Remote((200, {}, b"a\nb\n"), (404, {}, b""))
    async with remote.running() as url, client(url) as http:
        async with http.stream("GET", "/x") as answer:
            assert await answer.content.read() == b"a\nb\n"
        with pytest.raises(StatusError):
            async with http.stream("GET", "/x"):
                pass


async def test_it_must_be_opened_first() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await client("http://127.0.0.1:1").request("GET", "/")
