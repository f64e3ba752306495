"""JsonArrayFormat documents cannot hold what the catalog refuses."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from common.catalog import CatalogDocument, InvalidDocument

MINIMAL: dict[str, Any] = {
    "models": [{"name": "models-plain", "owner": "rhdh", "lifecycle": "development", "description": ""}],
    "modelServer": {
        "name": "models-plain",
        "owner": "rhdh",
        "lifecycle": "development",
        "description": "",
        "authentication": False,
        "API": {"url": "https://plain.example.com", "type": "openapi", "spec": "TBD"},
    },
}


def changed(path: str, value: Any) -> bytes:
    document = json.loads(json.dumps(MINIMAL))
    *parents, last = path.split(".")
    target = document
    for part in parents:
        target = target[int(part)] if part.isdigit() else target[part]
    target[last] = value
    return json.dumps(document).encode()


def test_a_document_is_written_without_nulls_and_empty_lists() -> None:
    encoded = CatalogDocument.decode(json.dumps(MINIMAL)).encode()
    assert json.loads(encoded) == MINIMAL


def test_equal_documents_give_equal_bytes() -> None:
    one = changed("models.0.annotations", {"b": "1", "a": "2"})
    other = changed("models.0.annotations", {"a": "2", "b": "1"})
    assert CatalogDocument.decode(one).encode() == CatalogDocument.decode(other).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("models", []),
        ("models", None),
        ("models.0.name", "a/b"),
        ("models.0.name", ""),
        ("models.0.owner", ""),
        ("models.0.owner", "user:foo"),
        ("models.0.lifecycle", ""),
        ("models.0.tags", ["Bad_Tag"]),
        ("models.0.tags", None),
        ("models.0.annotations", {"Bad/Prefix/x": "1"}),
        ("models.0.annotations", {"a": 1}),
        ("models.0.license", "apache-2.0"),
        ("models.0.howToUseURL", "ask us"),
        ("models.0.artifactLocationURL", ""),
        ("models.0.surprise", "x"),
        ("modelServer.API", None),
        ("modelServer.API.type", "soap"),
        ("modelServer.API.spec", ""),
        ("modelServer.API.url", "plain"),
    ],
)
def test_what_the_catalog_would_refuse_cannot_be_held_and_the_field_is_named(path: str, value: Any) -> None:
    with pytest.raises(InvalidDocument, match=path.rpartition(".")[2]):
        CatalogDocument.decode(changed(path, value))


def test_a_document_cannot_be_changed_once_it_is_made() -> None:
    document = CatalogDocument.decode(json.dumps(MINIMAL))
    with pytest.raises(ValidationError):
        document.models[0].name = "other"  # type: ignore[misc]
