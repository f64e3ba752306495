"""Documentation as TechDocs asks for it: a page for the readers of the plugins, a tree for a plain Backstage."""

import asyncio
import io
import json
import tarfile
import time
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from common.details import Details
from tests.location.conftest import Location
from tests.location.rendered_markdown import Html
from tests.location.samples import model_document, upsert
from tests.location.world import CARD_KEY, KINDS, Kind, document

CARD = "# Granite\n\nAn outstandingly *verbose* model:\n* first\n* second\n"
BY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def fill(location: Location, **cards: str) -> None:
    location.fill(*(kind.upsert() for kind in KINDS), cards=cards or {CARD_KEY: CARD})


async def read(location: Location, path: str) -> str:
    status, headers, body = await location.get(path)
    assert (status, headers["Content-Type"]) == (200, "text/markdown; charset=utf-8"), body
    return body.decode()


async def sha(location: Location, name: str = "chat") -> str:
    status, _, body = await location.get(f"/api/v1/repos/world/{name}/git/commits/main")
    assert status == 200
    return str(json.loads(body)["sha"])


async def tree(location: Location, name: str = "chat", path: str = "/api/v1/repos") -> dict[str, str]:
    status, headers, body = await location.get(f"{path}/world/{name}/archive/main.tar.gz")
    assert (status, headers["Content-Type"]) == (200, "application/gzip")
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        files = {member.name: tar.extractfile(member) for member in tar}
        return {path: file.read().decode() for path, file in files.items() if file}


def first_card(document: dict[str, Any]) -> str:
    return str(document["models"][0]["annotations"]["TechDocs"]).removeprefix("http://localhost:9090")


@BY_KIND
async def test_every_model_has_a_page_in_both_generations(kind: Kind, location: Location) -> None:
    fill(location)
    _, _, body = await location.get(f"/world/{kind.name}/model-catalog.json")
    first = json.loads(body)
    page = await read(location, first_card(first))
    if "modelServer" in first:
        assert first["modelServer"]["annotations"]["backstage.io/techdocs-ref"].endswith(first_card(first))
    base = "/api/kserve-kubeflow-connector"
    _, _, body = await location.get(f"{base}/models/{kind.key}")
    card = json.loads(body)["models"][0]["annotations"]["techdocs"]
    assert card.startswith("/modelcard/")
    assert await read(location, base + card) == page
    shown = Html(page)
    assert shown.elements.count("h1") == 1
    if "modelServer" in first:
        assert "How to call it" in shown.text
        assert kind.document["modelServer"]["API"]["url"] in shown.text
        assert ("a bearer token is needed" in shown.text) == kind.token
        assert kind.called in shown.text


@BY_KIND
async def test_every_model_has_a_tree(kind: Kind, location: Location) -> None:
    fill(location)
    files = await tree(location, kind.name)
    assert files == await tree(location, kind.name, path="")
    configuration = yaml.safe_load(files[f"{kind.name}/mkdocs.yml"])
    assert configuration["theme"] == {"name": "material", "font": False}
    assert configuration["site_name"]
    pages = [page for entry in configuration["nav"] for page in entry.values()]
    assert pages[0] == "index.md"
    assert {f"{kind.name}/docs/{page}" for page in pages} == files.keys() - {f"{kind.name}/mkdocs.yml"}
    for page in pages:
        assert Html(files[f"{kind.name}/docs/{page}"]).elements.count("h1") == 1


async def test_the_pages_of_a_tree(location: Location) -> None:
    fill(location)
    files = await tree(location)
    configuration = yaml.safe_load(files["chat/mkdocs.yml"])
    assert configuration["site_name"] == "Granite 3.3 8B Instruct 1.0"
    assert configuration["nav"] == [
        {"Model card": "index.md"},
        {"How to call it": "calling.md"},
        {"Use, ethics, support, training": "use.md"},
    ]
    index = Html(files["chat/docs/index.md"])
    assert [item.strip() for item in index.items] == ["first", "second"]
    assert "admonition" in " ".join(index.values("class"))
    assert "curl https://granite-33-8b-instruct.apps.example.com/v1/chat/completions" in index.text
    assert "granite-lora-french" in files["chat/docs/calling.md"]
    assert "Answers may be wrong." in files["chat/docs/use.md"]
    assert "service GRPCInferenceService" in (await tree(location, "grpc"))["grpc/docs/calling.md"]


async def test_a_tree_is_the_same_bytes_as_long_as_nothing_changes(location: Location) -> None:
    fill(location)
    path = "/world/chat/archive/main.tar.gz"
    first, commit = (await location.get(path))[2], await sha(location)
    fill(location)
    assert ((await location.get(path))[2], await sha(location)) == (first, commit)
    fill(location, **{CARD_KEY: CARD + "\nmore"})
    assert await sha(location) != commit
    assert (await location.get(path))[2] != first
    assert len(commit) == 40


