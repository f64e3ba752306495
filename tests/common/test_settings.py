"""Configuration from the environment."""

import pytest
from pydantic import Field
from structlog.testing import capture_logs

from common.health import Health
from common.setting_types import CommaList, Duration, UrlList, parse_duration, parse_share
from common.settings import ServiceSettings, SettingsError, report_unusable
from services.location.settings import LocationSettings
from services.normalizer.settings import NormalizerSettings
from services.storage_rest.settings import StorageSettings


class Settings(ServiceSettings):
    interval: Duration = Field(120.0, alias="POLLING_INTERVAL")
    namespaces: CommaList = Field((), alias="WATCH_NAMESPACES")
    urls: UrlList = Field((), alias="MODEL_REGISTRY_URLS")


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)


def test_values_from_a_secret_lose_their_line_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("token", "abc\r\n")
    monkeypatch.setenv("namespace", "ai-rhdh\n")
    monkeypatch.setenv("POLLING_INTERVAL", " 2m30s\r\n")
    monkeypatch.setenv("LOG_LEVEL", "\n")
    settings = Settings.load()
    assert settings.shared_token is not None
    assert settings.shared_token() == "abc"
    assert (settings.namespace, settings.interval, settings.log_level) == ("ai-rhdh", 150.0, "INFO")


def test_variables_that_differ_only_in_case_are_reported_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("namespace", "from-secret")
    monkeypatch.setenv("NAMESPACE", "from-variable")
    assert Settings.load().namespace == "from-variable"
    monkeypatch.setenv("POD_NAMESPACE", "of-the-pod")
    assert Settings.load().namespace == "of-the-pod"


def test_lists_have_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCH_NAMESPACES", "a, b,,")
    assert Settings.load().namespaces == ("a", "b")


