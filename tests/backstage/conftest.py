"""Backends and feeds for the tests of this directory; `make test-backstage` runs them."""

from pathlib import Path
from typing import Protocol

import pytest

from tests.backstage.readers import Reader
from tests.backstage.rig import BACKEND, Backstage


class StartBackstage(Protocol):
    def __call__(self, reader: Reader, feed: str, package: Path = BACKEND) -> Backstage: ...


@pytest.fixture
def start_backstage(tmp_path: Path) -> StartBackstage:
    """Start a backend of a release with a reader of the feed at a base URL; the catalog is empty at first."""

    def start(reader: Reader, feed: str, package: Path = BACKEND) -> Backstage:
        return Backstage(reader=reader, feed=feed, directory=tmp_path, package=package)

    return start
