"""The pages as they were last seen: their words in `seen/`, three of them as pictures in docs/images.

Run with UPDATE_PICTURES=1 to take them again, for a reviewer to see what has changed. The words are compared in every
run; of the pictures only that they are there, for fonts differ from machine to machine.
"""

import difflib
import os
import re
from pathlib import Path

import pytest
from playwright.async_api import Locator

from tests.backstage.readers import Reader
from tests.backstage.sidecars import ROOT
from tests.portal.browser import Visit
from tests.portal.portal import Portal
from tests.portal.scene import GRANITE, LLAMA

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

IMAGES = ROOT / "docs" / "images"
SEEN = Path(__file__).with_name("seen")
UPDATE = "UPDATE_PICTURES"

KINDS = {Reader.SECOND_GENERATION: "aimodelserverapi"}
"""The kind that shows how a model is called, where it is no Component."""
NOISE = re.compile(r"[\u200b\ue000-\uf8ff\u00b6]")
"""What is drawn and has no meaning in words: marks for line breaks, and glyphs of icon fonts."""
MOMENTS = re.compile(r"\d+ (?:second|minute)s? ago|about a minute ago|in \d+ seconds|(?:a few|\d+) seconds")


async def test_the_pages_say_what_they_said(portal: Portal, visit: Visit) -> None:
    kind = KINDS.get(portal.reader, "component")
    for model in (GRANITE, LLAMA):
        await visit.entry(f"{kind}:default/{model.entity}")
        await compare(portal, visit, f"entry-{model.entity}")
    if portal.reader is not Reader.SECOND_GENERATION:
        await visit.definition(f"api:default/{GRANITE.entity}")
        await compare(portal, visit, "definition")
    holder = f"resource:default/{GRANITE.model_entity}"
    card = await visit.card(f"{kind}:default/{GRANITE.entity}" if portal.reader is Reader.SECOND_GENERATION else holder)
    await compare(portal, visit, "card", card)
    visit.seen.outside.clear()  # the card's own picture


async def test_the_pictures_show_what_the_pages_show(portal: Portal, visit: Visit) -> None:
    if portal.reader is not Reader.SECOND_AND_PLAIN:
        pytest.skip("the pictures are of the set-up for Developer Hub 2.x")

    await visit.entry(f"component:default/{GRANITE.entity}")
    await picture(visit, "portal-entry")
    await visit.definition(f"api:default/{GRANITE.entity}")
    await picture(visit, "portal-definition")
    await visit.card(f"resource:default/{GRANITE.model_entity}")
    await picture(visit, "portal-card")
    visit.seen.outside.clear()  # the card's own picture


async def compare(portal: Portal, visit: Visit, name: str, part: Locator | None = None) -> None:
    """Hold the words of the page that is open, or of a part of it, against those that were last seen there."""
    await visit.steady()
    words = await visit.text() if part is None else await part.inner_text()
    lines = (NOISE.sub("", line).strip() for line in words.splitlines())
    seen = MOMENTS.sub("a moment", "\n".join(line for line in lines if line)) + "\n"
    file = SEEN / portal.reader.value / f"{name}.txt"
    if os.environ.get(UPDATE):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(seen, encoding="utf-8")
    former = file.read_text(encoding="utf-8") if file.exists() else ""
    changes = difflib.unified_diff(former.splitlines(), seen.splitlines(), "as it was", "as it is", lineterm="")
    assert former == seen, "\n".join([f"{file.relative_to(ROOT)}: look at it again with {UPDATE}=1", *changes])


async def picture(visit: Visit, name: str) -> None:
    """Take a picture of what is seen, where that is wanted."""
    assert await visit.warnings() == []
    if os.environ.get(UPDATE):
        await visit.steady()
        await visit.picture(IMAGES / f"{name}.png")
    assert (IMAGES / f"{name}.png").exists(), f"no docs/images/{name}.png: run once with {UPDATE}=1"
