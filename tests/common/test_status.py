"""What the services say of themselves."""

import pytest
from pydantic import Field, SecretStr

from common.setting_types import CommaList
from common.settings import ServiceSettings
from common.status import NormalizerStatus, settings_of


class Settings(ServiceSettings):
    urls: CommaList = Field((), alias="MODEL_REGISTRY_URLS")
    hold: float = Field(3600.0, alias="REMOVAL_HOLD")
    owner: str = Field("anybody", alias="DEFAULT_OWNER")


@pytest.mark.parametrize(
    ("given", "name", "shown"),
    [
        ({"token": SecretStr("hush")}, "token", "set"),
        ({"urls": ("a=https://me:hush@registry.example.com/x?sig=hush",)}, "MODEL_REGISTRY_URLS", "a=https://registry"),
        (
            {"urls": ("http://one.example.com", "http://two.example.com")},
            "MODEL_REGISTRY_URLS",
            "one.example.com, http",
        ),
        ({"open_reads": True}, "OPEN_READS", "true"),
        ({"hold": 90.0}, "REMOVAL_HOLD", "90 s"),
        ({}, "DEFAULT_OWNER", "anybody"),
    ],
)
def test_settings_in_effect_are_shown_without_secrets(given: dict[str, object], name: str, shown: str) -> None:
    told = {setting.name: setting for setting in settings_of(Settings.model_validate(given))}

    assert shown in told[name].value
    assert told[name].default is not bool(given)
    assert "hush" not in repr(told)


def test_the_status_of_another_version_is_read_as_far_as_it_is_known() -> None:
    told = '{"version": "9", "started": "2026-11-25T10:00:00Z", "moods": [], "sources": [{"id": "a", "kind": "new"'
    status = NormalizerStatus.model_validate_json(told + ', "ok": true}]}')

    assert (status.version, status.sources[0].id, status.hidden) == ("9", "a", ())
