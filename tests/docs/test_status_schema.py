"""The schemas of the status are those of its models."""

from scripts.status_schema import OPENAPI, SCHEMA, openapi, schema

REMEDY = "write it again: .venv/bin/python -m scripts.status_schema"


def test_the_schema_of_the_status_is_that_of_its_models() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema(), REMEDY


def test_the_description_of_storage_rest_has_the_schema_of_its_status() -> None:
    assert OPENAPI.read_text(encoding="utf-8") == openapi(), REMEDY
