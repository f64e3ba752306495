"""What MLflow and OpenAI-compatible servers have, and what namespaces say, as real catalogs show it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.backstage.conftest import StartBackstage
from tests.backstage.readers import Reader
from tests.backstage.sidecars import Sidecars
from tests.backstage.world import World
from tests.fakes.mlflow import FakeMlflow
from tests.fakes.openai import FakeOpenAi
from tests.mlflow.contract import Server
from tests.objects import isvc

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def sidecars(tmp_path: Path) -> AsyncIterator[Sidecars]:
    async with (
        World(tmp_path) as world,
        FakeMlflow() as mlflow,
        Server(mlflow.url) as server,
        FakeOpenAi("granite-3.1-8b", "llama-3") as gateway,
    ):
        name = "iris clf"
        await server.send("registered-models/create", name=name, description="Classifies irises.")
        run = await server.run(accuracy=0.97)
        for _ in range(2):
            await server.version(name, run_id=run, tags=[{"key": "owner", "value": "ada"}])
        await server.send("registered-models/alias", name=name, alias="champion", version="2")
        world.cluster.apply(isvc("iris", storage_uri="models:/iris%20clf@champion"))
        yield await world.connect(MLFLOW_URLS=f"team={mlflow.url}", OPENAI_SERVERS=f"gateway={gateway.url}")


@pytest.mark.parametrize("reader", list(Reader), ids=lambda reader: reader.value)
async def test_they_are_in_the_catalog(sidecars: Sidecars, start_backstage: StartBackstage, reader: Reader) -> None:
    first = {
        *("resource:default/irisclf-1", "resource:default/irisclf-2", "component:default/iris", "api:default/iris"),
        *("resource:default/gateway", "component:default/gateway", "api:default/gateway"),
    }
    second = {"aimodelserverapi:default/iris", "aimodelserverapi:default/gateway"}
    wanted = {
        Reader.FIRST_GENERATION: first,
        Reader.PLAIN: first,
        Reader.SECOND_GENERATION: second,
        Reader.SECOND_AND_PLAIN: first | second,
    }[reader]
    async with start_backstage(reader, sidecars.feed) as backstage:
        await backstage.wait_for_references(wanted, timeout=60)
        assert await backstage.refusals() == [], await backstage.explain()
        if reader is Reader.SECOND_GENERATION:
            entity = await backstage.entity("aimodelserverapi:default/gateway")
            assert entity["spec"]["models"]["available"] == ["granite-3.1-8b", "llama-3"]
            assert entity["spec"]["serverType"] == "openai-v1"
        else:
            entity = await backstage.entity("resource:default/irisclf-2")
            assert entity["spec"]["owner"] == "user:ada"
            assert "alias-champion" in entity["metadata"]["tags"]
            assert entity["metadata"]["description"].startswith("Classifies irises.")