async def test_head_is_answered_like_get(location: Location) -> None:
    fill(location)
    for path in ("/api/v1/repos/world/chat/git/commits/main", "/world/chat/archive/main.tar.gz"):
        status, headers, body = await location.get(path)
        async with location.client.head(path, headers={"Accept-Encoding": "identity"}) as answer:
            assert (answer.status, answer.headers["ETag"]) == (status, headers["ETag"])
            assert answer.headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/repos/world/none/git/commits/main",
        "/api/v1/repos/world/chat/git/commits/other",
        "/api/v1/repos/world/chat/archive/other.tar.gz",
        "/api/v1/repos/world/chat/archive/main.zip",
        "/api/v1/repos/..%2F..%2Fetc/passwd/archive/main.tar.gz",
        "/world/..%2Fchat/archive/main.tar.gz",
        "/modelcard?entry=none_1",
        "/modelcard/entry?entry=",
    ],
)
async def test_what_is_not_there_is_not_found(path: str, location: Location) -> None:
    fill(location)
    assert (await location.get(path))[0] == 404


@pytest.mark.parametrize(
    "path", ["/api/v1/repos/a/1/git/commits/main", "/a/1/archive/main.tar.gz", "/modelcard?entry=a_1"]
)
async def test_nothing_is_shown_before_the_feed_is_complete(path: str, location: Location) -> None:
    location.fill(upsert("a_1"), complete=False)
    assert (await location.get(path))[0] == 503


async def test_a_card_is_served_as_it_was_written_to_everyone_who_asks(location: Location) -> None:
    fill(location)
    for path in (f"/modelcard?key={quote(CARD_KEY)}&raw=true", "/modelcard?entry=world_chat&raw=true"):
        assert await read(location, path) == CARD
    assert await read(location, f"/modelcard?key={quote(CARD_KEY)}") != CARD


async def test_a_card_that_several_models_show_says_how_each_is_called(location: Location) -> None:
    upserts = [
        upsert(
            f"granite_{version}",
            json.dumps(document(f"granite-{version}", called=f"granite-{version}")).encode(),
            card_key="k",
            details=Details(title="Granite", version=version).encode(),
        )
        for version in ("1", "2")
    ]
    location.fill(*upserts, cards={"k": CARD})
    page = await read(location, "/modelcard?key=k")
    assert 'How to call it: Granite 1"' in page
    assert 'How to call it: Granite 2"' in page
    assert "granite-2" not in await read(location, "/modelcard?entry=granite_1")


async def test_a_card_that_is_not_there_is_the_page_of_its_models(location: Location) -> None:
    location.fill(upsert("a_1", model_document("lost"), card_key="lost card"))
    assert "lost" in await read(location, "/modelcard?key=lost%20card")


@pytest.mark.parametrize(
    ("details", "shown"),
    [
        (Details(connection="bucket", connection_type="s3"), "| Connection | bucket (S3 bucket) |"),
        (Details(connection="b", connection_title="Images", connection_type="oci"), "| Images (OCI registry) |"),
        (Details(connection="bucket"), "| Connection | bucket |"),
        (Details(connection="bucket", connection_type="of-tomorrow"), "| Connection | bucket |"),
    ],
)
async def test_a_page_says_what_a_connection_is(details: Details, shown: str, location: Location) -> None:
    location.fill(upsert("a_1", model_document("churn"), details=details.encode()))
    assert shown in await read(location, "/modelcard?entry=a_1")


async def test_versions_of_a_registered_model_name_each_other(location: Location) -> None:
    def version(key: str, number: str, registry: str = "r") -> Any:
        told = Details(title="Churn", registry=registry, model="Churn", version=number)
        return upsert(key, model_document(f"churn-{number}"), details=told.encode())

    location.fill(version("world_1", "1"), version("world_2", "2"), version("world_3", "3", registry="another"))
    files = await tree(location, "1")
    assert "| 1 (this page) | not deployed |" in files["1/docs/versions.md"]
    assert "| 2 | not deployed |" in files["1/docs/versions.md"]
    assert "| 3 |" not in files["1/docs/versions.md"]
    assert "3/docs/versions.md" not in await tree(location, "3")
    before = await sha(location, "1")
    location.fill(version("world_1", "1"), version("world_2", "2-rc"))
    assert await sha(location, "1") != before


async def test_the_feed_is_served_while_a_large_card_is_polished(location: Location) -> None:
    large = "# Large\n\n" + "A *paragraph* with [a link](https://example.com).\n\n* item\n" * 6000
    fill(location, **{CARD_KEY: large})
    reading = asyncio.create_task(read(location, f"/modelcard?key={quote(CARD_KEY)}"))
    waited = []
    while not reading.done():
        started = time.monotonic()
        assert (await location.get("/list"))[0] == 200
        waited.append(time.monotonic() - started)
    assert "Large" in await reading
    assert len(waited) > 3, "others had their turn"
