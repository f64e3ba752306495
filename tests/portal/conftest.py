"""The world, a portal of each set-up and a browser, started once for all tests; `make test-portal` runs them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.backstage.readers import Reader
from tests.portal.browser import Browser, Visit
from tests.portal.portal import Portal
from tests.portal.scene import Scene


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A browser without a network."""
    async with Browser() as browser:
        yield browser


@pytest_asyncio.fixture(
    scope="session",
    loop_scope="session",
    params=[pytest.param(reader, marks=pytest.mark.xdist_group(reader.value)) for reader in Reader],
    ids=lambda reader: reader.value,
)
async def portal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Portal]:
    """A portal that has read everything; one is up at a time, for tests are run portal by portal."""
    reader: Reader = request.param
    directory = tmp_path_factory.mktemp(reader.value)
    async with (
        Scene.read_by(reader, directory) as scene,
        Portal(reader=reader, scene=scene, directory=directory) as portal,
    ):
        await portal.settled()
        yield portal


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guest(portal: Portal, browser: Browser) -> AsyncIterator[Visit]:
    """A guest who has signed in at the portal."""
    async with browser.visit(portal.base_url) as visit:
        yield visit


@pytest_asyncio.fixture(loop_scope="session")
async def visit(guest: Visit) -> AsyncIterator[Visit]:
    """A guest at the portal. Whatever they open, no script fails, and no page asks for anything outside."""
    guest.seen.clear()
    yield guest
    assert guest.seen.errors == []
    assert guest.seen.outside == [], "a browser without internet would wait for these"
