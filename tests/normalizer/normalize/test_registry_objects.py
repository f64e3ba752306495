"""Odd objects of a registry: what still counts, and what is reported."""

from typing import Any

import pytest

from common.problems import Problem
from services.normalizer.normalize.registry_objects import (
    ModelArtifact,
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    ServingEnvironment,
    parse_item,
)
from tests.normalizer.normalize.registries import artifact, model, parsed, record, version


def test_wrong_types_count_as_absent() -> None:
    odd = model(description=[], owner={}, tasks="x", language=None, customProperties=[1], createTimeSinceEpoch=[])
    assert odd == model()


def test_numbers_are_taken_for_ids_and_times() -> None:
    found = version(id=10, registeredModelId=1, createTimeSinceEpoch=1700)
    assert (found.id, found.registered_model_id, found.created) == ("10", "1", 1700)
    assert version(createTimeSinceEpoch="soon").created == 0
    assert version(createTimeSinceEpoch=True).created == 0


@pytest.mark.parametrize(
    ("state", "live"), [("LIVE", True), ("ARCHIVED", False), ("FROZEN", False), (None, True), ("", True), ({}, True)]
)
def test_states_are_open(state: Any, live: bool) -> None:
    assert model(state=state).is_live is live
    assert version(state=state).is_live is live


@pytest.mark.parametrize(("state", "deployed"), [("DEPLOYED", True), ("UNDEPLOYED", False), ("X", False), (None, True)])
def test_desired_states_are_open(state: Any, deployed: bool) -> None:
    assert record(desiredState=state).is_deployed is deployed


@pytest.mark.parametrize(
    ("kind", "is_model"), [("model-artifact", True), ("doc-artifact", False), ("metric", False), (None, True)]
)
def test_kinds_of_artifacts(kind: Any, is_model: bool) -> None:
    assert artifact(artifactType=kind).is_model is is_model


@pytest.mark.parametrize(
    ("kind", "raw", "missing"),
    [
        (RegisteredModel, {"name": "granite"}, "id"),
        (RegisteredModel, {"id": "1", "name": " "}, "name"),
        (ModelVersion, {"id": "1", "name": "v1"}, "registeredModelId"),
        (ModelArtifact, {"uri": "oci://x"}, "id"),
        (RegistryInferenceService, {"id": "1"}, "registeredModelId"),
        (ServingEnvironment, {}, "id"),
        (ServingEnvironment, None, "id"),
        (ServingEnvironment, ["id"], "id"),
    ],
)
def test_unusable_items_are_problems(kind: type[Any], raw: Any, missing: str) -> None:
    found = parse_item(kind, raw, registry="public")
    assert isinstance(found, Problem)
    assert found.severity == "error"
    assert f"without {missing}" in found.message
    assert "in registry public" in found.object


def test_items_are_equal_by_content() -> None:
    assert model(readme="a") == model(readme="a") != model(readme="b")
    assert parsed(ServingEnvironment, id="7", name="vision", unknown="x").name == "vision"


@pytest.mark.parametrize(("mark", "live"), [("true", False), ("TRUE ", False), ("false", True), ("", True)])
@pytest.mark.parametrize("kind", [RegisteredModel, ModelVersion])
def test_what_is_marked_to_be_left_out_is_not_live(kind: Any, mark: str, live: bool) -> None:
    properties = {"rhdh.modelcatalog.io/ignore": {"metadataType": "MetadataStringValue", "string_value": mark}}
    item = parsed(kind, id="1", name="m", registeredModelId="1", customProperties=properties)
    assert item.is_live == live
