"""A real Backstage with its pages, started by the tests and by the demo."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.backstage.readers import Reader, shipped
from tests.backstage.rig import Backstage
from tests.portal.scene import Scene

APP = Path(__file__).with_name("app")
"""The frontend; `make test-portal` bundles it once."""
ORGANISATION = Path(__file__).with_name("org.yaml")
TECHDOCS = Path(sys.prefix) / "techdocs" / "bin"
"""Where mkdocs is, which builds the pages of documentation."""

_OFTEN = {"frequency": {"seconds": 5}, "timeout": {"seconds": 60}, "initialDelay": {"seconds": 1}}


class Portal(Backstage):
    """A backend that serves the frontend too and reads a scene; an async context manager like the one without pages."""

    PROCESSING_SECONDS = 10

    def __init__(self, *, reader: Reader, scene: Scene, directory: Path, port: int | None = None) -> None:
        super().__init__(reader=reader, feed=scene.feed, directory=directory, port=port)
        self.scene = scene

    def environment(self) -> Mapping[str, str]:
        """Return the variables of the process: with pages, with the frontend where Node finds it, with mkdocs."""
        assert (APP / "dist" / "index.html").exists(), f"{APP} is not bundled: make test-portal does it"
        return {
            **super().environment(),
            "PORTAL": "true",
            "NODE_PATH": str(APP.parent),
            "PATH": f"{TECHDOCS}{os.pathsep}{os.environ['PATH']}",
        }

    def configuration(self) -> Mapping[str, Any]:
        """Return what a portal has for itself: guests sign in, people and systems are known, documentation is built."""
        own = super().configuration()
        return {
            **own,
            "app": {
                "title": "Developer portal",
                "baseUrl": self.base_url,
                "extensions": [{"page:catalog": {"config": {"path": "/"}}}],
            },
            "organization": {"name": "Example"},
            "backend": {
                **own["backend"],
                # "Try it out" on the page of an API asks the model from the browser.
                "csp": {"connect-src": ["'self'", "http:", "https:"], "upgrade-insecure-requests": False},
            },
            "auth": {
                "environment": "production",
                "providers": {
                    "guest": {"dangerouslyAllowOutsideDevelopment": True, "userEntityRef": "user:default/guest"}
                },
            },
            "catalog": {**own["catalog"], "locations": self._locations()},
            "search": {"collators": {"catalog": {"schedule": _OFTEN}, "techdocs": {"schedule": _OFTEN}}},
            "techdocs": {
                "builder": "local",
                "generator": {"runIn": "local"},
                "publisher": {"type": "local", "local": {"publishDirectory": str(self._directory / "techdocs")}},
            },
        }

    def _locations(self) -> list[Any]:
        """Return the locations of the shipped configuration, which these replace, and that of the organisation."""
        config = yaml.safe_load(shipped(self.reader, self.feed))
        organisation = {"type": "file", "target": str(ORGANISATION), "rules": [{"allow": ["Domain"]}]}
        return [*config.get("catalog", {}).get("locations", ()), organisation]
