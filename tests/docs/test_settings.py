from scripts.configuration_table import BEGIN, END, PAGE, SERVICES, rows, table


def test_the_configuration_is_that_of_the_settings() -> None:
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    written, end, _ = rest.partition(END)

    assert end, "the table's marks are gone"
    assert written == table(), "write it again: .venv/bin/python -m scripts.configuration_table"


def test_every_variable_has_a_name_and_a_meaning() -> None:
    assert [row for row in rows() if not row.name or not row.meaning] == []


def test_services_agree_on_defaults() -> None:
    defaults: dict[str, set[str]] = {}
    for settings in SERVICES.values():
        for field in settings.model_fields.values():
            defaults.setdefault(field.alias or "", set()).add(repr(field.default))

    assert {name: found for name, found in defaults.items() if len(found) > 1} == {}
