"""The world, a portal of each set-up and a browser, started once for all tests; `make test-portal` runs them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.backstage.readers import Reader
from tests.portal.browser import Browser, Visit
from tests.portal.portal import Portal
from tests.portal.scene import Scene


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """The sources and the connector's processes, full."""
    async with Scene(tmp_path_factory.mktemp("scene")) as scene:
        yield scene


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
async def portal(
    request: pytest.FixtureRequest, scene: Scene, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Portal]:
    """A portal that has read everything; one is up at a time, for tests are run portal by portal."""
    directory = tmp_path_factory.mktemp(request.param.value)
    async with Portal(reader=request.param, feed=scene.feed, directory=directory) as portal:
        await portal.settled()
        yield portal


@pytest_asyncio.fixture(loop_scope="session")
async def visit(portal: Portal, browser: Browser) -> AsyncIterator[Visit]:
    """A guest at the portal. Whatever they open, no script fails, and no page asks for anything outside."""
    async with browser.visit(portal.base_url) as visit:
        yield visit
    assert visit.seen.errors == []
    assert visit.seen.outside == [], "a browser without internet would wait for these"
