"""Model servers are asked once for each revision, without a token, and never where a request would start one."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme
from aiohttp import web

from common.details import unpacked
from common.faults import Fault
from services.normalizer.facts import Gone, Missing, Ref
from services.normalizer.normalize.deployment import Deployment, read_service
from services.normalizer.normalize.kserve_objects import read_isvc, read_llmisvc
from services.normalizer.normalize.runtimes import read_runtime
from services.normalizer.source import News, Sink
from services.normalizer.sourcebook import SourceKind
from services.normalizer.sources.kserve.model_servers import ModelServers
from services.normalizer.sources.kserve.server_answers import AGAIN, ServerAnswers
from tests import objects
from tests.fakes.model_server import ModelServer
from tests.normalizer.sources.scripted import Recorder, Script, running
from tests.simulation.loop import simulated
from tests.waiting import eventually

REF = Ref.isvc("local", "models", "granite")


class Told(Recorder):
    """The deployments as they were passed on, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: list[Deployment] = []
        self.whole = 0

    def changed(self, news: News) -> None:
        self.facts += [fact for fact in news.values() if isinstance(fact, Deployment)]

    def listed(self, *, lacking: Fault | None = None) -> None:
        self.whole += 1

    @property
    def names(self) -> list[tuple[str, ...]]:
        return [fact.names for fact in self.facts]


class Waiting(Script):
    """A script that goes on until it is cancelled, as sources do."""

    kind: SourceKind = "kserve"

    async def run(self, sink: Sink) -> None:
        await super().run(sink)
        await asyncio.Event().wait()


@asynccontextmanager
async def asking(**options: Any) -> AsyncIterator[tuple[Script, Told]]:
    servers = ModelServers(**{"models": True, "definitions": False, **options})
    script, told = Waiting(), Told()
    async with running(ServerAnswers(script, servers), told, script=script):
        yield script, told


@pytest.fixture
def server() -> ModelServer:
    return ModelServer("granite-8b", further=("sql",))


def deployment(url: str, *, generation: int = 1, **options: Any) -> Deployment:
    obj = objects.isvc("granite", model_format="vLLM", url=url, **options)
    obj["metadata"]["generation"] = generation
    if "address" in obj["status"]:
        obj["status"]["address"]["url"] = url
    return read_isvc(obj)


@simulated
async def test_a_server_names_its_models_once_for_each_revision(server: ModelServer) -> None:
    async with asking() as (script, told):
        script.tell(REF, deployment(server.url))
        await eventually(lambda: told.names == [("granite-8b", "sql")])
        for replicas in (1, 2):
            script.tell(REF, deployment(server.url, minReplicas=replicas))
        assert told.names == [("granite-8b", "sql")] * 3
        server.further = ()
        script.tell(REF, deployment(server.url, generation=2))
        await eventually(lambda: len(told.names) == 5)
    assert told.names[3:] == [("granite-8b", "sql"), ("granite-8b",)], "what was said stays until there is an answer"
    assert [call.path for call in server.calls] == ["/v1/models"] * 2


@simulated
async def test_no_token_is_sent_and_one_that_asks_for_it_is_left_alone() -> None:
    async with ModelServer("granite-8b", guarded=True) as server, asking() as (script, told):
        script.tell(REF, deployment(server.url))
        await eventually(lambda: told.names == [()])
        script.tell(REF, deployment(server.url, minReplicas=2))
        script.tell(
            REF, deployment(server.url, annotations={"security.opendatahub.io/enable-auth": "true"}, generation=2)
        )
        assert len(told.names) == 3
    assert [call.status for call in server.calls] == [401]


