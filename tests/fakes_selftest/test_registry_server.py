"""The fake registry and catalog: pages, states, tokens, certificates, faults, counters, and the process."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.fakes.registry import (
    ALL,
    ML_METADATA,
    MODELS,
    V1,
    V1ALPHA3,
    VERSIONS,
    FakeCatalog,
    FakeRegistry,
    ProcessRegistry,
)

API = "/api/model_registry/v1alpha3"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def get(session: aiohttp.ClientSession, url: str, **params: str) -> tuple[int, Any]:
    async with session.get(url, params=params) as answer:
        return answer.status, json.loads(await answer.read())


async def test_pages_of_20_by_default_and_100_at_most(session: aiohttp.ClientSession) -> None:
    async with FakeRegistry() as registry:
        registry.populate(150, artifacts=0)
        _, first = await get(session, registry.url + API + "/registered_models")
        _, largest = await get(session, registry.url + API + "/registered_models", pageSize="1000")
        _, rest = await get(
            session, registry.url + API + "/registered_models", pageSize="1000", nextPageToken=largest["nextPageToken"]
        )

    assert (len(first["items"]), first["size"]) == (20, 20)
    assert (len(largest["items"]), largest["pageSize"]) == (100, 100)
    assert (len(rest["items"]), rest["nextPageToken"]) == (50, "")


async def test_one_page_from_newer_servers(session: aiohttp.ClientSession) -> None:
    async with FakeRegistry(limits=ALL) as registry:
        registry.populate(150, artifacts=0)
        _, answer = await get(session, registry.url + API + "/registered_models")

    assert (len(answer["items"]), answer["nextPageToken"], answer["pageSize"]) == (150, "", 0)


async def test_order(session: aiohttp.ClientSession) -> None:
    async with FakeRegistry() as registry:
        registry.populate(3)
        registry.edit(MODELS, "1", description="the last change")
        _, by_id = await get(session, registry.url + API + "/registered_models", orderBy="ID", sortOrder="DESC")
        _, by_time = await get(session, registry.url + API + "/registered_models", orderBy="LAST_UPDATE_TIME")
        status, _ = await get(session, registry.url + API + "/registered_models", orderBy="NAME")

    assert [item["id"] for item in by_id["items"]] == ["3", "2", "1"]
    assert [item["id"] for item in by_time["items"]] == ["2", "3", "1"]
    assert status == 400


async def test_only_the_api_versions_asked_for(session: aiohttp.ClientSession) -> None:
    for served, other in ((V1, V1ALPHA3), (V1ALPHA3, V1)):
        async with FakeRegistry(versions=[served]) as registry:
            status, _ = await get(session, f"{registry.url}/api/model_registry/{served}/registered_models")
            async with session.get(f"{registry.url}/api/model_registry/{other}/registered_models") as missing:
                assert (status, missing.status) == (200, 404)
            assert registry.counted() == {
                "GET registered_models": 1,
                f"GET /api/model_registry/{other}/registered_models": 1,
            }


async def test_artifacts_are_listed_by_version_and_without_one(session: aiohttp.ClientSession) -> None:
    async with FakeRegistry() as registry:
        registry.populate(2)
        registry.add_artifact("2", artifactType="doc-artifact", name="notes")
        _, of_version = await get(session, registry.url + API + "/model_versions/2/artifacts")
        _, of_models = await get(session, registry.url + API + "/model_artifacts")
        _, all_of_them = await get(session, registry.url + API + "/artifacts")

    assert [item["id"] for item in of_version["items"]] == ["2", "3"]
    assert [item["id"] for item in of_models["items"]] == ["1", "2"]
    assert len(all_of_them["items"]) == 3
    assert not any("ersion" in key and "odelFormat" not in key for item in of_models["items"] for key in item)


async def test_archiving_restoring_undeploying_deleting() -> None:
    async with FakeRegistry() as registry:
        [model] = registry.populate(1, versions=2)
        service = registry.add_inference_service("granite", model, "1", "models")
        registry.archive(MODELS, model)
        registry.archive(VERSIONS, "1")
        archived = [registry.store.get(MODELS, model)["state"], registry.store.get(VERSIONS, "1")["state"]]
        registry.restore(MODELS, model)
        registry.undeploy(service)
        record = registry.store.get("inference_services", service)
        environment = registry.store.get("serving_environments", record["servingEnvironmentId"])
        registry.delete(MODELS, model)

        assert archived == ["ARCHIVED", "ARCHIVED"]
        assert (record["desiredState"], environment["name"]) == ("UNDEPLOYED", "models")
        assert registry.store.listed(VERSIONS) == registry.store.listed("artifacts") == []


async def test_tokens(session: aiohttp.ClientSession) -> None:
    async with FakeRegistry(tokens=["good"], forbidden=["other"]) as registry:
        seen = []
        for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Bearer good"}):
            async with session.get(registry.url + API + "/registered_models", headers=headers) as answer:
                seen.append(answer.status)

    assert seen == [401, 403, 200]


async def test_certificates(session: aiohttp.ClientSession) -> None:
    async with FakeRegistry(tls=True) as registry:
        trust = ssl.create_default_context(cadata=registry.ca_pem)
        url = registry.url + API + "/registered_models"
        async with session.get(url, ssl=trust) as answer:
            assert answer.status == 200
        await registry.present(wrong_certificate=True)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(url, ssl=trust)
        await registry.present(wrong_certificate=False)
        async with session.get(url, ssl=trust) as answer:
            assert answer.status == 200


async def test_down_and_up_again_on_the_same_port(session: aiohttp.ClientSession) -> None:
    async with FakeRegistry() as registry:
        url = registry.url
        await registry.down()
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url + API + "/registered_models")
        await registry.up()
        status, _ = await get(session, url + API + "/registered_models")

    assert status == 200


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
async def test_a_status_for_some_paths_some_times(session: aiohttp.ClientSession, status: int) -> None:
    async with FakeRegistry() as registry:
        registry.fail("status", "registered_*", status=status, times=1)
        seen = []
        for path in ("model_versions", "registered_models", "registered_models"):
            async with session.get(f"{registry.url}{API}/{path}") as answer:
                seen.append(answer.status)

    assert seen == [200, status, 200]


@pytest.mark.parametrize(
    ("kind", "body"), [("empty", b"{}"), ("login", b"<!DOCTYPE html>"), ("truncated", b'{"items": [{"custom')]
)
async def test_wrong_bodies_with_200(session: aiohttp.ClientSession, kind: str, body: bytes) -> None:
    async with FakeRegistry() as registry:
        registry.populate(3)
        registry.fail(kind)
        async with session.get(registry.url + API + "/registered_models") as answer:
            assert (answer.status, (await answer.read())[: len(body)]) == (200, body)
        registry.heal()
        _, healed = await get(session, registry.url + API + "/registered_models")

    assert len(healed["items"]) == 3


async def test_a_broken_connection(session: aiohttp.ClientSession) -> None:
    async with FakeRegistry() as registry:
        registry.fail("cut")
        async with session.get(registry.url + API + "/registered_models") as answer:
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()


async def test_a_hanging_server_and_a_slow_one(session: aiohttp.ClientSession) -> None:
    async with FakeRegistry() as registry:
        registry.fail("hang", "registered_models")
        registry.fail("slow", "model_versions", seconds=0.05)
        with pytest.raises(TimeoutError):
            await session.get(registry.url + API + "/registered_models", timeout=aiohttp.ClientTimeout(total=0.1))
        loop = asyncio.get_running_loop()
        began = loop.time()
        status, _ = await get(session, registry.url + API + "/model_versions")

    assert status == 200
    assert loop.time() - began >= 0.05


async def walk(session: aiohttp.ClientSession, url: str, pages: int) -> tuple[list[str], list[str]]:
    """Read that many pages, return the ids and the tokens."""
    ids, tokens = [], [""]
    for _ in range(pages):
        _, page = await get(session, url, **({"nextPageToken": tokens[-1]} if tokens[-1] else {}))
        ids += [item["id"] for item in page["items"]]
        tokens.append(page["nextPageToken"])
    return ids, tokens[1:]


async def test_lists_that_lie_about_their_pages(session: aiohttp.ClientSession) -> None:
    async with FakeRegistry() as registry:
        registry.populate(45, artifacts=0)
        url = registry.url + API + "/registered_models"

        registry.fail("repeating")
        _, tokens = await walk(session, url, 4)
        assert len(set(tokens)) == 1
        assert tokens[0]
        registry.heal()

        registry.fail("echoing")
        ids, tokens = await walk(session, url, 3)
        assert len(ids) == 45
        assert tokens[2] == tokens[1] != tokens[0]
        registry.heal()

        registry.fail("shrinking", count=2)
        ids, tokens = await walk(session, url, 3)
        assert len(set(ids)) == 43
        assert tokens[2] == ""


async def test_items_that_are_none_and_values_of_the_future(session: aiohttp.ClientSession) -> None:
    async with FakeRegistry() as registry:
        registry.populate(1)
        registry.add_raw(MODELS, {"id": "x"})
        _, raw = await get(session, registry.url + API + "/registered_models")
        registry.fail("malformed", "registered_models")
        registry.fail("unknown", "model_artifacts")
        _, malformed = await get(session, registry.url + API + "/registered_models")
        _, unknown = await get(session, registry.url + API + "/model_artifacts")

    assert raw["items"][0] == {"id": "x"}
    assert len(malformed["items"]) == 8
    assert unknown["items"][0]["state"] == "QUARANTINED"
    assert unknown["items"][0]["customProperties"]["embedding"]["metadataType"] == "MetadataVectorValue"


async def test_the_largest_number_of_requests_at_once(session: aiohttp.ClientSession) -> None:
    async with FakeRegistry() as registry:
        registry.fail("slow", seconds=0.05)
        await asyncio.gather(*(get(session, registry.url + API + "/registered_models") for _ in range(5)))

        assert registry.most_at_once == 5


async def test_the_catalog(session: aiohttp.ClientSession) -> None:
    async with FakeCatalog() as catalog:
        for number in range(12):
            catalog.put_card("curated", f"example/model {number}", f"# {number}")
        api = catalog.url + "/api/model_catalog/v1alpha1"
        _, sources = await get(session, api + "/sources")
        _, models = await get(session, api + "/models", source="curated")
        _, plain = await get(session, api + "/sources/curated/models/example/model%203")
        catalog.put_card("curated", "example/model 3", "changed")
        _, changed = await get(session, api + "/sources/curated/models/example/model%203")
        missing, _ = await get(session, api + "/sources/curated/models/example/none")
        counts = catalog.counted(reset=True)

    assert [source["id"] for source in sources["items"]] == ["curated"]
    assert len(models["items"]) == 10
    assert (plain["readme"], changed["readme"]) == ("# 3", "changed")
    assert missing == 404
    assert counts == {"GET sources": 1, "GET models": 1, "GET sources/{id}/models/{name}": 3}
    assert catalog.counted() == {}


LISTS = {
    "registered_models": {"items": [{"id": "7", "name": "granite", "state": "LIVE"}], "nextPageToken": "", "size": 1},
    "model_versions": {
        "items": [{"id": "70", "name": "v1", "registeredModelId": "7", "state": "LIVE"}],
        "nextPageToken": "",
        "size": 1,
    },
    "model_artifacts": {"items": [{"id": "700", "name": "granite-v1", "uri": "s3://m"}], "nextPageToken": ""},
}


async def test_plain_list_answers_are_loaded() -> None:
    async with FakeRegistry() as registry:
        registry.load(LISTS)

        assert [item["id"] for item in registry.store.artifacts_of("70")] == ["700"]
        assert registry.add_model("another") == "8"


async def test_as_a_process(session: aiohttp.ClientSession) -> None:
    async with ProcessRegistry(tls=True, tokens=["good"]) as fakes:
        trust = ssl.create_default_context(cadata=fakes.ca_pem)
        headers = {"Authorization": "Bearer good"}
        await fakes.registry("populate", 3, versions=2)
        await fakes.catalog("put_card", "curated", "example/m", "# card")
        async with session.get(fakes.url + API + "/model_versions", ssl=trust, headers=headers) as answer:
            assert len((await answer.json())["items"]) == 6
        url = fakes.catalog_url + "/api/model_catalog/v1alpha1/sources/curated/models/example/m"
        async with session.get(url, ssl=trust, headers=headers) as answer:
            assert (await answer.json())["readme"] == "# card"
        assert await fakes.registry("counted") == {"GET model_versions": 1}
        await fakes.registry("fail", "status", "*", status=500)
        async with session.get(fakes.url + API + "/model_versions", ssl=trust, headers=headers) as answer:
            assert answer.status == 500
        with pytest.raises(AssertionError, match=r"no method registry\.__init__"):
            await fakes.registry("__init__")


@pytest.mark.parametrize(
    ("asked", "items", "token"),
    [("", 20, True), ("20", 20, True), ("100", 100, True), ("101", 101, False), ("1000", 101, False)],
)
async def test_servers_on_ml_metadata_answer_101_items_without_a_token(
    session: aiohttp.ClientSession, asked: str, items: int, token: bool
) -> None:
    async with FakeRegistry(limits=ML_METADATA) as registry:
        registry.populate(250, artifacts=0)
        params = {"pageSize": asked} if asked else {}
        _, answer = await get(session, registry.url + API + "/registered_models", **params)

    assert (len(answer["items"]), bool(answer["nextPageToken"])) == (items, token)


async def test_a_database_that_is_away_and_a_catalog_that_starts(session: aiohttp.ClientSession) -> None:
    async with FakeRegistry() as registry, FakeCatalog() as catalog:
        registry.populate(1)
        registry.fail("database")
        catalog.fail("starting")
        seen = []
        for url in (
            registry.url + API + "/model_versions",
            registry.url + API + "/model_versions/1/artifacts",
            registry.url + API + "/model_versions/1",
            catalog.url + "/api/model_catalog/v1alpha1/sources",
        ):
            async with session.get(url) as answer:
                seen.append(answer.status)

    assert seen == [500, 500, 404, 404]
