"""Situations of real registries, from what their lists answer to the documents and what is reported of them.

One odd object loses nothing around it, and ordinary content is not worth a word.
"""

import json
from typing import Any

import pytest

from common import details
from common.problems import Problem
from services.normalizer.normalize.registry_objects import (
    Item,
    ModelArtifact,
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    ServingEnvironment,
    parse_item,
)
from tests.normalizer.bench import Bench
from tests.normalizer.normalize.objects import isvc


class Registry:
    """The lists of a registry as they are answered; whatever cannot be read is kept as a problem."""

    def __init__(self, **lists: Any) -> None:
        self.problems: list[str] = []
        versions = self._items(ModelVersion, lists.get("versions", ()))
        given = lists.get("artifacts", {})
        self.content = {
            "models": self._items(RegisteredModel, lists.get("models", ())),
            "versions": versions,
            "artifacts": {id_: tuple(self._items(ModelArtifact, given.get(id_, ())).values()) for id_ in versions},
            "records": self._items(RegistryInferenceService, lists.get("records", ())),
            "environments": self._items(ServingEnvironment, lists.get("environments", ())),
        }

    def _items(self, kind: type[Item], answers: Any) -> dict[str, Item]:
        found = {}
        for answer in answers:
            item = parse_item(kind, answer, registry="reg")
            if isinstance(item, Problem):
                self.problems.append(item.object)
            else:
                found[item.id] = item
        return found

    def shown(self, *isvcs: dict[str, Any]) -> tuple[Bench, dict[str, Any]]:
        """Return the bench and the documents, by key, with these InferenceServices."""
        bench = Bench()
        bench.registry(**self.content)
        for obj in isvcs:
            bench.isvc(obj)
        return bench, {key: json.loads(upsert.body) for key, upsert in bench.desired.wanted.items()}


def model(id_: str, name: Any, **more: Any) -> dict[str, Any]:
    return {"id": id_, "name": name, "state": "LIVE", **more}


def version(id_: str, of: str, name: Any = "v1", **more: Any) -> dict[str, Any]:
    return {"id": id_, "name": name, "registeredModelId": of, "state": "LIVE", **more}


def text(value: str) -> dict[str, str]:
    return {"metadataType": "MetadataStringValue", "string_value": value}


def told(bench: Bench) -> list[str]:
    return [problem.message for problems in bench.desired.problems.values() for problem in problems]


def test_broken_items_lose_nothing_around_them() -> None:
    artifacts = [
        {"id": "1", "artifactType": "metric", "name": "f1", "value": 0.9},
        {"id": "2", "artifactType": "dataset-artifact", "uri": "s3://data/train"},
        {"id": "3", "artifactType": "future-artifact", "uri": "x://y"},
        {"artifactType": "model-artifact", "uri": "s3://without-id"},
        {"id": "4", "artifactType": "model-artifact", "uri": "s3://b/right", "state": "LIVE"},
        None,
        "text",
    ]
    registry = Registry(
        models=[model("1", "ok"), {"id": "2"}, {"name": "no id"}, None, "text", model("3", "odd", state="MYSTERY")],
        versions=[version("10", "1"), {"id": "11", "name": "orphan"}, version("12", "9"), version("13", "3"), 7],
        artifacts={"10": artifacts},
    )
    _, shown = registry.shown()
    assert {key: document["models"][0]["artifactLocationURL"] for key, document in shown.items()} == {
        "ok_v1": "s3://b/right"
    }
    assert "RegisteredModel '2' in registry reg" in registry.problems
    assert "ModelVersion 'orphan' in registry reg" in registry.problems


def test_nulls_everywhere_are_absent() -> None:
    nothing = dict.fromkeys(("description", "owner", "customProperties", "language", "tasks", "license", "readme"))
    registry = Registry(
        models=[model("1", "nulls", **nothing)],
        versions=[version("10", "1", author=None, customProperties=None, createTimeSinceEpoch="")],
        artifacts={"10": [{"id": "100", "uri": None, "customProperties": {"x": None, "y": {}}}]},
    )
    bench, shown = registry.shown()
    assert "null" not in json.dumps(shown["nulls_v1"]).replace("nulls", "")
    assert told(bench) == []


