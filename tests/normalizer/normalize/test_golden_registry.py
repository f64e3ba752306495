"""Registered versions become the documents that the predecessor served, apart from the differences meant."""

from typing import Any

import pytest

from services.normalizer.normalize.document import server_facts
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.linking import RegistryIndex, link
from services.normalizer.normalize.registered_version import Registry, catalog_model, joined
from services.normalizer.normalize.registry import normalize_version
from services.normalizer.normalize.registry_objects import (
    Item,
    ModelArtifact,
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    ServingEnvironment,
)
from tests.normalizer.normalize import golden
from tests.normalizer.normalize.objects import DEFAULTS
from tests.normalizer.normalize.registries import parsed, registered

REGISTRY = Registry("r1", "public", "registries")


@pytest.mark.parametrize("name", ["bare-3", "mobilenet-v2", "resnet-v1"])
def test_document_is_the_golden_one(name: str) -> None:
    case = golden.read(f"registry/{name}.json")
    answers = golden.read("registry/registry.json")

    def listed(kind: type[Item], answer: str) -> list[Item]:
        return [parsed(kind, **item) for item in answers[answer]["items"]]

    models = {model.id: model for model in listed(RegisteredModel, "registered_models")}
    versions = listed(ModelVersion, "model_versions")
    index = RegistryIndex.build(
        REGISTRY,
        registered(
            REGISTRY.id,
            models=models.values(),
            versions=versions,
            records=listed(RegistryInferenceService, "inference_services"),
            environments=listed(ServingEnvironment, "serving_environments"),
        ).values(),
    )
    version = next(v for v in versions if f"{models[v.registered_model_id].name}-{v.name}" == name)
    artifacts = [a for a in listed(ModelArtifact, "model_artifacts") if a.name == name]
    origin = catalog_model(artifacts)
    assert origin is not None
    result = normalize_version(
        joined(REGISTRY.id, models[version.registered_model_id], version, tuple(artifacts)),
        registry=REGISTRY,
        server=_server(version, answers["objects"], index),
        registry_isvc_name="",
        card=origin.key,
        defaults=DEFAULTS,
    )
    assert "/{}/{}/model-catalog.json".format(*result.segments) == case["uri"]
    assert golden.served(result.document) == golden.expected(case)
    assert [problem for problem in result.problems if problem.severity != "info"] == []


def _server(version: ModelVersion, objects: list[dict[str, Any]], index: RegistryIndex) -> Any:
    for isvc in map(read_isvc, objects):
        served = link(isvc, [index]).version
        if served and served.ids[1] == version.id:
            return server_facts(isvc)
    return None
