"""Configuration from the environment."""

import pytest
from pydantic import Field

from common.settings import CommaList, Duration, ServiceSettings, SettingsError, UrlList, parse_duration, parse_share


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


def test_variables_that_differ_only_in_case_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert "LOG_LEVEL is 'loud': Input should be 'DEBUG'" in str(error.value)


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
