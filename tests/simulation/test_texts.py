"""Texts that are not Unicode, in all sources: no model takes another with it."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.fakes.kubernetes import FakeCluster
from tests.fakes.registry import FakeCatalog, FakeRegistry
from tests.objects import isvc
from tests.simulation.loop import simulated
from tests.simulation.pod import CONNECTOR_RUN, SERVICES, Pod
from tests.waiting import eventually

LONE = "x\udcffy"
"""Registries send it as an escape, the API server as a byte that is no UTF-8."""
_CARD = f'---\nlicense: "{LONE}"\nprovider: "\\ud800"\n---\n{LONE}'
_SPECIFICATION = '{"openapi": "3.0.0", "info": {"title": "\\ud800"}, "paths": {}}'


def _odd(name: str) -> dict[str, Any]:
    """Return a deployment with such texts where the API server does not check them."""
    obj = isvc(name, model_format=LONE, storage_uri=f"s3://bucket/{LONE}", args=[f"--model-name={LONE}"])
    obj["metadata"]["annotations"] = {"modelcatalogbridge.rhdh.io/apispec": _SPECIFICATION}
    obj["status"]["modelStatus"] = {"lastFailureInfo": {"message": LONE}}
    return obj


def _populate(registry: FakeRegistry, catalog: FakeCatalog) -> None:
    for name, text, card in (("whole", "text", "# card"), (f"odd{LONE}", LONE, _CARD)):
        model = registry.add_model(name, description=text, owner=text, readme=card, tasks=[text])
        properties = {text: text, "License": text, "API Spec": _SPECIFICATION}
        version = registry.add_version(model, "v1", description=text, properties=properties)
        registry.add_inference_service(f"{name}-isvc", model, version, "elsewhere", runtime=text)
        registry.add_artifact(version, uri=f"s3://bucket/{text}", properties={"Provider": text})
        catalog.put_card("source", name, card, description=text)


@pytest.mark.parametrize("programs", [SERVICES, CONNECTOR_RUN], ids=["pod", "connector run"])
@simulated
async def test_texts_that_are_not_unicode_cost_no_model_its_place(programs: Mapping[str, Sequence[str]]) -> None:
    async with FakeCluster() as cluster, FakeRegistry() as registry, FakeCatalog() as catalog:
        cluster.apply(isvc("whole"))
        cluster.apply(_odd("odd"))
        _populate(registry, catalog)
        variables = {"MODEL_REGISTRY_URLS": registry.url, "MODEL_CATALOG_URL": catalog.url}
        async with Pod(cluster, programs=programs, **variables) as pod:
            expected = {
                f"/{each}/model-catalog.json" for each in ("models/whole", "models/odd", "whole/v1", "oddxy/v1")
            }

            async def all_are_served() -> bool:
                return await pod.uris() == frozenset(expected)

            await eventually(all_are_served, interval=1)
            cluster.apply(_odd("later"))
            expected.add("/models/later/model-catalog.json")
            await eventually(all_are_served, interval=1)
            for path in (*expected, "/status", "/catalog-info.yaml"):
                (await pod.read(path)).decode()
            card = (await pod.get("/oddxy/v1/model-catalog.json"))["models"][0]["annotations"]["TechDocs"]
            assert b"Provider" in await pod.read(urlsplit(card).path + "?" + urlsplit(card).query)
