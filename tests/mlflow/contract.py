"""What the connector makes of an MLflow server: the same assertions for the real one and for the fake."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import aiohttp
import pytest

from common.http import transports
from common.metrics import Metrics
from common.secrets import MountedCredentials
from common.trust import trust_also
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.linking import RegistryIndex, link
from services.normalizer.normalize.registry import normalize_version
from services.normalizer.normalize.result import Defaults, Normalized
from services.normalizer.sources import mlflow_lists
from services.normalizer.sources.http import Connector, SourceMetrics
from services.normalizer.sources.mlflow import MlflowPoller
from services.normalizer.sources.refs import SourceRef
from tests.normalizer.normalize.objects import isvc
from tests.normalizer.sources.support import Polled, Reading

API = "/api/2.0/mlflow"
SERVICE_ACCOUNT = "token-of-the-service-account"
REF = SourceRef(id="mlflow:team", kind="registry", url="", origin="a test", name="team", api="mlflow")


@dataclass
class Server:
    """A server for tests to fill and to read; `credentials` is the folder with what it asks for."""

    url: str
    credentials: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        # MLflow's server closes idle connections after 5 s; a POST that meets that moment is not sent again.
        headers = {**self.headers, "Connection": "close"}
        connector = transports.current().connector(self.url, ssl=True, limit=100)
        self._http = aiohttp.ClientSession(headers=headers, connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def send(self, path: str, method: str = "POST", **order: Any) -> Any:
        async with self._http.request(method, f"{self.url}{API}/{path}", json=order) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def model(self, **fields: Any) -> str:
        """Register a model under a name of its own; return the name."""
        name = f"iris clf {uuid4().hex[:8]}"
        await self.send("registered-models/create", name=name, **fields)
        return name

    async def version(self, name: str, source: str = "s3://bucket/iris", **fields: Any) -> str:
        """Add a version; return its number."""
        made = await self.send("model-versions/create", name=name, source=source, **fields)
        return str(made["model_version"]["version"])

    async def run(self, **metrics: float) -> str:
        """Make a run with these metrics; return its id."""
        experiment = (await self.send("experiments/create", name=uuid4().hex))["experiment_id"]
        tags = [{"key": "mlflow.user", "value": "ada"}]
        run = await self.send("runs/create", experiment_id=experiment, run_name="brave-fox", start_time=1, tags=tags)
        each: str = run["run"]["info"]["run_id"]
        for key, value in metrics.items():
            await self.send("runs/log-metric", run_id=each, key=key, value=value, timestamp=1)
        return each

    @asynccontextmanager
    async def polling(self, *, timeout: float = 20, **options: Any) -> AsyncIterator[Polled]:
        connector = Connector(
            token=lambda: SERVICE_ACCOUNT,
            ssl=trust_also([]),
            metrics=Metrics("test", "0").shared(SourceMetrics),
            credentials=MountedCredentials(self.credentials),
            timeout=timeout,
        )
        async with connector.open(replace(REF, url=self.url)) as remote:
            yield Polled(MlflowPoller(remote, **options))


def live(reading: Reading, name: str) -> set[str]:
    """The numbers of the live versions of a model."""
    return {version.name for model, version in reading.live() if model.name == name}


def document(reading: Reading, name: str, number: str) -> Normalized:
    """The document of a version."""
    live = (each for each in reading.known.values() if each.is_live)
    [version] = [each for each in live if (each.model.name, each.version.name) == (name, number)]
    return normalize_version(
        version, registry=REF.registry, server=None, registry_isvc_name="", card="", defaults=Defaults()
    )


class Contract:
    """Inherited by a class of tests that has a fixture `server`."""

    async def test_a_version_says_what_mlflow_knows_of_it(self, server: Server) -> None:
        run = await server.run(accuracy=0.97)
        tags = [{"key": "team", "value": "vision"}, {"key": "owner", "value": "grace"}]
        name = await server.model(description="Classifies irises.", tags=tags)
        number = await server.version(
            name, description="The first.", run_id=run, tags=[{"key": "data", "value": "public"}]
        )
        await server.send("registered-models/alias", name=name, alias="champion", version=number)

        async with server.polling() as poller:
            reading = await poller.poll()
        assert (reading.complete, reading.listed, reading.fault, reading.problems) == (True, True, None, ())

        normalized = document(reading, name, number)
        [model] = normalized.document.models
        assert model.name == f"{name.replace(' ', '')}-1"
        assert normalized.segments == (name.replace(" ", ""), "1")
        assert model.description == "Classifies irises.\nThe first."
        assert (model.owner, model.lifecycle) == ("grace", "development")
        assert model.artifact_location_url == "s3://bucket/iris"
        assert model.training == "Metrics of run brave-fox: accuracy 0.97."
        assert model.tags == ("alias-champion", "data-public", "team-vision")
        details = normalized.details
        assert (details.registry, details.model, details.version) == ("mlflow:team", name, "1")
        assert details.author == "ada"

    async def test_stages_are_lifecycles_and_archived_versions_are_not_live(self, server: Server) -> None:
        name = await server.model()
        numbers = [await server.version(name) for _ in range(3)]
        await server.send("model-versions/transition-stage", name=name, version=numbers[0], stage="Archived")
        await server.send("model-versions/transition-stage", name=name, version=numbers[1], stage="Production")

        async with server.polling() as poller:
            reading = await poller.poll()
            assert live(reading, name) == {"2", "3"}
            model = document(reading, name, "2").document.models[0]
            assert (model.lifecycle, model.tags) == ("production", ("stage-production",))

            await server.send("model-versions/transition-stage", name=name, version=numbers[0], stage="None")
            assert live(await poller.poll(), name) == {"1", "2", "3"}

    async def test_all_pages_are_read(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mlflow_lists, "PAGE_SIZES", (2, 1))
        names = {await server.model(): 3, await server.model(): 1}
        for name, count in names.items():
            for _ in range(count):
                await server.version(name)

        async with server.polling() as poller:
            reading = await poller.poll()
        assert reading.complete
        assert {name: len(live(reading, name)) for name in names} == names

    async def test_a_server_that_takes_smaller_pages_only_is_asked_for_these(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mlflow_lists, "PAGE_SIZES", (1_000_000, 100))
        name = await server.model()
        await server.version(name)
        async with server.polling() as poller:
            reading = await poller.poll()
        assert reading.complete
        assert live(reading, name) == {"1"}

    async def test_a_version_that_was_deleted_is_gone_by_proof(self, server: Server) -> None:
        name = await server.model()
        for _ in range(2):
            await server.version(name)
        async with server.polling() as poller:
            await poller.poll()
            await server.send("model-versions/delete", "DELETE", name=name, version="1")

            reading = await poller.poll()
            assert (reading.complete, live(reading, name)) == (True, {"2"})
            assert [each.rpartition("/")[2] for each in reading.deleted] == ["1"]
            assert reading.touched.issuperset(reading.deleted)

            later = await poller.poll()
            assert (later.complete, live(later, name)) == (True, {"2"})
            assert not later.deleted

    async def test_what_goes_with_its_model_is_missing_without_proof(self, server: Server) -> None:
        name = await server.model()
        await server.version(name)
        async with server.polling() as poller:
            await poller.poll()
            await server.send("registered-models/delete", "DELETE", name=name)

            reading = await poller.poll()
        assert reading.complete
        assert not [each for each in reading.versions if each.startswith(name[:4]) and name[-8:] in each]

    async def test_what_an_earlier_run_knew_is_asked_for(self, server: Server) -> None:
        async with server.polling(expected=["no%20such%20model/1"]) as poller:
            assert (await poller.poll()).complete

    async def test_storage_uris_name_versions(self, server: Server) -> None:
        name = await server.model()
        for _ in range(3):
            await server.version(name)
        await server.send("registered-models/alias", name=name, alias="champion", version="2")
        await server.send("model-versions/transition-stage", name=name, version="1", stage="Staging")
        async with server.polling() as poller:
            index = RegistryIndex.build(REF.registry, (await poller.poll()).known.values())

        def means(uri: str) -> str | None:
            found = link(read_isvc(isvc(predictor={"model": {"storageUri": uri}})), [index])
            return found.version.ids[1].rpartition("/")[2] if found.version else None

        assert means(f"models:/{name}/3") == "3"
        assert means(f"models:/{name.replace(' ', '%20')}/1") == "1"
        assert means(f"models:/{name}@champion") == "2"
        assert means(f"models:/{name}/Staging") == "1"
        assert means(f"models:/{name}/staging") == "1"
        assert means(f"models:/{name}/latest") == "3"
        assert means(f"models:/{name}/4") is None
        assert means("models:/m-0123456789") is None
        assert means(f"model-registry://{name}/1") is None
