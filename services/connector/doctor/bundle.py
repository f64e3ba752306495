"""Writes the file of `--bundle`: objects and answers with everything secret removed.

Secrets are recognised by their place, not by their look: values of variables, of options and of fields that are named
after secrets, passwords and signatures in addresses, and our own tokens anywhere.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from services.normalizer.normalize.links import without_credentials

REMOVED = "(removed)"
_SECRET = re.compile(r"token|passw|secret|api_?key|access_?key|private_?key|credential|authorization", re.IGNORECASE)
_NAMES_ONLY = ("Name", "Ref", "Names", "Refs")
"""Endings of fields that contain the name of a Secret, not a secret value."""
_OPTION = re.compile(r"--?[\w.-]*(?:key|token|secret|passw)[\w.-]*", re.IGNORECASE)
_ASSIGNED = re.compile(rf"({_OPTION.pattern})(=|\s+)\S+", re.IGNORECASE)
_DROPPED = ("managedFields",)
_APPLIED = "last-applied-configuration"
_MODE = 0o600


def redacted(value: Any, secrets: Iterable[str] = ()) -> Any:
    """Return a copy without secrets; `secrets` are texts that are removed anywhere."""
    known = [secret for secret in secrets if secret]
    return _redacted(value, known)


def redacted_log(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a log without secrets; JSON lines are redacted as objects."""
    known = [secret for secret in secrets if secret]
    return "".join(f"{_line(line, known)}\n" for line in text.splitlines())


def _line(line: str, secrets: list[str]) -> str:
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        parsed = None
    return json.dumps(_redacted(parsed, secrets)) if isinstance(parsed, dict) else _text(line, secrets)


def _redacted(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _field(str(key), item, secrets)
            for key, item in value.items()
            if key not in _DROPPED and _APPLIED not in str(key)
        }
    if isinstance(value, list | tuple):
        items = list(value)
        return [
            REMOVED if _is_option(items[number - 1]) and number and isinstance(item, str) else _redacted(item, secrets)
            for number, item in enumerate(items)
        ]
    return _text(value, secrets) if isinstance(value, str) else value


def _field(name: str, value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str) and _SECRET.search(name) and not name.endswith(_NAMES_ONLY):
        return REMOVED
    if name == "env" and isinstance(value, list):
        return [
            {**_redacted(each, secrets), "value": REMOVED} if isinstance(each, Mapping) and "value" in each else each
            for each in value
        ]
    return _redacted(value, secrets)


def _is_option(item: Any) -> bool:
    return isinstance(item, str) and _OPTION.fullmatch(item.strip()) is not None


def _text(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, REMOVED)
    return _ASSIGNED.sub(rf"\1\2{REMOVED}", without_credentials(text))


def write_bundle(path: Path, files: Mapping[str, str]) -> None:
    """Write the files as a compressed archive that only its owner can read.

    Raises:
        OSError: it cannot be written.
    """
    prepare(path)
    path.write_bytes(packed(files, folder=path.name.partition(".")[0]))


def prepare(path: Path) -> None:
    """Create the file that is written later, for its owner alone.

    Raises:
        OSError: it cannot be written.
    """
    path.touch(mode=_MODE)
    path.chmod(_MODE)
    path.open("ab").close()


def packed(files: Mapping[str, str], *, folder: str = "bundle") -> bytes:
    """Return the files as a compressed archive, in which they are in one folder."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in sorted(files.items()):
            data = text.encode()
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()
