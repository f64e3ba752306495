"""Documentation that people keep elsewhere as a single Markdown file."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import yaml
from aiohttp import web

from common.http.addresses import Address
from common.http.server import listening
from services.location.fetching import FRESH, LARGEST, CardFetcher, raw_address
from tests.location.conftest import Location, running_location
from tests.location.samples import model_document, upsert

CARD = "# Elsewhere\n\nSee [the guide](guide.md)."


class Forge:
    """A server of files; counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, Any] = {"/o/m/raw/main/README.md": CARD}
        self.host = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, dict(request.headers)))
        found = self.answers.get(request.path)
        if found is None:
            raise web.HTTPNotFound
        if isinstance(found, web.HTTPException):
            raise found
        if request.headers.get("If-None-Match") == '"1"':
            return web.Response(status=304, headers={"ETag": '"1"'})
        kind = "text/html" if found.startswith("<html") else "text/plain"
        return web.Response(text=found, content_type=kind, headers={"ETag": '"1"'})


@pytest.fixture
async def forge() -> AsyncIterator[Forge]:
    forge = Forge()
    app = web.Application()
    app.router.add_get("/{path:.*}", forge.answer)
    async with listening(app, [Address("127.0.0.1", 0)], grace=1) as (address,):
        forge.host = f"127.0.0.1:{address.port}"
        yield forge


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def located(
    forge: Forge, *, enabled: bool = True, path: str = "/o/m/blob/main/README.md"
) -> AsyncIterator[Location]:
    fetcher = CardFetcher([forge.host], enabled=enabled)
    async with running_location(fetcher=fetcher) as location:
        location.fill(upsert("a_1", model_document(annotations={"TechDocs": f"http://{forge.host}{path}"})))
        yield location


async def page(location: Location) -> str:
    status, _, body = await location.get("/modelcard?entry=a_1")
    assert status == 200
    return body.decode()


async def test_a_single_file_is_a_card_in_every_reader(forge: Forge) -> None:
    async with located(forge) as location:
        shown = await page(location)
        assert "# Elsewhere" in shown
        assert f"http://{forge.host}/o/m/raw/main/guide.md" in shown
        _, _, body = await location.get("/a/1/model-catalog.json")
        annotations = json.loads(body)["models"][0]["annotations"]
        assert annotations["TechDocs"] == "http://localhost:9090/modelcard?entry=a_1"
        _, _, body = await location.get("/api/kserve-kubeflow-connector/models/a_1")
        assert json.loads(body)["models"][0]["annotations"]["techdocs"] == "/modelcard/entry?entry=a_1"
        _, _, body = await location.get("/a/1/catalog-info.yaml")
        (resource,) = yaml.safe_load_all(body)
        assert resource["metadata"]["annotations"]["backstage.io/techdocs-ref"].endswith("/a/1/src/branch/main")
        assert (await location.get("/a/1/archive/main.tar.gz"))[0] == 200
        assert len(forge.asked) == 1
        assert not {"Authorization", "Cookie"} & forge.asked[0][1].keys()


async def test_without_leave_the_page_says_what_to_do(forge: Forge) -> None:
    async with located(forge, enabled=False) as location:
        assert "FETCH_CARDS=true" in await page(location)
    async with located(forge) as location:
        location.fill(upsert("a_1", model_document(annotations={"TechDocs": "https://wiki.example.com/README.md"})))
        shown = await page(location)
        assert "add `wiki.example.com` to `FETCH_CARDS_HOSTS`" in shown
    assert forge.asked == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "404"),
        (web.HTTPFound("http://169.254.169.254/latest"), "redirect"),
        ("<html>Sign in</html>", "a web page"),
        ("x" * (LARGEST + 1), "larger than"),
    ],
)
async def test_what_cannot_be_fetched_is_reported_on_the_page(forge: Forge, answer: Any, said: str) -> None:
    forge.answers["/o/m/raw/main/README.md"] = answer
    async with located(forge) as location:
        shown = await page(location)
        assert "Documentation elsewhere" in shown
        assert said in shown
        assert "mnist" in shown
    assert len(forge.asked) == 1


async def test_a_card_is_asked_for_again_after_a_while_with_its_validator_and_outlives_failures(forge: Forge) -> None:
    clock = Clock()
    fetcher = CardFetcher([forge.host], enabled=True, clock=clock)
    url = f"http://{forge.host}/o/m/blob/main/README.md"
    for _ in range(3):
        assert (await fetcher.card(url)).text == CARD
    assert len(forge.asked) == 1
    clock.now += FRESH + 1
    assert (await fetcher.card(url)).text == CARD
    assert forge.asked[-1][1]["If-None-Match"] == '"1"'
    forge.answers.clear()
    clock.now += FRESH + 1
    assert (await fetcher.card(url)).text == CARD
    assert (await fetcher.card(url)).text == CARD
    assert len(forge.asked) == 3


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://github.com/org/repo/blob/main/docs/README.md?plain=1#top",
            "https://raw.githubusercontent.com/org/repo/main/docs/README.md",
        ),
        ("https://gitlab.com/a/b/-/blob/main/README.md", "https://gitlab.com/a/b/-/raw/main/README.md"),
        ("https://codeberg.org/a/b/src/branch/main/README.md", "https://codeberg.org/a/b/raw/branch/main/README.md"),
        ("https://huggingface.co/a/b/blob/main/README.md", "https://huggingface.co/a/b/raw/main/README.md"),
        ("https://example.com/README.md#top", "https://example.com/README.md"),
    ],
)
def test_the_file_behind_a_page_of_a_forge(url: str, expected: str) -> None:
    assert raw_address(url) == expected


@pytest.mark.parametrize(
    "url",
    ["https://evil.example.com/README.md", "http://user:secret@{host}/README.md", "http://{host}.evil.example/x.md"],
)
async def test_hosts_that_no_one_named_are_never_asked(forge: Forge, url: str) -> None:
    fetcher = CardFetcher([forge.host], enabled=True)
    assert (await fetcher.card(url.format(host=forge.host))).fault
    assert forge.asked == []


async def test_a_folder_is_left_to_techdocs(forge: Forge) -> None:
    async with located(forge, path="/o/m/tree/main/docs") as location:
        _, _, body = await location.get("/a/1/model-catalog.json")
        annotations = json.loads(body)["models"][0]["annotations"]
        assert annotations["TechDocs"] == f"http://{forge.host}/o/m/tree/main/docs"
