"""Text of others can be written again, whatever they wrote, or is refused with what is wrong."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.texts import MissingFile, UnreadableFile, is_unicode, parse_json, read_file, unicode

TEXTS = st.text(st.characters(codec=None))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_file_is_read_in_the_encoding_that_it_is_marked_with(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "file"
    file.write_bytes("tökén\r\n".encode(encoding))
    assert read_file(file) == "tökén\r\n"


def test_what_is_no_text_is_refused_with_the_file_the_byte_and_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "latin"
    file.write_bytes("café".encode("latin-1"))
    with pytest.raises(UnreadableFile) as caught:
        read_file(file)
    assert str(caught.value) == (
        f"{file} cannot be read: it is neither UTF-8 nor marked as UTF-16 (byte 3); save it as UTF-8"
    )


def test_what_the_system_does_not_give_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="none cannot be read: No such file"):
        read_file(tmp_path / "none")
    with pytest.raises(UnreadableFile, match="cannot be read: Is a directory"):
        read_file(tmp_path)
    with pytest.raises(UnreadableFile, match="cannot be read: "):
        read_file(Path("a\0b"))


def test_an_error_can_be_shown_even_if_the_name_of_the_file_is_not_utf_8() -> None:
    with pytest.raises(MissingFile) as caught:
        read_file(Path("/nowhere/name\udce9"))
    assert "/nowhere/name\ufffd cannot be read" in str(caught.value)


@given(st.recursive(TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_json_can_be_written_again_and_changes_only_where_it_is_not_unicode(value: object) -> None:
    written = json.dumps(value)
    again = json.dumps(parse_json(written), ensure_ascii=False)
    again.encode()
    if is_unicode(json.dumps(value, ensure_ascii=False)):
        assert parse_json(written.encode()) == value


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (rb'"x\ud800y"', "x\ufffdy"),
        (rb'"x\uDFFFy"', "x\ufffdy"),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (rb'"\\ud800"', r"\ud800"),
        (rb'"\\\ud800"', "\\\ufffd"),
        (b'"name\xe9"', "name\ufffd"),
        (b'"\xed\xa0\x80"', "\ufffd" * 3),
        (b'\xef\xbb\xbf"x"', "x"),
        ('"é"'.encode("utf-16"), "é"),
        (rb'{"\ud800": ["\ud800"]}', {"\ufffd": ["\ufffd"]}),
    ],
)
def test_what_is_not_unicode_in_json_is_replaced_as_go_does(written: bytes, expected: object) -> None:
    assert parse_json(written) == expected


@pytest.mark.parametrize("written", ["", "<html>", '{"a": 1', "[" * 100_000, "{'a': 1}", '"\\ud8'])
def test_what_is_no_json_is_a_value_error_of_any_depth(written: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the messages are those of Python's parser
        parse_json(written)


@given(TEXTS)
def test_a_text_is_replaced_only_where_it_is_not_unicode(text: str) -> None:
    unicode(text).encode()
    assert (unicode(text) == text) == is_unicode(text)
