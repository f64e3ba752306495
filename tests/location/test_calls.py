"""What an entry says about calling its model works: against a stub of each kind of runtime."""

import json
import re
import shlex
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import yaml
import yarl
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_tools import protoc

from services.location import calls
from services.location.delivery import make_entry
from services.location.plain import entities_of
from services.location.rendering import RenderOptions, read
from tests.location.commands import run
from tests.location.conftest import Location
from tests.location.runtimes import TOKEN, runtime
from tests.location.world import KINDS, Kind

CALLED = [kind for kind in KINDS if kind.speaks not in ("", "grpc")]
BY_REST = pytest.mark.parametrize("kind", CALLED, ids=lambda kind: kind.name)
_CODE = re.compile(r"```bash\n(.*?)\n```", re.DOTALL)


@pytest.fixture
async def server(kind: Kind) -> AsyncIterator[str]:
    async with runtime(kind.speaks, called=kind.called, token=kind.token) as url:
        yield url


def api_of(kind: Kind, url: str) -> dict[str, Any]:
    *_, api = entities_of(make_entry(kind.upsert(url)), RenderOptions())
    assert api["kind"] == "API"
    return api


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@BY_REST
async def test_the_commands_that_a_definition_shows_work_as_they_stand(kind: Kind, server: str) -> None:
    description = json.loads(api_of(kind, server)["spec"]["definition"])["info"]["description"]
    (commands,) = _CODE.findall(description)
    await run(commands)


@BY_REST
async def test_every_request_that_a_definition_describes_is_answered(kind: Kind, server: str) -> None:
    definition = json.loads(api_of(kind, server)["spec"]["definition"])
    (address,) = definition["servers"]
    assert bool(definition.get("security")) == kind.token
    headers = {"Authorization": f"Bearer {TOKEN}"} if definition.get("security") else {}
    asked = 0
    async with aiohttp.ClientSession(headers=headers) as client:
        for path, operations in definition["paths"].items():
            for method, operation in operations.items():
                content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
                url = address["url"] + path
                async with client.request(method, yarl.URL(url, encoded=True), json=content.get("example")) as answer:
                    assert answer.status == 200, (url, await answer.text())
                asked += 1
    assert asked >= 2


@BY_REST
@pytest.mark.parametrize("feed", ["first", "second", "plain"])
async def test_each_reader_gets_address_name_and_token(kind: Kind, server: str, feed: str, location: Location) -> None:
    location.fill(kind.upsert(server))
    description = await described(location, kind, feed)
    said = re.search(r"Call (\S+) with model `+ ?(.+?) ?`+[. ]", description)
    assert said, description
    assert ("A bearer token is needed." in description) == kind.token
    assert said[2] == kind.called
    assert said[1].startswith(server)


async def described(location: Location, kind: Kind, feed: str) -> str:
    path = {
        "first": f"/world/{kind.name}/model-catalog.json",
        "second": f"/api/kserve-kubeflow-connector/models/{kind.key}",
        "plain": f"/world/{kind.name}/catalog-info.yaml",
    }[feed]
    status, _, body = await location.get(path)
    assert status == 200
    if feed == "plain":
        return str(list(yaml.safe_load_all(body))[1]["metadata"]["description"])
    return str(json.loads(body)["modelServer"]["description"])


async def test_the_second_generation_is_given_the_base_url_and_the_names_to_call(location: Location) -> None:
    location.fill(*(kind.upsert() for kind in KINDS))
    seen = {}
    for kind in KINDS:
        _, _, body = await location.get(f"/api/kserve-kubeflow-connector/models/{kind.key}")
        document = json.loads(body)
        server = document.get("modelServer")
        if server:
            names = [model["name"] for model in document["models"]]
            seen[kind.name] = (server["API"]["url"], names, server["annotations"].get("rhdh.io/serverType"))
    assert seen == {
        "chat": (
            "https://granite-33-8b-instruct.apps.example.com/v1",
            ["granite-33-8b-instruct", "granite-lora-french"],
            "openai-v1",
        ),
        "embeddings": ("https://bge-m3.apps.example.com/v1", ["bge m3's"], "openai-v1"),
        "huggingface": ("https://qwen.apps.example.com/openai/v1", ["qwen"], "openai-v1"),
        "tensors": ("https://fraud.apps.example.com", ["fraud/card"], "open-inference-protocol-v2"),
        "instances": ("https://iris.apps.example.com", ["iris"], "kserve-v1"),
        "grpc": ("https://parts.apps.example.com", ["parts"], "grpc"),
        "unknown": ("https://mystery.apps.example.com", ["mystery"], None),
        "own-definition": ("https://weather.apps.example.com", ["weather"], None),
    }


async def test_the_grpc_definition_and_command_reach_a_server(tmp_path: Path) -> None:
    (kind,) = (kind for kind in KINDS if kind.speaks == "grpc")
    service = compiled(api_of(kind, "http://127.0.0.1:1")["spec"], tmp_path)
    messages = service.file.pool

    def message(name: str) -> Any:
        return message_factory.GetMessageClass(messages.FindMessageTypeByName(f"inference.{name}"))

    request_type, answer_type = message("ModelMetadataRequest"), message("ModelMetadataResponse")

    async def metadata(request: Any, context: Any) -> Any:
        if request.name != kind.called:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown model")
        return answer_type(name=request.name, platform="onnx")

    stub = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        metadata, request_deserializer=request_type.FromString, response_serializer=answer_type.SerializeToString
    )
    stub.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(calls.GRPC_SERVICE, {"ModelMetadata": handler})]
    )
    port = stub.add_insecure_port("127.0.0.1:0")
    await stub.start()
    try:
        _, (view,) = read(make_entry(kind.upsert(f"http://127.0.0.1:{port}")))
        assert view.server
        command = shlex.split(calls.commands(view.server).replace("\\\n", ""))
        assert command[:2] == ["grpcurl", "-plaintext"]
        assert command[command.index("-proto") + 1] == calls.PROTO_FILE
        request = json_format.Parse(command[command.index("-d") + 1], request_type())
        host, method = command[-2:]
        async with grpc.aio.insecure_channel(host) as channel:
            call = channel.unary_unary(
                f"/{method}",
                request_serializer=request_type.SerializeToString,
                response_deserializer=answer_type.FromString,
            )
            assert (await call(request)).platform == "onnx"
    finally:
        await stub.stop(None)


def compiled(spec: dict[str, Any], folder: Path) -> Any:
    """Return the service that a definition describes, compiled by protoc."""
    assert spec["type"] == "grpc"
    (folder / calls.PROTO_FILE).write_text(spec["definition"])
    out = folder / "descriptors"
    assert protoc.main(["protoc", f"-I{folder}", f"--descriptor_set_out={out}", calls.PROTO_FILE]) == 0
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
        pool.Add(file)
    return pool.FindServiceByName(calls.GRPC_SERVICE)
