"""The fake registry is right where the registry's own Python client is content with it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.fakes.registry import MODELS, VERSIONS, FakeRegistry, PageLimits

Client = Any
"""A `model_registry.ModelRegistry`: the package carries no types."""

T = TypeVar("T")


def client_of(registry: FakeRegistry, **options: object) -> tuple[Client, asyncio.AbstractEventLoop]:
    from model_registry import ModelRegistry

    loop = asyncio.new_event_loop()

    def runner(coroutine: Coroutine[Any, Any, T]) -> T:
        return loop.run_until_complete(coroutine)

    address, port = registry.url.rsplit(":", 1)
    logging.getLogger("model-registry").setLevel(logging.ERROR)
    client = ModelRegistry(address, int(port), author="me", async_runner=runner, log_level=logging.ERROR, **options)
    return client, loop


async def drive(registry: FakeRegistry, work: Callable[[Client], T], **options: object) -> T:
    """Run `work(client)` in a thread with a loop of its own: the client is made for programs without one."""

    def run() -> T:
        client, loop = client_of(registry, **options)
        try:
            return work(client)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    return await asyncio.to_thread(run)


def register(client: Client, name: str = "granite", version: str = "v1") -> Any:
    return client.register_model(
        name,
        f"s3://models/{name}",
        version=version,
        model_format_name="onnx",
        model_format_version="1",
        version_description="first",
        metadata={"Owner": "team-a", "epochs": 3, "rate": 0.5, "tuned": True},
        model_source_kind="catalog",
        model_source_class="curated",
        model_source_group="example",
        model_source_name=name,
    )


async def test_the_client_registers_a_model_over_http() -> None:
    async with FakeRegistry() as registry:
        await drive(registry, register, is_secure=False, user_token="t")

        [model] = registry.store.listed(MODELS)
        [version] = registry.store.versions_of(model["id"])
        [artifact] = registry.store.artifacts_of(version["id"])
    assert (model["name"], model["owner"], version["name"], artifact["uri"]) == (
        "granite",
        "me",
        "v1",
        "s3://models/granite",
    )
    assert version["customProperties"]["epochs"] == {"metadataType": "MetadataIntValue", "int_value": "3"}


async def test_the_client_registers_a_model_over_https_with_a_token(tmp_path: Path) -> None:
    async with FakeRegistry(tls=True, tokens=["secret"]) as registry:
        ca = tmp_path / "ca.pem"
        ca.write_text(registry.ca_pem)
        await drive(registry, register, is_secure=True, user_token="secret", custom_ca=str(ca))

        assert [item["name"] for item in registry.store.listed(MODELS)] == ["granite"]


async def test_the_client_reads_back_what_it_wrote_and_edits_it() -> None:
    def work(client: Client) -> tuple[dict[str, Any], str]:
        register(client)
        version = client.get_model_version("granite", "v1")
        artifact = client.get_model_artifact("granite", "v1")
        version.description = "changed"
        client.update(version)
        return version.custom_properties, artifact.model_source_group

    async with FakeRegistry() as registry:
        custom_properties, group = await drive(registry, work, is_secure=False, user_token="t")

        [version] = registry.store.listed(VERSIONS)
    assert custom_properties == {"Owner": "team-a", "epochs": 3, "rate": 0.5, "tuned": True}
    assert group == "example"
    assert version["description"] == "changed"
    assert version["lastUpdateTimeSinceEpoch"] > version["createTimeSinceEpoch"]


async def test_the_client_walks_all_pages() -> None:
    async with FakeRegistry(limits=PageLimits(default=20, cap=100)) as registry:
        registry.populate(45, versions=1)
        names = await drive(
            registry, lambda client: [m.name for m in client.get_registered_models()], is_secure=False, user_token="t"
        )

        assert len(names) == len(set(names)) == 45


async def test_a_second_registration_of_a_version_is_refused() -> None:
    from model_registry.exceptions import StoreError

    def work(client: Client) -> None:
        register(client)
        with pytest.raises(StoreError, match="already exists"):
            register(client)
        register(client, version="v2")

    async with FakeRegistry() as registry:
        await drive(registry, work, is_secure=False, user_token="t")

        assert [item["name"] for item in registry.store.listed(VERSIONS)] == ["v1", "v2"]
