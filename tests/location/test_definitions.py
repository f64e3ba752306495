"""Definitions are valid, small, and made for the model that is asked for; people's own win."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import validate

from common.details import SERVER_TYPES, Details, packed
from services.location.definitions import definition
from services.location.openapi import MOST_BYTES
from services.location.view import views_of
from tests.location.world import KINDS, Kind, document

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


def defined(document: dict[str, Any], details: Details) -> tuple[str, str]:
    (view,) = views_of(document, details, key="a_1")
    assert view.server
    return definition(view, view.server)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "modelServer" in kind.document], ids=lambda kind: kind.name)
@pytest.mark.parametrize("bare", [False, True])
def test_definitions_of_all_kinds_are_valid_and_small(kind: Kind, bare: bool) -> None:
    api_type, text = defined(kind.document, Details() if bare else kind.details)
    assert "TBD" not in text
    assert len(text.encode()) <= MOST_BYTES
    if api_type == "grpc":
        assert 'syntax = "proto3";' in text
        return
    described = yaml.safe_load(text)
    validate(described)
    assert described["servers"][0]["url"].startswith(kind.document["modelServer"]["API"]["url"])
    assert bool(described.get("security")) == kind.token


@given(
    title=TEXT,
    names=st.lists(TEXT, min_size=1, max_size=50).map(tuple),
    server_type=st.sampled_from(SERVER_TYPES),
    tasks=st.sampled_from([(), ("feature-extraction",), ("text-ranking",)]),
    token=st.booleans(),
    operations=st.lists(
        st.tuples(
            st.sampled_from(["GET", "POST", "DELETE", "odd", ""]),
            st.sampled_from(["/v1/chat/completions", "/v1/a/{id}", "/v1/a/{id}/{id}", "/{", "/x?y", "/v1", ""])
            | TEXT.map("/".__add__),
        ).map(" ".join),
        max_size=40,
    ).map(tuple),
)
def test_whatever_names_there_are_the_definition_is_valid_and_small(
    title: str,
    names: tuple[str, ...],
    server_type: Any,
    tasks: tuple[str, ...],
    token: bool,
    operations: tuple[str, ...],
) -> None:
    details = Details(title=title, names=names, server_type=server_type, tasks=tasks, operations=operations)
    api_type, text = defined(document("m", called="m", token=token), details)
    assert len(text.encode()) <= MOST_BYTES
    if api_type == "openapi":
        validate(json.loads(text))
    if server_type == "openai-v1" and not tasks:
        chat = json.loads(text)["paths"].get("/chat/completions", {}).get("post")
        assert chat is None or chat["requestBody"]["content"]["application/json"]["example"]["model"] == names[0]


def test_the_names_to_call_are_a_choice_and_stand_in_the_examples() -> None:
    details = Details(names=("m", "adapter"), server_type="openai-v1")
    _, text = defined(document("m", called="m"), details)
    content = json.loads(text)["paths"]["/chat/completions"]["post"]["requestBody"]["content"]["application/json"]
    assert content["schema"]["properties"]["model"]["enum"] == ["m", "adapter"]
    assert content["example"]["model"] == "m"


def test_a_name_longer_than_a_definition_leaves_the_address() -> None:
    _, text = defined(document("m", called="m"), Details(names=("x" * 1900,), server_type="openai-v1"))
    assert json.loads(text)["servers"] == [{"url": "https://m.apps.example.com/v1"}]
    assert len(text.encode()) <= MOST_BYTES


@pytest.mark.parametrize(
    ("tasks", "paths"),
    [
        ((), {"/models", "/chat/completions", "/completions"}),
        (("text-generation", "summarization"), {"/models", "/chat/completions", "/completions"}),
        (("feature-extraction",), {"/models", "/embeddings"}),
        (("text-ranking",), {"/models"}),
    ],
)
def test_an_openai_server_is_described_by_what_its_model_does(tasks: tuple[str, ...], paths: set[str]) -> None:
    _, text = defined(document("m", called="m"), Details(tasks=tasks, server_type="openai-v1"))
    assert json.loads(text)["paths"].keys() == paths


def test_nothing_is_made_up_for_a_server_that_no_one_knows() -> None:
    _, text = defined(document("m", called="m"), Details(title="M"))
    described = json.loads(text)
    assert described["paths"] == {}
    assert "The protocol of this server is unknown" in described["info"]["description"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "openapi: 3.1.0\npaths: {}\n",
            'openapi: 3.1.0\npaths: {}\nservers:\n- url: "https://m.apps.example.com/v1"\n',
        ),
        (
            "---\nopenapi: 3.1.0\npaths: {}",
            '---\nopenapi: 3.1.0\npaths: {}\nservers:\n- url: "https://m.apps.example.com/v1"\n',
        ),
        (
            "openapi: 3.1.0\npaths: {/v1/models: {}}",
            'openapi: 3.1.0\npaths: {/v1/models: {}}\nservers:\n- url: "https://m.apps.example.com"\n',
        ),
        ("openapi: 3.1.0\nservers: [{url: /x}]\n", None),
        ("swagger: '2.0'\nhost: x\n", None),
        ("openapi: 3.1.0\n---\nother: 1\n", None),
        ("paths:\n  openapi: x\n", None),
        ("https://example.com/openapi.yaml", None),
        ('{"openapi": "3.0.0", "servers": [{"url": "/x"}]}', None),
        ("{no json", None),
        ('["openapi"]', None),
    ],
)
def test_peoples_own_definition_wins_and_gets_the_address_when_it_names_none(spec: str, expected: str | None) -> None:
    assert defined(document("m", called="m", api={"spec": spec}), Details(server_type="openai-v1")) == (
        "openapi",
        spec if expected is None else expected,
    )


def test_peoples_own_json_gets_the_address_too() -> None:
    _, text = defined(document("m", called="m", api={"spec": '{"openapi": "3.0.0"}'}), Details())
    assert json.loads(text) == {"openapi": "3.0.0", "servers": [{"url": "https://m.apps.example.com"}]}


@pytest.mark.parametrize("api_type", ["asyncapi", "graphql"])
def test_a_format_without_an_address_says_what_is_known(api_type: str) -> None:
    found_type, text = defined(document("m", called="m", api={"type": api_type}), Details())
    assert found_type == api_type
    assert "https://m.apps.example.com" in text


def test_a_server_that_speaks_grpc_is_described_as_such_whatever_type_is_stored() -> None:
    assert defined(document("m", called="m"), Details(server_type="grpc"))[0] == "grpc"
    assert defined(document("m", called="m", api={"type": "grpc"}), Details())[0] == "grpc"


SAID = ("GET /v1/models", "POST /v1/chat/completions", "POST /v1/audio/speech/{voice}", "POST /tokenize")


def test_what_a_server_says_it_has_is_what_its_definition_has() -> None:
    details = Details(names=("granite",), server_type="openai-v1", operations=SAID)
    described = json.loads(defined(document("m", called="granite"), details)[1])
    validate(described)
    assert list(described["paths"]) == ["/models", "/chat/completions", "/audio/speech/{voice}", "/tokenize"]
    (base,) = described["servers"]
    (root,) = described["paths"]["/tokenize"]["servers"]
    assert base["url"] == f"{root['url']}/v1", "what is not below the base URL of clients has an address of its own"
    chat = described["paths"]["/chat/completions"]["post"]["requestBody"]["content"]["application/json"]
    assert chat["example"]["model"] == "granite", "what is known of an operation is kept"


def test_a_model_that_embeds_is_not_said_to_generate() -> None:
    details = Details(server_type="openai-v1", operations=SAID, tasks=("feature-extraction",))
    assert "/chat/completions" not in json.loads(defined(document("m", called="m"), details)[1])["paths"]


def test_a_server_that_no_one_describes_is_described_by_itself() -> None:
    described = json.loads(defined(document("m", called="m"), Details(deployment="m", operations=("POST /score",)))[1])
    validate(described)
    assert list(described["paths"]) == ["/score"]


def test_the_definition_of_the_server_itself_is_shown_with_the_address_of_the_entry() -> None:
    own = {"openapi": "3.1.0", "info": {"title": "Scores"}, "servers": [{"url": "/"}], "paths": {"/v1/score": {}}}
    given = document("m", called="m")
    address = given["modelServer"]["API"]["url"]
    api_type, text = defined(given, Details(server_type="openai-v1", definition=packed(json.dumps(own))))
    assert api_type == "openapi"
    assert json.loads(text) == own | {"servers": [{"url": address}]}


@pytest.mark.parametrize("packed_", ["", "no base64", packed("[]"), packed("{"), packed(json.dumps({"x": "y" * 5000}))])
def test_a_definition_that_is_none_or_too_large_is_not_shown(packed_: str) -> None:
    text = defined(document("m", called="m"), Details(server_type="openai-v1", definition=packed_))[1]
    assert "/chat/completions" in json.loads(text)["paths"]


def test_of_many_operations_so_many_are_shown_as_fit() -> None:
    said = tuple(f"POST /v1/a-rather-long-name-of-an-operation/{number}" for number in range(40))
    text = defined(document("m", called="m"), Details(server_type="openai-v1", operations=said))[1]
    assert len(text.encode()) <= MOST_BYTES
    assert len(json.loads(text)["paths"]) >= 6


@pytest.mark.parametrize("odd", ['"\\ud800"', "[" * 5000 + "]" * 5000])
def test_an_owners_specification_with_anything_in_it_can_be_served(odd: str) -> None:
    specification = f'{{"openapi": "3.0.0", "info": {{"title": "t", "x-odd": {odd}}}, "paths": {{}}}}'
    api = {"url": "https://a.example.com", "type": "openapi", "spec": specification}
    _, text = defined(document("a", called="a", api=api), Details())
    text.encode()
