"""An HTTP server that can be told to misbehave: the common part of the fake registry and the fake catalog."""

import contextlib
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Self

import trustme
from aiohttp import web

from tests.fakes.registry.faults import Fault, Faults, deliver, spoil
from tests.fakes.registry.store import StoreError

Answer = tuple[Any, int]
"""JSON and status."""
Handler = Callable[[web.Request, list[Fault]], Answer]


class FakeServer:
    """Listens on loopback; counts requests by path template; checks bearer tokens; strikes with faults.

    `tokens` empty: everybody is let in. `forbidden` are tokens that are known and not allowed.
    `tls` makes it https with a certificate of its own authority, whose certificate is `ca_pem`.
    """

    def __init__(
        self,
        *,
        tls: bool = False,
        tokens: Collection[str] = (),
        forbidden: Collection[str] = (),
        port: int = 0,
    ) -> None:
        self.tokens = set(tokens)
        self.forbidden = set(forbidden)
        self.requests: Counter[str] = Counter()
        """Requests by "METHOD template"; the templates carry no API prefix, paths that are not served come whole."""
        self.most_at_once = 0
        """The largest number of requests that were under way at the same time."""
        self.authorizations: set[str] = set()
        """Every Authorization header that came, an empty one for requests without."""
        self._faults = Faults()
        self._tls = tls
        self._port = port
        self._authority = trustme.CA() if tls else None
        self._presented = self._authority
        self._runner: web.AppRunner | None = None
        self._under_way = 0

    @property
    def url(self) -> str:
        """The root that the API's paths are added to."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def ca_pem(self) -> str:
        """The certificate of the authority to trust, empty without TLS."""
        return self._authority.cert_pem.bytes().decode() if self._authority else ""

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()

    async def up(self) -> None:
        """Listen (again), on the same port as before."""
        if self._runner is not None:
            return
        app = web.Application(client_max_size=8 * 1024 * 1024)
        self.add_routes(app)
        app.router.add_route("*", "/{path:.*}", self._not_served)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._context(), reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def down(self) -> None:
        """Listen no more and break all connections."""
        self._faults.heal()
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def present(self, *, wrong_certificate: bool) -> None:
        """Restart with a certificate that an unknown authority signed, or with the right one again."""
        await self.down()
        self._presented = trustme.CA() if wrong_certificate else self._authority
        await self.up()

    def fail(self, kind: Any, path: str = "*", **options: Any) -> None:
        """Add a fault (see `Fault`) for requests whose template matches `path`."""
        self._faults.add(Fault(kind=kind, path=path, **options))

    def heal(self) -> None:
        """Take all faults back."""
        self._faults.heal()

    def counted(self, *, reset: bool = False) -> dict[str, int]:
        """Return the requests by template so far, and begin at nothing again with `reset`."""
        counts = dict(self.requests)
        if reset:
            self.requests.clear()
        return counts

    def add_routes(self, app: web.Application) -> None:
        """Add the API's paths: what subclasses are for."""
        raise NotImplementedError

    def route(self, app: web.Application, method: str, prefix: str, template: str, handler: Handler) -> None:
        """Serve `prefix`/`template` with `handler`, counted as "METHOD template"."""
        app.router.add_route(method, f"{prefix}/{template}", self._guarded(template.replace(":.+", ""), handler))

    def _guarded(self, template: str, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.requests[f"{request.method} {template}"] += 1
            with self._counting():
                return await self._answer(request, template, handler)

        return handle

    async def _answer(self, request: web.Request, template: str, handler: Handler) -> web.StreamResponse:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        hits = self._faults.strike(template, request.path)
        for fault in hits:
            if (instead := await self._faults.before(fault, template)) is not None:
                return instead
        await request.read()
        try:
            payload, status = handler(request, hits)
        except StoreError as error:
            payload, status = {"code": str(error.status), "message": str(error)}, error.status
        for fault in hits:
            payload = spoil(fault, payload, request.query.get("nextPageToken", ""))
        return await deliver(request, payload, status, hits)

    async def _not_served(self, request: web.Request) -> web.StreamResponse:
        self.requests[f"{request.method} {request.path}"] += 1
        return web.Response(status=404, text="404 page not found")

    def _refusal(self, request: web.Request) -> web.Response | None:
        self.authorizations.add(request.headers.get("Authorization", ""))
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token in self.forbidden:
            return web.Response(status=403, text="Forbidden")
        if self.tokens and token not in self.tokens:
            return web.Response(status=401, text="Unauthorized")
        return None

    @contextlib.contextmanager
    def _counting(self) -> Any:
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield
        finally:
            self._under_way -= 1

    def _context(self) -> ssl.SSLContext | None:
        if self._presented is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._presented.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        return context
