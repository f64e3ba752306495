"""PUSH_TO_RHDH with a real Backstage that has no plugin and names no location: registered, read, taken back."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.backstage.readers import Reader
from tests.backstage.rig import Backstage, _free_port
from tests.backstage.sidecars import LOCATION, NORMALIZER, STORAGE
from tests.backstage.world import World
from tests.objects import isvc

pytestmark = pytest.mark.timeout(300)

IRIS = {"resource:default/models-iris", "component:default/models-iris", "api:default/models-iris"}
WINE = {ref.replace("iris", "wine") for ref in IRIS}


class Unconfigured(Backstage):
    """A Backstage whose app-config lets it read the feed and says nothing else of the connector."""

    def configuration(self) -> Mapping[str, Any]:
        given: dict[str, Any] = json.loads(json.dumps(super().configuration()))
        given["backend"]["reading"] = {"allow": [{"host": self.feed.removeprefix("http://")}]}
        return given

    def _write_configuration(self) -> list[str]:
        options = super()._write_configuration()
        (self._directory / f"{self.reader.value}.app-config.rhoai-connector.yaml").write_text("{}\n")
        return options

    async def targets(self) -> list[str]:
        """The targets of the Locations that were registered, below the feed."""
        found = [item["data"]["target"] for item in await self._json("/api/catalog/locations")]
        return sorted(target.removeprefix(self.feed) for target in found if target.startswith(self.feed))

    async def registers(self, *targets: str) -> None:
        """Wait until exactly these Locations are registered."""

        async def exactly() -> bool:
            assert await self.targets() == sorted(targets), await self.targets()
            return True

        await self.wait_for(exactly, what=f"registered are {targets}", timeout=30)


async def test_it_is_registered_once_and_taken_back_and_in_the_second_format_by_model(tmp_path: Path) -> None:
    port = _free_port()
    async with World(tmp_path, port=port) as world:
        world.cluster.apply(isvc("iris"))
        backstage = Unconfigured(reader=Reader.PLAIN, feed=f"http://127.0.0.1:{port}", directory=tmp_path)
        named = {"BKSTG_URL": backstage.base_url, "RHDH_TOKEN": backstage.token}
        sidecars = await world.connect(PUSH_TO_RHDH="true", **named)

        async def start_again(**environment: str) -> None:
            for service in (STORAGE, LOCATION, NORMALIZER):
                await sidecars.stop(service)
                await sidecars.start(service, **environment)
            await sidecars.ready()

        async with backstage:
            await backstage.registers("/catalog-info.yaml")
            await backstage.wait_for_references(IRIS)

            world.cluster.apply(isvc("wine"))
            await backstage.wait_for_references(IRIS | WINE)
            await sidecars.restart(STORAGE)
            await sidecars.ready()
            await backstage.registers("/catalog-info.yaml")

            yaml = {"NORMALIZER_FORMAT": "CatalogInfoYamlFormat"}
            await start_again(**yaml)
            await backstage.registers("/models/iris/catalog-info.yaml", "/models/wine/catalog-info.yaml")
            await backstage.wait_for_references(IRIS | WINE, timeout=60)

            world.cluster.delete("InferenceService", "models", "wine")
            await backstage.registers("/models/iris/catalog-info.yaml")
            await backstage.wait_for_references(IRIS)

            await start_again()
            await backstage.registers("/catalog-info.yaml")
            await backstage.wait_for_references(IRIS, timeout=60)

            await start_again(PUSH_TO_RHDH="false")
            await backstage.registers()
            await backstage.wait_for_references(set())
            # The Location of a model that has gone is read in vain until it is taken back.
            assert not [each for each in await backstage.refusals() if not each.entity.startswith("location:")]
