"""A browser without a network that opens the pages of a portal and tells what a person sees there."""

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlencode, urlsplit

from playwright.async_api import Browser as Chromium
from playwright.async_api import Locator, Page, Request, async_playwright

from tests.waiting import eventually

CHROMIUM = Path("/usr/bin/chromium")
HOST = "127.0.0.1"
ALIASES = ".localhost"
"""The end of the names that are this machine too: those of model servers."""
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en",
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HOST}, EXCLUDE *{ALIASES}",  # no name leads anywhere: air-gapped
)
WIDTH, HEIGHT = 1440, 1000
_PATIENCE = 30_000
"""Milliseconds that something may take to appear."""
_QUIET = 0.4
"""Seconds without a request after which a page counts as drawn."""


_SAME_PORTS = r"""() => {
  const visit = (root) => {
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    while (texts.nextNode()) {
      const node = texts.currentNode;
      if (node.shadowRoot) visit(node.shadowRoot);
      if (node.nodeType === Node.TEXT_NODE && /:\d{4,5}/.test(node.data))
        node.data = node.data.replace(/(localhost|127\.0\.0\.1):\d{4,5}/g, "$1:8080");
    }
  };
  visit(document.body);
}"""


@dataclass
class Seen:
    """What went on while pages were open: what they asked other hosts for, and what failed in their scripts."""

    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def clear(self) -> None:
        """Forget it all."""
        self.outside.clear()
        self.errors.clear()


