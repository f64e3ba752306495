"""Stubs of model servers: each answers only what the real one of its protocol answers, by paths, names and token.

OpenAI paths as in vLLM (`/v1/...`) and in KServe's Hugging Face server (`/openai/v1/...`); the Open Inference Protocol
and KServe's first protocol by their specifications.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from common.http.addresses import Address
from common.http.server import listening

TOKEN = "token-of-a-developer"


@asynccontextmanager
async def runtime(speaks: str, *, called: str, token: bool) -> AsyncIterator[str]:
    """Run a stub that knows one model; yields its address."""
    app = web.Application(middlewares=[_asking(token)])
    if speaks.startswith("openai"):
        _add_openai(app, "/openai/v1" if speaks == "openai-hf" else "/v1", called)
    elif speaks == "open-inference-protocol-v2":
        _add_inference(app, called)
    elif speaks == "kserve-v1":
        _add_prediction(app, called)
    async with listening(app, [Address("127.0.0.1", 0)], grace=1) as (address,):
        yield f"http://127.0.0.1:{address.port}"


def _asking(token: bool) -> Any:
    @web.middleware
    async def middleware(request: web.Request, handler: Any) -> web.StreamResponse:
        if token and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise web.HTTPUnauthorized
        return await handler(request)  # type: ignore[no-any-return]

    return middleware


async def _body(request: web.Request, *fields: str) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    body = await request.json()
    for field in fields:
        if field not in body:
            raise web.HTTPBadRequest(text=f"no {field}")
    return dict(body)


def _add_openai(app: web.Application, base: str, called: str) -> None:
    def answers(*fields: str) -> Any:
        async def answer(request: web.Request) -> web.Response:
            body = await _body(request, "model", *fields)
            if body["model"] != called:
                raise web.HTTPNotFound(text=f"The model {body['model']} does not exist.")
            return web.json_response({"model": called})

        return answer

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": called, "object": "model"}]})

    app.router.add_get(f"{base}/models", models)
    app.router.add_post(f"{base}/chat/completions", answers("messages"))
    app.router.add_post(f"{base}/completions", answers("prompt"))
    app.router.add_post(f"{base}/embeddings", answers("input"))


def _known(request: web.Request, called: str) -> None:
    if request.match_info["name"] != called:
        raise web.HTTPNotFound


def _add_inference(app: web.Application, called: str) -> None:
    async def metadata(request: web.Request) -> web.Response:
        _known(request, called)
        return web.json_response({"name": called, "inputs": []})

    async def infer(request: web.Request) -> web.Response:
        _known(request, called)
        for tensor in (await _body(request, "inputs"))["inputs"]:
            if not tensor.keys() >= {"name", "shape", "datatype", "data"}:
                raise web.HTTPBadRequest
        return web.json_response({"model_name": called, "outputs": []})

    async def ready(_: web.Request) -> web.Response:
        return web.json_response({})

    app.router.add_get("/v2/health/ready", ready)
    app.router.add_get("/v2/models/{name}", metadata)
    app.router.add_get("/v2/models/{name}/ready", metadata)
    app.router.add_post("/v2/models/{name}/infer", infer)


def _add_prediction(app: web.Application, called: str) -> None:
    async def status(request: web.Request) -> web.Response:
        _known(request, called)
        return web.json_response({"name": called, "ready": True})

    async def predict(request: web.Request) -> web.Response:
        _known(request, called)
        body = await _body(request, "instances")
        return web.json_response({"predictions": [0 for _ in body["instances"]]})

    app.router.add_get("/v1/models/{name}", status)
    app.router.add_post("/v1/models/{name}:predict", predict)
