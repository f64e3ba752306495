"""The status page in a browser: everybody can read and use it, and nothing of it asks for anything outside."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from common.status import NormalizerStatus, StorageStatus
from tests.location.world import KINDS
from tests.page.scene import HOSTILE, TROUBLED, WELL, Scene, hostile, hostile_upsert, scene
from tests.portal.browser import Browser
from tests.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("page")]

IMAGES = Path(__file__).parents[2] / "docs/images"
UPDATE = "UPDATE_PICTURES"
NARROW, WIDE = 400, 1100
SCENES: dict[str, tuple[NormalizerStatus, StorageStatus]] = {"well": WELL, "troubled": TROUBLED, "hostile": hostile()}


@asynccontextmanager
async def opened(
    browser: Browser, staged: Scene, path: str = "/", *, width: int = WIDE, **options: Any
) -> AsyncIterator[Page]:
    """Open the page; nothing fails in it, and it asks for nothing but what is ours."""
    faults: list[str] = []
    async with browser.tab(staged.url, width=width, height=900, **options) as page:
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: None if request.url.startswith(staged.url) else faults.append(request.url))
        await page.goto(path)
        yield page
        assert faults == []


async def open_all(page: Page) -> None:
    closed = page.locator("details:not([open]) > summary")
    while await closed.count():
        await closed.first.click()


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("name", SCENES)
async def test_everybody_can_use_it(browser: Browser, name: str, colours: str, width: int) -> None:
    async with scene(*SCENES[name]) as staged:
        if name == "hostile":
            staged.fill(hostile_upsert(), *(kind.upsert() for kind in KINDS))
        async with opened(browser, staged, width=width, color_scheme=colours) as page:
            await open_all(page)
            found = await Axe().run(page)
            wide = await page.evaluate("document.documentElement.scrollWidth")

    assert found.response["violations"] == [], found.generate_report()
    assert wide <= width, "it is wider than the window"


async def test_it_says_what_is_wrong_and_what_to_do(browser: Browser) -> None:
    async with scene(*TROUBLED) as staged, opened(browser, staged) as page:
        verdict = page.get_by_role("status")
        await expect(verdict).to_contain_text(
            "something is wrong with registry:rhoai-model-registries/default-registry"
        )
        await expect(verdict).to_contain_text("bind the role registry-user-default-registry")
        leaving = page.get_by_role("region", name="About to leave")
        await expect(leaving).to_contain_text("connector removals confirm world_instances")
        await expect(leaving).to_contain_text("2026-11-25 15:10:00 UTC")
        await expect(page.get_by_role("region", name="Hidden models")).to_contain_text("remove the annotation")
        await expect(page.get_by_role("region", name="Sources")).to_contain_text("5 h ago")
        await expect(page.get_by_role("region", name="Readers")).to_contain_text("40 s ago")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
async def test_models_are_found_by_words(browser: Browser, scripts: bool) -> None:
    async with scene(*WELL) as staged, opened(browser, staged, java_script_enabled=scripts) as page:
        models = page.locator("#found details")
        await expect(models).to_have_count(len(KINDS))
        await page.get_by_role("searchbox", name="Words").fill("granite")
        await page.get_by_role("searchbox", name="Words").press("Enter")
        await expect(models).to_have_count(1)
        await models.locator("summary").click()
        await expect(models).to_contain_text("aimodelserverapi:default/granite-33-8b-instruct")
        await expect(page.get_by_role("searchbox", name="Words")).to_have_value("granite")
        await page.get_by_label("Show").select_option("not deployed")
        await page.get_by_role("button", name="Find").click()
        await expect(page.locator("#found")).to_contain_text("No model contains these words.")


async def test_it_is_worked_with_by_the_keyboard(browser: Browser) -> None:
    async with scene(*WELL) as staged, opened(browser, staged) as page:
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="To the content")).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_be_focused()
        await page.get_by_role("searchbox", name="Words").focus()
        for _ in range(3):
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("#found details").first).to_have_attribute("open", "")


async def test_it_is_fresh_and_keeps_what_someone_opened(browser: Browser) -> None:
    async with scene(*WELL) as staged, browser.tab(staged.url) as page:
        await page.clock.install()
        await page.goto("/")
        chat = page.locator("#model-world_chat")
        await chat.locator("summary").click()
        await page.get_by_role("searchbox", name="Words").focus()
        staged.normalizer, staged.storage = TROUBLED
        staged.fill(*(kind.upsert() for kind in KINDS[:3]))
        await page.evaluate("window.stays = true")
        await until_fresh(page, "something is wrong")

        await expect(page.locator("#found details")).to_have_count(3)
        await expect(chat).to_have_attribute("open", "")
        await expect(page.get_by_role("searchbox", name="Words")).to_be_focused()
        assert await page.evaluate("window.stays"), "the page was loaded again"

        await page.get_by_role("button", name="Pause updates").click()
        staged.fill(KINDS[0].upsert())
        await page.clock.run_for(30_000)
        await expect(page.locator("#found details")).to_have_count(3)


async def until_fresh(page: Page, verdict: str) -> None:
    """Let the page look again until it says this."""

    async def fresh() -> bool:
        await page.clock.run_for(11_000)
        return verdict in await page.get_by_role("status").inner_text()

    await eventually(fresh, what="the page is fresh")


async def test_a_page_that_cannot_be_renewed_says_of_when_it_is(browser: Browser) -> None:
    async with scene(*WELL) as staged, browser.tab(staged.url) as page:
        await page.clock.install()
        await page.goto("/")
        await page.route("**/*", lambda route: route.abort())
        await page.clock.run_for(11_000)
        await expect(page.locator("body.lost")).to_have_count(1)
        await expect(page.locator("#as-of")).to_contain_text("2026-11-25 14:30:00 UTC")


async def test_names_are_text_whatever_stands_in_them(browser: Browser) -> None:
    async with scene(*hostile()) as staged:
        staged.fill(hostile_upsert())
        async with opened(browser, staged) as page:
            await open_all(page)
            assert await page.title() != "run"
            assert await page.locator("main img, main script, main b").count() == 0
            for region in ("sources", "problems", "hidden", "leaving", "models", "changes", "settings"):
                await expect(page.locator(f"#{region}")).to_contain_text(HOSTILE)
            for link in await page.locator("a").all():
                assert not (await link.get_attribute("href") or "").lower().startswith(("javascript:", "data:", "<"))


async def test_the_pictures_show_the_page(browser: Browser) -> None:
    pictures: dict[str, dict[str, Any]] = {
        "status-page": {"width": WIDE, "color_scheme": "light"},
        "status-page-narrow": {"width": NARROW, "color_scheme": "dark"},
    }
    for name, options in pictures.items():
        file = IMAGES / f"{name}.png"
        if os.environ.get(UPDATE):
            async with scene(*TROUBLED) as staged, opened(browser, staged, **options) as page:
                await page.screenshot(path=file, animations="disabled", scale="css")
        assert file.exists(), f"no docs/images/{name}.png: run once with {UPDATE}=1"
