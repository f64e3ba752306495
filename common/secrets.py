"""Tokens and passwords: read from the environment or from files that may change, and compared in constant time."""

import base64
import hmac
import re
from collections.abc import Callable
from pathlib import Path

from common import texts

TokenSource = Callable[[], str | None]
"""Returns the token to use now, or None if there is none; raises UnusableToken."""

_UNSENDABLE = re.compile(r"[^\x20-\x7e]")


class UnusableToken(Exception):
    """A token, user name or password that is given cannot be read or sent; `remedy` is what helps."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def is_sendable(text: str) -> bool:
    """Return whether a text can be in the header of a request: it is one line of ASCII."""
    return _UNSENDABLE.search(text) is None


class StaticToken:
    """A token that does not change while the process runs."""

    __slots__ = ("_token",)

    def __init__(self, token: str) -> None:
        self._token = token.strip()

    def __call__(self) -> str | None:
        """Return the token, None if it is empty."""
        return self._token or None

    def __repr__(self) -> str:
        return "StaticToken(***)"


def read_token(path: Path) -> str:
    """Return the token in a file, without blanks at its ends.

    Raises:
        UnreadableFile: the file cannot be read, or contains something that cannot be sent as a token.
    """
    token = texts.read_file(path).strip()
    if not is_sendable(token):
        raise texts.UnreadableFile(path, "it contains something else than one line of ASCII")
    return token


class FileToken:
    """A token in a file that another program renews, such as the kubelet; read again when the file changes."""

    __slots__ = ("_fault", "_path", "_read", "_stamp", "_token")

    def __init__(self, path: Path, *, read: Callable[[Path], str] = read_token) -> None:
        """`read` returns the content of the file, or raises UnreadableFile."""
        self._path = path
        self._read = read
        self._stamp: tuple[int, int, int] | None = None
        self._token: str | None = None
        self._fault = ""

    def __call__(self) -> str | None:
        """Return the token in the file, or the last one read if the file cannot be read now; None without a file.

        Raises:
            UnusableToken: there is a file that cannot be read, and none was read before.
        """
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._stamp:
                self._token = self._read(self._path) or None
                self._stamp = stamp
            self._fault = ""
        except (FileNotFoundError, NotADirectoryError, texts.MissingFile):
            # The kubelet replaces the file by renaming: until the new one exists, the last token is used.
            pass
        except (OSError, texts.UnreadableFile) as error:
            remedy = f"write it, and nothing else, into {self._path}; the connector reads it again by itself"
            if self._token is None:
                raise UnusableToken(str(error), remedy) from None
            self._warn(str(error), remedy)
        return self._token

    def _warn(self, fault: str, remedy: str) -> None:
        """Log once that the last token is still used."""
        import structlog  # commands that only read settings do not need it

        if fault != self._fault:
            log = structlog.get_logger("secrets")
            log.warning("token_file_unusable", fault=fault, remedy=remedy)
        self._fault = fault

    def __repr__(self) -> str:
        return f"FileToken({self._path})"


class MountedCredentials:
    """Credentials for servers, in the files of a folder where a Secret is mounted.

    `NAME.token` contains the bearer token for the server NAME, or `NAME.username` and `NAME.password` the credentials
    for HTTP Basic authentication (RFC 7617).
    """

    def __init__(self, folder: Path | None) -> None:
        """Without a folder there are no credentials."""
        self._folder = folder

    def of(self, name: str) -> Callable[[], str | None]:
        """Return a function that returns the Authorization header for a server, None if there are no files for it."""
        if self._folder is None:
            return lambda: None
        token = FileToken(self._folder / f"{name}.token")
        username, password = (
            FileToken(self._folder / f"{name}.{part}", read=_read_line) for part in ("username", "password")
        )

        def header() -> str | None:
            if bearer := token():
                return f"Bearer {bearer}"
            user = username()
            if user is None:
                return None
            pair = f"{user}:{password() or ''}".encode()
            return f"Basic {base64.b64encode(pair).decode('ascii')}"

        return header


def _read_line(path: Path) -> str:
    return texts.read_file(path).strip()


def same_token(given: str, expected: str) -> bool:
    """Return whether two tokens are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(*(each.encode("utf-8", "surrogatepass") for each in (given, expected)))
