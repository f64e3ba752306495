"""Tokens in files that other programs write again."""

import base64
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from common.secrets import FileToken, MountedCredentials, UnusableToken, same_token


def test_a_file_that_was_read_while_it_was_being_written_is_read_again(tmp_path: Path) -> None:
    """A file system may give two writes within some milliseconds the same time."""
    file = tmp_path / "token"
    file.write_text("former")
    token = FileToken(file)
    assert token() == "former"

    file.write_text("")
    os.utime(file, ns=(1, 1))
    assert token() is None
    file.write_text("renewed")
    os.utime(file, ns=(1, 1))

    assert token() == "renewed"


def test_the_last_token_serves_while_its_file_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("former\n")
    token = FileToken(file)
    assert token() == "former"

    file.unlink()
    assert token() == "former"
    file.write_text("renewed")

    assert token() == "renewed"


UNREADABLE = {
    "not UTF-8": (b"t\xffken", "it is neither UTF-8 nor marked as UTF-16 (byte 1); save it as UTF-8"),
    "two lines": (b"one\ntwo", "it contains something else than one line of ASCII"),
    "a NUL": (b"tok\0en", "it contains something else than one line of ASCII"),
    "letters that no header carries": ("tökén".encode(), "it contains something else than one line of ASCII"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_a_token_is_refused_with_the_file_and_what_to_do(tmp_path: Path, name: str) -> None:
    content, reason = UNREADABLE[name]
    file = tmp_path / "token"
    file.write_bytes(content)
    token = FileToken(file)
    with pytest.raises(UnusableToken) as caught:
        token()
    assert str(caught.value) == f"{file} cannot be read: {reason}"
    assert str(file) in caught.value.remedy

    file.write_text("corrected\n")
    assert token() == "corrected"


@pytest.mark.parametrize("name", UNREADABLE)
def test_the_last_token_serves_while_its_file_contains_none(tmp_path: Path, name: str) -> None:
    file = tmp_path / "token"
    file.write_text("former")
    token = FileToken(file)
    assert token() == "former"

    file.write_bytes(UNREADABLE[name][0])
    with capture_logs() as logs:
        assert [token() for _ in range(3)] == ["former"] * 3
    [told] = logs
    assert (told["event"], told["log_level"]) == ("token_file_unusable", "warning")
    assert UNREADABLE[name][1] in told["fault"]
    file.write_text("renewed")
    assert token() == "renewed"


def test_a_token_that_an_editor_of_windows_saved_is_read_without_its_mark(tmp_path: Path) -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        file = tmp_path / encoding
        file.write_bytes("token\r\n".encode(encoding))
        assert FileToken(file)() == "token"


def test_a_file_that_may_not_be_read_is_no_missing_one(tmp_path: Path) -> None:
    """Without the error, requests would be sent without a token, and be refused for another reason."""
    with pytest.raises(UnusableToken, match="cannot be read: Is a directory"):
        FileToken(tmp_path)()
    assert FileToken(tmp_path / "none")() is None


def test_a_password_may_have_any_letters(tmp_path: Path) -> None:
    (tmp_path / "mlflow.username").write_text("jörg\n")
    (tmp_path / "mlflow.password").write_text("pässwörd\n")
    header = MountedCredentials(tmp_path).of("mlflow")()
    assert header == f"Basic {base64.b64encode('jörg:pässwörd'.encode()).decode()}"


def test_tokens_of_any_bytes_can_be_compared() -> None:
    assert same_token("t\udcff", "t\udcff")
    assert not same_token("t\udcff", "t\udcfe")
