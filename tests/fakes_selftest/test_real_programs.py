"""The fake registry stands up to real programs: the library ML Metadata, and clients of many versions.

Each lives in an environment of its own, for they pin old versions of what others need: `make test-registries`.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.registry import ML_METADATA, V1ALPHA3, FakeRegistry
from tests.fakes.registry.paging import cut
from tests.normalizer.sources.support import live, polling

pytestmark = pytest.mark.process

ENVIRONMENTS = Path(sys.prefix) / "registries"
CLIENTS = ("0.2.9", "0.2.19", "0.3.0", "0.3.8")
PAGES = """
import json, sys
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb, metadata_store_service_pb2 as service

config = pb.ConnectionConfig()
config.fake_database.SetInParent()
store = MetadataStore(config)
kind = store.put_context_type(pb.ContextType(name="kf.RegisteredModel"))
store.put_contexts([pb.Context(type_id=kind, name=f"model-{number}") for number in range(250)])
pages = {}
for size in (20, 100, 101, 250, 1000):
    request, answer = service.GetContextsRequest(), service.GetContextsResponse()
    request.options.max_result_size = size
    request.options.order_by_field.field = pb.ListOperationOptions.OrderByField.ID
    request.options.order_by_field.is_asc = True
    store._call("GetContexts", request, answer)
    pages[str(size)] = [len(answer.contexts), bool(answer.next_page_token)]
json.dump(pages, sys.stdout)
"""
REGISTER = """
import json, sys
from model_registry import ModelRegistry

address, port = sys.argv[1].rsplit(":", 1)
registry = ModelRegistry(address, int(port), author="me", is_secure=False, user_token="t")
for number in range(3):
    registry.register_model(
        f"granite-{number}", "s3://models/granite", version="v1", model_format_name="onnx", model_format_version="1"
    )
names = [registry.get_registered_model(f"granite-{number}").name for number in range(3)]
json.dump(names, sys.stdout)
"""


async def run(environment: str, program: str, *arguments: str) -> Any:
    """Run a program in one of the environments and return the JSON that it prints last."""
    python = ENVIRONMENTS / environment / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{environment} is not installed: make test-registries")
    process = await asyncio.create_subprocess_exec(
        python,
        "-W",
        "ignore",
        "-c",
        program,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-3000:]
    return json.loads(out.decode().splitlines()[-1])


async def test_pages_are_cut_as_by_ml_metadata() -> None:
    items = [{"id": str(number)} for number in range(1, 251)]
    pages = {size: cut(items, {"pageSize": size}, ML_METADATA) for size in ("20", "100", "101", "250", "1000")}

    assert await run("ml-metadata-1.17.1", PAGES) == {
        size: [len(page["items"]), bool(page["nextPageToken"])] for size, page in pages.items()
    }


@pytest.mark.parametrize("version", CLIENTS)
async def test_what_clients_register_is_read(version: str) -> None:
    async with FakeRegistry(versions=[V1ALPHA3], limits=ML_METADATA) as registry:
        names = await run(f"model-registry-{version}", REGISTER, registry.url)
        async with polling(registry) as poller:
            reading = await poller.poll()

    assert names == ["granite-0", "granite-1", "granite-2"]
    assert reading.complete
    assert live(reading) == {(name, "v1") for name in names}
    assert [a.uri for a in reading.artifacts["1"]] == ["s3://models/granite"]
