from scripts.status_schema import SCHEMA, schema


def test_the_schema_of_the_status_is_that_of_its_models() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema(), "write it again: .venv/bin/python -m scripts.status_schema"