@pytest.mark.parametrize("text", ["registry", "ftp://h", "http://", "https://h:99999", "https://h,h", "http://[::1"])
def test_what_is_no_url_of_a_server_is_a_fault(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_REGISTRY_URLS", text)
    with pytest.raises(SettingsError, match="expected URLs such as https://"):
        Settings.load()


@pytest.mark.parametrize("text", ["public=https://r.example.com/a?b=c", "team/own=http://r:8080"])
def test_urls_may_have_names(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_REGISTRY_URLS", text)
    assert Settings.load().urls == (text,)


def test_urls_have_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_REGISTRY_URLS", "http://a:8080, HTTPS://b/path")
    assert Settings.load().urls == ("http://a:8080", "HTTPS://b/path")


def test_every_fault_is_named_with_what_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLING_INTERVAL", "2 minutes")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(SettingsError) as error:
        Settings.load()
    assert "POLLING_INTERVAL is '2 minutes': expected a duration such as 90s, 2m30s or 1h" in str(error.value)
    assert "LOG_LEVEL is 'loud': expected 'DEBUG'" in str(error.value)


def test_what_cannot_be_used_is_reported_with_what_is_used_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLING_INTERVAL", "2 minutes")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    monkeypatch.setenv("OPEN_READS", "perhaps")
    settings, health = Settings.load_usable(), Health()
    assert (settings.interval, settings.log_level, settings.open_reads) == (120, "INFO", False)
    with capture_logs() as logs:
        report_unusable(settings, health)
        report_unusable(settings, health)  # where several services are one process
    assert {name: (each.ok, each.reason) for name, each in health.conditions.items()} == {
        "LOG_LEVEL": (False, health.conditions["LOG_LEVEL"].reason),
        "OPEN_READS": (False, health.conditions["OPEN_READS"].reason),
        "POLLING_INTERVAL": (
            False,
            "POLLING_INTERVAL is '2 minutes': expected a duration such as 90s, 2m30s or 1h; 120 is used instead: "
            "correct or remove POLLING_INTERVAL",
        ),
    }
    assert "; INFO is used instead" in health.conditions["LOG_LEVEL"].reason
    assert "; false is used instead" in health.conditions["OPEN_READS"].reason
    assert [(line["log_level"], line["variable"]) for line in logs] == [
        ("warning", variable) for variable in ("LOG_LEVEL", "OPEN_READS", "POLLING_INTERVAL")
    ]


def test_what_of_a_list_can_be_used_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_REGISTRY_URLS", "a=http://a, htps://me:s3/cret@b?sig=s3cret, http://c")
    settings = Settings.load_usable()
    assert settings.urls == ("a=http://a", "http://c")
    [fault] = settings.unusable
    assert str(fault).startswith("MODEL_REGISTRY_URLS is 'b': expected URLs such as")
    assert fault.instead == "a=http://a, http://c"


def test_a_variable_that_decides_who_sees_what_must_be_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strict(Settings):
        strict = frozenset({"OPEN_READS"})

    monkeypatch.setenv("OPEN_READS", "perhaps")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(SettingsError) as error:
        Strict.load_usable()
    assert "OPEN_READS is 'perhaps'" in str(error.value)
    assert "LOG_LEVEL is 'loud'" in str(error.value)


def test_the_namespaces_are_never_more_than_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCH_NAMESPACES", "models;fraud")
    with pytest.raises(SettingsError, match=r"WATCH_NAMESPACES is 'models;fraud': expected names of namespaces"):
        NormalizerSettings.load_usable()
    monkeypatch.setenv("WATCH_NAMESPACES", "models,Fraud")
    settings = NormalizerSettings.load_usable()
    assert settings.watch_namespaces == ("models",)
    assert [each.variable for each in settings.unusable] == ["WATCH_NAMESPACES"]


def test_an_option_of_the_command_line_must_be_usable() -> None:
    with pytest.raises(SettingsError):
        Settings.load_usable(log_level="loud")


@pytest.mark.parametrize("kind", [NormalizerSettings, StorageSettings, LocationSettings])
def test_no_variable_ends_a_service_but_those_that_decide_who_sees_what(
    kind: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "\u2028 ://\x1b s3cret@"  # nothing that any of them takes for what it is
    aliases = {str(field.alias) for field in kind.model_fields.values()}
    for alias in aliases - kind.strict:
        monkeypatch.setenv(alias, secret)
    settings = kind.load_usable()
    assert not any("s3cret" in str(each) for each in settings.unusable)
    assert {each.variable for each in settings.unusable} <= aliases
    assert len(settings.unusable) > 5


def test_options_of_the_command_line_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    assert Settings.load(log_level="ERROR").log_level == "ERROR"
    assert Settings.load(log_level=None).log_level == "DEBUG"


def test_a_token_is_not_shown() -> None:
    settings = Settings.load(token="s3cret")
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in repr(settings.shared_token)


@pytest.mark.parametrize(("ip", "url"), [("10.0.0.1", "http://10.0.0.1:7070"), ("fd00::1", "http://[fd00::1]:7070")])
def test_sidecars_are_found_on_the_pods_address(ip: str, url: str) -> None:
    assert Settings.load(pod_ip=ip).url_on_pod(7070) == url


@pytest.mark.parametrize(
    ("text", "seconds"), [("2m", 120), ("1h30m", 5400), ("1.5h", 5400), ("500ms", 0.5), ("0", 0), ("1m0.5s", 60.5)]
)
def test_go_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "2", "m", "2 m", "-1s", "2mm", "1d"])
def test_what_is_no_go_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize(("written", "share"), [("20%", 0.2), ("0.2", 0.2), (" 100 % ", 1.0), ("0", 0.0), (0.5, 0.5)])
def test_a_share_is_written_as_a_number_or_in_per_cent(written: object, share: float) -> None:
    assert parse_share(written) == pytest.approx(share)


@pytest.mark.parametrize("written", ["20", "-1%", "a fifth", "", "20%%", "nan"])
def test_what_is_no_share_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="such as 20%"):
        parse_share(written)


@pytest.mark.parametrize("name", ["POD_IP", "POD_NAMESPACE", "LOG_LEVEL", "token"])
def test_a_variable_that_is_not_utf_8_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "name\udce9")
    with pytest.raises(SettingsError, match=rf"^{name}.*: expected a text in UTF-8$") as caught:
        Settings.load()
    str(caught.value).encode()


@pytest.mark.parametrize("value", ["one\ntwo", "tökén"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("token", value)
    for load in (Settings.load, Settings.load_usable):  # with the default, none, anyone in the pod could write
        with pytest.raises(SettingsError, match=r"^token: expected one line of ASCII$"):
            load()