class Browser:
    """One chromium with an empty profile, an async context manager."""

    def __init__(self) -> None:
        assert CHROMIUM.exists(), f"no {CHROMIUM}: make test-portal installs it, as root"

    async def __aenter__(self) -> Self:
        self._stack = contextlib.AsyncExitStack()
        playwright = await self._stack.enter_async_context(async_playwright())
        self._chromium: Chromium = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=list(OPTIONS), timeout=60_000
        )
        self._stack.push_async_callback(self._chromium.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @contextlib.asynccontextmanager
    async def visit(self, base_url: str) -> AsyncIterator["Visit"]:
        """Open a portal as a guest who was never there before."""
        async with self.tab(base_url) as page:
            visit = Visit(page)
            await visit.sign_in()
            yield visit

    @contextlib.asynccontextmanager
    async def tab(
        self, base_url: str, *, width: int = WIDTH, height: int = HEIGHT, **options: Any
    ) -> AsyncIterator[Page]:
        """Open a page of a person who was never there before; `options` are those of Playwright's contexts."""
        context = await self._chromium.new_context(
            base_url=base_url,
            viewport={"width": width, "height": height},
            locale="en-GB",
            timezone_id="UTC",
            **options,
        )
        context.set_default_timeout(_PATIENCE)
        try:
            yield await context.new_page()
        finally:
            await context.close()


class Visit:
    """A guest at a portal, with one page open at a time."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.seen = Seen()
        self._under_way: set[Request] = set()
        page.on("request", self._asked)
        page.on("requestfinished", lambda request: self._under_way.discard(request))
        page.on("requestfailed", lambda request: self._under_way.discard(request))
        page.on("pageerror", lambda error: self.seen.errors.append(str(error)))

    def _asked(self, request: Request) -> None:
        host = urlsplit(request.url).hostname
        if host is not None and host != HOST and not host.endswith(ALIASES):
            self.seen.outside.append(request.url)
        if request.resource_type != "eventsource":  # which ends with the page
            self._under_way.add(request)

    async def sign_in(self) -> None:
        """Enter as a guest, which the browser remembers."""
        await self.page.goto("/")
        await self.page.get_by_role("button", name="Enter").click()
        await self.page.get_by_role("heading", name="Catalog").first.wait_for()

    async def catalog(self, kind: str) -> str:
        """Open the list of a kind's entities, the longest page there is, and return what is seen."""
        await self.page.goto(f"/?{urlencode({'filters[kind]': kind.lower(), 'filters[user]': 'all', 'limit': 100})}")
        await self.page.locator("table tbody tr a").first.wait_for()
        await self.settle()
        return await self.text()

    async def entry(self, ref: str, tab: str = "") -> str:
        """Open the page of an entity (`kind:namespace/name`), or one of its tabs, and return what is seen."""
        await self.page.goto(f"/catalog/{_path(ref)}/{tab}")
        await self._title.wait_for()
        await self.settle()
        return await self.text()

    async def about(self) -> str:
        """Return what the card "About" of the entity that is open says, on one line."""
        text = await self._card("About").inner_text()
        return " ".join(text.replace("\n, Opens in a new window\n", "").split())

    async def heading(self) -> str:
        """Return what heads the page of the entity that is open."""
        return str(await self._title.inner_text()).strip()

    async def tags(self) -> Sequence[str]:
        """Return the tags of the entity that is open."""
        return list(await self._card("About").locator("[class*='MuiChip-label']").all_inner_texts())

    async def links(self) -> Sequence[str]:
        """Return where the links of the entity that is open lead."""
        links = await self._card("Links").locator("a").all()
        return [await link.get_attribute("href") or "" for link in links]

    @property
    def _title(self) -> Locator:
        return self.page.locator("[class*='HeaderTitle']").first

    def _card(self, title: str) -> Locator:
        heading = self.page.get_by_role("heading", name=title, exact=True)
        return self.page.get_by_role("article").filter(has=heading)

    async def definition(self, ref: str) -> str:
        """Open the definition of an API and return what is seen, all of its operations included."""
        await self.entry(ref, "definition")
        return await self.text()

    async def card(self, ref: str) -> Locator:
        """Open the documentation of an entity, wait until it is built, and return the document."""
        await self.page.goto(f"/docs/{_path(ref)}")
        document = self.page.locator("article").filter(has=self.page.locator("h1"))  # in TechDocs' shadow root
        await document.wait_for(timeout=2 * _PATIENCE)
        await self.settle()
        return document

    async def graph(self, ref: str) -> set[str]:
        """Open the graph around an entity and return the references of the entities in it."""
        await self.page.goto(f"/catalog-graph?{urlencode({'rootEntityRefs[]': ref, 'maxDepth': '2'})}")
        nodes = self.page.get_by_test_id("node")
        await nodes.first.wait_for()
        await self.settle()
        return set(await nodes.locator("title").all_text_contents())

    async def search(self, words: str, kind: Literal["software-catalog", "techdocs"] = "software-catalog") -> str:
        """Search for words in the entities or in their documentation, and return what is seen."""
        await self.page.goto(f"/search?{urlencode({'query': words, 'types[]': kind})}")
        await self.settle()
        return await self.text()

    async def text(self) -> str:
        """Return the text that is seen on the page."""
        return str(await self.page.locator("body").inner_text())

    async def warnings(self) -> Sequence[str]:
        """Return what is said in boxes that report something wrong."""
        boxes = self.page.get_by_role("alert").or_(self.page.locator("[class*='WarningPanel'], [class*='ErrorPanel']"))
        return [text for text in await boxes.all_inner_texts() if text.strip()]

    async def settle(self) -> None:
        """Wait until the page waits for nothing any more."""
        progress = self.page.get_by_test_id("progress").or_(self.page.get_by_role("progressbar"))
        quiet_since = time.monotonic()

        async def quiet() -> bool:
            nonlocal quiet_since
            if self._under_way or await progress.count():
                quiet_since = time.monotonic()
            return time.monotonic() - quiet_since > _QUIET

        await eventually(quiet, timeout=_PATIENCE / 1000, interval=0.05, what=f"{self.page.url} is drawn")

    async def steady(self) -> None:
        """Have the page show the same ports in every run, where the machine chose one."""
        await self.page.evaluate(_SAME_PORTS)

    async def picture(self, path: Path) -> None:
        """Write what is seen in the window to a PNG file."""
        await self.page.screenshot(path=path, animations="disabled", scale="css")


def _path(ref: str) -> str:
    kind, _, rest = ref.partition(":")
    return f"{rest.partition('/')[0]}/{kind}/{rest.partition('/')[2]}".lower()
