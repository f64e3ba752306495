"""A model card becomes a page of documentation, built as the TechDocs backend builds it."""

import asyncio
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.backstage import rich_set
from tests.backstage.conftest import StartBackstage
from tests.backstage.readers import Reader
from tests.backstage.rig import Card
from tests.backstage.world import World
from tests.objects import isvc

MKDOCS = Path(sys.prefix) / "techdocs" / "bin" / "mkdocs"


class Page(HTMLParser):
    """What a page shows: addresses of links and images, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.images: set[str] = set()
        self.elements: set[str] = set()
        self.items: list[str] = []
        self.scripts = ""
        self.text = ""
        self._in_script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self._in_script = tag == "script"
        if tag == "li":
            self.items.append("")
        target = dict(attrs).get({"a": "href", "img": "src"}.get(tag, ""))
        if target:
            (self.links if tag == "a" else self.images).add(target)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False
        if tag in ("li", "ul", "ol"):
            self.items.append("")

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts += data
            return
        self.text += data
        if self.items:
            self.items[-1] += data


@pytest.mark.parametrize("reader", rich_set.CARD_HOLDERS, ids=lambda reader: reader.value)
async def test_a_card_is_shown_with_its_links_images_and_tables(
    reader: Reader, tmp_path: Path, start_backstage: StartBackstage
) -> None:
    async with World(tmp_path) as world:
        rich_set.add_card(world)
        sidecars = await world.connect()
        holder = rich_set.CARD_HOLDERS[reader]
        async with start_backstage(reader, sidecars.feed) as backstage:
            await backstage.wait_for(lambda: backstage.entity(holder), what="the model is there")
            page = Page(await build(await backstage.card(holder)))

    assert "https://arxiv.org/abs/2405.04324" in page.links
    assert "https://example.com/granite.png" in page.images
    assert {"table", "pre", "li", "h1"} <= page.elements
    assert "räksmörgås 模型 🚀" in page.text
    assert "How to call it" in page.text
    assert {"low latency", "long context"} <= {item.strip() for item in page.items}
    assert "between <think> and" in page.text
    assert "alert(1)" not in page.scripts


async def test_an_unchanged_card_is_not_built_again_by_a_plain_backstage(
    tmp_path: Path, start_backstage: StartBackstage
) -> None:
    async with World(tmp_path) as world:
        rich_set.add_card(world)
        sidecars = await world.connect()
        holder = rich_set.CARD_HOLDERS[Reader.PLAIN]
        async with start_backstage(Reader.PLAIN, sidecars.feed) as backstage:
            await backstage.wait_for(lambda: backstage.entity(holder), what="the model is there")
            etag = (await backstage.card(holder)).etag
            assert etag
            assert not await backstage.has_new_card(holder, etag)
            rich_set.write_card(world, "# Another card")

            async def changed() -> bool:
                return await backstage.has_new_card(holder, etag)

            await backstage.wait_for(changed, what="the other card", timeout=60)


async def test_a_model_without_a_card_has_a_page(tmp_path: Path, start_backstage: StartBackstage) -> None:
    async with World(tmp_path) as world:
        world.cluster.apply(isvc("bare", "models", annotations={"rhdh.io/description": "It has no card."}))
        sidecars = await world.connect()
        holder = "resource:default/models-bare"
        async with start_backstage(Reader.PLAIN, sidecars.feed) as backstage:
            await backstage.wait_for(lambda: backstage.entity(holder), what="the model is there")
            page = Page(await build(await backstage.card(holder)))
    assert "How to call it" in page.text


async def build(card: Card) -> str:
    """Return the page that TechDocs makes of a card; it adds its own plugin to an mkdocs.yml without plugins."""
    assert MKDOCS.exists(), "not installed: make test-backstage installs tests/backstage/techdocs.lock"
    with (card.directory / "mkdocs.yml").open("a") as configuration:
        configuration.write("plugins:\n  - techdocs-core\n")
    mkdocs = await asyncio.create_subprocess_exec(
        *(str(MKDOCS), "build", "--quiet", "--site-dir", "site"),
        cwd=card.directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await mkdocs.communicate()
    assert mkdocs.returncode == 0, said.decode()
    return (card.directory / "site" / "index.html").read_text("utf-8")
