"""A browser for the status page; `make test-page` runs these tests, which need chromium and no Backstage."""

from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest_asyncio

if TYPE_CHECKING:
    from tests.portal.browser import Browser

collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator["Browser"]:
    """A browser without a network."""
    from tests.portal.browser import Browser

    async with Browser() as browser:
        yield browser
