"""Backends and feeds for the tests of this directory; `make test-backstage` runs them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backstage.readers import Reader
from tests.backstage.rig import Backstage

StartBackstage = Callable[[Reader, str], Backstage]


@pytest.fixture
def start_backstage(tmp_path: Path) -> StartBackstage:
    """Start a backend with a reader of the feed at a base URL; the catalog is empty at first."""

    def start(reader: Reader, feed: str) -> Backstage:
        return Backstage(reader=reader, feed=feed, directory=tmp_path)

    return start
