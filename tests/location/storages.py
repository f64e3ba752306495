"""Storage services for location to follow: one that speaks our protocol, one that knows only the original's."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from common import wire
from common.wire import Changes, Upsert


class FakeStorage:
    """Speaks our protocol; holds entries and cards and tells each change to anyone who waits for it."""

    def __init__(self) -> None:
        self.epoch = "a"
        self.entries: dict[str, Upsert] = {}
        self.cards: dict[str, str] = {}
        self.complete = True
        self.confirmed = False
        self.damage = ""
        self.awaited: tuple[wire.Awaited, ...] = ()
        self.requests: list[str] = []
        self.tokens: set[str | None] = set()
        self.failing: int | None = None
        self.break_off = False
        self._log: list[Changes] = []
        self._changed = asyncio.Condition()

    @property
    def revision(self) -> str:
        return f"{self.epoch}-{len(self._log)}"

    async def tell(
        self, *upserts: Upsert, removals: dict[str, str] | None = None, cards: dict[str, str] | None = None
    ) -> None:
        """Change what is stored and tell the follower."""
        for upsert in upserts:
            self.entries[upsert.key] = upsert
        for key in removals or {}:
            self.entries.pop(key, None)
        self.cards.update(cards or {})
        async with self._changed:
            self._log.append(
                Changes(
                    revision="",
                    complete=self.complete,
                    awaited=self.awaited,
                    upserts=upserts,
                    removals=removals or {},
                    cards=cards or {},
                )
            )
            self._changed.notify_all()

    def restart(self) -> None:
        """Come back as a process that does not know its former revisions."""
        self.epoch += "a"
        self.confirmed = False
        self._log = []

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/snapshot", self._snapshot), web.get("/changes", self._changes)]

    async def _snapshot(self, request: web.Request) -> web.Response:
        self._note(request)
        lines = wire.snapshot_lines(
            Changes(
                revision=self.revision,
                complete=self.complete,
                confirmed=self.confirmed,
                damage=self.damage,
                awaited=self.awaited,
                upserts=tuple(self.entries.values()),
                cards=self.cards,
            )
        )
        body = b"".join(lines)
        if self.break_off:
            body = body[: body.rindex(b'{"end"')]
        return web.Response(body=body, content_type="application/x-ndjson")

    async def _changes(self, request: web.Request) -> web.Response:
        self._note(request)
        epoch, _, count = request.query["since"].rpartition("-")
        if epoch != self.epoch:
            raise web.HTTPGone
        seen = int(count)
        async with self._changed:
            try:
                async with asyncio.timeout(float(request.query["wait"])):
                    await self._changed.wait_for(lambda: len(self._log) > seen)
            except TimeoutError:
                pass
        told = self._log[seen:]
        changes = Changes(
            revision=self.revision,
            complete=self.complete,
            confirmed=self.confirmed,
            damage=self.damage,
            awaited=self.awaited,
            upserts=tuple(upsert for change in told for upsert in change.upserts),
            removals={key: reason for change in told for key, reason in change.removals.items()},
            cards={key: text for change in told for key, text in change.cards.items()},
        )
        return web.Response(body=wire.encode_changes(changes), content_type="application/json")

    def _note(self, request: web.Request) -> None:
        self.requests.append(request.path)
        self.tokens.add(request.headers.get("Authorization"))
        if self.failing is not None:
            raise _status(self.failing)


class FakeOriginalStorage:
    """Answers `/list` and `/fetch` as the original does, and nothing else."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.listed: list[str] | None = None
        self.growing = False
        self.hold: asyncio.Event | None = None
        self.requests: list[str] = []

    def store(self, *upserts: Upsert) -> None:
        for upsert in upserts:
            self.bodies[upsert.key] = wire.encode_storage_body(upsert)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/list", self._list), web.get("/fetch", self._fetch)]

    async def _list(self, request: web.Request) -> web.Response:
        self.requests.append(request.path_qs)
        if self.growing:  # being filled for the first time
            number = len(self.bodies)
            self.store(Upsert(key=f"m_{number}", body=b'{"models":[{"name":"m"}]}', reconciler="kserve"))
        keys = sorted(self.bodies) if self.listed is None else self.listed
        # The original's media type is what it is.
        return web.Response(
            body=json.dumps({"keys": keys}).encode(), headers={"Content-Type": "Content-Type: application/json"}
        )

    async def _fetch(self, request: web.Request) -> web.Response:
        self.requests.append(request.path_qs)
        body = self.bodies.get(request.query["key"])
        if self.hold is not None:
            await self.hold.wait()
        return web.Response(status=404) if body is None else web.Response(body=body)


def _status(status: int) -> web.HTTPException:
    error = web.HTTPInternalServerError()
    error.set_status(status)
    return error


@asynccontextmanager
async def serving(storage: FakeStorage | FakeOriginalStorage, port: int = 0) -> AsyncIterator[int]:
    """Serve a storage on a port of 127.0.0.1."""
    app = web.Application()
    app.add_routes(storage.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
