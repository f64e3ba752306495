"""Tokens in files that other programs write again."""

import os
from pathlib import Path

from common.secrets import FileToken


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
