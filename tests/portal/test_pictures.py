"""The pictures of docs/images: taken again with UPDATE_PICTURES=1, for a reviewer to see what has changed.

Otherwise only that the pages which they show can be opened is checked: fonts differ from machine to machine.
"""

import os

import pytest

from tests.backstage.readers import Reader
from tests.backstage.sidecars import ROOT
from tests.portal.browser import Visit
from tests.portal.portal import Portal
from tests.portal.scene import GRANITE

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

IMAGES = ROOT / "docs" / "images"


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


async def picture(visit: Visit, name: str) -> None:
    """Take a picture of what is seen, where that is wanted."""
    assert await visit.warnings() == []
    if os.environ.get("UPDATE_PICTURES"):
        await visit.picture(IMAGES / f"{name}.png")
    assert (IMAGES / f"{name}.png").exists(), f"no docs/images/{name}.png: run once with UPDATE_PICTURES=1"