@pytest.mark.parametrize(
    "how", [{"minReplicas": 0}, {"ready": False}, {"annotations": {"serving.kserve.io/stop": "true"}}]
)
@simulated
async def test_what_a_request_would_start_is_never_asked(server: ModelServer, how: dict[str, Any]) -> None:
    async with asking() as (script, told):
        script.tell(REF, deployment(server.url, **how))
        assert told.names == [()], "it is passed on at once"
        script.tell(Ref.isvc("local", "models", "other"), deployment(server.url))
        await eventually(lambda: len(told.names) == 2)
    assert len(server.calls) == 1, "of the other"


@simulated
async def test_one_that_goes_to_sleep_while_it_waits_its_turn_is_not_asked() -> None:
    asked = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        asked.set()
        await asyncio.Event().wait()
        return web.Response()

    asked_late = asking()
    async with slow(hang) as url, ModelServer("late") as late, asked_late as (script, told):
        for number in range(4):
            script.tell(Ref.isvc("local", "models", f"slow-{number}"), deployment(url))
        await asked.wait()
        script.tell(REF, deployment(late.url))
        script.tell(REF, deployment(late.url, generation=2, minReplicas=0))
        await eventually(lambda: len(told.facts) == 5)
    assert late.calls == []


@asynccontextmanager
async def slow(handler: Any) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/v1/models", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@simulated
async def test_a_new_model_and_the_listing_wait_for_the_answer(server: ModelServer) -> None:
    async with asking() as (script, told):
        assert script.sink
        script.tell(REF, deployment(server.url))
        script.sink.listed()
        assert (told.names, told.whole) == ([], 0)
        await eventually(lambda: told.whole == 1)
        assert told.names == [("granite-8b", "sql")]
        script.sink.listed()
        assert told.whole == 2


@simulated
async def test_no_one_waits_long_for_a_server_that_does_not_answer() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with slow(hang) as url, asking(timeout=3600) as (script, told):
        assert script.sink
        script.tell(REF, deployment(url))
        script.sink.listed()
        await eventually(lambda: told.whole == 1)
        assert told.names == [()]


@simulated
async def test_an_answer_from_an_address_of_before_is_not_used(server: ModelServer) -> None:
    answering = asyncio.Event()

    async def answer_late(_: web.Request) -> web.Response:
        await answering.wait()
        return web.json_response({"data": [{"id": "of-before"}]})

    async with slow(answer_late) as url, asking(timeout=3600) as (script, told):
        script.tell(REF, deployment(url))
        await eventually(lambda: told.names == [()])
        script.tell(REF, deployment(server.url, generation=2))
        await eventually(lambda: told.names[-1] == ("granite-8b", "sql"))
        answering.set()
        await asyncio.sleep(60)  # of simulated time: an answer would have arrived by then
        assert told.names[-1] == ("granite-8b", "sql")


@simulated
async def test_a_server_in_trouble_is_asked_again(server: ModelServer) -> None:
    server.broken = "overloaded"
    async with asking() as (script, told):
        script.tell(REF, deployment(server.url))
        await eventually(lambda: told.names == [()])
        server.broken = ""
        await eventually(lambda: told.names[-1] == ("granite-8b", "sql"), timeout=2 * AGAIN, interval=1)


@pytest.mark.parametrize("last", [Gone(), Missing()])
@simulated
async def test_what_leaves_is_not_asked_any_more(server: ModelServer, last: Any) -> None:
    server.broken = "down"
    async with asking() as (script, told):
        script.tell(REF, deployment(server.url))
        await eventually(lambda: server.calls)
        script.tell(REF, last)
        asked = len(server.calls)
        script.tell(Ref.isvc("local", "models", "other"), deployment(server.url))
        await eventually(lambda: len(server.calls) > asked + 2, timeout=6 * AGAIN, interval=1)
        assert all(fact.name == "granite" for fact in told.facts)


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(text="<html>Log in</html>", content_type="text/html"),
        web.Response(text='{"data": "none"}'),
        web.Response(status=404),
        web.Response(status=302, headers={"Location": "/elsewhere"}),
        web.Response(body=b"x" * (3 * 1024 * 1024)),
    ],
    ids=["html", "other", "absent", "elsewhere", "large"],
)
@simulated
async def test_any_other_answer_says_nothing(answer: web.Response) -> None:
    async def say(request: web.Request) -> web.Response:
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async with slow(say) as url, asking() as (script, told):
        script.tell(REF, deployment(url))
        await eventually(lambda: told.names == [()])


