"""Who may read and who may write, from where."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from common.http.access import MAX_REMEMBERED, AccessPolicy, RateLimit
from common.http.problems import HttpProblem
from common.secrets import StaticToken
from tests.common.http.serving import Server

TOKEN = StaticToken("right")
RIGHT, WRONG = {"Authorization": "Bearer right"}, {"Authorization": "Bearer wrong"}
POD, LOOPBACK, NODE = "10.1.2.3", "127.0.0.1", "10.9.9.9"


class Connected(asyncio.Transport):
    """The end of a connection from an address that no test machine has."""

    def __init__(self, peer: str, own: str) -> None:
        super().__init__({"peername": (peer, 40000), "sockname": (own, 9090)})


async def outcome(
    policy: AccessPolicy, method: str, path: str, *, peer: str, own: str = POD, headers: Mapping[str, str] | None = None
) -> int:
    request = make_mocked_request(method, path, headers=headers, transport=Connected(peer, own))
    try:
        await policy.check(request)
    except HttpProblem as problem:
        return problem.status
    return 200


@pytest.mark.parametrize("peer", [LOOPBACK, "127.8.9.1", "::1", POD])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_reads_from_this_host_are_open(method: str, peer: str) -> None:
    for headers in ({}, RIGHT, WRONG):
        assert await outcome(AccessPolicy(token=TOKEN), method, "/list", peer=peer, headers=headers) == 200


@pytest.mark.parametrize("peer", [NODE, "fe80::1%eth0", "2001:db8::1"])
async def test_reads_from_elsewhere_need_the_token(peer: str) -> None:
    policy = AccessPolicy(token=TOKEN)
    assert await outcome(policy, "GET", "/list", peer=peer) == 401
    assert await outcome(policy, "GET", "/list", peer=peer, headers=WRONG) == 403
    assert await outcome(policy, "GET", "/list", peer=peer, headers=RIGHT) == 200
    assert await outcome(AccessPolicy(), "GET", "/list", peer=peer) == 401
    assert await outcome(AccessPolicy(token=TOKEN, open_reads=True), "GET", "/list", peer=peer) == 200


@pytest.mark.parametrize("peer", [LOOPBACK, "::1", POD, NODE])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "CONNECT"])
async def test_writes_need_the_token_from_everywhere(method: str, peer: str) -> None:
    for policy in (AccessPolicy(token=TOKEN), AccessPolicy(token=TOKEN, open_reads=True)):
        assert await outcome(policy, method, "/upsert", peer=peer) == 401
        assert await outcome(policy, method, "/upsert", peer=peer, headers=WRONG) == 403
        assert await outcome(policy, method, "/healthz", peer=peer, headers=WRONG) == 403
        assert await outcome(policy, method, "/upsert", peer=peer, headers=RIGHT) == 200


@pytest.mark.parametrize("peer", [LOOPBACK, POD, NODE])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_and_metrics_are_open(path: str, peer: str) -> None:
    assert await outcome(AccessPolicy(token=TOKEN), "GET", path, peer=peer) == 200


@pytest.mark.parametrize(
    "given",
    [
        "",
        "right",
        "Basic right",
        "Bearer",
        "Bearer ",
        "Bearer right x",
        "Bearer rightt",
        "Bearer \xff\xfe",
        "Token right",
    ],
)
async def test_other_ways_to_write_a_token_are_none(given: str) -> None:
    policy = AccessPolicy(token=TOKEN)
    assert await outcome(policy, "POST", "/upsert", peer=LOOPBACK, headers={"Authorization": given}) in (401, 403)


async def test_without_a_token_only_this_host_writes_and_no_web_page() -> None:
    policy = AccessPolicy()
    assert await outcome(policy, "POST", "/upsert", peer=LOOPBACK) == 200
    assert await outcome(policy, "POST", "/upsert", peer=NODE) == 401
    assert await outcome(policy, "POST", "/upsert", peer=NODE, headers=RIGHT) == 403
    page = {"Origin": "https://example.com"}
    assert await outcome(policy, "POST", "/upsert", peer=LOOPBACK, headers=page) == 403
    assert await outcome(policy, "GET", "/list", peer=LOOPBACK, headers=page) == 200


async def test_the_token_in_use_is_asked_for_each_time() -> None:
    tokens = iter(["old", "new"])
    policy = AccessPolicy(token=lambda: next(tokens))
    assert await outcome(policy, "POST", "/x", peer=LOOPBACK, headers={"Authorization": "Bearer old"}) == 200
    assert await outcome(policy, "POST", "/x", peer=LOOPBACK, headers={"Authorization": "Bearer old"}) == 403


async def test_below_a_guarded_path_reading_needs_a_token_from_everywhere() -> None:
    async def verify(_request: web.Request, token: str) -> bool:
        return token == "guest"

    guest = {"Authorization": "Bearer guest"}
    policy = AccessPolicy(token=TOKEN, guards={"/api/x/": verify}, open_reads=True)
    for peer in (LOOPBACK, NODE):
        assert await outcome(policy, "GET", "/api/x/list", peer=peer) == 401
        assert await outcome(policy, "GET", "/api/x/list", peer=peer, headers=WRONG) == 403
        assert await outcome(policy, "GET", "/api/x/list", peer=peer, headers=guest) == 200
        assert await outcome(policy, "GET", "/api/x/list", peer=peer, headers=RIGHT) == 200
        assert await outcome(policy, "POST", "/api/x/list", peer=peer, headers=guest) == 403
        assert await outcome(policy, "GET", "/list", peer=peer) == 200
    assert await outcome(AccessPolicy(guards=policy.guards), "GET", "/api/x/list", peer=LOOPBACK) == 401


async def test_who_is_refused_too_often_waits_and_who_has_the_token_does_not() -> None:
    clock = [0.0]
    policy = AccessPolicy(token=TOKEN, refusals=RateLimit(rate=0.5, burst=3, clock=lambda: clock[0]))

    async def asked(headers: dict[str, str]) -> int:
        return await outcome(policy, "POST", "/upsert", peer=NODE, headers=headers)

    assert [await asked(WRONG) for _ in range(5)] == [403, 403, 403, 429, 429]
    assert await asked({}) == 429
    assert await asked(RIGHT) == 200
    assert await outcome(policy, "POST", "/upsert", peer=LOOPBACK, headers=WRONG) == 403
    clock[0] = 2.0
    assert await asked(WRONG) == 403


async def test_the_answer_says_what_is_needed() -> None:
    async with Server(access=AccessPolicy(token=TOKEN)).running() as service, aiohttp.ClientSession() as client:
        url = f"http://127.0.0.1:{service.port}/echo"
        async with client.post(url, data=b"x") as answer:
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="rhoai-connector"')
            assert "Authorization: Bearer" in (await problem(answer))["detail"]
        async with client.post(url, data=b"x", headers=WRONG) as answer:
            assert answer.status == 403
            assert "wrong" not in str(await problem(answer))
        async with client.post(url, data=b"x", headers=RIGHT) as answer:
            assert (answer.status, await answer.read()) == (200, b"x")


async def problem(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    assert answer.content_type == "application/problem+json"
    fields: dict[str, Any] = await answer.json(content_type=None)
    return fields


def test_a_limit_fills_up_again_and_forgets_the_quiet() -> None:
    clock = [0.0]
    limit = RateLimit(rate=2, burst=2, clock=lambda: clock[0])
    assert [limit.wait("a") for _ in range(3)] == [0, 0, 0.5]
    clock[0] = 0.5
    assert [limit.wait("a"), limit.wait("a")] == [0, 0.5]
    for number in range(MAX_REMEMBERED * 2):
        assert limit.wait(f"peer-{number}") == 0
    assert len(limit._buckets) == MAX_REMEMBERED
