"""Text that others wrote, in files and in JSON: read so that it can be written again, or refused with what is wrong.

Python keeps what is not Unicode as lone surrogates: bytes of file names and of the environment that are not UTF-8, and
escapes such as `"\\ud800"` in JSON. They pass for text until something encodes them, far from where they came from.
Servers in Go, such as those of Kubernetes and of Model Registry, replace them by U+FFFD (Go, encoding/json, Unmarshal);
so does this module.
"""

import codecs
import json
import re
from pathlib import Path
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# In JSON, a backslash always begins an escape.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_REPLACEMENT = "\ufffd"
# The longer marks first: that of UTF-16 begins that of UTF-32.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class UnreadableFile(Exception):
    """The system does not give a file, or it is no text; `reason` says why, without the name of the file."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{unicode(str(path))} cannot be read: {reason}")
        self.reason = reason


class MissingFile(UnreadableFile):
    """There is no such file."""


def read_file(path: Path) -> str:
    """Return the text in a file: in UTF-8, or in what its mark says, without the mark.

    Raises:
        MissingFile: there is no such file.
        UnreadableFile: the system does not give it, or it contains something else than text.
    """
    try:
        return decode(path.read_bytes())
    except UnicodeDecodeError as error:
        reason = f"it is neither UTF-8 nor marked as UTF-16 (byte {error.start}); save it as UTF-8"
        raise UnreadableFile(path, reason) from None
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFile(path, error.strerror or str(error)) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        raise UnreadableFile(path, getattr(error, "strerror", None) or str(error)) from None


def decode(raw: bytes) -> str:
    """Return the text of a file from its bytes, as `read_file` does.

    Raises:
        UnicodeDecodeError: it is neither UTF-8, nor in what its mark says.
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding)
    return raw.decode("utf-8")


def unicode(text: str) -> str:
    """Return a text with lone surrogates replaced by U+FFFD, so that it can be encoded."""
    return text if text.isascii() else _SURROGATE.sub(_REPLACEMENT, text)


def is_unicode(text: str) -> bool:
    """Return whether a text can be encoded: it contains no lone surrogates."""
    return text.isascii() or _SURROGATE.search(text) is None


def parse_json(written: str | bytes | bytearray) -> Any:
    """Return the value in JSON of another program; whatever is not Unicode in its texts is replaced by U+FFFD.

    So one object with such a text does not keep all others of an answer from being read.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    text = written if isinstance(written, str) else written.decode(json.detect_encoding(written), "replace")
    try:
        return json.loads(without_lone_escapes(text))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def without_lone_escapes(written: str) -> str:
    """Return JSON with escapes of lone surrogates replaced by that of U+FFFD, which is as long."""
    return _ESCAPE.sub(_replaced, written) if _ESCAPED_SURROGATE.search(written) else written


def _replaced(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape["lone"] else escape[0]
