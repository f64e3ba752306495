"""The description against the running service: generated requests, judged by what the description promises."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from common.health import Health
from common.http.access import AccessPolicy
from common.metrics import Metrics
from services.storage_rest.app import create_storage_app, openapi_text
from services.storage_rest.removals import RemovalPolicy
from services.storage_rest.settings import StorageSettings
from tests.storage_rest.running import TOKEN, Answer, Running, document, running
from tests.waiting import PATIENCE

PROMISES = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The service in a thread of its own, for the requests are sent by a client that blocks."""
    started, found = threading.Event(), []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with running(policy=RemovalPolicy(hold=0)) as storage:
            found.append(storage.url)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(PATIENCE)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
        loop.close()


schema = schemathesis.openapi.from_dict(json.loads(openapi_text()))


@schema.parametrize()
@settings(
    max_examples=25,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_service_keeps_what_its_description_promises(case: schemathesis.Case[Any], url: str) -> None:
    case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, checks=PROMISES)


async def test_it_is_served() -> None:
    async with running() as storage:
        answer = await storage.ask("GET", "/openapi.json")
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.json() == json.loads(openapi_text())


async def test_it_names_every_route() -> None:
    async with running() as storage:
        routes = await _routes(storage)
    described = {
        (method.upper(), path) for path, methods in json.loads(openapi_text())["paths"].items() for method in methods
    }
    assert routes == described


async def _routes(storage: Running) -> set[tuple[str, str]]:
    app: web.Application = create_storage_app(
        service=storage.service,
        metrics=Metrics("x", "1"),
        health=Health(),
        access=AccessPolicy(),
        settings=StorageSettings.load(),
    )
    found = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    return {(method, path) for method, path in found if path not in ("/healthz", "/readyz", "/metrics")}


async def test_what_a_full_service_answers_is_as_described() -> None:
    """Generated requests rarely store anything; here everything has content."""
    async with running() as storage:
        since = storage.service.stored.revision
        applied = await storage.batch(
            upserts=[
                {
                    "key": "a_1",
                    "type": "kserve",
                    "body": document().decode(),
                    "modelCardKey": "c",
                    "uri": "/a/1/model-catalog.json",
                }
            ],
            cards={"c": "text"},
            complete=True,
        )
        answers = {
            ("/batch", "POST"): applied,
            ("/list", "GET"): await storage.ask("GET", "/list?detail=true"),
            ("/fetch", "GET"): await storage.ask("GET", "/fetch?key=a_1"),
            ("/changes", "GET"): await storage.ask("GET", f"/changes?since={since}"),
            ("/status", "GET"): await storage.ask("GET", "/status"),
        }
        for (path, method), answer in answers.items():
            schema[path][method].validate_response(_response(answer, f"{storage.url}{path}"))


def _response(answer: Answer, url: str) -> schemathesis.Response:
    return schemathesis.Response(
        status_code=answer.status,
        headers={name.lower(): [value] for name, value in answer.headers.items()},
        content=answer.body,
        request=requests.Request("GET", url).prepare(),
        elapsed=0.0,
        verify=False,
    )


def test_the_page_about_it_names_every_path() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
    for path in json.loads(openapi_text())["paths"]:
        assert re.search(rf"{re.escape(path)}\b", page), path
