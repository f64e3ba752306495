"""Stand-ins for model servers: each answers the requests of one protocol for one model, as the real ones do.

vLLM 0.9 (OpenAI API): an unknown model is a 404 with `NotFoundError`, a missing token a 401; every origin may ask,
because its option `--allowed-origins` is `["*"]` by default, so pages can call it. OpenVINO Model Server and
KServe's sklearn server allow no other origin.
"""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from aiohttp import web

Protocol = Literal["openai", "open-inference", "kserve-v1"]

ANSWER = "Hello from the model."
"""What a language model says to everybody."""
TOKEN = "token-of-a-caller"
"""The bearer token that a guarded server asks for."""

_ANY_ORIGIN = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type",
}


@dataclass(frozen=True)
class Call:
    """A request that a server has answered."""

    method: str
    path: str
    status: int


class ModelServer:
    """A server of `model` on a loopback port, used with `async with`; `calls` are the requests it has answered.

    `broken`: it answers everything with 503 and this text, or `broken_paths` alone. `definition` replaces its own.
    """

    def __init__(
        self,
        model: str,
        protocol: Protocol = "openai",
        *,
        guarded: bool = False,
        port: int = 0,
        further: tuple[str, ...] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`further` are more names that it lists: aliases and adapters. `tls`: it takes https with this."""
        self.model = model
        self.further = further
        self.broken = ""
        self.broken_paths: tuple[str, ...] = ()
        self.definition: Mapping[str, Any] = {}
        self._tls = tls
        self.calls: list[Call] = []
        self._protocol = protocol
        self._guarded = guarded
        self._port = port

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._answer])
        routes: Mapping[Protocol, Any] = {
            "openai": self._openai,
            "open-inference": self._open_inference,
            "kserve-v1": self._kserve_v1,
        }
        routes[self._protocol](app.router)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The server's address, as a cluster would tell it: without a path."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @web.middleware
    async def _answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        headers = _ANY_ORIGIN if self._protocol == "openai" else {}
        if request.method == "OPTIONS" and headers:
            return web.Response(headers=headers)
        if self.broken or request.path in self.broken_paths:
            response: web.StreamResponse = web.Response(text=self.broken, status=503)
        elif self._guarded and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            response = web.json_response({"error": "Unauthorized"}, status=401)
        else:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = web.json_response({"error": error.reason}, status=error.status)
        response.headers.update(headers)
        self.calls.append(Call(request.method, request.path, response.status))
        return response

    def _openai(self, router: web.UrlDispatcher) -> None:
        router.add_get("/v1/models", self._models)
        router.add_get("/openapi.json", self._definition)
        router.add_post("/v1/chat/completions", self._chat)
        router.add_post("/v1/completions", self._complete)
        router.add_post("/v1/embeddings", self._embed)

    async def _models(self, _: web.Request) -> web.Response:
        listed = [{"id": name, "object": "model", "owned_by": "vllm"} for name in (self.model, *self.further)]
        return web.json_response({"object": "list", "data": listed})

    async def _definition(self, _: web.Request) -> web.Response:
        """As FastAPI writes it; vLLM's has some thirty paths, and 200 kB of schemas."""
        paths = {
            "/health": {"get": {"summary": "Health"}},
            "/tokenize": {"post": {"summary": "Tokenize"}},
            "/v1/models": {"get": {"summary": "Show Available Models"}},
            "/v1/chat/completions": {"post": {"summary": "Create Chat Completion"}},
        }
        info = {"title": "FastAPI", "version": "0.1.0"}
        schemas = {f"Schema{number}": {"type": "object", "title": f"Schema {number}"} for number in range(80)}
        whole = {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
        return web.json_response(self.definition or whole)

    async def _chat(self, request: web.Request) -> web.Response:
        message = {"role": "assistant", "content": ANSWER}
        return await self._openai_answer(request, "messages", "chat.completion", message=message)

    async def _complete(self, request: web.Request) -> web.Response:
        return await self._openai_answer(request, "prompt", "text_completion", text=ANSWER)

    async def _openai_answer(self, request: web.Request, needed: str, kind: str, **choice: Any) -> web.Response:
        asked = await _json(request)
        if refusal := self._refusal(asked, needed):
            return refusal
        choices = [{"index": 0, "finish_reason": "stop", **choice}]
        usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
        return web.json_response({"id": "1", "object": kind, "model": self.model, "choices": choices, "usage": usage})

    async def _embed(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(await _json(request), "input"):
            return refusal
        data = [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}]
        return web.json_response({"object": "list", "model": self.model, "data": data})

    def _refusal(self, asked: Mapping[str, Any], needed: str) -> web.Response | None:
        if asked.get("model") != self.model:
            text = f"The model `{asked.get('model')}` does not exist."
            error = {"object": "error", "message": text, "type": "NotFoundError", "code": 404}
            return web.json_response(error, status=404)
        if not asked.get(needed):
            error = {"object": "error", "message": f"{needed}: field required", "type": "BadRequestError", "code": 400}
            return web.json_response(error, status=400)
        return None

    def _open_inference(self, router: web.UrlDispatcher) -> None:
        async def healthy(_: web.Request) -> web.Response:
            return web.Response()

        async def describe(_: web.Request) -> web.Response:
            tensor = {"name": "input", "datatype": "FP32", "shape": [-1, 4]}
            return web.json_response({"name": self.model, "platform": "OpenVINO", "inputs": [tensor], "outputs": []})

        async def infer(request: web.Request) -> web.Response:
            if not (await _json(request)).get("inputs"):
                return web.json_response({"error": "inputs are missing"}, status=400)
            output = {"name": "score", "datatype": "FP32", "shape": [1], "data": [0.5]}
            return web.json_response({"model_name": self.model, "outputs": [output]})

        for path in ("/v2/health/live", "/v2/health/ready", f"/v2/models/{self.model}/ready"):
            router.add_get(path, healthy)
        router.add_get(f"/v2/models/{self.model}", describe)
        router.add_post(f"/v2/models/{self.model}/infer", infer)

    def _kserve_v1(self, router: web.UrlDispatcher) -> None:
        async def state(_: web.Request) -> web.Response:
            return web.json_response({"name": self.model, "ready": "true"})

        async def predict(request: web.Request) -> web.Response:
            if not (await _json(request)).get("instances"):
                return web.json_response({"error": 'Expected "instances" to be a list'}, status=400)
            return web.json_response({"predictions": [1]})

        router.add_get(f"/v1/models/{self.model}", state)
        router.add_post(f"/v1/models/{self.model}:predict", predict)


async def _json(request: web.Request) -> Mapping[str, Any]:
    try:
        asked = json.loads(await request.text())
    except ValueError:
        raise web.HTTPBadRequest(reason="the body is not JSON") from None
    return asked if isinstance(asked, dict) else {}
