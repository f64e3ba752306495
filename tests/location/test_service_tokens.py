"""Who may read the second-generation feed when Backstage's keys are configured."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from common.clocks import loop_time
from common.http.access import AccessPolicy
from common.http.client import HttpClient
from common.secrets import StaticToken
from services.location.jwks import KEYS_LIFETIME, REFETCH_PAUSE, KeySet
from services.location.second_generation import base_path
from services.location.service_tokens import ServiceTokens
from tests.location.conftest import AUTHORIZED, TOKEN, Location, running_location
from tests.location.samples import upsert
from tests.waiting import eventually

AUDIENCE = "kserve-kubeflow-connector"
LIST = f"/api/{AUDIENCE}/list"


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Backstage:
    """Makes tokens as a Backstage backend does, and publishes its keys."""

    def __init__(self) -> None:
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.fetched = 0
        self.answer: web.Response | None = None
        self.rotate("first")

    def rotate(self, key_id: str) -> None:
        self.keys[key_id] = ec.generate_private_key(ec.SECP256R1())

    def token(self, *, key: Any = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        key_id = next(reversed(self.keys))
        payload = {"sub": "catalog", "aud": AUDIENCE, "iat": int(time.time()), "exp": int(time.time()) + 3600, **claims}
        return jwt.encode(
            {name: value for name, value in payload.items() if value is not None},
            self.keys[key_id] if key is None else key,
            algorithm=(headers or {}).get("alg", "ES256"),
            headers={"kid": key_id, "typ": "vnd.backstage.plugin", **(headers or {})},
        )

    async def jwks(self, _request: web.Request) -> web.Response:
        self.fetched += 1
        if self.answer is not None:
            return web.Response(status=self.answer.status, text=self.answer.text)
        keys = [
            {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "alg": "ES256"}
            for key_id, key in self.keys.items()
        ]
        others = [{"kty": "RSA", "kid": "rsa"}, {"kty": "EC", "crv": "P-256", "kid": "broken", "x": "?", "y": "?"}]
        return web.json_response({"keys": [*keys, *others]})


@pytest.fixture
def backstage() -> Backstage:
    return Backstage()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def guarded(clock: Clock, *plugins: Backstage) -> AsyncIterator[Location]:
    """A location that takes the tokens of these plugins, each with keys of its own."""
    app = web.Application()
    for number, plugin in enumerate(plugins):
        app.router.add_get(f"/{number}/jwks.json", plugin.jwks)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with AsyncExitStack() as stack:
            keys = []
            for number in range(len(plugins)):
                url = f"http://127.0.0.1:{runner.addresses[0][1]}/{number}/jwks.json"
                client = await stack.enter_async_context(HttpClient(name="backstage", base_url=url))
                keys.append(KeySet(client=client, clock=clock))
            tokens = ServiceTokens(keys=keys, audience=AUDIENCE, clock=clock)
            access = AccessPolicy(token=StaticToken(TOKEN), guards={base_path(AUDIENCE): tokens.verify})
            async with running_location(access=access) as location:
                location.fill(upsert("a_1"))
                yield location
    finally:
        await runner.cleanup()


@pytest.fixture
async def location(backstage: Backstage, clock: Clock) -> AsyncIterator[Location]:
    async with guarded(clock, backstage) as running:
        yield running


async def status(location: Location, token: str | None, path: str = LIST) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return (await location.get(path, **headers))[0]


async def test_a_token_of_backstage_reads_and_the_keys_are_read_once(location: Location, backstage: Backstage) -> None:
    for path in (LIST, f"/api/{AUDIENCE}/models/a_1", LIST):
        assert await status(location, backstage.token(), path) == 200
    assert backstage.fetched == 1


async def test_who_has_no_token_or_the_shared_one(location: Location, backstage: Backstage) -> None:
    answer, headers, body = await location.get(LIST)
    assert (answer, headers["WWW-Authenticate"]) == (401, 'Bearer realm="rhoai-connector"')
    assert "service token of Backstage" in json.loads(body)["detail"]
    assert (await location.get(LIST, **AUTHORIZED))[0] == 200
    assert (await location.get("/list"))[0] == 200  # the first generation has no tokens
    assert backstage.fetched == 0


async def test_a_service_token_cannot_write(location: Location, backstage: Backstage) -> None:
    headers = {"Authorization": f"Bearer {backstage.token()}"}
    async with location.client.delete("/remove?key=a_1", headers=headers) as answer:
        assert answer.status == 403
    assert len(location.shelf) == 1


def in_seconds(later: int) -> Callable[[], int]:
    """Return what gives a time when the test runs: tests are collected long before."""
    return lambda: int(time.time()) + later


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "catalog"},
        {"aud": None},
        {"sub": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": in_seconds(-90)},
        {"nbf": in_seconds(600)},
        {"iat": in_seconds(600)},
        {"headers": {"typ": "vnd.backstage.user"}},
        {"headers": {"typ": None}},
        {"headers": {"kid": None}},
        {"headers": {"kid": 7}},
        {"headers": {"kid": "unknown"}},
        {"headers": {"kid": "rsa"}},
        {"headers": {"kid": "broken"}},
        {"key": "a secret that is long enough for it", "headers": {"alg": "HS256"}},
        {"key": ec.generate_private_key(ec.SECP256R1())},
        {"key": ec.generate_private_key(ec.SECP384R1()), "headers": {"alg": "ES384"}},
    ],
)
async def test_other_tokens_do_not_read(location: Location, backstage: Backstage, claims: dict[str, Any]) -> None:
    claims = {name: claim() if callable(claim) else claim for name, claim in claims.items()}
    try:
        token = backstage.token(**claims)
    except (TypeError, jwt.PyJWTError):  # PyJWT does not make such a token; we do it by hand
        token = forged(backstage, claims)
    assert await status(location, token) == 403
    assert await status(location, backstage.token()) == 200


def forged(backstage: Backstage, parts: dict[str, Any]) -> str:
    """A token whose header or claims no library would write; signed all the same."""
    headers = {"alg": "ES256", "typ": "vnd.backstage.plugin", "kid": "first", **parts.pop("headers", {})}
    claims = {"sub": "catalog", "aud": AUDIENCE, "exp": int(time.time()) + 60, **parts}
    signed = b".".join(jwt.utils.base64url_encode(json.dumps(part).encode()) for part in (headers, claims))
    algorithm = ECAlgorithm(ECAlgorithm.SHA256)
    signature = algorithm.sign(signed, backstage.keys["first"])
    return (signed + b"." + jwt.utils.base64url_encode(signature)).decode()


@pytest.mark.parametrize("token", ["x", "a.b.c", "..", "e30.e30.e30", "eyJhbGciOiJub25lIn0.e30.", "x" * 8000])
async def test_what_is_no_token_does_not_read(location: Location, backstage: Backstage, token: str) -> None:
    assert await status(location, token) == 403
    assert backstage.fetched == 0


async def test_clocks_may_differ_by_a_minute(location: Location, backstage: Backstage) -> None:
    assert await status(location, backstage.token(exp=int(time.time()) - 30)) == 200
    assert await status(location, backstage.token(iat=int(time.time()) + 30, nbf=int(time.time()) + 30)) == 200


async def test_an_expired_token_is_not_remembered_as_good(location: Location, backstage: Backstage) -> None:
    token = backstage.token(exp=int(time.time()) - 58)
    assert await status(location, token) == 200

    async def refused() -> bool:
        return await status(location, token) == 403

    await eventually(refused, interval=0.1)


async def test_a_rotated_key_is_honoured_and_unknown_ones_do_not_flood_backstage(
    location: Location, backstage: Backstage, clock: Clock
) -> None:
    old = backstage.token()
    assert await status(location, old) == 200
    backstage.rotate("second")
    new = backstage.token()
    for _ in range(20):
        assert await status(location, new) == 403
    assert backstage.fetched == 1
    clock.ahead = REFETCH_PAUSE + 1
    assert (await status(location, new), await status(location, old)) == (200, 200)
    assert backstage.fetched == 2


async def test_a_withdrawn_key_ends(location: Location, backstage: Backstage, clock: Clock) -> None:
    old = backstage.token(exp=int(time.time()) + 2 * int(KEYS_LIFETIME))
    assert await status(location, old) == 200
    backstage.rotate("second")
    del backstage.keys["first"]
    assert await status(location, old) == 200
    clock.ahead = KEYS_LIFETIME + 1
    assert await status(location, old) == 403


@pytest.mark.parametrize(
    "answer",
    [(500, ""), (404, ""), (200, "<html>"), (200, '{"keys": 1}'), (200, '{"keys": []}'), (200, '{"keys": [1]}')],
)
async def test_without_keys_the_feed_says_so_and_recovers(
    location: Location, backstage: Backstage, clock: Clock, answer: tuple[int, str]
) -> None:
    backstage.answer = web.Response(status=answer[0], text=answer[1])
    assert await status(location, backstage.token()) == 503
    backstage.answer = None
    assert await status(location, backstage.token()) == 503
    assert backstage.fetched == 1
    clock.ahead = REFETCH_PAUSE + 1
    assert await status(location, backstage.token()) == 200


async def test_keys_once_read_serve_on_when_backstage_is_away(
    location: Location, backstage: Backstage, clock: Clock
) -> None:
    assert await status(location, backstage.token()) == 200
    backstage.answer = web.Response(status=503)
    clock.ahead = KEYS_LIFETIME + 1
    assert await status(location, backstage.token(exp=int(time.time()) + 2 * int(KEYS_LIFETIME))) == 200


async def test_several_plugins_have_keys_of_their_own(clock: Clock) -> None:
    catalog, techdocs, other = Backstage(), Backstage(), Backstage()
    techdocs.rotate("second")
    other.rotate("third")
    async with guarded(clock, catalog, techdocs) as location:
        for _ in range(2):
            assert await status(location, catalog.token()) == 200
            assert await status(location, techdocs.token(sub="techdocs")) == 200
            assert await status(location, other.token()) == 403
        assert (catalog.fetched, techdocs.fetched) == (1, 1)


async def test_a_plugin_that_is_away_does_not_keep_the_others_out(clock: Clock) -> None:
    catalog, techdocs = Backstage(), Backstage()
    techdocs.rotate("second")
    techdocs.answer = web.Response(status=404)
    async with guarded(clock, catalog, techdocs) as location:
        assert await status(location, catalog.token()) == 200
        assert await status(location, techdocs.token()) == 503
        techdocs.answer = None
        clock.ahead = REFETCH_PAUSE + 1
        assert await status(location, techdocs.token()) == 200
        techdocs.answer = web.Response(status=503)
        clock.ahead = KEYS_LIFETIME + 60
        later = int(time.time() + 2 * KEYS_LIFETIME)
        assert await status(location, catalog.token(exp=later)) == 200
        assert await status(location, techdocs.token(exp=later)) == 200


async def test_keys_stay_fresh_when_the_wall_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = KeySet(client=HttpClient(name="backstage", base_url="http://127.0.0.1:1"))
    keys._fetched_at = loop_time()
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert keys.is_fresh
