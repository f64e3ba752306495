"""Tokens and passwords: read from the environment or from files that may change, and compared in constant time."""

import base64
import hmac
from collections.abc import Callable
from pathlib import Path

TokenSource = Callable[[], str | None]
"""Returns the token to use now, or None if there is none."""


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


class FileToken:
    """A token in a file that another program renews, such as the kubelet; read again when the file changes."""

    __slots__ = ("_path", "_stamp", "_token")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._token: str | None = None

    def __call__(self) -> str | None:
        """Return the token in the file, or the last one read if the file cannot be read now."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._stamp:
                self._token = self._path.read_text().strip() or None
                self._stamp = stamp
        except OSError:
            # The kubelet replaces the file by renaming: until the new one exists, the last token is used.
            pass
        return self._token

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
        token, username, password = (
            FileToken(self._folder / f"{name}.{part}") for part in ("token", "username", "password")
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


def same_token(given: str, expected: str) -> bool:
    """Return whether two tokens are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