async def test_tls_is_verified() -> None:
    """With real sockets, because a simulation has no TLS."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with ModelServer("granite-8b", tls=tls) as server:
        async with asking() as (script, told):
            script.tell(REF, deployment(server.url))
            await eventually(lambda: told.names == [()])
        assert server.calls == []
        async with asking(trust=trust) as (script, told):
            script.tell(REF, deployment(server.url))
            await eventually(lambda: told.names == [("granite-8b",)])


@simulated
async def test_definitions_are_asked_for_too(server: ModelServer) -> None:
    async with asking(definitions=True) as (script, told):
        script.tell(REF, deployment(server.url))
        await eventually(lambda: told.facts)
    assert told.facts[0].operations == ("GET /v1/models", "POST /v1/chat/completions", "POST /tokenize")
    assert [call.path for call in server.calls] == ["/v1/models", "/openapi.json"]


@simulated
async def test_names_do_not_wait_for_a_definition_that_does_not_come(server: ModelServer) -> None:
    server.broken_paths = ("/openapi.json",)
    async with asking(definitions=True) as (script, told):
        script.tell(REF, deployment(server.url))
        await eventually(lambda: told.names == [("granite-8b", "sql")])
        script.tell(REF, deployment(server.url, minReplicas=2))
    assert [call.path for call in server.calls] == ["/v1/models", "/openapi.json"]


@simulated
async def test_a_small_definition_is_kept_whole(server: ModelServer) -> None:
    server.definition = {"openapi": "3.1.0", "info": {}, "paths": {"/score": {"post": {}}}}
    async with asking(models=False, definitions=True) as (script, told):
        script.tell(REF, deployment(server.url))
        await eventually(lambda: told.facts)
    assert json.loads(unpacked(told.facts[0].definition)) == server.definition
    assert (told.facts[0].operations, told.names) == ((), [()])


@simulated
async def test_an_address_that_a_service_corrects_is_asked_then(server: ModelServer) -> None:
    """An LLMInferenceService without a router: its Service is known by another source, perhaps later."""
    port = int(server.url.rpartition(":")[2])
    obj = objects.llm_isvc("granite", url=None)
    obj["status"]["addresses"] = [{"url": "http://127.0.0.1:1"}]
    service = objects.predictor_service(obj, port=port)
    ref = Ref.deployment("LLMInferenceService", "local", "models", "granite")
    async with asking() as (script, told):
        script.tell(ref, read_llmisvc(obj))
        await eventually(lambda: told.names == [()])
        obj["status"]["addresses"] = [{"url": server.url}]
        script.tell(ref, read_llmisvc(obj))
        await eventually(lambda: told.names[-1] == ("granite-8b", "sql"))
        script.tell(Ref("service", "local", ("models", "granite")), read_service(service))
    assert len(server.calls) == 1


@simulated
async def test_a_runtime_that_is_read_later_tells_what_is_spoken(server: ModelServer) -> None:
    runtime = read_runtime(
        {"metadata": {"name": "ours"}, "spec": {"containers": [{"name": "kserve-container", "image": "x/vllm:1"}]}}
    )
    obj = objects.isvc("granite", model_format="own", runtime="ours", url=server.url)
    obj["status"]["address"]["url"] = server.url
    async with asking() as (script, told):
        script.tell(REF, read_isvc(obj))
        assert told.names == [()]
        script.tell(Ref("runtime", "local", ("models", "ours")), runtime)
        await eventually(lambda: told.names[-1] == ("granite-8b", "sql"))
