"""What model servers say of themselves, and which of them may be asked."""

import json
from typing import Any

import pytest

from common.details import unpacked
from services.normalizer.normalize.answers import (
    Answers,
    Questions,
    addresses_to_ask,
    questions_for,
    read_definition,
    read_models,
    read_operations,
    with_answers,
)
from services.normalizer.normalize.deployment import read_service
from services.normalizer.normalize.kserve_objects import read_isvc, read_llmisvc
from tests import objects

MODELS = Questions(models="/v1/models")
BOTH = Questions(models="/v1/models", definition="/openapi.json")
AUTH = "security.opendatahub.io/enable-auth"
JUNK: list[Any] = [None, 1, "x", [], {}, {"data": None}, {"data": [None, 1, {"id": 1.5e99}, {"id": {}}]}, {"data": {}}]


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (["granite"], ("granite",)),
        (["granite", "granite", "sql-adapter"], ("granite", "sql-adapter")),
        (["publishers/team/models/granite", "granite"], ("granite",)),
        (["publishers/team/models/granite"], ("publishers/team/models/granite",)),
        (["https://user:canary@host/granite"], ("https://host/granite",)),
        (["", " ", "a\nb"], ("a b",)),
    ],
)
def test_the_names_of_models_are_read(ids: list[str], names: tuple[str, ...]) -> None:
    assert read_models({"object": "list", "data": [{"id": each} for each in ids]}) == names


@pytest.mark.parametrize("answer", JUNK)
def test_any_other_answer_says_nothing(answer: Any) -> None:
    assert read_models(answer) == ()
    assert read_operations(answer) == ()


def test_what_is_stored_with_every_entry_is_small() -> None:
    many = read_models({"data": [{"id": f"adapter-{number}-{'x' * 30}"} for number in range(1000)]})
    assert len("".join(many)) < 700
    paths: dict[str, Any] = {f"/v1/some/operation/{number}": {"post": {}} for number in range(1000)}
    said = read_operations({"openapi": "3.1.0", "paths": paths})
    assert len("".join(said)) < 700


def test_operations_are_read_those_of_the_api_first() -> None:
    paths = {
        "/health": {"get": {}},
        "/tokenize": {"post": {}, "parameters": []},
        "/v1/chat/completions": {"post": {}},
        "/v1/a b": {"get": {}},
        "relative": {"get": {}},
        "/v1/models": {"get": None, "summary": "x"},
        "/odd": None,
    }
    assert read_operations({"openapi": "3.1.0", "paths": paths}) == (
        "POST /v1/chat/completions",
        "GET /v1/models",
        "POST /tokenize",
    )
    assert read_operations({"paths": paths}) == (), "no definition at all"


SMALL = {"openapi": "3.1.0", "info": {"title": "Scores", "version": "1"}, "paths": {"/score": {"post": {}}}}


def test_a_small_definition_is_kept_as_it_is_without_credentials() -> None:
    assert json.loads(unpacked(read_definition(SMALL))) == SMALL
    leaking = SMALL | {"externalDocs": {"url": "https://user:canary@docs.example.com/x?sig=canary"}}
    kept = unpacked(read_definition(leaking))
    assert "canary" not in kept
    assert json.loads(kept)["paths"] == SMALL["paths"]


@pytest.mark.parametrize(
    "answer",
    [
        *JUNK,
        {"swagger": "2.0", "paths": SMALL["paths"]},
        SMALL | {"paths": {}},
        SMALL | {"info": {"description": "x" * 4000}},
        SMALL | {"info": {"description": "".join(map(chr, range(300, 2300)))}},
        SMALL | {"info": {"title": "\ud800"}},
    ],
)
def test_another_or_a_large_one_is_not_kept(answer: Any) -> None:
    assert read_definition(answer) == ""


def vllm(**options: Any) -> dict[str, Any]:
    return objects.isvc("granite", model_format="vLLM", **options)


@pytest.mark.parametrize(
    ("obj", "asked"),
    [
        (vllm(), BOTH),
        (vllm(minReplicas=1), BOTH),
        (vllm(minReplicas=0), None),
        (vllm(ready=False), None),
        (objects.stopped(vllm()), None),
        (vllm(annotations={AUTH: "true"}), None),
        (vllm(annotations={AUTH: "false"}), BOTH),
        (vllm(annotations={"rhdh.io/apispec": "openapi: 3.0.0"}), MODELS),
        (objects.isvc("iris", model_format="onnx"), None),
        (objects.isvc("own", model_format="our-format"), Questions(definition="/openapi.json")),
        (
            objects.isvc("own", model_format="our-format", annotations={"rhdh.io/servertype": "openai-v1"}),
            BOTH,
        ),
        (
            objects.isvc("m", model_format="huggingface", runtime="kserve-huggingfaceserver"),
            Questions(models="/openai/v1/models", definition="/openapi.json"),
        ),
    ],
)
def test_only_servers_that_run_and_ask_for_no_token_are_asked(obj: dict[str, Any], asked: Questions | None) -> None:
    assert questions_for(read_isvc(obj), None, models=True, definitions=True) == asked


@pytest.mark.parametrize(
    ("secured", "annotations", "asked"),
    [
        (None, {}, MODELS),
        (False, {}, MODELS),
        (True, {}, None),
        (True, {AUTH: "false"}, MODELS),
        (None, {"serving.kserve.io/stop": "true"}, None),
    ],
)
def test_llm_inference_services_are_asked_too(
    secured: bool | None, annotations: dict[str, str], asked: Questions | None
) -> None:
    deployment = read_llmisvc(objects.llm_isvc("granite", annotations=annotations), secured=secured)
    assert questions_for(deployment, None, models=True, definitions=False) == asked


def test_one_without_replicas_is_never_asked() -> None:
    obj = objects.llm_isvc("granite")
    obj["spec"]["replicas"] = 0
    assert questions_for(read_llmisvc(obj), None, models=True, definitions=True) is None


def test_the_addresses_are_those_of_the_entry() -> None:
    obj = vllm(uid="u")
    service = read_service(objects.predictor_service(obj))
    inside = "http://granite-predictor.models.svc.cluster.local:8080"
    outside = "https://granite-models.apps.example.com"
    assert addresses_to_ask(read_isvc(obj), [service], None, inside=True) == (inside, outside)
    assert addresses_to_ask(read_isvc(obj), [service], None, inside=False) == (outside,), (
        "the same name means another Service in another cluster"
    )
    local = read_isvc(vllm(url="http://granite-predictor.models.svc.cluster.local"))
    assert addresses_to_ask(local, [], None, inside=False) == ()


def test_people_go_before_servers_and_servers_before_guesses() -> None:
    obj = vllm(annotations={"rhdh.io/model-b": "said"})
    obj["spec"]["predictor"]["model"]["args"] = ["--served-model-name", "told", "alias"]
    deployment = read_isvc(obj)
    assert deployment.names == ("said", "told", "alias")
    assert with_answers(deployment, Answers()).names == deployment.names
    assert with_answers(deployment, Answers(names=("other", "alias"))).names == ("said", "alias", "other")