def test_odd_names_give_distinct_valid_ones() -> None:
    names = ["acme/llama-3.1-8b:fp8", "ACME/Llama-3.1-8B:FP8", "模型", "x" * 200, "Fraud Détection 🚀", "a_b", "a", ""]
    versions = ["1.0/rc:1", "1.0/RC:1", "版本", "2025-05-01T10:00:00Z", "v1", "c", "b_c", "v1"]
    registry = Registry(
        models=[model(str(number), name) for number, name in enumerate(names)],
        versions=[version(f"1{number}", str(number), name) for number, name in enumerate(versions)],
    )
    bench, shown = registry.shown()
    assert len({document["models"][0]["name"].lower() for document in shown.values()}) == len(names) - 1
    assert len(registry.problems) == 1
    titles = {details.decode(upsert.details).title for upsert in bench.desired.wanted.values()}
    assert "Fraud Détection 🚀 v1" in titles


def test_ordinary_content_of_a_validated_catalog_is_not_worth_a_word() -> None:
    properties = {
        "model_type": text("generative"),
        "validated_on": text('["RHOAI 3.4","vLLM 0.18.0"]'),
        "red hat": text(""),
        "8-bit precision": text(""),
        "qwen2_5": text(""),
        "fp8": text(""),
        "size": text("8B params"),
        "hardware_configuration": text("x" * 200),
        "_lastModified": text("2025-03-05T14:22:11.123Z"),
        "_registeredFromCatalogSourceName": text("Red Hat AI validated"),
    }
    registry = Registry(
        models=[
            model(
                "1",
                "RedHatAI/model-FP8-dynamic",
                owner="kube:admin",
                customProperties=properties,
                license="llama3.3",
                provider="Neural Magic (Red Hat)",
                tasks=["text-generation"],
                language=["en", "de"],
            )
        ],
        versions=[version("10", "1", "Version 1", customProperties=properties)],
    )
    bench, shown = registry.shown()
    [document] = shown.values()
    assert told(bench) == []
    assert {
        "model-type-generative",
        "red-hat",
        "8-bit-precision",
        "qwen2-5",
        "fp8",
        "size-8b-params",
        "validated-on-rhoai-3-4",
        "text-generation",
        "neural-magic-red-hat",
    } <= set(document["models"][0]["tags"])


SERVED = [
    ("model-registry://iris/v1", {}, "iris_v1"),
    ("model-registry://reg.ns.svc.cluster.local:8080/iris", {}, "iris_v2"),
    ("gs://models/iris", {"modelregistry.kubeflow.org/registered-model-id": "1"}, "iris_v2"),
    (
        "gs://models/iris",
        {
            "modelregistry.opendatahub.io/registered-model-id": "1",
            "modelregistry.opendatahub.io/model-version-id": "10",
        },
        "iris_v1",
    ),
]


@pytest.mark.parametrize(("uri", "labels", "key"), SERVED)
def test_a_deployment_and_its_version_are_one_document(uri: str, labels: dict[str, str], key: str) -> None:
    registry = Registry(
        models=[model("1", "iris")],
        versions=[version("10", "1", createTimeSinceEpoch="1"), version("11", "1", "v2", createTimeSinceEpoch="2")],
        artifacts={"10": [{"id": "100", "uri": "s3://b/1"}], "11": [{"id": "110", "uri": "s3://b/2"}]},
        records=[{"id": "5", "name": "iris-x/uid", "registeredModelId": "1", "desiredState": "UNDEPLOYED"}],
    )
    _, shown = registry.shown(isvc(name="iris-x", labels=labels, predictor={"model": {"storageUri": uri}}))
    assert {at: "modelServer" in document for at, document in shown.items()} == {
        "iris_v1": key == "iris_v1",
        "iris_v2": key == "iris_v2",
    }
    assert shown["iris_v1"]["models"][0]["artifactLocationURL"] == "s3://b/1"


def test_ids_that_do_not_fit_together_link_nothing() -> None:
    """A registry whose database was rebuilt counts again: the version of that id is of another model now."""
    registry = Registry(models=[model("1", "iris"), model("2", "wine")], versions=[version("10", "2")])
    labels = {
        "modelregistry.opendatahub.io/registered-model-id": "1",
        "modelregistry.opendatahub.io/model-version-id": "10",
    }
    _, shown = registry.shown(isvc(name="iris-x", labels=labels))
    assert "modelServer" not in shown["wine_v1"]
    assert "modelServer" in shown["vision_iris-x"]
